"""N-way comparison of runs, or of the values of an axis inside one run (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rmcp.compare.classes import change_of
from rmcp.compare.drift import drift_of
from rmcp.compare.model import CHANGES, IMPORTANCE, Cell, Change, Comparison, Drift, Row, Side, Speed
from rmcp.compare.perf import speed_of
from rmcp.compare.sides import identity_of, side_of_run, sides_by, sides_of
from rmcp.errors import UserError
from rmcp.outcome.words import Outcome
from rmcp.runs.model import Run

_PASS = Outcome.PASS
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
    return Comparison(
        sides=tuple(sides),
        baseline=base,
        by=by,
        axes=axes,
        rows=rows,
        counts=_ordered(Counter(row.change for row in rows)),
        by_side=tuple(_ordered(Counter(row.changes[i] for row in rows)) for i in range(len(sides))),
        by_step=tuple(_ordered(Counter(row.steps[i] for row in rows)) for i in range(len(sides))),
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


def _rows(sides: Sequence[Side], base: int, axes: tuple[str, ...]) -> list[Row]:
    """All rows: those of the baseline first, in its order, then the others in theirs."""
    order = [sides[base], *(side for i, side in enumerate(sides) if i != base)]
    owner: dict[str, Side] = {}
    for side in order:
        for key in side.cells:
            owner.setdefault(key, side)
    rows = []
    for key, side in owner.items():
        cells = tuple(other.cells.get(key) for other in sides)
        changes = tuple(None if i == base else _change(cells[base], cell) for i, cell in enumerate(cells))
        # With the first side as baseline the first step is the first change.
        early = 2 if base == 0 else 1
        steps = (*changes[:early], *(_change(cells[i - 1], cells[i]) for i in range(early, len(cells))))
        if base:
            steps = (None, *steps[1:])
        values = side.rows[key]
        if side.axes != axes:
            named = dict(zip(side.axes, values, strict=True))
            values = tuple(named.get(axis, "") for axis in axes)
        label = f"{side.prefixes.get(key, '')}[{'/'.join(values)}]"
        worst = min((change for change in changes if change), key=IMPORTANCE.__getitem__)
        rows.append(Row(key, label, values, cells, changes, steps, worst))
    return rows


def _change(before: Cell | None, after: Cell | None) -> Change:
    if before is None and after is None:
        return Change.UNCHANGED  # two sides without the row: nothing changed between them
    if before and after and before.outcome is _PASS and after.outcome is _PASS and not after.samples:
        return Change.UNCHANGED  # what most pairs are; a large comparison has a million
    return change_of(before, after)


def _speed(rows: Sequence[Row], base: int, index: int) -> Speed | None:
    if index == base:
        return None
    pairs = []
    for row in rows:
        before, after = row.cells[base], row.cells[index]
        if before and after and before.outcome in _GOOD and after.outcome in _GOOD:
            pairs.append((before.seconds, after.seconds))
    return speed_of(pairs)


__all__ = [
    "CHANGES",
    "Cell",
    "Change",
    "Comparison",
    "Drift",
    "Row",
    "Side",
    "Speed",
    "change_of",
    "compare",
    "identity_of",
    "side_of_run",
    "sides_by",
    "sides_of",
]
