"""Rates of failed attempts of two runs: is the difference more than chance? (pure)

A case that fails in 2 of 3 attempts and then in 3 of 3 has not regressed: the exact test says so, after
Holm's correction for the number of cases that were compared.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeVar

from rmcp.stats.exact import fisher_two_sided, holm

K = TypeVar("K")
ALPHA = 0.05  # family-wise chance of calling a difference that is none


class RateChange(str, Enum):
    """What a difference between two runs is worth."""

    SAME = "same"
    REGRESSION = "regression"
    FIX = "fix"
    MAYBE_REGRESSION = "probably flaky, not a regression"
    MAYBE_FIX = "probably flaky, not a fix"
    UNTESTED = "no verdict in one of them"


class Rate(NamedTuple):
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

    before: Rate
    after: Rate
    p: float
    adjusted: float
    change: RateChange

    def text(self) -> str:
        """`failed 0 of 3 attempts before, 1 of 3 now, p = 1.00`; p after the correction."""
        return (
            f"failed {self.before.failed} of {self.before.n} attempts before, "
            f"{self.after.failed} of {self.after.n} now, p = {self.adjusted:.2g}"
        )


def compare_rates(rows: Mapping[K, tuple[Rate, Rate]], alpha: float = ALPHA) -> dict[K, Compared]:
    """Every row's change, by the rows' keys. A steady flip (all attempts before against all after) needs no
    test: it is what was seen.

    A row that was flaky on either side is called changed only if the exact test says so after correction
    over the flaky rows that differ; else "probably flaky".
    """
    tests = {key: _exact_test(before, after) for key, (before, after) in rows.items()}
    doubtful = [key for key, pair in rows.items() if _doubtful(*pair)]
    adjusted = dict(zip(doubtful, holm([tests[key] for key in doubtful]), strict=True))
    compared = {}
    for key, (before, after) in rows.items():
        p = adjusted.get(key, tests[key])
        change = _change(before, after, key in adjusted, p <= alpha)
        compared[key] = Compared(before, after, tests[key], p, change)
    return compared


@functools.lru_cache(maxsize=4096)  # a run with three attempts a case has sixteen different tables
def _exact_test(before: Rate, after: Rate) -> float:
    return fisher_two_sided(before.failed, before.n - before.failed, after.failed, after.n - after.failed)


def _doubtful(before: Rate, after: Rate) -> bool:
    flaky = 0 < before.failed < before.n or 0 < after.failed < after.n
    return bool(before.n and after.n and flaky and before.share != after.share)


def _change(before: Rate, after: Rate, doubtful: bool, certain: bool) -> RateChange:
    if not before.n or not after.n:
        return RateChange.UNTESTED
    if before.share == after.share:
        return RateChange.SAME
    worse = after.share > before.share
    if doubtful and not certain:
        return RateChange.MAYBE_REGRESSION if worse else RateChange.MAYBE_FIX
    return RateChange.REGRESSION if worse else RateChange.FIX
