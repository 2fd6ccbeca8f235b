"""Machine-made expectations: narrowest boxes, drops, narrowings, new rules; and their text in the file."""

from __future__ import annotations

import datetime
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.errors import UserError
from rmcp.expect.edit import Edit, edited
from rmcp.expect.narrow import boxes, expression, needed
from rmcp.expect.observed import Observed, machine_facts, observe
from rmcp.expect.update import plan_update, still_unexplained
from rmcp.matrix.document import Expectation
from rmcp.matrix.errors import Position
from rmcp.matrix.expressions import compile_expression
from rmcp.matrix.load import load_matrix, load_text
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import Cause, Outcome

TODAY = datetime.date(2026, 11, 21)
VALUES = {"env": ("stock", "no-sdma"), "dtype": ("f32", "f16"), "h": ("40", "42", "44", "48")}
POINTS = [dict(zip(VALUES, point, strict=True)) for point in itertools.product(*VALUES.values())]

AXES = {"a": ("x", "y", "z"), "b": ("1", "2"), "c": ("p", "q", "r")}
ALL = [dict(zip(AXES, point, strict=True)) for point in itertools.product(*AXES.values())]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2]), min_size=len(ALL), max_size=len(ALL)))
def test_boxes_hold_all_members_and_nobody_else(kinds: list[int]) -> None:
    """0: not in the run, 1: another case, 2: a member."""
    members = [point for point, kind in zip(ALL, kinds, strict=True) if kind == 2]
    others = [point for point, kind in zip(ALL, kinds, strict=True) if kind == 1]
    found = boxes(members, others)
    for box in found:
        text = expression(box, AXES)
        if text:
            test = compile_expression(text, dict.fromkeys(AXES, "text"))
            assert all(test.matches(point) is all(point[a] in box[a] for a in AXES) for point in ALL)
        wide = needed(box, others, AXES)
        assert not any(all(point[a] in wide[a] for a in AXES) for point in others)
        assert all(box[a] <= wide[a] for a in AXES)
    assert all(any(all(point[a] in box[a] for a in AXES) for box in found) for point in members)
    assert not any(all(point[a] in box[a] for a in AXES) for box in found for point in others)


def test_a_box_that_exists_is_found_as_one() -> None:
    members = [p for p in POINTS if p["h"] in ("44", "48") and p["env"] == "stock"]
    (box,) = boxes(members, [p for p in POINTS if p not in members])
    assert expression(box, VALUES) == "env == stock and h in [44, 48]"


def case(axes: Mapping[str, str], outcome: str = "pass", cause: str = "none", **fields: Any) -> Observed:
    word, reason = Outcome(outcome), Cause(cause)
    given: dict[str, Any] = {
        "id": "m[" + "/".join(axes.values()) + "]",
        "axes": axes,
        "facts": {"device": "rocm", "gfx": "gfx1010", "rocm": "6.2", **axes},
        "outcome": word,
        "cause": reason,
        "signal": "SIGABRT" if outcome == "crash" else None,
        "signature": f"{outcome}|{cause}",
        "outcomes": (word,),
        "causes": () if reason is Cause.NONE else (reason,),
        "signals": ("SIGABRT",) if outcome == "crash" else (),
    }
    return Observed(**{**given, **fields})


def run_of(kind: Any) -> list[Observed]:
    return [kind(point) for point in POINTS]


def rule(where: str | None, *outcomes: str, line: int = 1, **fields: Any) -> Expectation:
    return Expectation(
        where=compile_expression(where) if where else None,
        outcomes=tuple(Outcome(word) for word in outcomes or ("crash",)),
        reason="known",
        position=Position("m.yaml", line, 5),
        **fields,
    )


def big_crash(point: Mapping[str, str]) -> Observed:
    return case(point, "crash", "aperture_violation") if point["h"] in ("44", "48") else case(point)


def test_new_failures_become_the_narrowest_rule() -> None:
    update = plan_update([], run_of(big_crash), VALUES, TODAY)
    (added,) = update.added
    assert added.where == "device == rocm and gfx == gfx1010 and rocm == 6.2 and h in [44, 48]"
    assert (added.outcomes, added.causes, added.signals) == (
        (Outcome.CRASH,),
        (Cause.APERTURE_VIOLATION,),
        ("SIGABRT",),
    )
    assert len(added.cases) == 8
    (anywhere,) = plan_update([], run_of(big_crash), VALUES, TODAY, anywhere=True).added
    assert anywhere.where == "h in [44, 48]"


def test_two_signatures_make_two_rules() -> None:
    def kind(point: Mapping[str, str]) -> Observed:
        if point["dtype"] == "f16":
            return case(point, "mismatch")
        return case(point, "hang") if point["h"] == "48" else case(point)

    rules = plan_update([], run_of(kind), VALUES, TODAY, anywhere=True).added
    assert [(r.where, r.outcomes) for r in rules] == [
        ("dtype == f16", (Outcome.MISMATCH,)),
        ("dtype == f32 and h == 48", (Outcome.HANG,)),
    ]


def test_what_is_explained_stays() -> None:
    known = rule("h >= 44", causes=(Cause.APERTURE_VIOLATION,))
    assert plan_update([known], run_of(big_crash), VALUES, TODAY).empty


def test_a_rule_whose_cases_pass_is_dropped() -> None:
    known = rule("h >= 44")
    update = plan_update([known], run_of(case), VALUES, TODAY)
    assert [(r, reason) for r, reason in update.dropped] == [(known, "its 8 cases now pass")]
    assert not update.added


def test_a_rule_of_which_some_cases_pass_is_narrowed_as_little_as_needed() -> None:
    known = rule("h >= 42")
    (narrowed,) = plan_update([known], run_of(big_crash), VALUES, TODAY).narrowed
    assert (narrowed.also, narrowed.passing, narrowed.failing) == ("h in [44, 48]", 4, 8)


def test_another_failure_than_expected_gets_a_rule_of_its_own() -> None:
    known = rule("h >= 44", causes=(Cause.SEGFAULT,))
    update = plan_update([known], run_of(big_crash), VALUES, TODAY, anywhere=True)
    assert update.dropped[0][1] == "its 8 cases no longer fail like this"
    assert [r.where for r in update.added] == ["h in [44, 48]"]


def test_a_rule_that_is_over_is_neither_kept_alive_nor_replaced() -> None:
    known = rule("h >= 44", until=datetime.date(2026, 1, 1))
    update = plan_update([known], run_of(big_crash), VALUES, TODAY)
    assert update.expired == (known,)
    assert update.empty
    assert plan_update([known], run_of(case), VALUES, TODAY).dropped


def test_cases_without_a_verdict_say_nothing() -> None:
    def kind(point: Mapping[str, str]) -> Observed:
        return case(point, "lost") if point["h"] == "44" else case(point)

    update = plan_update([rule("h == 44")], run_of(kind), VALUES, TODAY)
    assert update.empty
    assert len(update.unseen) == 1


def test_flaky_cases_expect_all_that_they_did() -> None:
    def kind(point: Mapping[str, str]) -> Observed:
        if point["h"] != "48":
            return case(point)
        return case(point, "crash", "segfault", outcomes=(Outcome.CRASH, Outcome.PASS))

    (added,) = plan_update([], run_of(kind), VALUES, TODAY, anywhere=True).added
    assert added.outcomes == (Outcome.CRASH, Outcome.PASS)


KINDS = [("crash", "segfault"), *((word, "none") for word in ("pass", "hang", "mismatch", "lost", "warn"))]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(KINDS), min_size=len(POINTS), max_size=len(POINTS)), st.booleans())
def test_after_an_update_nothing_is_unexplained(kinds: list[tuple[str, str]], known: bool) -> None:
    cases = [case(point, *kind) for point, kind in zip(POINTS, kinds, strict=True)]
    rules = [rule("h >= 44", "crash"), rule("env == no-sdma", "hang", line=2)] if known else []
    update = plan_update(rules, cases, VALUES, TODAY)
    after = [r for r in rules if r not in {dropped for dropped, _ in update.dropped}]
    narrowed = {n.rule: n.also for n in update.narrowed}
    after = [rule(f"({r.where.text}) and {narrowed[r]}", *map(str, r.outcomes)) if r in narrowed else r  # type: ignore[union-attr]
             for r in after]  # fmt: skip
    after += [rule(a.where, *map(str, a.outcomes), causes=a.causes, signals=a.signals) for a in update.added]
    assert still_unexplained(after, cases, TODAY) == []


MATRIX = """\
rmcp: 1   # the format
name: m
defaults: {workload: noop}
axes: {env: [stock, no-sdma], dtype: [f32, f16], h: [40, 42, 44, 48]}

# what we know
expect:
  # the big ones
  - where: "h >= 42"      # 44 and more
    outcome: [crash]
    reason: "ROCm 6.2"    # see the bug
    bug: https://example.org/1

  # an old one
  - {where: "dtype == f16", outcome: mismatch, reason: "was wrong"}

# how to run it
profiles: {full: {reduce: none}}
"""


def test_editing_keeps_every_other_byte() -> None:
    first, second = load_text(MATRIX, "m.yaml").expect
    new = {"where": "h == 40", "outcome": ["hang"], "reason": "because: of this", "until": "2027-01-31"}
    text = edited(
        MATRIX, "m.yaml", Edit(dropped={second.position}, also={first.position: "h in [44, 48]"}, added=[new])
    )
    expected = MATRIX.replace('"h >= 42"      # 44', '"h >= 42 and h in [44, 48]" # 44').replace(
        '  - {where: "dtype == f16", outcome: mismatch, reason: "was wrong"}\n',
        '  - where: "h == 40"\n    outcome: [hang]\n    reason: "because: of this"\n    until: 2027-01-31\n',
    )
    # Inside the changed rule only the space before comments may differ; every other line is as it was.
    assert [line.split() for line in text.splitlines()] == [line.split() for line in expected.splitlines()]
    rule_lines = range(8, 12)
    pairs = zip(text.splitlines(), expected.splitlines(), strict=True)
    assert {number for number, (a, b) in enumerate(pairs) if a != b} <= set(rule_lines)
    matrix = load_text(text, "m.yaml")
    assert [r.where.text for r in matrix.expect if r.where] == ["h >= 42 and h in [44, 48]", "h == 40"]
    assert matrix.expect[1].until == datetime.date(2027, 1, 31)


@pytest.mark.parametrize(
    "section",
    [
        "",
        "expect:\n",
        "expect: []\n",
        "expect: [{where: h == 40, outcome: crash, reason: r}]  # one\n",
        "expect:\n- {where: h == 40, outcome: crash, reason: r}\n",
        "expect:\n  -\n    where: h == 40\n    outcome: crash\n    reason: r\n",
        "expect:\n  - where: h == 40\n    outcome: crash\n    reason: r",
    ],
)
def test_rules_are_added_to_every_style(section: str) -> None:
    text = MATRIX[: MATRIX.index("# what we know")] + "limits: {cases: 100} # mine\n" + section
    matrix = load_text(text, "m.yaml")
    after = edited(text, "m.yaml", Edit(added=[{"where": "h == 44", "outcome": ["hang"], "reason": "new"}]))
    read = load_text(after, "m.yaml")
    assert len(read.expect) == len(matrix.expect) + 1
    assert read.expect[-1].reason == "new"
    assert "# mine" in after
    if matrix.expect:
        position = matrix.expect[0].position
        gone = load_text(edited(text, "m.yaml", Edit(dropped={position})), "m.yaml")
        assert gone.expect == ()
        narrowed = load_text(edited(text, "m.yaml", Edit(also={position: "dtype == f16"})), "m.yaml")
        assert narrowed.expect[0].where is not None
        assert narrowed.expect[0].where.text == "h == 40 and dtype == f16"
        longer = load_text(edited(text, "m.yaml", Edit(until={position: "2030-01-01"})), "m.yaml")
        assert longer.expect[0].until == datetime.date(2030, 1, 1)


def test_a_file_in_flow_style_and_an_empty_one() -> None:
    flow = "{rmcp: 1, name: m, defaults: {workload: noop}, axes: {h: [1, 2]}}"
    new = [{"where": "h == 1", "outcome": ["hang"], "reason": "new"}]
    assert len(load_text(edited(flow, "m.yaml", Edit(added=new)), "m.yaml").expect) == 1
    assert edited("", "e.yaml", Edit(added=new)).startswith("rmcp: 1\nexpect:\n  - where:")


def test_without_ruamel_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ruamel.yaml", None)
    with pytest.raises(UserError, match=r"pip install 'pytest-rmcp\[expect\]'"):
        edited(MATRIX, "m.yaml", Edit())


def record(point: Mapping[str, str], outcome: str, cause: str = "none") -> CaseRecord:
    done = AttemptRecord(1, Outcome(outcome), Cause(cause), signature=f"{outcome}|{cause}")
    return CaseRecord(
        id="m[" + "/".join(point.values()) + "]",
        key="k",
        row="r",
        workload="noop",
        axes=point,
        args={"h": int(point["h"])},
        env={},
        runtime={"name": "this"},
        outcome=done.outcome,
        cause=done.cause,
        signature=done.signature,
        attempts=(done,),
    )


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run, on disk only as its matrix: 44 and 48 hang, everything else passes."""
    path = tmp_path / "m.yaml"
    path.write_text(MATRIX)
    run = Run(
        id="r1",
        path=tmp_path,
        manifest={"matrix": {"path": str(path)}},
        cases=tuple(record(point, "hang" if int(point["h"]) > 42 else "pass") for point in POINTS),
        facts={"kernel": "6.8.0", "cpu": {"model": "c", "cores": 2}},
        runtimes={"this": {"device": "cpu", "torch": "2.13.0", "hip": None}},
    )
    monkeypatch.setattr("rmcp.runs.reader.load_run", lambda ref, out: run)
    return path


def test_update_by_command(finished: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from rmcp import cli

    assert cli.main(["expect", "check", "r1"]) == 1
    told = capsys.readouterr().out
    assert "run r1: 2 expected, 6 improved, 8 lateral" in told
    assert "lateral: m[stock/f32/44]: hang: expected crash, got hang" in told
    assert "improved: m[stock/f16/40]: pass: no longer mismatch" in told
    assert cli.main(["expect", "update", "r1", "--dry-run"]) == 0
    assert finished.read_text() == MATRIX
    assert cli.main(["expect", "update", "r1", "--bug", "https://example.org/2"]) == 0
    told = capsys.readouterr().out
    assert "its 12 cases no longer fail like this" in told
    assert "+ hang in 8 cases: device == cpu and h in [44, 48]" in told
    assert f"wrote {finished}" in told
    rules = load_matrix(finished).expect
    assert [(r.outcomes, r.bug) for r in rules] == [((Outcome.HANG,), "https://example.org/2")]
    assert "# how to run it" in finished.read_text()
    assert cli.main(["expect", "check", "r1"]) == 0
    assert cli.main(["expect", "update", "r1"]) == 0
    assert "nothing to change" in capsys.readouterr().out


def test_cases_beside_the_matrix_are_left_out(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rmcp import cli

    probe = record({"env": "stock", "dtype": "f32", "h": "43"}, "crash")
    run = Run("r2", finished.parent, {"matrix": {"path": str(finished)}}, (probe,))
    monkeypatch.setattr("rmcp.runs.reader.load_run", lambda ref, out: run)
    assert cli.main(["expect", "update", "r2"]) == 0
    told = capsys.readouterr().out
    assert "1 case with values that the matrix does not have: left out" in told
    assert "nothing to change" in told


def test_new_rules_go_into_the_file_beside(finished: Path) -> None:
    from rmcp import cli

    finished.write_text(MATRIX[: MATRIX.index("# what we know")])
    beside = finished.with_name("m.expect.yaml")
    beside.write_text("# ours\nrmcp: 1\n")
    assert cli.main(["expect", "update", "r1", "--anywhere"]) == 0
    assert beside.read_text().startswith("# ours\nrmcp: 1\nexpect:\n")
    assert [r.where.text for r in load_matrix(finished).expect if r.where] == ["h in [44, 48]"]


def test_observed_facts() -> None:
    run = Run(
        id="r",
        path=Path(),
        manifest={},
        cases=(record(POINTS[0], "pass"),),
        facts={"kernel": "6.8.0", "hostname": "box", "cpu": {"model": "EPYC", "cores": 4}},
        runtimes={"this": {"device": "cuda:0", "hip": "6.0.32830-d62f6a171", "gfx": "gfx1010:xnack-"}},
    )
    (seen,) = observe(run)
    expected = {"device": "rocm", "rocm": "6.0", "linux": "6.8.0", "host": "box", "cores": 4}
    expected |= {"h": "40", "dtype": "f32", "args.h": 40}
    assert {name: seen.facts[name] for name in expected} == expected
    assert machine_facts({}, {}).get("device") is None
