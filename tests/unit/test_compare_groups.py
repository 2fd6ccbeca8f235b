"""Groups of changes: what rows that changed alike have in common, and who else has it."""

from __future__ import annotations

import json

import synthetic

from rmcp.compare import Change, Comparison, compare, groups_of
from rmcp.report.comparison import comparison_json, group_text, sentence_of
from rmcp.report.comparison_text import comparison_markdown, comparison_text
from rmcp.words import Outcome


def planted() -> Comparison:
    """float16 from height 44 on crashes in the second version, one case of it passes; one case is repaired."""
    runs = []
    for version in ("5.2", "6.2"):
        cases = []
        for dtype in ("float32", "float16"):
            for height in ("h32", "h44", "h56"):
                for layout in ("contiguous", "channels_last"):
                    broken = version == "6.2" and dtype == "float16" and height != "h32"
                    lucky = height == "h56" and layout == "channels_last"
                    repaired = version == "5.2" and dtype == "float32" and lucky
                    outcome = Outcome.HANG if repaired else Outcome.CRASH if broken and not lucky else Outcome.PASS
                    axes = {"runtime": version, "dtype": dtype, "shape": height, "layout": layout}
                    cases.append(synthetic.case(axes, outcome))
        runs.append(synthetic.run_of(cases, id=version, runtimes={version: {}}))
    return compare(runs)


def test_rows_that_changed_alike_are_one_group_with_what_they_share() -> None:
    regressions, fix = groups_of(planted(), 1)
    assert (regressions.change, regressions.count) == (Change.REGRESSION, 3)
    assert (regressions.before, regressions.after, regressions.cause) == ("pass", "crash", "aperture_violation")
    assert dict(regressions.shared) == {"dtype": "float16"}
    assert regressions.outside == 3, "three other rows are float16 and did not regress"
    assert (fix.change, fix.count, fix.cause) == (Change.FIX, 1, "gpu_hang_reset"), "the cause of what was repaired"
    assert fix.outside == 0
    assert "no heartbeat" in fix.message


def test_groups_are_said_in_words() -> None:
    text = group_text(groups_of(planted(), 1)[0])
    assert text == (
        "3 regressions: pass → crash (aperture_violation), all with dtype = float16; 3 other rows with these did not"
    )
    assert text in comparison_text(planted())
    assert "3 regressions: pass → crash" in comparison_markdown(planted())
    assert json.loads(comparison_json(planted()))["groups"][0]["count"] == 3


def test_nothing_changed_is_no_group() -> None:
    run = synthetic.run_of([synthetic.case({"runtime": "a", "shape": "s"})])
    assert groups_of(compare([run, run]), 1) == []


def test_new_and_unproven_rows_are_in_no_group() -> None:
    before, after = synthetic.pair_of_every_change()
    found = groups_of(compare([synthetic.run_of([*before, *after])]), 1)
    changes = {group.change for group in found}
    assert changes == {
        Change.REGRESSION,
        Change.WORSE,
        Change.LATERAL,
        Change.FIX,
        Change.BETTER,
        Change.SIGNATURE,
    }


def test_the_sentence_names_what_matters_and_counts_the_rest() -> None:
    before, after = synthetic.pair_of_every_change()
    said = sentence_of(compare([synthetic.run_of([*before, *after])]))
    assert said.endswith("1 with another signature, 7 changed otherwise, 3 unchanged.")
