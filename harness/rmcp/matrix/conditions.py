"""Answers the conditions of rules for points of the product, each different question once."""

from __future__ import annotations

import itertools
from typing import Any

from rmcp.matrix.document import Condition, Matrix
from rmcp.matrix.expressions import Truth
from rmcp.matrix.facts import is_argument
from rmcp.matrix.patching import Chosen, Patching, Point

_MOST_LOOKED_AT = 1_000_000  # points tried to find one that a rule matches; about 2 s


class _Compiled:
    """``match`` as (axis number, value indices); ``asks`` the axes that decide ``where``."""

    __slots__ = ("answers", "asks", "match", "where")

    def __init__(self, when: Condition, matrix: Matrix, patching: Patching) -> None:
        index = {axis.name: number for number, axis in enumerate(matrix.axes)}
        self.match: list[tuple[int, frozenset[int]]] = []
        for axis, names in when.match.items():
            values = matrix.axes[index[axis]].values
            matched = frozenset(number for number, value in enumerate(values) if value.name in names)
            self.match.append((index[axis], matched))
        self.where = when.where
        asks: set[int] = set()
        for name in when.where.names if when.where is not None else ():
            if name in index:
                asks.add(index[name])
            elif name == "workload":
                asks.update(patching.workload_axes)
            else:
                asks |= patching.argument_axes.get(name.removeprefix("args."), set())
        self.asks = tuple(sorted(asks))
        self.answers: dict[Any, Truth] = {}


class Conditions:
    """Conditions of one matrix. Rules are told apart by identity, so they must outlive this."""

    def __init__(self, matrix: Matrix, patching: Patching) -> None:
        self._matrix, self._patching = matrix, patching
        self._compiled: dict[int, _Compiled] = {}

    def holds(self, when: Condition, point: Point, chosen: Chosen = ()) -> Truth:
        """True, False, or None when it depends on the machine. ``chosen``: `set` rules already applied."""
        compiled = self._compiled.get(id(when)) or self._compile(when)
        for number, values in compiled.match:
            if point[number] not in values:
                return False
        if compiled.where is None:
            return True
        memo = (chosen, *[point[i] for i in compiled.asks])
        try:
            return compiled.answers[memo]
        except KeyError:
            answer = compiled.answers[memo] = compiled.where.evaluate(self._facts(compiled, point, chosen))
            return answer

    def depends_on(self, when: Condition) -> tuple[int, ...]:
        """Numbers of the axes that decide a condition, ascending."""
        compiled = self._compile(when)
        return tuple(sorted({*compiled.asks, *(number for number, _ in compiled.match)}))

    def can_hold(self, when: Condition, after_set: bool = False) -> bool:
        """Whether any point of the product meets it (looks at 1,000,000 at most, then says yes).

        ``after_set``: the rule sees what `set` rules changed; what depends on that is not looked into.
        """
        if after_set and when.where is not None:
            plain = {name.removeprefix("args.") for name in when.where.names}
            if plain & self._patching.set_names:
                return True
        wanted = self.depends_on(when)
        point = [0] * len(self._matrix.axes)
        ranges = [range(len(self._matrix.axes[i].values)) for i in wanted]
        for looked_at, values in enumerate(itertools.product(*ranges)):
            for place, value in zip(wanted, values, strict=True):
                point[place] = value
            if looked_at >= _MOST_LOOKED_AT or self.holds(when, tuple(point)) is not False:
                return True
        return False

    def _compile(self, when: Condition) -> _Compiled:
        if id(when) not in self._compiled:
            self._compiled[id(when)] = _Compiled(when, self._matrix, self._patching)
        return self._compiled[id(when)]

    def _facts(self, compiled: _Compiled, point: Point, chosen: Chosen) -> dict[str, object]:
        """Only the names that are asked: axes before arguments before the workload."""
        args = self._patching.args(point, chosen)
        facts: dict[str, object] = {}
        assert compiled.where is not None
        for name in compiled.where.names:
            if name in args:
                facts[name] = args[name]
            elif name == "workload":
                facts[name] = self._patching.setup(point, chosen).workload
            elif is_argument(name):
                facts[name] = args.get(name.removeprefix("args."))
        for axis, value in zip(self._matrix.axes, point, strict=True):
            facts[axis.name] = axis.values[value].name
        return facts
