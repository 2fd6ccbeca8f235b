"""The probe protocol and the oracle: one question about a case, answered by as many attempts as it needs.

Every search of this room (boundary, env bisect, shrink, explain) asks through an `Oracle`, which remembers
every attempt (so a search can be resumed), decides flaky answers by a sequential test, and holds the budget.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmcp.diagnose.variants import experiment_key
from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.stats.exact import Sprt
from rmcp.words import Outcome, OutcomeClass, class_of

STEADY = 0.02  # chance that an attempt of a steady case lies
_FLAKY = 0.2  # the same once a case was seen to do both
_ENOUGH = 12  # attempts of one case from which its rate is estimated
_RISK = 0.02  # accepted chance of a wrong answer about a steady case: one attempt decides
_FLAKY_RISK = 0.005  # the same about flaky ones; a search asks some dozen questions, and each must be right
_MOST_LIES = 0.35  # beyond this a question would need hundreds of attempts
_NO_VERDICTS = 3  # attempts without a verdict on one case before the search gives up on it
_MOST_ATTEMPTS = 40  # of one case, for one question


@dataclass(frozen=True)
class ProbeResult:
    """One attempt: what it did, its signature ('' when it passed), and how long it took (seconds)."""

    outcome: Outcome
    signature: str = ""
    duration_s: float = 0.0
    titles: tuple[str, ...] = ()

    @property
    def passed(self) -> bool | None:
        """True, False, or None when it says nothing (lost, blocked, could not be run)."""
        kind = class_of(self.outcome)
        if kind in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN):
            return None
        return kind is OutcomeClass.PASSED

    def is_like(self, signature: str) -> bool | None:
        """Whether it failed with this signature (or another title of it); None when it says nothing."""
        passed = self.passed
        if passed is None:
            return None
        return not passed and (self.signature == signature or signature in self.titles)


Probe = Callable[[Sequence[Case]], Sequence[ProbeResult]]
Question = Callable[[ProbeResult], "bool | None"]
Log = Mapping[str, Sequence[ProbeResult]]


class BudgetSpent(UserError):
    """The search used up its attempts or seconds; what was found so far still stands."""


class Undecidable(UserError):
    """A case gives no verdict (blocked, harness error), so that the search cannot go on with it."""


class Oracle:
    """Answers yes-or-no questions about cases. ``runs`` and ``seconds`` are the whole budget of the search.

    ``log`` are attempts of an earlier search with the same cases (key: `experiment_key`); they cost nothing.
    """

    def __init__(self, probe: Probe, runs: int = 400, seconds: float = float("inf"), log: Log | None = None) -> None:
        self._probe = probe
        self._left, self._left_s = runs, seconds
        self.log: dict[str, list[ProbeResult]] = {key: list(seen) for key, seen in (log or {}).items()}
        self.spent = 0
        self.spent_s = 0.0
        self.flip = STEADY
        self.journal: Path | None = None  # run directory of the probes, when they were journalled

    def attempt(self, case: Case) -> ProbeResult:
        """One more attempt of a case. Raises BudgetSpent."""
        if self.spent >= self._left or self.spent_s >= self._left_s:
            raise BudgetSpent(
                f"the budget is spent: {self.spent} attempts, {self.spent_s:.0f} s of case time (--budget, --seconds)"
            )
        result = next(iter(self._probe([case])))
        self.spent += 1
        self.spent_s += result.duration_s
        self.log.setdefault(experiment_key(case), []).append(result)
        return result

    def attempts(self, case: Case, count: int) -> list[ProbeResult]:
        """At least ``count`` attempts of a case, remembered ones included."""
        while len(self.log.get(experiment_key(case), ())) < count:
            self.attempt(case)
        return list(self.log[experiment_key(case)])

    def ask(self, case: Case, question: Question) -> bool:
        """Whether ``question`` holds for a case, with repeats until the sequential test decides."""
        key = experiment_key(case)
        while True:
            answers = [question(result) for result in self.log.get(key, ())]
            yes, no = answers.count(True), answers.count(False)
            if yes and no:
                self._learn(yes, no)
            risk = _RISK if self.flip == STEADY else _FLAKY_RISK
            decided = Sprt(self.flip, risk).decide(yes, no)
            if decided is not None:
                return decided
            if len(answers) >= _MOST_ATTEMPTS:
                return yes > no
            if answers.count(None) >= _NO_VERDICTS:
                last = self.log[key][-1].outcome
                raise Undecidable(
                    f"{case.id} gave no verdict {answers.count(None)} times (last: {last}); see the probe's journal"
                )
            self.attempt(case)

    def calibrate(self, case: Case, question: Question, count: int = 5) -> tuple[int, int]:
        """Attempts of the starting case: (yes, all that had a verdict); sets how far a single answer is
        believed."""
        answers = [a for a in map(question, self.attempts(case, count)) if a is not None]
        yes = sum(answers)
        if 0 < yes < len(answers):
            self._learn(yes, len(answers) - yes)
        return yes, len(answers)

    def doubt(self, case: Case, question: Question, more: int = 2) -> None:
        """Attempt a decisive case again: if its attempts disagree, single answers are believed less from now on."""
        for _ in range(more):
            self.attempt(case)
        answers = [question(result) for result in self.log[experiment_key(case)]]
        if True in answers and False in answers:
            self._learn(answers.count(True), answers.count(False))

    def _learn(self, yes: int, no: int) -> None:
        """A case did both: single answers are believed less. A rate is taken from some attempts, not from two."""
        share = min(yes, no) / (yes + no) if yes + no >= _ENOUGH else _FLAKY
        self.flip = max(self.flip, min(_MOST_LIES, max(_FLAKY, share)))


def log_to_json(log: Log) -> dict[str, list[dict[str, Any]]]:
    """The attempts as JSON-able values, to resume a search."""
    return {
        key: [
            {
                "outcome": str(r.outcome),
                "signature": r.signature,
                "duration_s": r.duration_s,
                "titles": list(r.titles),
            }
            for r in seen
        ]
        for key, seen in log.items()
    }


def log_from_json(data: Mapping[str, Any]) -> dict[str, list[ProbeResult]]:
    """The reverse of `log_to_json`."""
    return {
        str(key): [
            ProbeResult(Outcome(r["outcome"]), r["signature"], float(r["duration_s"]), tuple(r.get("titles", ())))
            for r in seen
        ]
        for key, seen in data.items()
    }
