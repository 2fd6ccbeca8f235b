"""Journal lines -> one CaseRecord per planned case. Pure: no clock, no I/O. docs/runs.md states the rules.

Any prefix of a journal is a legal crash. Which attempt decides a case:

1. An attempt that came to no verdict (lost, collateral, harness-error, ...) never decides while another did.
2. Of those with a verdict the first that failed decides, else the first `warn`, else the last: a retry that
   passes hides nothing, it makes the case ``flaky k/n`` (k of n attempts failed).
3. All failed: ``confirmed k/n``, k of them with the deciding outcome and cause. A case that died in a batch
   and passed alone is ``context-dependent``.
4. No verdict at all: the last attempt, or the reason the runner gave for setting the case aside, whichever
   is later.
5. Two attempts that the machine did not survive and no verdict: a poison pill, `not-run` until it is forced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from rmcp.runs.codec import Sharing
from rmcp.runs.model import AttemptRecord, CaseRecord, Problem
from rmcp.runs.trails import JournalLines, Reading, Started, Trail
from rmcp.words import Outcome, OutcomeClass, class_of

POISON_LOSSES = 2  # attempts that took the machine down before a case is not started again without force
MACHINE = "machine"  # sub-cause of `lost`, in AttemptRecord.fields["lost"]; the other one is "runner"
RUNNER = "runner"
_FAILED = frozenset({OutcomeClass.FAILED, OutcomeClass.FAILED_SILENTLY, OutcomeClass.DIED})
_NO_VERDICT = frozenset({OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN})


@dataclass(frozen=True)
class Folded:
    """The whole result of a fold; ``fold`` gives the two parts that most need."""

    cases: tuple[CaseRecord, ...]
    problems: tuple[Problem, ...]
    runtimes: Mapping[str, Mapping[str, Any]]
    events: tuple[Mapping[str, Any], ...]
    finished: bool


def fold(
    plan: Iterable[Mapping[str, Any]], journals: Iterable[JournalLines], boot_id_now: str | None
) -> tuple[tuple[CaseRecord, ...], tuple[Problem, ...]]:
    """(cases in plan order, problems). See ``fold_all``."""
    folded = fold_all(plan, journals, boot_id_now)
    return folded.cases, folded.problems


def fold_all(
    plan: Iterable[Mapping[str, Any]],
    journals: Iterable[JournalLines],
    boot_id_now: str | None,
    host_now: str | None = None,
) -> Folded:
    """Fold plan lines and journals.

    ``boot_id_now`` and ``host_now`` are of the computer that reads (None: unknown). A START without END of an
    earlier boot of the same computer was lost by the machine, one of this boot by the runner.
    """
    reading = Reading(host_now)
    for journal in journals:
        reading.add(journal)
    cases = _cases(reading, plan, boot_id_now)
    for key, trail in reading.trails.items():  # what is left belongs to no planned case
        where = trail.starts[0].session.journal if trail.starts else "journal"
        reading.problem(where, "a case that is not in the plan", key[:16])
    reading.events.sort(key=_wall)
    return Folded(cases, reading.problems(), reading.runtimes, tuple(reading.events), reading.finished())


def _wall(line: Mapping[str, Any]) -> float:
    wall = line.get("wall")
    return float(wall) if isinstance(wall, (int, float)) else 0.0


def _cases(reading: Reading, plan: Iterable[Mapping[str, Any]], boot_id_now: str | None) -> tuple[CaseRecord, ...]:
    sharing = Sharing()
    cases: list[CaseRecord] = []
    seen: set[str] = set()
    for number, line in enumerate(plan, 1):
        try:
            planned = _planned(line, sharing)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            what = str(line.get("what") or f"{type(error).__name__}: {error}")
            reading.problem(f"plan line {number}", "a planned case that cannot be read", what)
            continue
        key = planned["key"]
        if key in seen:
            reading.problem(f"plan line {number}", "a case that is planned twice", planned["id"])
            continue
        seen.add(key)
        trail = reading.trails.pop(key, None)
        if trail is None:
            cases.append(CaseRecord(**planned, **decide(())))
            continue
        attempts, last_start, in_flight = _attempts(trail, boot_id_now)
        decision = decide(attempts, last_start, in_flight, trail.aside)
        if trail.verdict is not None and trail.verdict[0] >= last_start and not in_flight:
            decision["verdict"] = trail.verdict[1]
            decision["reason"] = decision.get("reason") or trail.verdict[2]
        cases.append(CaseRecord(**planned, **decision))
    return tuple(cases)


def _planned(line: Mapping[str, Any], sharing: Sharing) -> dict[str, Any]:
    """The fields of CaseRecord that the plan knows."""
    key = str(line["key"])
    return {
        "id": str(line["id"]),
        "key": key,
        "row": sharing.text(line.get("row", key)),
        "workload": sharing.text(line["workload"]),
        "axes": sharing.strings(line["axes"]),
        "args": sharing.whole(line["args"]),
        "env": sharing.whole(line["env"]),
        "runtime": sharing.whole(line["runtime"]),
        "device": sharing.text(line.get("device", "auto")),
        "seed": int(line.get("seed", 1234)),
    }


def _attempts(trail: Trail, boot_id_now: str | None) -> tuple[tuple[AttemptRecord, ...], float, bool]:
    """(attempts in order, wall time of the last start, whether one is running now)."""
    starts = trail.starts
    if len(starts) > 1:
        starts = sorted(starts, key=lambda s: (s.attempt, s.wall))
    records: list[AttemptRecord] = []
    in_flight = False
    last = 0.0
    for started in starts:
        if started.ahead and not _counts(started, starts, boot_id_now):
            continue
        last = max(last, started.wall)
        if started.record is not None:
            records.append(started.record)
        elif started.session.live:
            in_flight = True
        else:
            records.append(_lost(started, boot_id_now))
    if len({record.number for record in records}) < len(records):  # merged runs each count from 1
        records = [replace(record, number=number) for number, record in enumerate(records, 1)]
    return tuple(records), last, in_flight


def _counts(announced: Started, starts: list[Started], boot_id_now: str | None) -> bool:
    """An announced case counts as lost when the machine died, unless another worker of that boot began it later."""
    boot = announced.session.boot
    elsewhere = any(o.wall >= announced.wall and o.session.boot == boot for o in starts if not o.ahead)
    return not elsewhere and not announced.session.live and _who_died(announced, boot_id_now) == MACHINE


def _lost(started: Started, boot_id_now: str | None) -> AttemptRecord:
    who = _who_died(started, boot_id_now)
    what = {
        MACHINE: "the machine went down while the case ran (the journal goes on in another boot)",
        RUNNER: "the runner died while the case ran (same boot)",
        "": "the runner or the machine died while the case ran",
    }[who]
    return AttemptRecord(
        number=started.attempt,
        outcome=Outcome.LOST,
        message=what,
        source="journal",
        signature="lost" + (f" | {who}" if who else ""),
        notes=(who,) if who else (),
        fields={"lost": who} if who else {},
        wall_start=started.wall,
        writer=started.writer,
        boot=started.session.boot,
    )


def _who_died(started: Started, boot_id_now: str | None) -> str:
    """`runner` when anything after the START proves that the same boot went on, `machine` when the next thing
    known is another boot, '' when nothing is known (a run read on another computer, never resumed)."""
    session = started.session
    if not session.boot:
        return ""
    known_now = boot_id_now if session.here else None
    if started.reopened or session.boot == known_now:
        return RUNNER
    if session.origin.finished_boot == session.boot and session.origin.finished >= started.wall:
        return RUNNER  # another writer of the run had its last word later, in the same boot
    if known_now or any(boot not in ("", session.boot) for wall, boot in session.origin.boots if wall > started.wall):
        return MACHINE
    return ""


def decide(
    attempts: tuple[AttemptRecord, ...],
    last_start: float = 0.0,
    in_flight: bool = False,
    aside: tuple[float, Outcome, str] | None = None,
) -> dict[str, Any]:
    """What a case's attempts come to (rules 1 to 5 above), as the fields of CaseRecord."""
    if len(attempts) == 1 and class_of(attempts[0].outcome, attempts[0].signal) not in _NO_VERDICT:
        return _decided(attempts, 0, "single", "")  # nearly every case of a large run
    judged = [i for i, a in enumerate(attempts) if class_of(a.outcome, a.signal) not in _NO_VERDICT]
    if judged:
        failed = [i for i in judged if class_of(attempts[i].outcome, attempts[i].signal) in _FAILED]
        remarked = [i for i in judged if attempts[i].outcome is Outcome.WARN]
        index = (failed or remarked or judged[-1:])[0]
        return _decided(attempts, index, stability(attempts, judged, failed, index), "")
    if is_poison(attempts):
        times = machine_losses(attempts)
        reason = f"poison pill: the machine went down {times} times under it; force it to run again"
        return {"outcome": Outcome.NOT_RUN, "reason": reason, "attempts": attempts}
    if in_flight:
        return {"outcome": Outcome.NOT_RUN, "reason": "running now", "attempts": attempts}
    if aside is not None and (aside[0] >= last_start or not attempts):
        return {"outcome": aside[1], "reason": aside[2], "attempts": attempts}
    if not attempts:
        return {"outcome": Outcome.NOT_RUN, "reason": "planned, never started"}
    return _decided(attempts, len(attempts) - 1, "single", attempts[-1].message)


def stability(attempts: tuple[AttemptRecord, ...], judged: list[int], failed: list[int], index: int) -> str:
    """`single`, `confirmed k/n`, `flaky k/n` or `context-dependent`; n counts the attempts with a verdict."""
    if len(judged) == 1:
        return "single"
    if failed and len(failed) < len(judged):
        passed = [i for i in judged if i not in failed]
        died_in_company = all(attempts[i].predecessors for i in failed)
        passed_alone = not any(attempts[i].predecessors for i in passed)
        if died_in_company and passed_alone:
            return "context-dependent"
        return f"flaky {len(failed)}/{len(judged)}"
    like = sum(
        attempts[i].outcome is attempts[index].outcome and attempts[i].cause is attempts[index].cause for i in judged
    )
    return f"confirmed {like}/{len(judged)}"


def machine_losses(attempts: Iterable[AttemptRecord]) -> int:
    """How many of the attempts took the machine down."""
    return sum(a.outcome is Outcome.LOST and a.fields.get("lost") == MACHINE for a in attempts)


def is_poison(attempts: Iterable[AttemptRecord]) -> bool:
    """Two machine losses and no verdict: not started again without force."""
    attempts = tuple(attempts)
    if any(class_of(a.outcome, a.signal) not in _NO_VERDICT for a in attempts):
        return False
    return machine_losses(attempts) >= POISON_LOSSES


def _decided(attempts: tuple[AttemptRecord, ...], index: int, stable: str, reason: str) -> dict[str, Any]:
    chosen = attempts[index]
    return {
        "outcome": chosen.outcome,
        "cause": chosen.cause,
        "signal": chosen.signal,
        "signature": chosen.signature,
        "stability": stable,
        "reason": reason,
        "attempts": attempts,
        "deciding": -1 if index == len(attempts) - 1 else index,
    }
