"""Times: is a row, or a whole side, slower or faster? Bootstrap intervals, deterministic (pure)."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence

from rmcp.compare.model import Speed

_LEAST_SAMPLES = 5  # below, a bootstrap of a median says nothing
_FLOOR = 1.10  # times of one program on one machine wobble by several per cent
_RESAMPLES = 200
_ROWS = 400  # rows that enter a side's interval; more narrows it by little and costs seconds
_SEED = 20_260_101


def _interval(values: Sequence[float], resamples: int, dice: random.Random) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``values``."""
    means = sorted(statistics.fmean(dice.choices(values, k=len(values))) for _ in range(resamples))
    return means[round(0.025 * (resamples - 1))], means[round(0.975 * (resamples - 1))]


def slower_or_faster(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether repeated times of one row differ by 10 % or more, their bootstrap interval excluding 1."""
    if min(len(before), len(after)) < _LEAST_SAMPLES or min(*before, *after) <= 0:
        return False
    ratio = statistics.median(after) / statistics.median(before)
    if 1 / _FLOOR < ratio < _FLOOR:
        return False
    dice = random.Random(_SEED)
    ratios = sorted(
        statistics.median(dice.choices(after, k=len(after))) / statistics.median(dice.choices(before, k=len(before)))
        for _ in range(_RESAMPLES)
    )
    low, high = ratios[round(0.025 * (_RESAMPLES - 1))], ratios[round(0.975 * (_RESAMPLES - 1))]
    return low > 1.0 or high < 1.0


def speed_of(pairs: Iterable[tuple[float, float]]) -> Speed | None:
    """Speed over (before, after) seconds of the rows that pass on both sides; None with fewer than five."""
    logs = [math.log(after / before) for before, after in pairs if before > 0 and after > 0]
    if len(logs) < _LEAST_SAMPLES:
        return None
    dice = random.Random(_SEED)
    chosen = logs if len(logs) <= _ROWS else dice.sample(logs, _ROWS)
    low, high = _interval(chosen, _RESAMPLES, dice)
    return Speed(math.exp(statistics.fmean(chosen)), math.exp(low), math.exp(high), len(logs))
