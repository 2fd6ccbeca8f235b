"""How large may a run be? Makes pages of many cases, opens them in headless Chromium, prints the figures.

    python benchmarks/report_scale.py [--cases 100000] [--runs 6] [--no-browser]

Printed per page: seconds and peak memory of making it (cases are made up before the clock starts, one run at a
time, as `rmcp compare` reads them), size of the file, and in the browser: milliseconds from navigation to ready,
of filtering, sorting, grouping and scrolling. Reading a run back from its journal is a figure of its own: a
comparison reads every run once before the page is made.
"""

from __future__ import annotations

import argparse
import gc
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "harness")]

import synthetic  # noqa: E402

from rmcp.compare import compare, side_of_run  # noqa: E402
from rmcp.report.comparison import write_comparison  # noqa: E402
from rmcp.report.files import without_collection  # noqa: E402
from rmcp.report.html import write_html  # noqa: E402
from rmcp.runs import load_run  # noqa: E402
from rmcp.runs.codec import dump  # noqa: E402
from rmcp.runs.journal import Journal  # noqa: E402
from rmcp.runs.writer import create_run_from_lines  # noqa: E402

ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
FILTERS = (
    "is:bad",
    "dtype == float16 and memory_format == channels_last",
    "outcome in [crash, hang] and not env in [env1, env2, env3]",
    "shape == c1*-h*-k[37]",
    "aperture",
)


_REPEATS = 4  # the best of them counts: what else the machine does is not the page's


def peak_mib() -> float:
    """Largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def make_comparison(cases: int, runs: int, path: Path) -> float:
    """Seconds of making the comparison page."""
    seconds = 0.0  # of processor time: what the machine does besides must not count
    sides = []
    for index in range(runs):
        name = f"6.{index}"
        run = synthetic.run_of(
            list(synthetic.large(cases, seed=index, runtime=name)), id=f"run{index}", runtimes={name: {"rocm": name}}
        )
        with without_collection():
            began = time.process_time()
            sides.append(side_of_run(run, name, "row"))
            seconds += time.process_time() - began
        del run
        gc.collect()
    began = time.process_time()
    with without_collection():
        write_comparison(compare(sides), path)
    return seconds + time.process_time() - began


class _Unsynced(Journal):
    """A journal that does not wait for the disk after every START: the bytes are the same."""

    def sync(self) -> None:
        """Nothing: the benchmark measures reading."""


def read_back(cases: int, folder: Path) -> float:
    """Seconds of reading one run from its plan and its journal."""
    records = list(synthetic.large(cases))
    names = ("id", "key", "row", "workload", "axes", "args", "env", "runtime")
    lines = (dump({name: getattr(record, name) for name in names}) for record in records)
    run = create_run_from_lines(folder, lines, cases, {"matrix": {"name": "conv2d"}, "compare_axes": ["runtime"]})
    with _Unsynced(run.path / "journal", "main") as journal:
        for record in records:
            journal.start(record.key, 1)
            journal.end(record.key, record.attempts[0])
            journal.verdict(record.key, record.verdict)
        journal.finish()
    del records
    gc.collect()
    began = time.process_time()
    load_run(run.path)
    return time.process_time() - began


def make_run(cases: int, path: Path) -> float:
    """Seconds of making the page of one run."""
    run = synthetic.run_of(list(synthetic.large(cases)))
    gc.collect()
    began = time.process_time()
    write_html(run, path)
    return time.process_time() - began


def browse(path: Path) -> dict[str, float]:
    """Milliseconds of what a reader does."""
    from playwright.sync_api import sync_playwright

    figures: dict[str, float] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 850})
        page.set_default_timeout(60_000)
        loads = []
        for _ in range(_REPEATS):
            page.goto("about:blank")
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready]", state="attached", timeout=60_000)
            loads.append(float(page.evaluate("document.documentElement.dataset.ready")))
        figures["ready"] = min(loads)
        for text in FILTERS:
            figures[f"filter {text[:21]}"] = _took(page, {"q": text})
        _took(page, {"q": ""})
        figures["sort by a column"] = _took(page, {"s": "-shape"})
        figures["group by a column"] = _took(page, {"s": "", "g": "dtype"})
        _took(page, {"g": ""})
        figures["jump to the end"] = page.evaluate(
            """async () => {
              const grid = document.querySelector('[role=grid]');
              const began = performance.now();
              grid.scrollTop = grid.scrollHeight;
              await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
              return performance.now() - began;
            }"""
        )
        figures["JavaScript heap, MiB"] = page.evaluate("performance.memory.usedJSHeapSize / 1048576")
        browser.close()
    return figures


def _took(page: Any, changes: dict[str, str]) -> float:
    """Milliseconds from the change to everything drawn (without the wait for the typist)."""
    script = """changes => {
      const back = Object.fromEntries(Object.keys(changes).map((name) => [name, rmcp.view.state.get(name)]));
      rmcp.view.state.set(changes);
      const { took } = rmcp.view;
      return [took, back];
    }"""
    times = []
    for _ in range(_REPEATS):
        took, back = page.evaluate(script, changes)
        times.append(float(took))
        page.evaluate("back => rmcp.view.state.set(back)", back)
    page.evaluate("changes => rmcp.view.state.set(changes)", changes)
    return min(times)


def main() -> None:
    """Make, open, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=100_000, metavar="N")
    parser.add_argument("--runs", type=int, default=6, metavar="N")
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--only", choices=("compare", "run"))
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pages = {
            "compare": lambda path: make_comparison(args.cases, args.runs, path),
            "run": lambda path: make_run(args.cases, path),
        }
        for name, make in pages.items():
            if args.only not in (None, name):
                continue
            path = Path(folder) / f"{name}.html"
            what = f"{args.cases:,} cases" + (f" x {args.runs} runs" if name == "compare" else "")
            print(f"{name} page, {what}")
            print(f"  {'made in, processor time':28}{make(path):10.1f} s")
            if name == "run":
                print(f"  {'read from its journal':28}{read_back(args.cases, Path(folder)):10.1f} s")
            print(f"  {'peak memory so far':28}{peak_mib():10.0f} MiB")
            print(f"  {'file':28}{path.stat().st_size / 1e6:10.2f} MB")
            if not args.no_browser:
                for figure, value in browse(path).items():
                    print(f"  {figure:28}{value:10.0f}" + ("" if "MiB" in figure else " ms"))
            gc.collect()


if __name__ == "__main__":
    main()
