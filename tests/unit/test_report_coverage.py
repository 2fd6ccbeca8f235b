"""Coverage honesty: what a report claims of the full product, and what it does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import synthetic

from rmcp.report.coverage import coverage_of, coverage_payload
from rmcp.report.html import render_html
from rmcp.report.markdown import render_markdown
from rmcp.runs.model import Run
from rmcp.words import Outcome

MATRIX = """
rmcp: 1
name: small
defaults: {workload: noop}
axes:
  runtime: {role: compare, values: {this: {}}}
  dtype: [float32, float16]
  shape: [a, b, c]
  layout: [x, y]
exclude:
  - {match: {dtype: float16, layout: y}, reason: "not there"}
"""


def run_of(tmp_path: Path, *cells: tuple[str, str, str, Outcome], **matrix: str) -> Run:
    cases = [
        synthetic.case({"runtime": "this", "dtype": dtype, "shape": shape, "layout": layout}, outcome)
        for dtype, shape, layout, outcome in cells
    ]
    facts = {"name": "small", "path": "small.yaml", "text": MATRIX, **matrix}
    return synthetic.run_of(cases, tmp_path, manifest={"format": 1, "matrix": facts, "created": synthetic.CLOCK})


def test_shares_of_the_product_without_what_is_excluded(tmp_path: Path) -> None:
    run = run_of(
        tmp_path,
        ("float32", "a", "x", Outcome.CRASH),
        ("float32", "b", "y", Outcome.PASS),
        ("float16", "c", "x", Outcome.LOST),
        ("float16", "b", "x", Outcome.UNSUPPORTED),
    )
    found = coverage_of(run)
    assert found is not None
    product = found.product
    assert (product.full, product.proven) == (9, 2), "lost and unsupported cells prove nothing; three are excluded"
    assert product.proven + product.inferred + product.untested == 9
    assert found.unsupported == 1
    assert found.sentence == (
        "Of the 9 cases of the full product 2 (22.2 %) are proven, 0 (0 %) inferred (all their 2-way combinations "
        "passed), 7 (77.8 %) untested (1 of them unsupported on this machine)."
    )
    assert product.nearest[0].distance == 1
    assert all("float16/" not in near.id or "/y" not in near.id for near in product.nearest), "excluded is not untested"


def test_a_whole_product_is_proven(tmp_path: Path) -> None:
    legal = (("float32", "x"), ("float32", "y"), ("float16", "x"))
    cells = [(dtype, shape, layout, Outcome.PASS) for dtype, layout in legal for shape in "abc"]
    found = coverage_of(run_of(tmp_path, *cells))
    assert found is not None
    assert (found.product.proven, found.product.untested, found.product.nearest) == (9, 0, ())


@pytest.mark.parametrize("text", ["", "rmcp: 99\n", "{", "axes: {a: []}"])
def test_nothing_is_claimed_without_a_matrix_that_can_be_read(tmp_path: Path, text: str) -> None:
    run = run_of(tmp_path, ("float32", "a", "x", Outcome.PASS), text=text)
    assert coverage_of(run) is None
    assert coverage_payload(run) is None
    assert "full product" not in render_markdown(run)
    assert b"proven" not in b"".join(render_html(run)).split(b"<style>")[0]


def test_it_is_in_the_summary_and_on_the_page(tmp_path: Path) -> None:
    run = run_of(tmp_path, ("float32", "a", "x", Outcome.CRASH), ("float32", "b", "y", Outcome.PASS))
    (tmp_path / "explain.json").write_text(json.dumps({"coverage": {"text": "of 9 cells proven 2 (22.2 %)"}}))
    text = render_markdown(run)
    assert "Of the 9 cases of the full product 2 (22.2 %) are proven" in text
    assert "differs in 1 axis from 1 failure" in text
    assert b"22.2 % of the 9 cells of the full product proven" in b"".join(render_html(run))
    payload = coverage_payload(run)
    assert payload is not None
    assert payload["explained"] == "of 9 cells proven 2 (22.2 %)"
    assert payload["nearest"][0][1:] == [1, 1]
