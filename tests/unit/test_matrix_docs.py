"""The examples of docs/matrix.md are legal and expand."""

from __future__ import annotations

import re
from pathlib import Path

from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_text

DOCS = Path(__file__).parents[2] / "docs" / "matrix.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)


def block(key: str) -> str:
    (found,) = [text for text in BLOCKS if text.startswith(key + ":")]
    return str(found)


def test_the_first_example() -> None:
    assert [case.id for case in expand(load_text(block("rmcp"), "doc.yaml")).cases] == [
        "first[float32/32]",
        "first[float32/44]",
        "first[float16/32]",
        "first[float16/44]",
    ]


def test_the_sections_together() -> None:
    keys = ("axes", "exclude", "add", "set", "requires", "expect", "profiles")
    text = "rmcp: 1\nname: conv2d\ndefaults: {workload: conv2d}\n" + "".join(block(key) for key in keys)
    matrix = load_text(text + "reduce: {strength: 2}\n", "doc.yaml")
    for profile in (None, *matrix.profiles):
        assert expand(matrix, profile).cases
    assert any(case.origin == "add" for case in expand(matrix).cases)


def test_runtimes_in_the_document_are_runtimes() -> None:
    (text,) = [text for text in BLOCKS if text.startswith("{python:")]
    shown = [line.partition("  #")[0].strip() for line in text.splitlines()]
    values = "".join(f"      r{number}: {{runtime: {runtime}}}\n" for number, runtime in enumerate(shown))
    head = "rmcp: 1\ndefaults: {workload: noop}\naxes:\n  runtime:\n    values:\n"
    matrix = load_text(head + values, "doc.yaml")
    assert len(matrix.axes[0].values) == 4
