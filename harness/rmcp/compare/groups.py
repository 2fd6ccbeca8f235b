"""What changed, in few words: rows of one side that changed in the same way, and the axis values they share (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rmcp.compare.model import IMPORTANCE, Change, Comparison, Row

# Changes that a group explains; the others are about one row, or about no defect.
_GROUPED = (Change.REGRESSION, Change.WORSE, Change.LATERAL, Change.FIX, Change.BETTER, Change.SIGNATURE)


@dataclass(frozen=True)
class Group:
    """``count`` rows of ``side`` that went from outcome ``before`` to ``after`` (with ``cause``, that of the
    failure). ``shared`` are the axis values that all of them have and not every row has; ``outside`` counts rows with
    the same values, present on both sides, that did not change like this."""

    side: int
    change: Change
    before: str
    after: str
    cause: str
    message: str
    count: int
    shared: Mapping[str, str]
    outside: int


def groups_of(comparison: Comparison, side: int) -> list[Group]:
    """Groups of one side against the baseline, the most important change first, then the largest."""
    base = comparison.baseline
    found: dict[tuple[Change, str, str, str], list[Row]] = {}
    for row in comparison.rows:
        change, before, after = row.changes[side], row.cells[base], row.cells[side]
        if change in _GROUPED and before is not None and after is not None:
            failing = before if change is Change.FIX else after
            key = change, before.outcome.value, after.outcome.value, str(failing.cause)
            found.setdefault(key, []).append(row)
    if not found:
        return []
    varied = [len(set(values)) > 1 for values in zip(*(row.values for row in comparison.rows), strict=True)]
    present = [row for row in comparison.rows if row.cells[base] is not None and row.cells[side] is not None]
    groups = []
    for (change, old, new, cause), rows in found.items():
        places = _shared(rows, varied)
        first = rows[0].values
        same = sum(all(row.values[i] == first[i] for i in places) for row in present) if places else len(present)
        cells = [row.cells[base if change is Change.FIX else side] for row in rows]
        groups.append(
            Group(
                side,
                change,
                old,
                new,
                cause,
                next((cell.message for cell in cells if cell is not None and cell.message), ""),
                len(rows),
                {comparison.axes[i]: first[i] for i in places},
                same - len(rows),
            )
        )
    return sorted(groups, key=lambda group: (IMPORTANCE[group.change], -group.count))


def _shared(rows: Sequence[Row], varied: Sequence[bool]) -> list[int]:
    """Axes, by place, in which all of the rows agree and not all rows of the comparison do."""
    first = rows[0].values
    places = [i for i, varies in enumerate(varied) if varies and first[i]]
    for row in rows:
        values = row.values
        places = [i for i in places if values[i] == first[i]]
        if not places:
            break
    return places
