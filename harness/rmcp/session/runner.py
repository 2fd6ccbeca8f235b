"""CaseRunner: one case from the plan to the journal. Decides nothing itself: the pure rooms do, this joins them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.attempt import Attempt
from rmcp.isolation.lane import Lane
from rmcp.matrix.document import Matrix
from rmcp.matrix.expressions import Expression, compile_expression
from rmcp.matrix.model import Case, Need
from rmcp.outcome.judge import judge
from rmcp.runs.fold import decide
from rmcp.runs.journal import Journal
from rmcp.runs.model import AttemptRecord
from rmcp.runs.writer import RunDirectory
from rmcp.session.again import next_level
from rmcp.session.expectations import Expectations
from rmcp.session.facts import Facts
from rmcp.session.gate import Gate
from rmcp.session.options import RunOptions
from rmcp.session.pinning import Pinning
from rmcp.session.record import record_from
from rmcp.words import Cause, Outcome, Verdict

_GROUP = 16  # cases of a batch that share one sync; after the machine died all of them are run again


@dataclass(frozen=True)
class CaseResult:
    """What became of one case in this session. ``evidence`` is the deciding attempt, None when it never ran."""

    case: Case
    outcome: Outcome
    cause: Cause
    signal: str | None
    signature: str
    stability: str
    verdict: Verdict
    reason: str
    bug: str = ""
    message: str = ""
    evidence: Attempt | None = None
    record: AttemptRecord | None = None


class CaseRunner:
    """Runs cases of one run directory. Not re-entrant: one case at a time."""

    def __init__(
        self, matrix: Matrix, run: RunDirectory, journal: Journal, lane: Lane, gate: Gate, facts: Facts,
        pinning: Pinning, options: RunOptions, attempts: Mapping[str, int],
    ) -> None:  # fmt: skip
        self._matrix = matrix
        self._run = run
        self._journal = journal
        self._lane = lane
        self._gate = gate
        self._facts = facts
        self._pinning = pinning
        self._options = options
        self._attempts = dict(attempts)
        self._expectations = Expectations(matrix, datetime.date.today())
        self._needs: dict[str, Expression] = {}

    def run(self, case: Case, upcoming: Sequence[Case] = ()) -> CaseResult:
        """Run a case with its retries; journal everything; hold the outcome against the expectation."""
        facts = self._facts.of(case)
        unmet = self._unmet(case, facts)
        # A runtime that does not start fulfils nothing, but that is a failure to be shown, not a missing support.
        if unmet is not None and not self._facts.failed(case):
            return self._aside(case, facts, Outcome.UNSUPPORTED, unmet)
        done: list[tuple[AttemptRecord, Attempt]] = []
        level: str | None = self._options.isolation
        while level is not None:
            place = self._pinning.place(case)
            refusal = self._gate.enter(place.device)
            if refusal is not None:
                if not done:
                    return self._aside(case, facts, Outcome.BLOCKED, refusal)
                break
            try:
                done.append(self._attempt(case, place.case, level, upcoming))
            finally:
                self._gate.leave()
            records = [record for record, _ in done]
            level = next_level(records, self._options.isolation, self._options.repeat, self._options.retries)
        return self._result(case, facts, done)

    def _attempt(
        self, case: Case, placed: Case, level: str, upcoming: Sequence[Case]
    ) -> tuple[AttemptRecord, Attempt]:
        if placed is not case:
            upcoming = self._pinning.upcoming(upcoming)
        number = self._attempts[case.key] = self._attempts.get(case.key, 0) + 1
        if level == "batch" and number == 1 and not self._journal.is_ahead(case.key, number):
            self._journal.ahead(self._group(case, upcoming))
        self._journal.start(case.key, number)
        started = self._gate.mark()
        try:
            attempt = self._lane.attempt(placed, number, upcoming, level)
        except BaseException:
            # Stopped from outside: the case did not get its time, so it stays outstanding.
            stopped = AttemptRecord(number=number, outcome=Outcome.NOT_RUN, message="stopped by the user", level=level)
            self._journal.end(case.key, stopped)
            raise
        events, lines = self._gate.window(attempt)
        judgement = judge(
            attempt,
            kernel=events,
            device_events=self._gate.incidents(started),
            silent_s=case.timeout.silent,
            case_id=case.id,
            meant_rocm=str(self._facts.runtime(case).get("rocm") or ""),
        )
        directory = self._store(case, attempt, judgement.outcome, lines)
        record = record_from(attempt, judgement, directory)
        self._journal.end(case.key, record)
        self._gate.ended(case, attempt, judgement)
        return record, attempt

    def _group(self, case: Case, upcoming: Sequence[Case]) -> list[tuple[str, int]]:
        """The case and those that will probably follow it in its batch. One that was begun before, perhaps because
        the machine died under it, ends the group: should the machine die again, it shall be known under which."""
        group = [(case.key, 1)]
        for other in upcoming[: _GROUP - 1]:
            if self._attempts.get(other.key, 0):
                break
            group.append((other.key, 1))
        return group

    def _store(self, case: Case, attempt: Attempt, outcome: Outcome, kernel_lines: Sequence[str]) -> str | None:
        if outcome is Outcome.PASS:
            return None
        extra: dict[str, bytes | str] = {"kernel.log": "\n".join(kernel_lines)}
        if outcome is not Outcome.WARN:
            from rmcp.report.repro import reproducer

            extra["repro.py"] = reproducer(case)
        return self._run.store_attempt(case, attempt, extra)

    def _aside(self, case: Case, facts: Mapping[str, Any], outcome: Outcome, reason: str) -> CaseResult:
        self._journal.set_aside(case.key, outcome, reason)
        held = self._expectations.hold(case, facts, AttemptRecord(0, outcome, message=reason))
        self._journal.verdict(case.key, held.verdict, reason)
        return CaseResult(case, outcome, Cause.NONE, None, "", "single", held.verdict, reason, held.bug, reason)

    def _result(
        self, case: Case, facts: Mapping[str, Any], done: Sequence[tuple[AttemptRecord, Attempt]]
    ) -> CaseResult:
        decided = decide(tuple(record for record, _ in done))
        deciding, evidence = done[decided.get("deciding", -1)]
        held = self._expectations.hold(case, facts, deciding)
        self._journal.verdict(case.key, held.verdict, held.reason)
        return CaseResult(
            case=case,
            outcome=decided["outcome"],
            cause=deciding.cause,
            signal=deciding.signal,
            signature=deciding.signature,
            stability=decided.get("stability", "single"),
            verdict=held.verdict,
            reason=held.reason,
            bug=held.bug,
            message=deciding.message,
            evidence=evidence,
            record=deciding,
        )

    def _unmet(self, case: Case, facts: Mapping[str, Any]) -> str | None:
        """Why the case cannot run here: the reason of the first requirement that does not hold."""
        for need in case.needs:
            if self._expression(need).evaluate(facts) is not True:
                return need.reason or f"needs {need.expression}"
        return None

    def _expression(self, need: Need) -> Expression:
        found = self._needs.get(need.expression)
        if found is None:
            found = self._needs[need.expression] = compile_expression(need.expression, self._matrix.names)
        return found
