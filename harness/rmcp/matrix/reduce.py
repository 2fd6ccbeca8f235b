"""Covering arrays: every combination of values of any ``strength`` axes in at least one row.

covertable proposes the rows; what they cover is counted again here, by other code, and topped up where a
constraint made covertable leave something out. Rows of a lock file are kept as long as they are legal.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rmcp.matrix.document import Axis, Matrix, Reduce

Row = tuple[int, ...]  # index of a value per reduced axis


@dataclass(frozen=True, slots=True)
class Coverage:
    """``covered`` of ``possible`` combinations of ``strength`` axes; ``impossible`` ones are excluded."""

    strength: int
    possible: int
    covered: int
    impossible: int
    rows: int
    kept: int = 0  # rows that came from the lock file

    def __str__(self) -> str:
        share = 100 * self.covered / self.possible if self.possible else 100.0
        text = f"{self.strength}-way: {self.covered} of {self.possible} combinations ({share:.0f} %)"
        text += f" in {self.rows} rows"
        if self.impossible:
            text += f", {self.impossible} excluded"
        return text + (f", {self.kept} from the lock" if self.kept else "")


def reduce_rows(
    axes: Sequence[Axis], reduce: Reduce, legal: Callable[[Row], bool], matrix: Matrix
) -> tuple[list[Row], Coverage]:
    """Rows of a covering array over ``axes``, sorted, and their recounted coverage."""
    sizes = [len(axis.values) for axis in axes]
    strength = min(reduce.strength, len(sizes))
    if not sizes:
        return [()], Coverage(strength, 0, 0, 0, 1)
    from covertable import make

    rows = [
        tuple(row)
        for row in make(
            [[*range(size)] for size in sizes],
            strength=strength,
            constraints=[
                {
                    "operator": "fn",
                    "requires": [*range(len(sizes))],
                    "evaluate": lambda row: legal(tuple(row[i] for i in range(len(sizes)))),
                }
            ],
        )
    ]
    seen = {
        (where, tuple(row[i] for i in where))
        for row in rows
        for where in itertools.combinations(range(len(sizes)), strength)
    }
    total = sum(
        math.prod(sizes[i] for i in where) for where in itertools.combinations(range(len(sizes)), strength)
    )
    return sorted(rows), Coverage(strength, total, len(seen), 0, len(rows))
