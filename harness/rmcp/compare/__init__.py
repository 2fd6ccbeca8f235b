"""N-way comparison of runs, or of the values of an axis inside one run (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from rmcp.compare.classes import change_of
from rmcp.compare.drift import drift_of
from rmcp.compare.groups import Group, groups_of
from rmcp.compare.model import CHANGES, IMPORTANCE, Cell, Change, Comparison, Drift, Row, Side, Speed
from rmcp.compare.pairs import Cells, Pairing, paired
from rmcp.compare.perf import speed_of, times_of
from rmcp.compare.sides import identity_of, side_of_run, sides_by, sides_of
from rmcp.errors import UserError
from rmcp.runs.model import Run
from rmcp.words import Outcome

_GOOD = (Outcome.PASS, Outcome.WARN)


def compare(runs: Sequence[Run] | Sequence[Side], baseline: str | int = 0, by: str | None = None) -> Comparison:
    """Hold every side against the baseline, and each against the side before it.

    ``runs`` are Runs (made to sides by ``sides_of``) or ready sides; ``baseline`` is the name of a side,
    of its run, or an index. Raises UserError when there are fewer than two sides or no such baseline.
    """
    sides: list[Side] = []
    for item in runs:
        if isinstance(item, Side):
            sides.append(item)
    if not sides:
        sides = sides_of([run for run in runs if isinstance(run, Run)], by)
    if len(sides) < 2:
        found = ", ".join(side.name for side in sides) or "nothing"
        raise UserError(f"a comparison needs two sides, found {found}; name another run or another axis with --by")
    base = _baseline(sides, baseline)
    by = by or _compared(sides)
    axes = tuple(dict.fromkeys(axis for side in sides for axis in side.axes))
    rows = tuple(_rows(sides, base, axes))
    changes = list(zip(*(row.changes for row in rows), strict=True)) or [()] * len(sides)
    steps = list(zip(*(row.steps for row in rows), strict=True)) or [()] * len(sides)
    return Comparison(
        sides=tuple(sides),
        baseline=base,
        by=by,
        axes=axes,
        rows=rows,
        counts=_ordered(Counter(row.change for row in rows)),
        by_side=tuple(_ordered(Counter(column)) for column in changes),
        by_step=tuple(_ordered(Counter(column)) for column in steps),
        drift=drift_of(sides, by),
        speed=tuple(_speed(rows, base, i) for i in range(len(sides))),
    )


def _compared(sides: Sequence[Side]) -> str:
    """The axis in which the sides differ on purpose; `run` when they are runs of the same thing."""
    names = dict.fromkeys(name for side in sides for group, name in side.facts if group == "compared")
    return next((n for n in names if len({side.facts.get(("compared", n)) for side in sides}) > 1), "run")


def _ordered(counts: Counter[Change] | Counter[Change | None]) -> dict[Change, int]:
    return {change: counts[change] for change in CHANGES if counts[change]}


def _baseline(sides: Sequence[Side], wanted: str | int) -> int:
    if isinstance(wanted, int) and -len(sides) <= wanted < len(sides):
        return wanted % len(sides)
    for index, side in enumerate(sides):
        if wanted in (side.name, side.run):
            return index
    known = ", ".join(side.name for side in sides)
    raise UserError(f"no side of this comparison is called {wanted!r}; they are {known}")


def _keys(sides: Sequence[Side], base: int) -> list[str]:
    """All rows: those of the baseline first, in its order, then the others in theirs."""
    keys = dict.fromkeys(sides[base].cells)
    for i, side in enumerate(sides):
        if i != base and side.cells.keys() != keys.keys():
            keys.update(dict.fromkeys(side.cells))
    return list(keys)


def _rows(sides: Sequence[Side], base: int, axes: tuple[str, ...]) -> list[Row]:
    """Column by column: a large comparison has a million pairs of cells."""
    keys = _keys(sides, base)
    columns: list[Cells] = [list(map(side.cells.get, keys)) for side in sides]
    nothing: list[Any] = [None] * len(keys)
    against = [Pairing(nothing) if i == base else paired(columns[base], own) for i, own in enumerate(columns)]
    # With the first side as baseline the first step is the first change.
    steps = [
        nothing if i == 0 else against[1].changes if i == 1 and base == 0 else paired(columns[i - 1], own).changes
        for i, own in enumerate(columns)
    ]
    changes = list(zip(*(pairing.changes for pairing in against), strict=True))
    worst = {some: min((c for c in some if c), key=IMPORTANCE.__getitem__) for some in set(changes)}
    texts = _texts(sides, base, axes, keys)
    rows = [
        Row(key, label, values, cells, own, step, worst[own])
        for key, (label, values), cells, own, step in zip(
            keys, texts, zip(*columns, strict=True), changes, zip(*steps, strict=True), strict=True
        )
    ]
    for at in sorted({at for pairing in against for at in pairing.doubts}):
        rows[at] = rows[at]._replace(doubts=tuple(pairing.doubts.get(at) for pairing in against))
    return rows


def _texts(
    sides: Sequence[Side], base: int, axes: tuple[str, ...], keys: Sequence[str]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Label and axis values of every row, from the first side that has it, the baseline before all others."""
    order = [sides[base], *(side for i, side in enumerate(sides) if i != base)]
    for key in keys:
        side = next(side for side in order if key in side.cells)
        values = side.rows[key]
        if side.axes != axes:
            named = dict(zip(side.axes, values, strict=True))
            values = tuple([named.get(axis, "") for axis in axes])
        yield f"{side.cells[key].case.partition('[')[0]}[{'/'.join(values)}]", values


def _speed(rows: Sequence[Row], base: int, index: int) -> Speed | None:
    if index == base:
        return None
    pairs = [(row.cells[base], row.cells[index]) for row in rows]
    return speed_of(
        (before.seconds, after.seconds)
        for before, after in pairs
        if before and after and before.outcome in _GOOD and after.outcome in _GOOD
    )


__all__ = [
    "CHANGES",
    "Cell",
    "Change",
    "Comparison",
    "Drift",
    "Group",
    "Row",
    "Side",
    "Speed",
    "change_of",
    "compare",
    "groups_of",
    "identity_of",
    "side_of_run",
    "sides_by",
    "sides_of",
    "times_of",
]
