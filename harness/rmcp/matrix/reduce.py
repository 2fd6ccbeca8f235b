"""Covering arrays: every possible combination of values of any ``strength`` axes stands in at least one row.

covertable proposes the rows of a new array. What rows cover is counted here, by other code, and what is
missing (because of constraints, or because the matrix was edited after its lock file was written) is topped
up by few further rows, so that rows which exist stay as they are. The same top-up from nothing is a second
proposal; the shorter one wins.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from rmcp.errors import UserError

Row = tuple[int, ...]  # index of a value per reduced axis
Where = tuple[int, ...]  # numbers of the axes of a combination
Combination = tuple[Where, Row]

_MOST_COMBINATIONS = 500_000  # counted one by one: about 1 s and 200 MB
_MOST_FOR_COVERTABLE = 4_000  # its greedy search is quadratic in this: about 3 s on a slow core
_MOST_STEPS = 20_000  # steps of the search whether a combination can be completed to a legal row


@dataclass(frozen=True, slots=True)
class Constraint:
    """Something that a row must obey: ``allows`` is asked with the values of ``axes``, in their order."""

    axes: Where
    allows: Callable[[Row], bool]


@dataclass(frozen=True, slots=True)
class Coverage:
    """``covered`` of ``possible`` combinations of ``strength`` axes; ``impossible`` are excluded ones.

    ``kept`` of the ``rows`` came from the lock file, ``dropped`` rows of it are no longer legal.
    """

    strength: int
    possible: int
    covered: int
    impossible: int
    rows: int
    kept: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        share = 100.0 * self.covered / self.possible if self.possible else 100.0
        text = f"{self.strength}-way: {self.covered} of {self.possible} combinations ({share:.4g} %)"
        text += f" in {self.rows} rows"
        if self.impossible:
            text += f"; {self.impossible} excluded"
        if self.kept or self.dropped:
            text += f"; {self.kept} rows from the lock, {self.dropped} of it no longer legal"
        return text


def covering_rows(
    sizes: Sequence[int], strength: int, constraints: Sequence[Constraint], locked: Iterable[Row] = ()
) -> tuple[list[Row], Coverage]:
    """Sorted rows that cover every possible combination, and the recounted coverage.

    ``sizes`` are the numbers of values per axis. ``locked`` rows are kept where they are legal.
    Deterministic: the same input gives the same rows. Raises UserError when there are too many combinations.
    """
    strength = min(strength, len(sizes))
    wheres = list(itertools.combinations(range(len(sizes)), strength))
    total = sum(math.prod(sizes[axis] for axis in where) for where in wheres)
    if total > _MOST_COMBINATIONS:
        raise UserError(
            f"reduce: {strength}-way over axes of {'x'.join(map(str, sizes))} values has {total:,} "
            f"combinations, more than {_MOST_COMBINATIONS:,}; choose a smaller strength or split the matrix"
        )
    given = list(dict.fromkeys(locked))
    kept = [row for row in given if is_legal(row, constraints)]
    rows, impossible = _topped_up(kept, sizes, constraints, wheres)
    if not given:
        proposed = _proposed(sizes, strength, constraints, total)
        if proposed:
            other, impossible = _topped_up(proposed, sizes, constraints, wheres)
            rows = min(rows, other, key=len)
    recounted = len(set(combinations(rows, wheres)))
    return rows, Coverage(
        strength, total - impossible, recounted, impossible, len(rows), len(kept), len(given) - len(kept)
    )


def _topped_up(
    kept: Sequence[Row], sizes: Sequence[int], constraints: Sequence[Constraint], wheres: Sequence[Where]
) -> tuple[list[Row], int]:
    """The rows and what it takes to cover the rest, sorted; and the number of impossible combinations."""
    rows = list(kept)
    covered = set(combinations(rows, wheres))
    search = _Search(sizes, constraints)
    impossible = 0
    for where in wheres:
        for values in itertools.product(*(range(sizes[axis]) for axis in where)):
            if (where, values) in covered:
                continue
            row = search.complete(where, values, covered, wheres)
            if row is None:
                impossible += 1
                continue
            rows.append(row)
            covered.update(combinations([row], wheres))
    return sorted(set(rows)), impossible


def combinations(rows: Iterable[Row], wheres: Sequence[Where]) -> Iterator[Combination]:
    """Every combination that the rows hold, with repetitions."""
    for row in rows:
        for where in wheres:
            yield where, tuple(row[axis] for axis in where)


def is_legal(row: Row, constraints: Sequence[Constraint]) -> bool:
    """Whether a whole row obeys every constraint."""
    return all(rule.allows(tuple(row[axis] for axis in rule.axes)) for rule in constraints)


def _proposed(sizes: Sequence[int], strength: int, constraints: Sequence[Constraint], total: int) -> list[Row]:
    """covertable's rows; none where there would be nothing to choose or too much to search."""
    if strength < 2 or len(sizes) < 2 or total > _MOST_FOR_COVERTABLE:
        return []
    from covertable import Controller

    rules = [
        {
            "operator": "fn",
            "requires": list(rule.axes),
            "evaluate": lambda row, rule=rule: rule.allows(tuple(row[axis] for axis in rule.axes)),
        }
        for rule in constraints
    ]
    controller = Controller([list(range(size)) for size in sizes], strength=strength, constraints=rules)
    rows = (tuple(int(value) for value in row) for row in controller.make())
    return [row for row in rows if len(row) == len(sizes) and is_legal(row, constraints)]


class _Search:
    """Completes a combination to a legal row that covers much of what is still missing."""

    def __init__(self, sizes: Sequence[int], constraints: Sequence[Constraint]) -> None:
        self.sizes, self.constraints = sizes, constraints
        self.by_axis: list[list[Constraint]] = [[] for _ in sizes]
        for rule in constraints:
            for axis in rule.axes:
                self.by_axis[axis].append(rule)
        self.turn = 0

    def complete(self, where: Where, values: Row, covered: set[Combination], wheres: Sequence[Where]) -> Row | None:
        """A legal row with these values, or None when there is none."""
        row: list[int | None] = [None] * len(self.sizes)
        for axis, value in zip(where, values, strict=True):
            row[axis] = value
        if not all(self._obeys(row, axis) for axis in where):
            return None
        # Constrained axes first: a dead end is met early.
        rest = sorted((a for a in range(len(row)) if row[a] is None), key=lambda a: (-len(self.by_axis[a]), a))
        self.turn += 1
        self.steps = 0
        return tuple(v for v in row if v is not None) if self._fill(row, rest, covered, wheres) else None

    def _fill(self, row: list[int | None], rest: list[int], covered: set[Combination], wheres: Sequence[Where]) -> bool:
        if not rest:
            return True
        axis = rest[0]
        size = self.sizes[axis]
        gains = [
            (-self._gain(row, axis, value, covered, wheres), (value - self.turn) % size, value) for value in range(size)
        ]
        for _, _, value in sorted(gains):
            self.steps += 1
            if self.steps > _MOST_STEPS:
                raise UserError("reduce: the `exclude` rules are too entangled to find legal rows; simplify them")
            row[axis] = value
            if self._obeys(row, axis) and self._fill(row, rest[1:], covered, wheres):
                return True
        row[axis] = None
        return False

    def _gain(
        self, row: list[int | None], axis: int, value: int, covered: set[Combination], wheres: Sequence[Where]
    ) -> int:
        """How many missing combinations this value would cover together with what the row has already."""
        row[axis] = value
        gain = 0
        for where in wheres:
            if axis in where:
                values = tuple(row[a] for a in where)
                gain += None not in values and (where, values) not in covered
        row[axis] = None
        return gain

    def _obeys(self, row: list[int | None], axis: int) -> bool:
        for rule in self.by_axis[axis]:
            values = tuple(v for a in rule.axes if (v := row[a]) is not None)
            if len(values) == len(rule.axes) and not rule.allows(values):
                return False
        return True
