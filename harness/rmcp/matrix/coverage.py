"""What a run says about the full product: proven, inferred, untested, and where to look next. Pure."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from rmcp.matrix.building import Builder, Point
from rmcp.matrix.document import Axis
from rmcp.matrix.plan import Plan

_MOST_COUNTED = 300_000  # cases of the product that are looked at one by one; about 3 s
_MOST_NEIGHBOURS = 200_000  # neighbours of failures that are tried
_DEFAULT_STRENGTH = 2
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Near:
    """An untested case: it differs in ``distance`` axes from ``failures`` failing ones."""

    id: str
    distance: int
    failures: int


@dataclass(frozen=True, slots=True)
class ProductCoverage:
    """``full`` cases of the product (without excluded ones; None: too many to count). ``proven`` ones ran;
    ``inferred`` ones did not, but each combination of ``strength`` of their values passed in some case; the rest
    is untested, since a combination that only ever failed speaks for nothing. ``nearest`` are untested ones.
    ``strangers`` ran, but the matrix does not have them (any more)."""

    full: int | None
    proven: int
    inferred: int
    untested: int
    strength: int
    strangers: int
    nearest: tuple[Near, ...]

    def __str__(self) -> str:
        if self.full is None:
            return f"{self.proven} cases proven of a product too large to count"

        def share(count: int) -> str:
            return f"{count} ({100.0 * count / self.full:.3g} %)" if self.full else str(count)

        return (
            f"of the {self.full} cases of the full product {share(self.proven)} are proven, "
            f"{share(self.inferred)} inferred (all their {self.strength}-way combinations passed), "
            f"{share(self.untested)} untested"
        )


def measure(
    plan: Plan,
    judged: Iterable[Mapping[str, str]],
    failing: Iterable[Mapping[str, str]],
    most: int = _SHOWN,
) -> ProductCoverage:
    """Hold a run against the matrix: its judged cases (axis -> value name), and those of them that failed."""
    matrix = plan.matrix
    builder = Builder(matrix, plan.settings)
    judged = list(judged)
    places = {axis.name: {name: at for at, name in enumerate(axis.names)} for axis in matrix.axes}
    proven = {point for axes in judged if (point := _point(matrix.axes, places, axes)) is not None}
    failed = {point for axes in failing if (point := _point(matrix.axes, places, axes)) is not None}
    strength = min(plan.reduce.strength if plan.reduce is not None else _DEFAULT_STRENGTH, len(matrix.axes))
    sizes = [len(axis.values) for axis in matrix.axes]

    def exists(point: Point) -> bool:
        return not any(builder.holds(rule.when, point) is True for rule in matrix.exclude)

    wheres = list(itertools.combinations(range(len(sizes)), strength))
    passed = {(where, tuple([point[i] for i in where])) for point in proven - failed for where in wheres}

    def inferred_to_pass(point: Point) -> bool:
        return all((where, tuple([point[i] for i in where])) in passed for where in wheres)

    full: int | None = None
    inferred = untested = 0
    if math.prod(sizes) <= _MOST_COUNTED:
        full = 0
        for point in itertools.product(*(range(size) for size in sizes)):
            if not exists(point):
                continue
            full += 1
            if point not in proven:
                inferred += inferred_to_pass(point)
        untested = full - len(proven) - inferred
    nearest = [
        Near(builder.case(point, "product").id, distance, failures)
        for point, distance, failures in _nearest(
            sizes, proven, failed, lambda point: exists(point) and not inferred_to_pass(point), most
        )
    ]
    return ProductCoverage(full, len(proven), inferred, untested, strength, len(judged) - len(proven), tuple(nearest))


def _point(axes: Sequence[Axis], places: Mapping[str, Mapping[str, int]], chosen: Mapping[str, str]) -> Point | None:
    point = []
    for axis in axes:
        at = places[axis.name].get(chosen.get(axis.name, axis.default or ""))
        if at is None:
            return None
        point.append(at)
    return tuple(point)


def _nearest(
    sizes: Sequence[int], proven: set[Point], failed: set[Point], untested: Callable[[Point], bool], most: int
) -> list[tuple[Point, int, int]]:
    """(point, distance, failures at that distance) of unproven points, the most suspect first."""
    found: dict[Point, tuple[int, int]] = {}
    for distance in (1, 2):
        counts = Counter(
            near
            for near in itertools.islice(_neighbours(sizes, failed, distance), _MOST_NEIGHBOURS)
            if near not in proven and near not in found
        )
        for point, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            if len(found) >= most:
                break
            if untested(point):
                found[point] = (distance, count)
    return [(point, distance, count) for point, (distance, count) in found.items()]


def _neighbours(sizes: Sequence[int], points: set[Point], distance: int) -> Iterator[Point]:
    """Every point that differs from one of ``points`` in exactly ``distance`` axes, once for each."""
    for point in sorted(points):
        for axes in itertools.combinations(range(len(sizes)), distance):
            others = [[value for value in range(sizes[axis]) if value != point[axis]] for axis in axes]
            for values in itertools.product(*others):
                near = list(point)
                for axis, value in zip(axes, values, strict=True):
                    near[axis] = value
                yield tuple(near)
