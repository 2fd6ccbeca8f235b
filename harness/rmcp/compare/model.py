"""The values of a comparison: sides, cells, rows, change classes. Nothing here reads a file or a clock."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rmcp.stats.rates import Compared, Rate
from rmcp.words import Outcome, Word


class Change(Word):
    """What became of a row between two sides."""

    REGRESSION = "regression"
    WORSE = "worse"
    LATERAL = "lateral"
    FIX = "fix"
    BETTER = "better"
    SIGNATURE = "signature"
    NEW = "new"
    GONE = "gone"
    DISABLED = "disabled"
    ENABLED = "enabled"
    FLAKY = "probably-flaky"
    NO_VERDICT = "no-verdict"
    PERF = "perf"
    UNCHANGED = "unchanged"


# In order of importance: a row that changed in two ways is shown under the first of them.
CHANGES: dict[Change, str] = {
    Change.REGRESSION: "passed before, does not pass now",
    Change.WORSE: "failed before, fails in a worse way now, or passes with a remark",
    Change.LATERAL: "fails in another way: a crash that became a wrong number is no fix",
    Change.FIX: "did not pass before, passes now",
    Change.BETTER: "still fails, in a milder way",
    Change.SIGNATURE: "same outcome, another signature: maybe another defect",
    Change.NEW: "was not in the baseline",
    Change.GONE: "was in the baseline only",
    Change.DISABLED: "ran before, is not supported now",
    Change.ENABLED: "was not supported before, runs now",
    Change.FLAKY: "passes and fails by turns: the attempts do not prove a regression or a fix",
    Change.NO_VERDICT: "one of the two has no verdict: nothing can be said",
    Change.PERF: "passes as before, in another time",
    Change.UNCHANGED: "the same",
}
IMPORTANCE = {change: rank for rank, change in enumerate(CHANGES)}


class Cell(NamedTuple):
    """One row on one side, small: there may be a million of them. ``seconds`` is the measured time (the
    workload's median, else the attempt's duration); ``samples`` are repeated measurements, in seconds; ``rate`` are
    the failed attempts, when there were several with a verdict."""

    outcome: Outcome
    cause: str = "none"
    signal: str | None = None
    signature: str = ""
    rule: int = 1
    device: str = "none"
    stability: str = "single"
    message: str = ""
    seconds: float = 0.0
    samples: Sequence[float] = ()
    case: str = ""
    rate: Rate | None = None


@dataclass(frozen=True)
class Side:
    """One column of a comparison: a run, or one value of an axis inside a run.

    ``cells`` and ``rows`` share their keys; a row is a tuple of axis values in the order of ``axes``.
    ``facts`` are (group, name) -> value, groups being `machine`, `kernel parameters`, `runtime`, `rmcp`, `compared`.
    """

    name: str
    run: str
    title: str
    axes: tuple[str, ...]
    cells: Mapping[str, Cell]
    rows: Mapping[str, tuple[str, ...]]
    facts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    started: float = 0.0
    matrix: str = "MATRIX"


class Row(NamedTuple):
    """One experiment. ``changes`` hold it against the baseline, ``steps`` against the side before; None at
    the baseline itself and at the first side. ``change`` is the most important of ``changes``. ``doubts`` say, per
    side, what the exact test of the attempts found where it decided the change."""

    key: str
    label: str
    values: tuple[str, ...]
    cells: tuple[Cell | None, ...]
    changes: tuple[Change | None, ...]
    steps: tuple[Change | None, ...]
    change: Change
    doubts: tuple[Compared | None, ...] = ()


@dataclass(frozen=True)
class Drift:
    """A fact that is not the same on every side. ``compared`` says that it belongs to what is compared on
    purpose; any other drift may be the true reason of a change."""

    group: str
    name: str
    values: tuple[str | None, ...]
    compared: bool = False


@dataclass(frozen=True)
class Speed:
    """How long the rows take that pass on both sides: geometric mean of the ratios (above 1: slower now) with
    a 95 % bootstrap interval, over ``rows`` rows."""

    ratio: float
    low: float
    high: float
    rows: int

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return self.low > 1.0 or self.high < 1.0


@dataclass(frozen=True)
class Comparison:
    """N sides, one of them the baseline. ``counts`` are rows by their most important change; ``by_side`` and
    ``by_step`` count the changes of one side against the baseline and against the side before it."""

    sides: tuple[Side, ...]
    baseline: int
    by: str
    axes: tuple[str, ...]
    rows: tuple[Row, ...]
    counts: Mapping[Change, int]
    by_side: tuple[Mapping[Change, int], ...]
    by_step: tuple[Mapping[Change, int], ...]
    drift: tuple[Drift, ...] = ()
    speed: tuple[Speed | None, ...] = ()

    def count(self, change: Change) -> int:
        """Rows in which some side shows this change against the baseline."""
        return sum(number for changes, number in self._patterns.items() if change in changes)

    @functools.cached_property
    def _patterns(self) -> Mapping[tuple[Change | None, ...], int]:
        """How often each combination of changes occurs: a few, in whatever number of rows."""
        return Counter(row.changes for row in self.rows)
