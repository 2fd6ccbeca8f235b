"""Journal lines -> one CaseRecord per planned case. Pure: no clock, no I/O. docs/runs.md states the rules.

Any prefix of a journal is a legal crash. Which attempt decides a case:

1. An attempt that came to no verdict (lost, collateral, harness-error, ...) never decides while another did.
2. Of those with a verdict the first that failed decides, else the last one: a retry that passes hides
   nothing, it makes the case ``flaky k/n`` (k of n attempts failed).
3. All failed: ``confirmed k/n``, k of them with the deciding outcome and cause. A case that died in a batch
   and passed alone is ``context-dependent``.
4. No verdict at all: the last attempt, or the reason the runner gave for setting the case aside, whichever
   is later.
5. Two attempts that the machine did not survive and no verdict: a poison pill, `not-run` until it is forced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmcp.outcome.words import Outcome, OutcomeClass, Verdict, class_of
from rmcp.runs.codec import Sharing, attempt_from_dict
from rmcp.runs.model import RUN_FORMAT, AttemptRecord, CaseRecord, Problem

POISON_LOSSES = 2  # attempts that took the machine down before a case is not started again without force
MACHINE = "machine"  # sub-cause of `lost`, in AttemptRecord.fields["lost"]; the other one is "runner"
RUNNER = "runner"
_FAILED = frozenset({OutcomeClass.FAILED, OutcomeClass.FAILED_SILENTLY, OutcomeClass.DIED})
_NO_VERDICT = frozenset({OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN})
_LISTED = 200  # problems of one kind that are listed one by one; the rest is counted


@dataclass(frozen=True)
class JournalLines:
    """One journal: its name, its parsed lines in file order, and whether its writer is alive.

    A line that could not be parsed is given as ``{"kind": "unreadable", "at": line number, "what": text}``.
    """

    name: str
    lines: Iterable[Mapping[str, Any]]
    live: bool = False


@dataclass(slots=True)
class _Started:
    attempt: int
    wall: float
    boot: str
    writer: str
    journal: str
    session: int  # counts the sessions of this journal
    live: bool = False
    record: AttemptRecord | None = None
    reopened: bool = False  # its writer came back within the same boot: it was the runner that died


@dataclass(slots=True)
class _Trail:
    """What the journals say of one case."""

    starts: list[_Started] = field(default_factory=list)
    aside: tuple[float, Outcome, str] | None = None
    verdict: tuple[float, Verdict, str] | None = None


@dataclass
class _Reading:
    """Everything that the lines said, before the cases are put together."""

    trails: dict[str, _Trail] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    runtimes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    opened: float = 0.0
    finished: float = -1.0
    finished_boot: str = ""
    boots: list[tuple[float, str]] = field(default_factory=list)

    def problem(self, where: str, kind: str, detail: str = "") -> None:
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        if count <= _LISTED:
            self.problems.append(Problem(where, kind + (f": {detail}" if detail else "")))


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
    plan: Iterable[Mapping[str, Any]], journals: Iterable[JournalLines], boot_id_now: str | None
) -> Folded:
    """Fold plan lines and journals. ``boot_id_now`` is this machine's boot when the run was made here, else
    None: a START without END of an earlier boot was lost by the machine, one of this boot by the runner."""
    reading = _Reading()
    for journal in journals:
        _read_journal(reading, journal)
    reading.boots.sort()
    cases = _cases(reading, plan, boot_id_now)
    for key, trail in reading.trails.items():  # what is left belongs to no planned case
        where = trail.starts[0].journal if trail.starts else "journal"
        reading.problem(where, "a case that is not in the plan", key[:16])
    for kind, count in reading.counts.items():
        if count > _LISTED:
            reading.problems.append(Problem("journal", f"{kind}: {count - _LISTED} more"))
    reading.events.sort(key=_wall)
    return Folded(cases, tuple(reading.problems), reading.runtimes, tuple(reading.events),
                  reading.finished >= reading.opened)


def _wall(line: Mapping[str, Any]) -> float:
    wall = line.get("wall")
    return float(wall) if isinstance(wall, (int, float)) else 0.0


def _read_journal(reading: _Reading, journal: JournalLines) -> None:
    boot, base, session, expected = "", "", 0, 0
    open_starts: dict[tuple[str, int], _Started] = {}
    name = f"journal/{journal.name}"
    for number, line in enumerate(journal.lines, 1):
        kind = line.get("kind")
        if kind == "unreadable":
            if journal.live and line.get("torn"):
                continue  # its writer is in the middle of it
            reading.problem(f"{name}:{line.get('at', number)}", str(line.get("what", "unreadable line")))
            expected = -1  # the torn line had a number of its own
            continue
        version = line.get("v")
        if version != RUN_FORMAT and not (isinstance(version, int) and 0 < version < RUN_FORMAT):
            reading.problem(f"{name}:{number}", "a line of an unknown format version", repr(version))
            continue
        if kind == "base":
            base = base + str(line.get("path", "")).strip("/") + "/"
            continue
        try:
            if kind == "open":
                session, expected = session + 1, 0
                boot = str(line.get("boot", ""))
                for started in open_starts.values():
                    started.reopened = started.boot == boot
                open_starts.clear()
                wall = float(line["wall"])
                reading.opened = max(reading.opened, wall)
                reading.boots.append((wall, boot))
            if not _in_sequence(reading, f"{name}:{number}", line, expected):
                continue
            expected = int(line["seq"]) + 1
            if kind == "start":
                _start(reading, line, open_starts, _Started(
                    int(line["attempt"]), float(line["wall"]), boot, str(line["writer"]), name, session,
                    live=journal.live), f"{name}:{number}")
            elif kind == "end":
                record = attempt_from_dict(line["record"], str(line["writer"]), boot)
                if base and record.directory:
                    record = replace(record, directory=base + record.directory)
                _end(reading, line, open_starts, record, name, session, f"{name}:{number}")
            elif kind == "aside":
                trail = reading.trails.setdefault(str(line["key"]), _Trail())
                aside = (float(line["wall"]), Outcome(line["outcome"]), str(line.get("reason", "")))
                trail.aside = max(trail.aside, aside) if trail.aside else aside
            elif kind == "verdict":
                trail = reading.trails.setdefault(str(line["key"]), _Trail())
                verdict = (float(line["wall"]), Verdict(line["verdict"]), str(line.get("reason", "")))
                trail.verdict = max(trail.verdict, verdict) if trail.verdict else verdict
            elif kind == "finish":
                if float(line["wall"]) >= reading.finished:
                    reading.finished, reading.finished_boot = float(line["wall"]), boot
                reading.events.append(line)
            elif kind == "runtime":
                reading.runtimes[str(line["name"])] = dict(line.get("facts") or {})
            elif kind != "open":
                reading.events.append(line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"{type(error).__name__}: {error}"
            reading.problem(f"{name}:{number}", "a line that makes no sense", why)


def _in_sequence(reading: _Reading, where: str, line: Mapping[str, Any], expected: int) -> bool:
    """False for a line that came twice. A gap is noted: lines of this journal are missing."""
    seq = int(line["seq"])
    if expected >= 0 and seq < expected:
        reading.problem(where, "a line that came twice", f"number {seq}, expected {expected}")
        return False
    if expected >= 0 and seq > expected:
        reading.problem(where, "lines are missing", f"number {seq} follows {expected - 1}")
    return True


def _start(
    reading: _Reading, line: Mapping[str, Any], open_starts: dict[tuple[str, int], _Started],
    started: _Started, where: str,
) -> None:
    key = str(line["key"])
    if (key, started.attempt) in open_starts:
        reading.problem(where, "an attempt that was started twice", f"{key[:16]}, attempt {started.attempt}")
    trail = reading.trails.setdefault(key, _Trail())
    trail.starts.append(started)
    open_starts[key, started.attempt] = started


def _end(
    reading: _Reading, line: Mapping[str, Any], open_starts: dict[tuple[str, int], _Started],
    record: AttemptRecord, name: str, session: int, where: str,
) -> None:
    key = str(line["key"])
    started = open_starts.pop((key, record.number), None)
    if started is not None:
        started.record = record
        return
    trail = reading.trails.setdefault(key, _Trail())
    if any(s.journal == name and s.session == session and s.attempt == record.number for s in trail.starts):
        which = f"{key[:16]}, attempt {record.number}; the first counts"
        reading.problem(where, "an attempt that ended twice", which)
        return
    reading.problem(where, "an END without START", f"{key[:16]}, attempt {record.number}")
    wall = float(line["wall"])
    trail.starts.append(
        _Started(record.number, wall, record.boot, record.writer, name, session, record=record))


def _cases(
    reading: _Reading, plan: Iterable[Mapping[str, Any]], boot_id_now: str | None
) -> tuple[CaseRecord, ...]:
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
            decision = decide(())
        else:
            decision = decide(*_attempts(reading, trail, boot_id_now), trail.aside)
            if trail.verdict is not None:
                decision["verdict"] = trail.verdict[1]
                decision["reason"] = trail.verdict[2] or decision.get("reason", "")
        cases.append(CaseRecord(**planned, **decision))
    return tuple(cases)


def _planned(line: Mapping[str, Any], sharing: Sharing) -> dict[str, Any]:
    """The fields of CaseRecord that the plan knows."""
    key = str(line["key"])
    return {
        "id": str(line["id"]), "key": key, "row": sharing.text(line.get("row", key)),
        "workload": sharing.text(line["workload"]), "axes": sharing.strings(line["axes"]),
        "args": sharing.whole(line["args"]), "env": sharing.whole(line["env"]),
        "runtime": sharing.whole(line["runtime"]),
        "device": sharing.text(line.get("device", "auto")), "seed": int(line.get("seed", 1234)),
    }


def _attempts(
    reading: _Reading, trail: _Trail, boot_id_now: str | None
) -> tuple[tuple[AttemptRecord, ...], float, bool]:
    """(attempts in order, wall time of the last start, whether one is running now)."""
    starts = trail.starts
    if len(starts) > 1:
        starts = sorted(starts, key=lambda s: (s.attempt, s.wall))
    records: list[AttemptRecord] = []
    in_flight = False
    last = 0.0
    for started in starts:
        last = max(last, started.wall)
        if started.record is not None:
            records.append(started.record)
        elif started.live:
            in_flight = True
        else:
            records.append(_lost(reading, started, boot_id_now))
    if len({r.number for r in records}) < len(records):  # merged runs both count from 1
        records = [replace(record, number=number) for number, record in enumerate(records, 1)]
    return tuple(records), last, in_flight


def _lost(reading: _Reading, started: _Started, boot_id_now: str | None) -> AttemptRecord:
    who = _who_died(reading, started, boot_id_now)
    what = {
        MACHINE: "the machine went down while the case ran (the journal goes on in another boot)",
        RUNNER: "the runner died while the case ran (same boot)",
        "": "the runner or the machine died while the case ran",
    }[who]
    return AttemptRecord(
        number=started.attempt, outcome=Outcome.LOST, message=what, source="journal",
        signature="lost" + (f" | {who}" if who else ""), notes=(who,) if who else (),
        fields={"lost": who} if who else {}, wall_start=started.wall, writer=started.writer,
        boot=started.boot,
    )


def _who_died(reading: _Reading, started: _Started, boot_id_now: str | None) -> str:
    """`runner` when anything after the START proves that the same boot went on, `machine` when the next thing
    known is another boot, '' when nothing is known (a run read on another computer, never resumed)."""
    if not started.boot:
        return ""
    if started.reopened or started.boot == boot_id_now:
        return RUNNER
    if reading.finished_boot == started.boot and reading.finished >= started.wall:
        return RUNNER
    later = [boot for wall, boot in reading.boots if wall > started.wall]
    if boot_id_now or any(boot and boot != started.boot for boot in later):
        return MACHINE
    return ""


def decide(
    attempts: tuple[AttemptRecord, ...], last_start: float = 0.0, in_flight: bool = False,
    aside: tuple[float, Outcome, str] | None = None,
) -> dict[str, Any]:
    """What a case's attempts come to (rules 1 to 5 above), as the fields of CaseRecord."""
    judged = [i for i, a in enumerate(attempts) if class_of(a.outcome, a.signal) not in _NO_VERDICT]
    if judged:
        failed = [i for i in judged if class_of(attempts[i].outcome, attempts[i].signal) in _FAILED]
        index = failed[0] if failed else judged[-1]
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
    like = sum(attempts[i].outcome is attempts[index].outcome and attempts[i].cause is attempts[index].cause
               for i in judged)
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
        "outcome": chosen.outcome, "cause": chosen.cause, "signal": chosen.signal,
        "signature": chosen.signature, "stability": stable, "reason": reason, "attempts": attempts,
        "deciding": -1 if index == len(attempts) - 1 else index,
    }
