"""Rows that were repeated: what the attempts prove, and what they do not."""

from __future__ import annotations

import random

import pytest
import synthetic

from rmcp.compare import Cell, Change, compare
from rmcp.compare.pairs import after_test, paired
from rmcp.compare.perf import times_of
from rmcp.report.comparison import comparison_json, mark_of
from rmcp.report.comparison_index import comparison_columns
from rmcp.report.comparison_text import comparison_markdown, comparison_text
from rmcp.runs.model import Run
from rmcp.stats.rates import Rate, RateChange
from rmcp.words import Outcome

O, C = Outcome, Change  # noqa: E741


def cell(failed: int, n: int, outcome: Outcome = O.CRASH, **more: object) -> Cell:
    """A cell of n attempts of which some failed."""
    return Cell(outcome if failed else O.PASS, rate=Rate(failed, n) if n > 1 else None, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        (cell(0, 3), cell(1, 3), C.FLAKY),
        (cell(1, 3), cell(0, 3), C.FLAKY),
        (cell(0, 1), cell(1, 3), C.FLAKY),
        (cell(0, 3), cell(3, 3), C.REGRESSION),  # a steady flip is what was seen
        (cell(3, 3), cell(0, 1), C.FIX),
        (cell(0, 1), cell(1, 1), C.REGRESSION),
        (cell(0, 30), cell(20, 30), C.REGRESSION),  # flaky, and proven all the same
        (cell(2, 3), cell(3, 3), C.UNCHANGED),
        (cell(1, 30), cell(29, 30), C.WORSE),  # it crashed before too, but provably less often
        (cell(29, 30), cell(1, 30), C.BETTER),
        (cell(1, 30, signature="a"), cell(29, 30, signature="b"), C.WORSE),
        (cell(1, 3), cell(1, 3, O.MISMATCH), C.LATERAL),  # the way of failing needs no test
        (cell(0, 3), cell(0, 3), C.UNCHANGED),
        (cell(0, 3), Cell(O.LOST), C.NO_VERDICT),
        (None, cell(1, 3), C.NEW),
        (None, None, C.UNCHANGED),
    ],
)
def test_what_the_attempts_of_one_row_prove(before: Cell | None, after: Cell | None, change: Change) -> None:
    assert list(paired([before], [after]).changes) == [change]


def test_the_correction_counts_the_rows_that_were_compared() -> None:
    alone = paired([cell(0, 8)], [cell(5, 8)])
    assert list(alone.changes) == [C.REGRESSION]
    crowd = paired([cell(0, 8)] + [cell(1, 3)] * 30, [cell(5, 8)] + [cell(2, 3)] * 30)
    assert crowd.changes[0] is C.FLAKY
    assert crowd.doubts[0].adjusted > 0.05 >= crowd.doubts[0].p
    steady = paired([cell(0, 8)] + [cell(0, 3)] * 1000, [cell(5, 8)] + [cell(3, 3)] * 1000)
    assert steady.changes[0] is C.REGRESSION, "steady rows are no tests and cost no power"


@pytest.mark.parametrize("change", list(Change))
@pytest.mark.parametrize("found", list(RateChange))
def test_the_test_never_makes_a_failure_a_fix(change: Change, found: RateChange) -> None:
    decided = after_test(change, found)
    assert decided in (change, C.FLAKY, C.WORSE, C.BETTER)
    if change not in (C.REGRESSION, C.FIX, C.UNCHANGED, C.SIGNATURE):
        assert decided is change


def flaky_pair() -> list[Run]:
    runs = []
    for name, ways in (("a", (O.PASS, O.PASS, O.PASS)), ("b", (O.PASS, O.CRASH, O.PASS))):
        attempts = tuple(synthetic.attempt(n, way) for n, way in enumerate(ways, 1))
        failed = O.CRASH in ways
        case = synthetic.case(
            {"shape": "s"},
            O.CRASH if failed else O.PASS,
            attempts=attempts,
            deciding=1 if failed else -1,
            stability="flaky 1/3" if failed else "confirmed 3/3",
        )
        runs.append(synthetic.run_of([case], id=name, compare_axes=()))
    return runs


def test_probably_flaky_is_said_everywhere() -> None:
    comparison = compare(flaky_pair())
    said = "failed 0 of 3 attempts before, 1 of 3 now, p = 1"
    assert comparison.counts == {C.FLAKY: 1}
    assert mark_of(comparison) == "open", "neither good nor bad"
    assert "1 probably flaky" in comparison_text(comparison)
    assert said in comparison_text(comparison)
    row = f"| probably-flaky | <code>conv2d&#91;s&#93;</code> | pass | crash | {said} |"
    assert row in comparison_markdown(comparison)
    assert '"says": "probably flaky, not a regression"' in comparison_json(comparison)
    assert comparison_columns(comparison)["doubts"] == {"0": [None, said]}


def timed(factor: float, seed: int, n: int = 64) -> Run:
    dice = random.Random(seed)
    times = [0.01 * factor * dice.lognormvariate(0, 0.05) for _ in range(n)]
    one = synthetic.attempt(1, O.PASS, metrics={"samples_s": times, "median_s": sorted(times)[n // 2]})
    return synthetic.run_of([synthetic.case({"shape": "s"}, attempts=(one,))], id=f"{factor}-{seed}", compare_axes=())


def test_iterations_of_one_attempt_give_each_row_an_interval() -> None:
    comparison = compare([timed(1.0, 1), timed(1.3, 2), timed(0.5, 3), timed(1.02, 4)])
    row = comparison.rows[0]
    assert row.changes == (None, C.PERF, C.PERF, C.UNCHANGED)
    none, slower, faster, same = times_of(row, 0)
    assert none is None
    assert same is None
    assert slower is not None
    assert slower.low < 1.3 < slower.high
    assert slower.low > 1.2
    assert faster is not None
    assert faster.high < 0.55
    assert "1.3" in comparison_text(comparison)
    assert comparison_columns(comparison)["times"]["0"][1][0] == pytest.approx(1.3, rel=0.05)
    assert comparison.count(C.REGRESSION) == 0


def test_a_hundred_thousand_iterations_are_not_kept() -> None:
    comparison = compare([timed(1.0, 1, 5000), timed(1.0, 2, 5000)])
    assert [len(cell.samples) for cell in comparison.rows[0].cells if cell] == [64, 64]
