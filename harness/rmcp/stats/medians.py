"""Is the median of repeated times larger now? The bootstrap of two medians, exact: nothing is drawn (pure).

A bootstrap draws n values with replacement and takes their median, again and again. How often that median is the
i-th smallest value follows from the binomial distribution alone, so the limit of infinitely many draws is a table
that depends on n only, costs microseconds and is the same on every machine. For an even n the median is taken as
the lower or the upper of the two middle values, each with half of the weight.
Source: Maritz and Jarrett (1978), "A note on estimating the variance of the sample median".
"""

from __future__ import annotations

import bisect
import functools
import itertools
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from rmcp.stats.exact import binomial_tail

LEAST = 5  # samples a side; below, a bootstrap of a median says nothing
_MOST = 64  # samples of a side that are used: more narrows the interval by little
_TAIL = 0.025  # on each side of a 95 % interval


class Interval(NamedTuple):
    """Ratio of two medians (above 1: larger now) with its 95 % bootstrap interval."""

    ratio: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1.0 or self.high < 1.0


@functools.lru_cache(maxsize=128)
def weights(n: int) -> tuple[float, ...]:
    """Chance that the median of n draws from n values is the 1st, 2nd ... smallest of them."""
    middles = {(n + 1) // 2, n // 2 + 1}

    def at_most(i: int) -> float:
        return sum(binomial_tail(middle, n, i / n) for middle in middles) / len(middles)

    below = [at_most(i) for i in range(n + 1)]
    return tuple(high - low for low, high in itertools.pairwise(below))


def usable(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether both sides have enough samples, all of them above zero."""
    return min(len(before), len(after)) >= LEAST and min(before) > 0 and min(after) > 0


def differ(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether the interval of `ratio_of` excludes 1, without making it: a comparison asks this of every row."""
    if not usable(before, after):
        return False
    old, new = sorted(before[:_MOST]), sorted(after[:_MOST])
    if new[0] > old[-1] or new[-1] < old[0]:
        return True
    reached = (0.0, *itertools.accumulate(weights(len(old))))
    shares = weights(len(new))
    # Chances that the new median is below the old one, and that it is not above it.
    below = sum(w * (1.0 - reached[bisect.bisect_right(old, x)]) for x, w in zip(new, shares, strict=True))
    not_above = sum(w * (1.0 - reached[bisect.bisect_left(old, x)]) for x, w in zip(new, shares, strict=True))
    return not_above < _TAIL or below >= 1.0 - _TAIL


def ratio_of(before: Sequence[float], after: Sequence[float]) -> Interval | None:
    """The ratio of the medians with its interval; None with too few samples or a time that is not above 0."""
    if not usable(before, after):
        return None
    old, new = sorted(before[:_MOST]), sorted(after[:_MOST])
    pairs = sorted(
        (x / y, u * v)
        for (x, u), (y, v) in itertools.product(
            zip(new, weights(len(new)), strict=True), zip(old, weights(len(old)), strict=True)
        )
    )
    reached = list(itertools.accumulate(share for _, share in pairs))
    low = pairs[min(bisect.bisect_left(reached, _TAIL), len(pairs) - 1)][0]
    high = pairs[min(bisect.bisect_left(reached, 1.0 - _TAIL), len(pairs) - 1)][0]
    return Interval(statistics.median(new) / statistics.median(old), low, high)
