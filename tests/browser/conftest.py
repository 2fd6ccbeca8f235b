"""A headless Chromium for the whole session, pages of made-up runs, and a watch over what a page does."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import synthetic

from rmcp.compare import compare
from rmcp.report.comparison import write_comparison
from rmcp.report.html import write_html
from rmcp.runs.model import Run
from rmcp.words import Outcome

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
READY_MS = 15_000  # far above what a page needs; the machine may be busy
# Playwright cannot read the clipboard of a file:// page: what the page writes is kept instead.
_CLIPBOARD = """
globalThis.copied = [];
const clipboard = { writeText: async (text) => { copied.push(text); } };
Object.defineProperty(navigator, 'clipboard', { value: clipboard });
"""

SIZES = {"desktop": (1280, 850), "phone": (390, 844)}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser."""
    sync_api = pytest.importorskip("playwright.sync_api")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        yield browser
        browser.close()


@dataclasses.dataclass
class Watched:
    """A page, and everything that it must not have done."""

    page: Any
    errors: list[str]
    requests: list[str]

    def check(self) -> None:
        """No error, no dialog, nothing loaded but the file itself."""
        assert self.errors == []
        assert all(url.startswith("file:") for url in self.requests), self.requests
        assert len(set(self.requests)) == 1, self.requests


OpenPage = Callable[..., Any]


def until(page: Any, expression: str, value: object) -> None:
    """Wait until ``expression`` has the value. (Playwright's own wait needs eval, which the page forbids.)"""
    deadline = time.monotonic() + READY_MS / 1000
    while (found := page.evaluate(expression)) != value:
        assert time.monotonic() < deadline, f"{expression} is {found!r}, not {value!r}"
        page.wait_for_timeout(20)


@pytest.fixture
def open_page(chromium: Any) -> Iterator[OpenPage]:
    """Opens a report; at the end every page must have been quiet."""
    contexts: list[Any] = []
    watched: list[Watched] = []

    def open_it(
        path: Path,
        fragment: str = "",
        size: str = "desktop",
        scheme: str = "light",
        quiet: bool = True,
        **options: Any,
    ) -> Any:
        width, height = SIZES[size]
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            has_touch=size == "phone",
            **options,
        )
        contexts.append(context)
        context.add_init_script(_CLIPBOARD)
        page = context.new_page()
        watch = Watched(page, [], [])
        page.on("pageerror", lambda error: watch.errors.append(str(error)))
        page.on("console", lambda message: message.type == "error" and watch.errors.append(message.text))
        page.on("dialog", lambda dialog: (watch.errors.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: watch.requests.append(request.url))
        page.goto(path.as_uri() + fragment)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]", state="attached", timeout=READY_MS)
        if quiet:
            watched.append(watch)
        return page

    yield open_it
    try:
        for watch in watched:
            watch.check()
    finally:
        for context in contexts:
            context.close()


@pytest.fixture(scope="session")
def run_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 500 cases with evidence and explanations."""
    path = tmp_path_factory.mktemp("run")
    run = synthetic.run_of(list(synthetic.large(500)), path)
    run = synthetic.store_texts(run, {"kernel.log": "[ 1.0] amdgpu: [gfxhub] page fault (src_id:0 ring:24)\nother\n"})
    first = next(case for case in run.cases if case.outcome.value == "crash")
    explain = [
        {
            "sentence": "Half precision in channels_last crashes.",
            "rule": "dtype == float16 and memory_format == channels_last",
            "signature": first.signature,
            "proof": [first.id],
        }
    ]
    (path / "explain.json").write_text(json.dumps(explain))
    write_html(run, path / "report.html")
    return path / "report.html"


@pytest.fixture(scope="session")
def coverage_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of a run that holds its matrix: two of six cells ran, one of them crashed."""
    path = tmp_path_factory.mktemp("coverage")
    text = "rmcp: 1\nname: small\ndefaults: {workload: noop}\naxes: {dtype: [f32, f16], shape: [a, b, c]}\n"
    cases = [
        synthetic.case({"dtype": "f16", "shape": "a"}, Outcome.CRASH),
        synthetic.case({"dtype": "f32", "shape": "b"}),
    ]
    matrix = {"name": "small", "path": "small.yaml", "text": text}
    manifest = {"format": 1, "matrix": matrix, "created": synthetic.CLOCK}
    write_html(synthetic.run_of(cases, path, manifest=manifest), path / "report.html")
    return path / "report.html"


@pytest.fixture(scope="session")
def outcome_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page that holds every outcome."""
    path = tmp_path_factory.mktemp("outcomes")
    write_html(synthetic.store_texts(synthetic.every_outcome(path), {}), path / "report.html")
    return path / "report.html"


def versions(count: int, rows: int) -> list[Run]:
    """``count`` runs of different runtimes on machines that drift."""
    runs = []
    for index in range(count):
        name = f"6.{index}"
        facts = {"kernel": f"6.8.{index // 2}", "cmdline": f"amdgpu.noretry={index % 2} quiet"}
        runtimes = {name: {"torch": f"2.{index}.0", "rocm": name, "device_name": "AMD Radeon RX 5600 XT"}}
        cases = list(synthetic.large(rows, seed=index, runtime=name))
        runs.append(synthetic.run_of(cases, id=f"run{index}", facts=facts, runtimes=runtimes))
    return runs


@pytest.fixture(scope="session")
def compare_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two runtimes with every change class."""
    before, after = synthetic.pair_of_every_change()
    runtimes = {"5.2": {"torch": "1.13.1"}, "6.2": {"torch": "2.13.0"}}
    path = tmp_path_factory.mktemp("compare") / "compare.html"
    write_comparison(compare([synthetic.run_of([*before, *after], runtimes=runtimes)]), path)
    return path


@pytest.fixture(scope="session")
def versions_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of four versions."""
    path = tmp_path_factory.mktemp("versions") / "compare.html"
    write_comparison(compare(versions(4, 300)), path)
    return path
