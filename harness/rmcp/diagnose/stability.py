"""Stability of a case (k/n), and whether a difference between two runs is more than chance.

A case that fails in 2 of 3 attempts and then in 3 of 3 has not regressed: the exact test says so, after
Holm's correction for the number of cases that were compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from rmcp.diagnose.exact import binomial_tail, fisher_two_sided, holm
from rmcp.outcome.words import Outcome, OutcomeClass, class_of
from rmcp.runs.model import CaseRecord

ALPHA = 0.05  # family-wise chance of calling a difference that is none
_FLAKE_RATE = 0.02  # attempts of a steady case that go the other way, for the "how odd is this" figure


class Steadiness(str, Enum):
    """The design's words for stability."""

    SINGLE = "single"
    CONFIRMED = "confirmed"
    FLAKY = "flaky"


@dataclass(frozen=True)
class Stability:
    """``k`` of ``n`` attempts ended as the most frequent one did."""

    word: Steadiness
    k: int
    n: int

    def text(self) -> str:
        """``single``, ``confirmed 3/3``, ``flaky 2/3``."""
        return self.word.value if self.word is Steadiness.SINGLE else f"{self.word.value} {self.k}/{self.n}"


def stability_of(outcomes: Sequence[tuple[Outcome, str]]) -> Stability:
    """Stability of (outcome, signature) of all attempts of a case; attempts without a verdict do not
    count."""
    told = [
        (outcome, signature)
        for outcome, signature in outcomes
        if class_of(outcome) not in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)
    ]
    # Two ways of passing are one result, two signatures are two.
    kinds = ["" if class_of(outcome) is OutcomeClass.PASSED else f"{outcome}|{sig}" for outcome, sig in told]
    if len(kinds) < 2:
        return Stability(Steadiness.SINGLE, len(kinds), len(kinds))
    most = max(kinds.count(kind) for kind in set(kinds))
    word = Steadiness.CONFIRMED if most == len(kinds) else Steadiness.FLAKY
    return Stability(word, most, len(kinds))


class Change(str, Enum):
    """What a difference between two runs is worth."""

    SAME = "same"
    REGRESSION = "regression"
    FIX = "fix"
    MAYBE_REGRESSION = "probably flaky, not a regression"
    MAYBE_FIX = "probably flaky, not a fix"
    UNTESTED = "no verdict in one of them"


@dataclass(frozen=True)
class Rate:
    """Failed attempts out of those that had a verdict."""

    failed: int
    n: int

    @property
    def share(self) -> float:
        """failed / n, 0.0 when n is 0."""
        return self.failed / self.n if self.n else 0.0


@dataclass(frozen=True)
class Compared:
    """One row of two runs: the rates, the exact two-sided p-value before and after Holm's correction."""

    row: str
    before: Rate
    after: Rate
    p: float
    adjusted: float
    change: Change


def rate_of(case: CaseRecord) -> Rate:
    """Failing attempts of a case out of those with a verdict."""
    told = [
        a for a in case.attempts if class_of(a.outcome, a.signal) not in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)
    ]
    return Rate(sum(1 for a in told if class_of(a.outcome, a.signal) is not OutcomeClass.PASSED), len(told))


def compare_rates(rows: Mapping[str, tuple[Rate, Rate]], alpha: float = ALPHA) -> list[Compared]:
    """Every row's change. A steady flip (all attempts before against all after) needs no test: it is what
    was seen.

    A row that was flaky on either side is called changed only if the exact test says so after correction
    over the flaky rows that differ; else "probably flaky".
    """
    names = list(rows)
    ps = {name: fisher_two_sided(b.failed, b.n - b.failed, a.failed, a.n - a.failed) for name, (b, a) in rows.items()}
    doubtful = [name for name in names if _doubtful(*rows[name])]
    adjusted = dict(zip(doubtful, holm([ps[name] for name in doubtful]), strict=True))
    compared = []
    for name in names:
        before, after = rows[name]
        q = adjusted.get(name, ps[name])
        compared.append(
            Compared(name, before, after, ps[name], q, _change(before, after, name in adjusted, q <= alpha))
        )
    return compared


def _doubtful(before: Rate, after: Rate) -> bool:
    flaky = 0 < before.failed < before.n or 0 < after.failed < after.n
    return bool(before.n and after.n and flaky and before.share != after.share)


def _change(before: Rate, after: Rate, doubtful: bool, certain: bool) -> Change:
    if not before.n or not after.n:
        return Change.UNTESTED
    if before.share == after.share:
        return Change.SAME
    worse = after.share > before.share
    if doubtful and not certain:
        return Change.MAYBE_REGRESSION if worse else Change.MAYBE_FIX
    return Change.REGRESSION if worse else Change.FIX


def oddness(failed: int, n: int, rate: float = _FLAKE_RATE) -> float:
    """Chance of at least this many failures in n attempts of a case whose attempts fail with ``rate``."""
    return binomial_tail(failed, n, rate)
