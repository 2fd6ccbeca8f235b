"""The narrowest conditions over axis values that hold for some cases and for none of the others. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rmcp.matrix.rules import quoted

Axes = Mapping[str, str]  # axis -> value name of one case
Box = Mapping[str, frozenset[str]]  # axis -> the values it takes

_MOST_MERGED = 120  # boxes among which every pair is tried; the cost grows with the cube


def boxes(members: Sequence[Axes], others: Sequence[Axes]) -> list[Box]:
    """Few boxes that hold every member and no other case; each is the smallest around its members.

    No case may be in both. A box is what a conjunction of `axis in [...]` can say.
    """
    parts = _split(list(members), list(others)) if members else []
    return [_box(part) for part in _merged(parts, others)]


def expression(box: Box, values: Mapping[str, Sequence[str]]) -> str:
    """A box as an expression; axes of which it holds all ``values`` are left out. "" for everything."""
    tests = []
    for axis, known in values.items():
        held = [name for name in known if name in box[axis]]
        if len(held) < len(known):
            words = [quoted(name) for name in held]
            tests.append(f"{axis} == {words[0]}" if len(words) == 1 else f"{axis} in [{', '.join(words)}]")
    return " and ".join(tests)


def needed(box: Box, others: Sequence[Axes], values: Mapping[str, Sequence[str]]) -> dict[str, frozenset[str]]:
    """The box without the axes that are not needed to keep the others out, the last axes going first."""
    wide = {axis: frozenset(box[axis]) for axis in values}
    for axis in reversed(list(values)):
        wider = {**wide, axis: frozenset(values[axis])}
        if not any(_inside(wider, other) for other in others):
            wide = wider
    return wide


def _box(points: Sequence[Axes]) -> dict[str, frozenset[str]]:
    return {axis: frozenset(point[axis] for point in points) for axis in points[0]}


def _inside(box: Box, point: Axes) -> bool:
    return all(point.get(axis) in held for axis, held in box.items())


def _split(members: list[Axes], others: list[Axes]) -> list[list[Axes]]:
    """Cut along the axis that separates best, again and again, until no part holds another case."""
    box = _box(members)
    inside = [other for other in others if _inside(box, other)]
    if not inside:
        return [members]
    best: tuple[int, int, list[list[Axes]]] | None = None
    for axis, held in box.items():
        if len(held) < 2:
            continue
        by_value: dict[str, list[Axes]] = {}
        for member in members:
            by_value.setdefault(member[axis], []).append(member)
        parts = list(by_value.values())
        left = sum(_inside(_box(part), other) for part in parts for other in inside)
        if best is None or (left, len(parts)) < best[:2]:
            best = (left, len(parts), parts)
    if best is None:
        return [members]  # one point that others share: nothing over axes can tell them apart
    return [piece for part in best[2] for piece in _split(part, inside)]


def _merged(parts: list[list[Axes]], others: Sequence[Axes]) -> list[list[Axes]]:
    """Join parts as long as the box around two of them holds no other case."""
    joined = len(parts) <= _MOST_MERGED
    while joined:
        joined = False
        for first in range(len(parts)):
            for second in range(len(parts) - 1, first, -1):
                both = parts[first] + parts[second]
                box = _box(both)
                if not any(_inside(box, other) for other in others):
                    parts[first] = both
                    del parts[second]
                    joined = True
    return parts
