"""How much of the full product is known: proven by a run, inferred from a rule, or untested.

"Inferred fails" needs every rule that this data cannot tell apart to agree; "inferred passes" needs that
none of them covers the cell and that each pair of its axis values was seen together in a passing one. The
rest is untested.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Axes = Mapping[str, str]


@dataclass(frozen=True)
class Near:
    """An untested cell and how many axes away the nearest failing one is."""

    axes: Axes
    distance: int
    failing: str


@dataclass(frozen=True)
class Coverage:
    """Counts over the full product, and the untested cells nearest to failures."""

    total: int
    proven: int
    inferred_fails: int
    inferred_passes: int
    nearest: tuple[Near, ...] = ()

    @property
    def inferred(self) -> int:
        """Cells that no one ran but the data speaks for."""
        return self.inferred_fails + self.inferred_passes

    @property
    def untested(self) -> int:
        """Cells about which nothing is known."""
        return self.total - self.proven - self.inferred

    def text(self) -> str:
        """``proven 120 of 480 (25 %), inferred 300 (...), untested 60 (12.5 %)``."""

        def part(count: int) -> str:
            return f"{count} ({100 * count / self.total:.1f} %)" if self.total else str(count)

        return (
            f"of {self.total} cells proven {part(self.proven)}, inferred {part(self.inferred)} "
            f"({self.inferred_fails} fail, {self.inferred_passes} pass), untested {part(self.untested)}"
        )


def coverage(
    product: Sequence[Axes],
    passed: Iterable[Axes],
    failed: Mapping[str, Axes],
    agreed: Iterable[int] = (),
    possible: Iterable[int] = (),
    most_near: int = 10,
) -> Coverage:
    """Shares of ``product``. ``failed``: id -> axes of failing cells; ``agreed`` are indices of the product
    that all rivals of some rule cover, ``possible`` those that at least one covers."""
    passing = list(passed)
    proven = {_key(axes) for axes in (*passing, *failed.values())}
    pairs = {pair for axes in passing for pair in _pairs(axes)}
    sure, maybe = set(agreed), set(possible)
    fails = passes = known = 0
    open_cells: list[Axes] = []
    for index, axes in enumerate(product):
        if _key(axes) in proven:
            known += 1
        elif index in sure:
            fails += 1
        elif index not in maybe and all(pair in pairs for pair in _pairs(axes)):
            passes += 1
        else:
            open_cells.append(axes)
    near = sorted((_nearest(axes, failed) for axes in open_cells), key=lambda n: n.distance) if failed else []
    return Coverage(len(product), known, fails, passes, tuple(near[:most_near]))


def _key(axes: Axes) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(axes.items()))


def _pairs(axes: Axes) -> Iterable[tuple[tuple[str, str], ...]]:
    return itertools.combinations(sorted(axes.items()), min(2, len(axes)))


def _nearest(axes: Axes, failed: Mapping[str, Axes]) -> Near:
    def distance(other: Axes) -> int:
        return sum(1 for name in {*axes, *other} if axes.get(name) != other.get(name))

    name = min(failed, key=lambda case: distance(failed[case]))
    return Near(axes, distance(failed[name]), name)
