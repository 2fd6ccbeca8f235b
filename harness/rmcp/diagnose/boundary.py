"""The exact edge of a failure along one whole number: bracketing, bisection, then a check of the shape it
claims.

Two bisected edges look the same whether the failing set is an interval, a residue class or scattered; so
what was found is held against fresh values, and the simplest description that survives them is reported.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from rmcp.diagnose.probing import BudgetSpent

_MODULI = (*range(2, 17), 20, 24, 32, 48, 64)  # periods that kernels tile by
_TILES = (8, 16, 32, 64)
_WINDOW = 26  # consecutive values that are asked when the set is not an interval
_CHECKS = 10  # fresh values that a claimed shape is held against
_SEED = 20_240_601  # of the choice of fresh values: the same search asks the same questions


class Kind(str, Enum):
    """The shape of the failing set."""

    EDGE = "edge"
    INTERVAL = "interval"
    RESIDUE = "residue class"
    SCATTERED = "scattered"
    EVERYWHERE = "everywhere"


@dataclass(frozen=True)
class Boundary:
    """Fails for low <= t <= high (None: no edge on that side within the limits) and t % modulus in residues.

    ``asked`` maps every t that was tried to whether it failed; ``floor`` is the least number of yes-or-no
    answers that could have told this edge from all others within the limits (log2); ``complete`` is False
    when the budget ended the search.
    """

    kind: Kind
    low: int | None
    high: int | None
    modulus: int = 1
    residues: tuple[int, ...] = (0,)
    asked: Mapping[int, bool] = field(default_factory=dict)
    limits: tuple[int, int] = (0, 0)
    floor: float = 0.0
    complete: bool = True

    def predicts(self, t: int) -> bool:
        """Whether this shape says that t fails."""
        if (self.low is not None and t < self.low) or (self.high is not None and t > self.high):
            return False
        return t % self.modulus in self.residues

    def text(self, name: str = "t") -> str:
        """One sentence about the failing set."""
        if self.kind is Kind.SCATTERED:
            failing = sorted(t for t, failed in self.asked.items() if failed)
            return f"scattered: of {len(self.asked)} values tried, {name} = {ranges(failing)} fail"
        where = []
        if self.low is not None:
            where.append(f"{name} >= {self.low}")
        if self.high is not None:
            where.append(f"{name} <= {self.high}")
        if self.modulus > 1:
            if len(self.residues) * 2 > self.modulus:
                others = [r for r in range(self.modulus) if r not in self.residues]
                where.append(
                    f"{name} % {self.modulus} not in {others}"
                    if len(others) > 1
                    else f"{name} % {self.modulus} != {others[0]}"
                )
            elif len(self.residues) == 1:
                where.append(f"{name} % {self.modulus} == {self.residues[0]}")
            else:
                where.append(f"{name} % {self.modulus} in {list(self.residues)}")
        within = f"within {self.limits[0]} to {self.limits[1]}"
        return f"{self.kind.value}: fails for {' and '.join(where) or f'every {name} tried'} ({within})"


def find_boundary(fails: Callable[[int], bool], start: int, low: int, high: int) -> Boundary:
    """The failing set around ``start`` (known to fail) between ``low`` and ``high``. ``fails`` may raise
    BudgetSpent."""
    asked: dict[int, bool] = {start: True}

    def ask(t: int) -> bool:
        if t not in asked:
            asked[t] = fails(t)
        return asked[t]

    found = Boundary(Kind.SCATTERED, None, None)
    complete = True
    try:
        lowest = _edge(ask, start, low, -1)
        highest = _edge(ask, start, high, +1)
        found = _interval(lowest, highest)
        if not _holds(found, ask, low, high, start):
            found = _periodic(ask, asked, start, low, high)
    except BudgetSpent:
        complete = False
    floor = math.log2(max(2, high - low + 1)) * max(1, (found.low is not None) + (found.high is not None))
    return Boundary(
        found.kind,
        found.low,
        found.high,
        found.modulus,
        found.residues,
        dict(asked),
        (low, high),
        floor,
        complete,
    )


def _edge(ask: Callable[[int], bool], start: int, limit: int, direction: int, step: int = 1) -> int | None:
    """The last failing t on the way from ``start`` to ``limit`` in steps; None when it fails up to the
    limit."""
    inside, width = start, 1
    reach = abs(limit - start) // step
    while True:
        if width >= reach:
            outside = start + direction * reach * step
            if ask(outside):
                return None
            break
        outside = start + direction * width * step
        if not ask(outside):
            break
        inside, width = outside, width * 2
    while abs(outside - inside) > step:
        middle = inside + direction * (abs(outside - inside) // step // 2) * step
        if ask(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _interval(low: int | None, high: int | None) -> Boundary:
    kind = (
        Kind.EVERYWHERE if low is None and high is None else Kind.EDGE if low is None or high is None else Kind.INTERVAL
    )
    return Boundary(kind, low, high)


def _fresh(low: int, high: int, near: Iterable[int], asked: Sequence[int] = (), count: int = _CHECKS) -> list[int]:
    """Values that a shape is checked on: next to the edges, then anywhere; the same ones every time."""
    rng = random.Random(_SEED)
    wanted = [t + d for t in near for d in (-3, -2, 2, 3, 5, -5)]
    wanted += [rng.randint(low, high) for _ in range(3 * count)]
    fresh = list(dict.fromkeys(t for t in wanted if low <= t <= high and t not in set(asked)))
    return fresh[: count + len(list(near)) * 2]


def _holds(claim: Boundary, ask: Callable[[int], bool], low: int, high: int, start: int) -> bool:
    edges = [edge for edge in (claim.low, claim.high, start) if edge is not None]
    # Multiples of the tile sizes away from the start: a sparse residue class looks like a narrow interval
    # without.
    steps = [start + d for size in _TILES for d in (-size, size) if low <= start + d <= high]
    return all(ask(t) is claim.predicts(t) for t in (*steps, *_fresh(low, high, edges)))


def _periodic(ask: Callable[[int], bool], asked: dict[int, bool], start: int, low: int, high: int) -> Boundary:
    """A residue class, with or without edges; else the set counts as scattered."""
    first = max(low, min(start - _WINDOW // 3, high - _WINDOW))
    for t in range(first, min(high, first + _WINDOW) + 1):
        ask(t)
    # Edges may lie among the values asked: the failing ones bound the part that the period has to explain.
    failing = [t for t, failed in asked.items() if failed]
    inner = {t: failed for t, failed in asked.items() if min(failing) <= t <= max(failing)}
    for modulus in _MODULI:
        residues = {t % modulus for t in failing}
        if any(t % modulus in residues for t, failed in inner.items() if not failed):
            continue
        if max(failing) - min(failing) < modulus or len(residues) == modulus:
            continue
        bottom = _edge(ask, start, low, -1, modulus)
        top = _edge(ask, start, high, +1, modulus)
        claim = Boundary(
            Kind.RESIDUE,
            None if bottom is None else _tight(ask, bottom, -1, modulus, residues, low, high),
            None if top is None else _tight(ask, top, +1, modulus, residues, low, high),
            modulus, tuple(sorted(residues)),
        )  # fmt: skip
        if _holds(claim, ask, low, high, start):
            return claim
    for t in _fresh(low, high, [start], list(asked), _CHECKS):
        ask(t)
    return Boundary(Kind.SCATTERED, None, None)


def _tight(
    ask: Callable[[int], bool],
    edge: int,
    direction: int,
    modulus: int,
    residues: set[int],
    low: int,
    high: int,
) -> int:
    """The outermost failing value near the last failing one of a single residue."""
    last = edge
    for distance in range(1, modulus):
        t = edge + direction * distance
        if low <= t <= high and t % modulus in residues and ask(t):
            last = t
    return last


def decisive(found: Boundary, most: int = 40) -> list[int]:
    """The values that a boundary hangs on: both sides of its edges; all that were asked when it is no plain edge."""
    if found.kind is Kind.EDGE:
        near = {t + d for t in (found.low, found.high) if t is not None for d in (-1, 0, 1)}
        return sorted(near & set(found.asked))
    step = max(1, len(found.asked) // most)
    return sorted(found.asked)[::step]


def ranges(values: Sequence[int], most: int = 12) -> str:
    """``3-5, 9, 12-14``; long lists end in a count of what is left out."""
    runs: list[list[int]] = []
    for value in values:
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    words = [str(a) if a == b else f"{a}-{b}" for a, b in runs[:most]]
    return ", ".join(words) + (f" and {len(runs) - most} more" if len(runs) > most else "")


def draw(found: Boundary, name: str = "t", width: int = 72) -> str:
    """A line of the values tried: ``#`` failed, ``.`` passed, ``?`` both in one column, blank not tried."""
    low, high = found.limits
    columns = min(width, high - low + 1)
    cells: list[set[bool]] = [set() for _ in range(columns)]
    for t, failed in found.asked.items():
        cells[min(columns - 1, (t - low) * columns // (high - low + 1))].add(failed)
    line = "".join(" " if not cell else "?" if len(cell) == 2 else "#" if True in cell else "." for cell in cells)
    marks = [" "] * columns
    for edge in (found.low, found.high):
        if edge is not None:
            marks[min(columns - 1, max(0, (edge - low) * columns // (high - low + 1)))] = "^"
    scale = str(low) + str(high).rjust(columns - len(str(low)))
    legend = f"{name}: # fails  . passes  ? both  ^ edge"
    return "\n".join(part.rstrip() for part in (line, "".join(marks), scale, legend))
