"""CSV, CTRF, Parquet, annotations, and that no odd run can stop a report."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import synthetic

from rmcp.report import write_reports
from rmcp.report.annotations import annotations_of, line_of, render_annotations
from rmcp.report.csv_export import render_csv
from rmcp.report.ctrf import render_ctrf
from rmcp.runs.model import Run
from rmcp.words import Outcome, Verdict

MATRIX = """\
rmcp: 1
axes:
  dtype: [float32, float16]
  shape:
    values:
      c3-h32-k3: {args: {n: 1}}
      c64-h7-k1: {args: {n: 2}}
expect:
  - where: "dtype == float16"
    outcome: [crash]
    reason: "coherent memory default of ROCm 6.2+"
"""


def test_csv_has_one_line_per_case_and_no_formulas() -> None:
    cases = [synthetic.case({"shape": "=cmd()"}, Outcome.CRASH, id="=1+1"), synthetic.case({"dtype": "f"})]
    rows = list(csv.DictReader(io.StringIO("".join(render_csv(synthetic.run_of(cases))))))
    assert [row["outcome"] for row in rows] == ["crash", "pass"]
    assert rows[0]["id"] == "'=1+1"
    assert rows[0]["axis.shape"] == "'=cmd()"
    assert rows[1]["axis.shape"] == ""
    assert rows[1]["axis.dtype"] == "f"


def test_ctrf_counts_every_case_once() -> None:
    document = json.loads("".join(render_ctrf(synthetic.every_outcome())))
    summary = document["results"]["summary"]
    total = sum(summary[name] for name in ("passed", "failed", "skipped", "pending", "other"))
    assert total == summary["tests"] == len(document["results"]["tests"]) == len(Outcome) + 3
    assert (summary["pending"], summary["other"], summary["skipped"]) == (2, 3, 2)
    flaky = next(test for test in document["results"]["tests"] if test["flaky"])
    assert (flaky["status"], flaky["retries"]) == ("passed", 2)


def test_parquet_reads_back(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    from rmcp.report.parquet import render_parquet

    (tmp_path / "x.parquet").write_bytes(b"".join(render_parquet(synthetic.every_outcome())))
    table = parquet.read_table(tmp_path / "x.parquet").to_pydict()
    assert table["outcome"][:3] == ["pass", "warn", "mismatch"]
    assert table["axis.dtype"][-1] == "float16"


def test_annotations_stand_at_the_rule_or_the_value() -> None:
    known = synthetic.case(
        {"dtype": "float16", "shape": "c64-h7-k1"},
        Outcome.CRASH,
        reason="coherent memory default of ROCm 6.2+",
    )
    assert line_of(MATRIX, known, {}) == 11
    plain = synthetic.case({"dtype": "float16", "shape": "c64-h7-k1"}, Outcome.CRASH)
    assert line_of(MATRIX, plain, {}) == 7
    assert line_of(MATRIX, plain, {"dtype": "float16"}) == 3
    assert line_of(MATRIX, synthetic.case({"x": "none-such"}), {}) == 8
    assert line_of("", plain, {}) == 1


def test_at_most_ten_annotations() -> None:
    cases = [
        synthetic.case({"shape": f"s{i}"}, Outcome.CRASH, signature=f"sig{i}", verdict=Verdict.UNEXPECTED)
        for i in range(25)
    ]
    found = annotations_of(synthetic.run_of(cases), {})
    assert len(found) == 10
    assert found[-1].title == "16 more signatures"


def test_annotations_cannot_be_broken_out_of() -> None:
    evil = "x\n::error file=a::b%0A,title=c"
    one = synthetic.attempt(1, Outcome.CRASH, message=evil)
    run = synthetic.run_of([synthetic.case({"shape": evil}, Outcome.CRASH, attempts=(one,))])
    lines = list(render_annotations(run, {"GITHUB_ACTIONS": "true"}))
    assert len(lines) == 1
    assert lines[0].count("\n") == 1
    assert lines[0].startswith("::error file=conv2d.yaml,line=1,title=1 x crash (aperture_violation)::")
    assert list(render_annotations(run, {})) == []


def test_paths_are_relative_to_the_workspace() -> None:
    run = synthetic.run_of(
        [synthetic.case({"s": "a"}, Outcome.CRASH)],
        manifest={"matrix": {"path": "/work/repo/matrices/conv.yaml", "text": MATRIX}},
    )
    (found,) = annotations_of(run, {"GITHUB_WORKSPACE": "/work/repo"})
    assert (found.file, found.line) == ("matrices/conv.yaml", 8)


ODD = {
    "nan": synthetic.attempt(1, Outcome.ERROR, duration_s=float("nan"), maxrss_kb=float("inf"), wall_start=1e300),
    "types": synthetic.attempt(
        1, Outcome.ERROR, metrics={"a": object(), "b": b"\xff", 3: {4}}, checks=({"name": None},)
    ),
    "phases": synthetic.attempt(1, Outcome.ERROR, phases=(("x", float("nan")),) * 2000, notes=("n" * 10**6,)),
    "surrogate": synthetic.attempt(1, Outcome.ERROR, message="\ud800", fields={"\udfff": "\ud800"}),
}


@pytest.mark.parametrize("odd", sorted(ODD))
def test_odd_runs_are_still_reported(odd: str, tmp_path: Path) -> None:
    case = synthetic.case({"s": "\ud800"}, Outcome.ERROR, attempts=(ODD[odd],), env={"A": "\ud800"}, args={"x": {1, 2}})
    run = synthetic.run_of(
        [case],
        tmp_path,
        manifest={"matrix": "no mapping", "created": "never"},
        runtimes={"this": {"a": [{"b": 1}]}},
    )
    written = write_reports(run, tmp_path)
    assert sorted(path.name for path in written.values()) == ["junit.xml", "report.html", "summary.md"]


def test_a_failed_report_says_why_and_does_not_raise(tmp_path: Path) -> None:
    broken = Run("id", tmp_path, {}, (None,))  # type: ignore[arg-type]
    written = write_reports(broken, tmp_path)
    assert sorted(path.name for path in written.values()) == [
        "junit.xml.error.txt",
        "report.html.error.txt",
        "summary.md.error.txt",
    ]
    assert "Traceback" in written["html"].read_text()
    assert write_reports(broken, tmp_path / "no" / "such" / "folder") is not None
    write_reports(synthetic.run_of([]), tmp_path)
    assert not list(tmp_path.glob("*.error.txt"))
