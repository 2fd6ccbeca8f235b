"""Times: is a row, or a whole side, slower or faster? Bootstrap intervals, deterministic (pure)."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence

from rmcp.compare.model import Change, Row, Speed
from rmcp.stats import medians
from rmcp.stats.medians import Interval

_FLOOR = 1.10  # times of one program on one machine wobble by several per cent
_RESAMPLES = 200
_ROWS = 400  # rows that enter a side's interval; more narrows it by little and costs seconds
_SEED = 20_260_101


def _interval(values: Sequence[float], resamples: int, dice: random.Random) -> tuple[float, float]:
    """95 % percentile interval of the mean of ``values``."""
    means = sorted(statistics.fmean(dice.choices(values, k=len(values))) for _ in range(resamples))
    return means[round(0.025 * (resamples - 1))], means[round(0.975 * (resamples - 1))]


def slower_or_faster(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether repeated times of one row differ by 10 % or more, the bootstrap interval of the ratio of their
    medians excluding 1."""
    if not medians.usable(before, after):
        return False
    ratio = statistics.median(after) / statistics.median(before)
    return not 1 / _FLOOR < ratio < _FLOOR and medians.differ(before, after)


def speed_of(pairs: Iterable[tuple[float, float]]) -> Speed | None:
    """Speed over (before, after) seconds of the rows that pass on both sides; None with fewer than five."""
    known = [pair for pair in pairs if pair[0] > 0 and pair[1] > 0]
    if len(known) < medians.LEAST:
        return None
    dice = random.Random(_SEED)
    chosen = known if len(known) <= _ROWS else dice.sample(known, _ROWS)
    logs = [math.log(after / before) for before, after in chosen]
    low, high = _interval(logs, _RESAMPLES, dice)
    return Speed(math.exp(statistics.fmean(logs)), math.exp(low), math.exp(high), len(known))


def times_of(row: Row, baseline: int) -> tuple[Interval | None, ...]:
    """Per side: how much slower (above 1) or faster the row is than at the baseline, with the 95 % bootstrap
    interval of its repeated times; None where its time did not change."""
    base = row.cells[baseline]
    return tuple(
        medians.ratio_of(base.samples, cell.samples) if base and cell and change is Change.PERF else None
        for cell, change in zip(row.cells, row.changes, strict=True)
    )
