"""The page's own code: one scope, no way to interpret a text, a policy that names exactly its script and style."""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import html
import json
import re
from collections import Counter
from importlib import resources
from pathlib import Path

import pytest
import synthetic

from rmcp.commands import report as command
from rmcp.report import bundle
from rmcp.report.html import render_html
from rmcp.runs.model import Run

PAGE = resources.files("rmcp.report").joinpath("page")


def test_every_module_is_bundled() -> None:
    files = sorted(entry.name for entry in PAGE.iterdir() if entry.name.endswith(".js"))
    assert sorted(bundle.MODULES) == files


def test_top_level_names_are_given_once() -> None:
    names: Counter[str] = Counter()
    for module in bundle.MODULES:
        text = PAGE.joinpath(module).read_text(encoding="utf-8")
        declared = r"^(?:export )?(?:async )?(?:function|class|const|let) (\w+)"
        names.update(re.findall(declared, text, re.MULTILINE))
    assert [name for name, count in names.items() if count > 1] == []


def test_imports_name_earlier_modules_only() -> None:
    seen: list[str] = []
    for module in bundle.MODULES:
        text = PAGE.joinpath(module).read_text(encoding="utf-8")
        for name in re.findall(r"^import [^;]*from '\./([\w.]+)';", text, re.MULTILINE):
            assert name in seen, f"{module} imports {name}"
        seen.append(module)
    assert not re.search(r"^(?:import|export)\b", bundle.script(), re.MULTILINE)


@pytest.mark.parametrize(
    "way",
    [
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        "srcdoc",
        "http:",
        "https:",
    ],
)
def test_no_way_to_interpret_or_to_load(way: str) -> None:
    assert way not in bundle.script()


def page_of(run: Run) -> str:
    return b"".join(render_html(run)).decode()


def test_policy_names_exactly_what_is_there() -> None:
    page = page_of(synthetic.every_outcome())
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1))  # type: ignore[union-attr]
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL).group(1)  # type: ignore[union-attr]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL).group(1)  # type: ignore[union-attr]
    for text in (script, style):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"\s(?:on\w+|style|src|href)=", re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL))


def test_blocks_are_gzip_of_strict_json_and_pages_are_equal() -> None:
    run = synthetic.every_outcome()
    page = page_of(run)
    for name in ("index", "evidence"):
        block = re.search(rf'id="{name}">([^<]*)<', page).group(1)  # type: ignore[union-attr]
        json.loads(gzip.decompress(base64.b64decode(block)), parse_constant=lambda word: pytest.fail(word))
    assert page == page_of(run)


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = synthetic.every_outcome(tmp_path)
    monkeypatch.setattr("rmcp.runs.load_run", lambda ref, reports: run)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step.md"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    parser = argparse.ArgumentParser()
    command.configure(parser)
    assert command.run(parser.parse_args(["latest", "--out", str(tmp_path / "out"), "--junit-retries"])) == 0
    out = capsys.readouterr().out
    assert out.startswith("9 of 20 cases failed unexpectedly")
    assert 0 < out.count("\n::error file=conv2d.yaml") <= 10
    assert "appended to the step summary" in out
    assert "flakyError" in (tmp_path / "out" / "junit.xml").read_text()
    assert (tmp_path / "step.md").read_text() == (tmp_path / "out" / "summary.md").read_text()
