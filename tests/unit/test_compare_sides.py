"""Comparisons of whole runs: sides, baselines, drift, neighbours; golden texts hold every change class."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import pytest
import synthetic

from rmcp.commands import compare as command
from rmcp.compare import CHANGES, Change, Comparison, compare, sides_by
from rmcp.compare.drift import kernel_parameters
from rmcp.errors import UserError
from rmcp.report.comparison import comparison_json, sentence_of
from rmcp.report.comparison_text import comparison_markdown, comparison_text
from rmcp.runs.model import Run
from rmcp.words import Outcome

GOLDEN = Path(__file__).parents[1] / "golden" / "compare"
RUNTIMES = {"5.2": {"torch": "1.13.1", "rocm": "5.2"}, "6.2": {"torch": "2.13.0", "rocm": "6.2"}}


def both_inside() -> Run:
    before, after = synthetic.pair_of_every_change()
    return synthetic.run_of([*before, *after], runtimes=RUNTIMES)


def apart() -> tuple[Run, Run]:
    before, after = synthetic.pair_of_every_change()
    return (
        synthetic.run_of(
            before,
            id="run-a",
            runtimes={"5.2": RUNTIMES["5.2"]},
            facts={"kernel": "6.8.0", "cmdline": "quiet amdgpu.noretry=0"},
        ),
        synthetic.run_of(
            after,
            id="run-b",
            runtimes={"6.2": RUNTIMES["6.2"]},
            facts={"kernel": "6.9.1", "cmdline": "quiet", "boot_id": "x"},
        ),
    )


def test_every_class_occurs_and_each_row_is_named_after_its_own() -> None:
    comparison = compare([both_inside()])
    assert {change for row in comparison.rows for change in row.changes if change} == set(Change)
    for row in comparison.rows:
        shape = dict(zip(comparison.axes, row.values, strict=True))["shape"]
        assert shape.startswith(str(row.change)), row


@pytest.mark.parametrize("form", ["txt", "md", "json"])
def test_golden(form: str, update_golden: bool) -> None:
    comparison = compare(list(apart()))
    render = {"txt": comparison_text, "md": comparison_markdown, "json": comparison_json}[form]
    text = render(comparison)
    path = GOLDEN / f"every_change.{form}"
    if update_golden:
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


def test_runs_of_one_runtime_each_are_matched_by_row_and_named_after_it() -> None:
    comparison = compare(list(apart()))
    assert [side.name for side in comparison.sides] == ["5.2", "6.2"]
    assert comparison.by == "runtime"
    assert comparison.counts == compare([both_inside()]).counts


def test_runs_of_several_runtimes_are_matched_by_key() -> None:
    run = both_inside()
    comparison = compare([run, dataclasses.replace(run, id="later")])
    assert [side.name for side in comparison.sides] == [run.id, "later"]
    assert comparison.counts == {Change.UNCHANGED: len(run.cases) - 1, Change.NO_VERDICT: 1}
    assert "runtime" in comparison.axes


def test_the_same_run_twice_gets_numbers() -> None:
    run = both_inside()
    assert [side.name for side in compare([run, run]).sides] == [f"{run.id} #1", f"{run.id} #2"]


def test_baseline_by_name_and_index() -> None:
    run = both_inside()
    assert compare([run], baseline="6.2").baseline == 1
    assert compare([run], baseline=-1).baseline == 1
    assert compare([run], baseline="6.2").count(Change.FIX) == 2
    with pytest.raises(UserError, match=r"no side .* '7\.0'; they are 5\.2, 6\.2"):
        compare([run], baseline="7.0")


def test_by_any_axis() -> None:
    cases = [
        synthetic.case({"dtype": d, "shape": s}, Outcome.CRASH if d == "float16" else Outcome.PASS)
        for d in ("float32", "float16")
        for s in "ab"
    ]
    comparison = compare([synthetic.run_of(cases)], by="dtype")
    assert comparison.by == "dtype"
    assert comparison.counts == {Change.REGRESSION: 2}
    assert [row.label for row in comparison.rows] == ["conv2d[a]", "conv2d[b]"]


@pytest.mark.parametrize(
    ("runs", "by", "message"),
    [
        (
            [synthetic.run_of([synthetic.case({"runtime": "a"})])],
            None,
            "has one value of runtime: nothing to compare",
        ),
        ([synthetic.run_of([synthetic.case({"dtype": "a"})])], "shape", "no axis 'shape'; it has dtype"),
        ([synthetic.run_of([synthetic.case({"dtype": "a"})])], "dtype", "needs two sides, found a"),
        ([], None, "at least one run"),
    ],
)
def test_mistakes(runs: list[Run], by: str | None, message: str) -> None:
    with pytest.raises(UserError, match=message):
        compare(runs, by=by)


def three() -> Comparison:
    ways = {
        "a": [Outcome.PASS, Outcome.CRASH, Outcome.PASS],
        "b": [Outcome.CRASH, Outcome.PASS, Outcome.PASS],
    }
    cases = [
        synthetic.case({"runtime": r, "shape": s}, o)
        for s, way in ways.items()
        for r, o in zip("123", way, strict=True)
    ]
    return compare([synthetic.run_of(cases)])


def test_neighbours_and_baseline_are_different_questions() -> None:
    comparison = three()
    a, b = comparison.rows
    assert a.changes == (None, Change.REGRESSION, Change.UNCHANGED)
    assert a.steps == (None, Change.REGRESSION, Change.FIX)
    assert b.changes == (None, Change.FIX, Change.FIX)
    assert b.steps == (None, Change.FIX, Change.UNCHANGED)
    assert a.change is Change.REGRESSION
    assert comparison.by_step[2] == {Change.FIX: 1, Change.UNCHANGED: 1}
    assert sentence_of(comparison) == "3 against 1: 1 fix, 1 unchanged. Over all 3 sides: 1 regression, 1 fix."


def test_drift_sets_apart_what_is_compared() -> None:
    drift = {(d.group, d.name): d for d in compare(list(apart())).drift}
    assert drift["machine", "kernel"].values == ("6.8.0", "6.9.1")
    assert drift["kernel parameters", "amdgpu.noretry"].values == ("0", None)
    assert not drift["machine", "kernel"].compared
    assert drift["runtime", "torch"].compared
    assert ("kernel parameters", "quiet") not in drift
    assert ("machine", "boot_id") not in drift


def test_module_parameters_are_named() -> None:
    runs = [
        synthetic.run_of(
            [synthetic.case({"s": "a"})],
            id=f"r{v}",
            facts={"parameters": [{"name": "noretry", "value": v, "meaning": "m"}]},
        )
        for v in "01"
    ]
    assert [(d.group, d.name, d.values) for d in compare(runs).drift] == [
        ("kernel parameters", "amdgpu.noretry", ("0", "1"))
    ]


def test_kernel_parameters() -> None:
    assert kernel_parameters('quiet a=1 a=2 "b=x y"') == {"quiet": "on", "a": "1, 2", "b": "x y"}
    assert kernel_parameters("broken 'quote") == {"broken": "on", "'quote": "on"}


def test_an_axis_that_one_side_lacks_does_not_shift_values() -> None:
    first = synthetic.run_of([synthetic.case({"shape": "a"}, row="r" * 64)], id="x", compare_axes=())
    second = synthetic.run_of([synthetic.case({"dtype": "f", "shape": "b"}, row="s" * 64)], id="y", compare_axes=())
    comparison = compare([first, second])
    assert comparison.axes == ("shape", "dtype")
    assert [row.values for row in comparison.rows] == [("a", ""), ("b", "f")]


def test_markdown_degrades_and_json_is_strict() -> None:
    comparison = compare([both_inside()])
    for limit in (100_000, 2_000, 500):
        assert len(comparison_markdown(comparison, limit).encode()) <= limit
    document = json.loads(comparison_json(comparison, every=True))
    assert len(document["rows"]) == len(comparison.rows)
    assert document["rows"][0]["cells"]["6.2"]["change"] == "regression"


def run_command(monkeypatch: pytest.MonkeyPatch, runs: dict[str, Run], *words: str) -> int:
    monkeypatch.setattr("rmcp.runs.load_run", lambda ref, reports: runs[ref])
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    parser = argparse.ArgumentParser()
    command.configure(parser)
    return command.run(parser.parse_args(words))


def test_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, second = apart()
    runs = {"a": first, "b": second, "both": both_inside()}
    assert run_command(monkeypatch, runs, "a", "b") == 0
    text = capsys.readouterr().out
    assert text.startswith("6.2 against 5.2: 2 regressions")
    assert run_command(monkeypatch, runs, "both") == 0
    assert capsys.readouterr().out.startswith("6.2 against 5.2: 2 regressions")
    assert run_command(monkeypatch, runs, "a", "b", "--fail-on", "regression,worse") == 1
    assert run_command(monkeypatch, runs, "a", "a", "--fail-on", "regression") == 0
    assert run_command(monkeypatch, runs, "both", "both", "--by", "runtime") == 0
    capsys.readouterr()
    page = tmp_path / "c.html"
    assert run_command(monkeypatch, runs, "a", "b", "--format", "html", "--out", str(page)) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert str(page) in capsys.readouterr().out
    assert run_command(monkeypatch, runs, "a", "b", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["baseline"] == "5.2"
    with pytest.raises(UserError, match="no such change; the changes are regression"):
        run_command(monkeypatch, runs, "a", "b", "--fail-on", "sadness")


def test_perf_is_never_a_regression() -> None:
    assert Change.PERF not in (Change.REGRESSION, Change.WORSE)
    comparison = compare([both_inside()])
    row = next(row for row in comparison.rows if "perf" in row.label)
    assert row.change is Change.PERF
    assert list(CHANGES).index(Change.PERF) > list(CHANGES).index(Change.NO_VERDICT)


def test_sides_by_keep_matrix_order() -> None:
    assert [side.name for side in sides_by(both_inside(), "runtime")] == ["5.2", "6.2"]
