"""The fold: any prefix is a legal crash, every planned case has exactly one row, nothing is overwritten."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.runs.fold import decide, fold, fold_all
from rmcp.runs.model import AttemptRecord, CaseRecord
from rmcp.runs.trails import JournalLines
from rmcp.words import Cause, Outcome

P, W, C, H, M, L = (
    Outcome.PASS,
    Outcome.WARN,
    Outcome.CRASH,
    Outcome.HANG,
    Outcome.MISMATCH,
    Outcome.LOST,
)


def plan(*keys: str) -> list[dict[str, Any]]:
    return [
        {
            "id": f"w[{k}]",
            "key": k,
            "workload": "w",
            "axes": {},
            "args": {},
            "env": {},
            "runtime": {"name": "this"},
        }
        for k in keys
    ]


class Lines:
    """Builds the lines of one journal; every line gets a wall time of its own."""

    clock = 0.0

    def __init__(self, name: str = "main", boot: str = "b1") -> None:
        self.name, self.lines, self.seq = name, [], 0  # type: ignore[var-annotated]
        self.open(boot)

    def add(self, kind: str, **data: Any) -> Lines:
        Lines.clock += 1
        common = {"v": 1, "seq": self.seq, "writer": self.name, "mono": Lines.clock, "wall": Lines.clock}
        self.lines.append({**common, "kind": kind, **data})
        self.seq += 1
        return self

    def open(self, boot: str) -> Lines:
        self.seq = 0
        return self.add("open", boot=boot)

    def start(self, key: str, attempt: int = 1) -> Lines:
        return self.add("start", key=key, attempt=attempt)

    def end(self, key: str, outcome: Outcome, attempt: int = 1, **more: Any) -> Lines:
        return self.add("end", key=key, record={"number": attempt, "outcome": outcome.value, **more})

    def done(self, live: bool = False) -> JournalLines:
        return JournalLines(f"{self.name}.jsonl", self.lines, live)


def one(lines: Lines, now: str | None = "b1", live: bool = False) -> CaseRecord:
    cases, problems = fold(plan("a"), [lines.done(live)], now)
    assert not problems
    (case,) = cases
    return case


def test_a_case_that_never_started_has_a_row() -> None:
    case = one(Lines())
    assert (case.outcome, case.reason, case.attempts) == (Outcome.NOT_RUN, "planned, never started", ())


@pytest.mark.parametrize(
    ("now", "later_boot", "who"),
    [
        ("b1", None, "runner"),  # this boot still runs: only the runner can have died
        ("b2", None, "machine"),  # rebooted since
        (None, None, ""),  # read on another computer: nobody knows
        (None, "b1", "runner"),  # resumed within the same boot
        ("b2", "b1", "runner"),  # ... and the machine was booted again long after
        (None, "b2", "machine"),  # resumed in another boot
        ("b1", "b2", "runner"),
    ],
)
def test_who_died(now: str | None, later_boot: str | None, who: str) -> None:
    lines = Lines().start("a")
    if later_boot:
        lines.open(later_boot)
    case = one(lines, now)
    assert case.outcome is L
    assert case.attempts[0].fields.get("lost", "") == who


def test_the_boot_of_another_computer_says_nothing() -> None:
    lines = Lines()
    lines.lines[0]["host"] = "h1"
    lines.start("a")
    for host, who in (("h1", {"lost": "machine"}), ("h2", {})):
        (case,) = fold_all(plan("a"), [lines.done()], "b2", host).cases
        assert case.attempts[0].fields == who


def test_a_killed_worker_did_not_take_the_machine_down_when_the_run_went_on() -> None:
    worker, main = Lines("gw0").start("a"), Lines("main")
    main.start("b").end("b", P).add("finish")
    cases, _ = fold(plan("a", "b"), [worker.done(), main.done()], "b9")
    assert cases[0].attempts[0].fields == {"lost": "runner"}
    assert cases[1].outcome is P


def test_a_case_in_flight_of_a_live_writer_is_not_lost() -> None:
    case = one(Lines().start("a"), live=True)
    assert (case.outcome, case.reason) == (Outcome.NOT_RUN, "running now")


def test_what_was_in_flight_before_a_resume_is_lost_while_the_resume_runs() -> None:
    lines = Lines().start("a").open("b1")
    assert one(lines, live=True).outcome is L
    again = one(lines.start("a", 2), live=True)
    assert (again.outcome, again.reason, len(again.attempts)) == (Outcome.NOT_RUN, "running now", 1)


def test_two_machine_losses_make_a_poison_pill_and_a_forced_verdict_cures_it() -> None:
    lines = Lines().start("a").open("b2").start("a", 2).open("b3")
    case = one(lines, "b3")
    assert case.outcome is Outcome.NOT_RUN
    assert "poison pill" in case.reason
    assert len(case.attempts) == 2
    assert one(lines.start("a", 3).end("a", P, 3), "b3").outcome is P


def test_two_runner_losses_are_no_poison_pill() -> None:
    assert one(Lines().start("a").open("b1").start("a", 2).open("b1")).outcome is L


def attempt(
    outcome: Outcome, number: int, cause: Cause = Cause.NONE, level: str = "fork", after: str = ""
) -> AttemptRecord:
    return AttemptRecord(number, outcome, cause, level=level, predecessors=(after,) if after else ())


@pytest.mark.parametrize(
    ("attempts", "outcome", "stability", "deciding"),
    [
        ([P], P, "single", -1),
        ([C], C, "single", -1),
        ([L, P], P, "single", -1),  # lost, run again by resume
        ([C, P], C, "flaky 1/2", 0),  # a retry hides nothing
        ([C, P, C], C, "flaky 2/3", 0),
        ([C, C], C, "confirmed 2/2", 0),
        ([C, H], C, "confirmed 1/2", 0),
        ([P, M], M, "flaky 1/2", -1),
        ([P, P], P, "confirmed 2/2", -1),
        ([P, W], W, "confirmed 1/2", -1),
        ([W, P, P], W, "confirmed 1/3", 0),
        ([C, L], C, "single", 0),
        ([L, L], L, "single", -1),
        ([Outcome.COLLATERAL, P], P, "single", -1),
        ([P, Outcome.HARNESS_ERROR], P, "single", 0),
    ],
)
def test_which_attempt_decides(attempts: list[Outcome], outcome: Outcome, stability: str, deciding: int) -> None:
    got = decide(tuple(attempt(o, i) for i, o in enumerate(attempts, 1)))
    assert (got["outcome"], got["stability"], got["deciding"]) == (outcome, stability, deciding)
    assert len(got["attempts"]) == len(attempts)


def test_the_same_outcome_with_another_cause_does_not_confirm() -> None:
    got = decide((attempt(C, 1, Cause.SEGFAULT), attempt(C, 2, Cause.APERTURE_VIOLATION)))
    assert got["stability"] == "confirmed 1/2"


def test_died_in_a_batch_and_passed_alone_is_context_dependent() -> None:
    got = decide((attempt(C, 1, level="batch", after="x"), attempt(P, 2)))
    assert (got["outcome"], got["stability"]) == (C, "context-dependent")
    first_of_its_batch = decide((attempt(C, 1, level="batch"), attempt(P, 2)))
    assert first_of_its_batch["stability"] == "flaky 1/2"


def test_set_aside_and_run_later() -> None:
    lines = Lines().add("aside", key="a", outcome="blocked", reason="the gate is shut")
    assert (one(lines).outcome, one(lines).reason) == (Outcome.BLOCKED, "the gate is shut")
    assert one(lines.start("a").end("a", P)).outcome is P
    after_loss = Lines().start("a").open("b1").add("aside", key="a", outcome="not-run", reason="stopped by -x")
    assert (one(after_loss).outcome, one(after_loss).reason) == (Outcome.NOT_RUN, "stopped by -x")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda j: j.lines.append(dict(j.lines[2])), "came twice"),
        (lambda j: j.lines.pop(1), "lines are missing"),
        (lambda j: j.lines[2].update(v=99), "unknown format version"),
        (lambda j: j.lines[2].update(record={"number": 1, "outcome": "wonderful"}), "makes no sense"),
        (
            lambda j: j.lines.insert(2, {"kind": "unreadable", "at": 3, "what": "a torn or damaged line"}),
            "torn",
        ),
        (lambda j: j.end("a", C), "ended twice"),
        (lambda j: j.start("b"), "not in the plan"),
        (lambda j: j.start("c").start("c"), "started twice"),
    ],
)
def test_what_is_odd_becomes_a_problem_with_its_place(spoil: Any, says: str) -> None:
    lines = Lines().start("a").end("a", P)
    spoil(lines)
    cases, problems = fold(plan("a"), [lines.done()], "b1")
    assert [c.key for c in cases] == ["a"]
    assert any(says in p.what and p.where.startswith("journal/main.jsonl") for p in problems), problems


def test_a_second_end_does_not_overwrite_the_first() -> None:
    cases, _ = fold(plan("a"), [Lines().start("a").end("a", P).end("a", C).done()], "b1")
    assert cases[0].outcome is P


def test_plan_lines_that_are_damaged_or_double_are_problems() -> None:
    cases, problems = fold([*plan("a"), {"what": "cut"}, *plan("a"), *plan("b")], [], "b1")
    assert [c.key for c in cases] == ["a", "b"]
    assert [p.where for p in problems] == ["plan line 2", "plan line 3"]


def test_many_problems_of_one_kind_are_counted() -> None:
    lines = Lines()
    for number in range(500):
        lines.add("end", key=f"k{number}", record={"number": 1})
    _, problems = fold([], [lines.done()], "b1")
    assert len(problems) == 201
    assert problems[-1].what.endswith("300 more")


def test_finished_means_that_the_last_session_had_its_last_word() -> None:
    lines = Lines()
    assert not fold_all([], [lines.done()], "b1").finished
    assert fold_all([], [lines.add("finish").done()], "b1").finished
    assert not fold_all([], [lines.open("b1").done()], "b1").finished


def test_merged_attempts_of_one_number_are_all_kept() -> None:
    shards = [Lines(f"s{i}").start("a").end("a", outcome) for i, outcome in enumerate((C, P))]
    cases, problems = fold(plan("a"), [s.done() for s in shards], "b1")
    assert not problems
    assert [a.number for a in cases[0].attempts] == [1, 2]
    assert cases[0].stability == "flaky 1/2"


def test_the_base_line_of_a_merge_moves_the_folders() -> None:
    lines = Lines()
    lines.lines.insert(0, {"v": 1, "kind": "base", "path": "merged/r1"})
    lines.start("a").end("a", C, directory="attempts/a/1")
    assert one(lines).attempts[0].directory == "merged/r1/attempts/a/1"


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[str], list[Lines]]:
    """Cases run by several writers over several sessions, each of which may die with a case in flight."""
    keys = [f"k{i}" for i in range(draw(st.integers(1, 6)))]
    writers = [Lines(f"gw{i}") for i in range(draw(st.integers(1, 3)))]
    left = dict.fromkeys(keys, 1)
    for session in range(draw(st.integers(1, 3))):
        for writer in writers:
            if session:
                writer.open(draw(st.sampled_from(["b1", "b2"])))
        for key in [k for k in keys if k in left]:
            writer = draw(st.sampled_from(writers))
            if draw(st.booleans()):
                continue
            writer.start(key, left[key])
            if draw(st.booleans()):
                writer.end(key, draw(st.sampled_from([P, C, M])), left.pop(key))
            else:
                left[key] += 1
    return keys, writers


@given(histories(), st.data())
def test_any_prefixes_of_any_journals_give_every_case_one_row(
    history: tuple[list[str], list[Lines]], data: Any
) -> None:
    keys, writers = history
    cut = [JournalLines(w.name, w.lines[: data.draw(st.integers(0, len(w.lines)))]) for w in writers]
    order = data.draw(st.permutations(cut))
    cases, problems = fold(plan(*keys), cut, "b1")
    again, _ = fold(plan(*keys), order, "b1")
    assert [c.key for c in cases] == keys
    assert not problems
    assert [(c.outcome, c.stability) for c in cases] == [(c.outcome, c.stability) for c in again]
    for case in cases:
        lines = [line for journal in cut for line in journal.lines if line.get("key") == case.key]
        starts, ends = (sum(line["kind"] == kind for line in lines) for kind in ("start", "end"))
        assert len(case.attempts) == starts
        assert sum(a.outcome is not L for a in case.attempts) == ends
        if ends:
            assert case.outcome.value == next(line for line in lines if line["kind"] == "end")["record"]["outcome"]
        elif starts and sum(a.fields.get("lost") == "machine" for a in case.attempts) < 2:
            assert case.outcome is L


def announced(*keys: str) -> Lines:
    return Lines().add("ahead", entries=[[key, 1] for key in keys])


def outcomes(lines: Lines, now: str, *others: Lines, live: bool = False) -> dict[str, list[str]]:
    journals = [lines.done(live), *(other.done() for other in others)]
    cases, problems = fold(plan("a", "b", "c"), journals, now)
    assert not problems
    word = "{0.outcome.value} {1}".format
    return {case.key: [word(a, a.fields.get("lost", "")).strip() for a in case.attempts] for case in cases}


def test_the_cases_of_a_batch_that_shared_a_sync_are_lost_with_the_machine_and_not_with_the_runner() -> None:
    def ran() -> Lines:
        return announced("a", "b", "c").start("a").end("a", P).start("b")

    assert outcomes(ran(), "b1") == {"a": ["pass"], "b": ["lost runner"], "c": []}
    assert outcomes(ran(), "b1", live=True) == {"a": ["pass"], "b": [], "c": []}
    assert outcomes(ran(), "b2") == {"a": ["pass"], "b": ["lost machine"], "c": ["lost machine"]}
    assert outcomes(ran().open("b2"), "b2") == {"a": ["pass"], "b": ["lost machine"], "c": ["lost machine"]}
    assert outcomes(ran().open("b1"), "b9") == {"a": ["pass"], "b": ["lost runner"], "c": []}


def test_a_batch_whose_own_lines_never_reached_the_disk_is_lost_as_a_whole() -> None:
    assert outcomes(announced("a", "b"), "b2") == {"a": ["lost machine"], "b": ["lost machine"], "c": []}


def test_an_announced_case_that_was_not_started_in_the_end_is_not_lost() -> None:
    ended = announced("a", "b").start("a").end("a", P).add("finish")
    assert outcomes(ended, "b2") == {"a": ["pass"], "b": [], "c": []}
    aside = announced("a", "b").start("a").end("a", P).add("aside", key="b", outcome="blocked", reason="shut")
    assert outcomes(aside, "b2") == {"a": ["pass"], "b": [], "c": []}
    elsewhere = announced("a", "b").start("a").end("a", P)
    other = Lines("gw1").start("b").end("b", P)
    assert outcomes(elsewhere, "b2", other) == {"a": ["pass"], "b": ["pass"], "c": []}


def test_who_took_the_machine_down_in_a_batch_is_a_poison_pill_after_its_second_time() -> None:
    lines = announced("a", "b").open("b2").start("a", 2).end("a", P, 2).start("b", 2)
    assert outcomes(lines, "b3") == {"a": ["lost machine", "pass"], "b": ["lost machine", "lost machine"], "c": []}
    cases, _ = fold(plan("a", "b"), [lines.done()], "b3")
    assert cases[0].outcome is P
    assert "poison pill" in cases[1].reason
