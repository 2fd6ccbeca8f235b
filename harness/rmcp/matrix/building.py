"""One point of the product -> one Case. Parts that many cases share are made once."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from rmcp.matrix.conditions import Conditions
from rmcp.matrix.document import Condition, Matrix, Requirement, Setting
from rmcp.matrix.errors import Position, Problem
from rmcp.matrix.expressions import Truth
from rmcp.matrix.model import Case, Need
from rmcp.matrix.nodes import Source
from rmcp.matrix.patching import Chosen, Patching, Point

__all__ = ["Builder", "Point", "digest"]


def digest(pairs: Sequence[str]) -> str:
    """sha256 (hex) of ``axis=value`` texts that are already sorted by axis, one a line."""
    return hashlib.sha256("\n".join(pairs).encode()).hexdigest()


class Builder:
    """Builds the cases of one matrix. ``touched`` counts the cases that a `set` rule changed."""

    def __init__(self, matrix: Matrix, settings: tuple[Setting, ...]) -> None:
        self.matrix, self.settings = matrix, settings
        self.touched = 0
        self._patching = Patching(matrix, settings)
        self._conditions = Conditions(matrix, self._patching)
        self._names = [axis.names for axis in matrix.axes]
        self._axis_names = [axis.name for axis in matrix.axes]
        # Per axis and value: what it adds to the id and to the key; "" for a default, which is left out.
        self._shown = [["" if name == axis.default else name for name in axis.names] for axis in matrix.axes]
        self._pairs = [[name and f"{axis.name}={name}" for name in shown]
                       for axis, shown in zip(matrix.axes, self._shown, strict=True)]  # fmt: skip
        self._sorted = sorted(range(len(matrix.axes)), key=lambda number: matrix.axes[number].name)
        self._row_axes = [number for number in self._sorted if not matrix.axes[number].compare]
        self._rows: dict[Point, str] = {}
        self._used_settings = [False] * len(settings)
        self._used_requires = [False] * len(matrix.requires)
        self._needed: dict[tuple[int, Truth], Need] = {}

    def case(self, point: Point, origin: str) -> Case:
        """The case of one point."""
        shown = [name for column, value in zip(self._shown, point, strict=True) if (name := column[value])]
        chosen = self._chosen(point)
        self.touched += bool(chosen)
        setup = self._patching.setup(point, chosen)
        return Case(
            id=f"{self.matrix.name}[{'/'.join(shown) or 'default'}]",
            key=self.key(point),
            row=self._row(point),
            workload=setup.workload,
            axes={axis: names[value] for axis, names, value in zip(self._axis_names, self._names, point, strict=True)},
            args=self._patching.args(point, chosen),
            env=setup.env,
            runtime=setup.runtime,
            device=setup.device,
            timeout=setup.timeout,
            seed=setup.seed,
            threads=setup.threads,
            needs=self._needs(point, chosen) if self.matrix.requires else (),
            origin=origin,
        )

    def key(self, point: Point) -> str:
        """The key of a point's case: sha256 of its sorted non-default ``axis=value`` pairs."""
        return digest([pair for number in self._sorted if (pair := self._pairs[number][point[number]])])

    def holds(self, when: Condition, point: Point) -> Truth:
        """Whether a rule is about a point: True, False, or None when it depends on the machine."""
        return self._conditions.holds(when, point)

    def requires(self, rule: Requirement, point: Point) -> Truth:
        """The same for a `requires` rule, which sees what `set` rules changed."""
        return self._conditions.holds(rule.when, point, self._chosen(point))

    def depends_on(self, when: Condition) -> tuple[int, ...]:
        """Numbers of the axes that decide a condition, ascending."""
        return self._conditions.depends_on(when)

    def unused(self) -> list[Problem]:
        """Rules that no case meets, not even one that `reduce` left out."""
        can_hold = self._conditions.can_hold
        matrix = self.matrix
        # Kept while it is asked: conditions are told apart by identity.
        expected = [Condition(where=rule.where) for rule in matrix.expect]
        idle: list[tuple[str, Position]] = []
        idle += [("exclude", rule.position) for rule in matrix.exclude if not can_hold(rule.when)]
        for setting, meets in zip(self.settings, self._used_settings, strict=True):
            if not meets and not can_hold(setting.when):
                idle.append(("set", setting.position))
        for rule, meets in zip(matrix.requires, self._used_requires, strict=True):
            if not meets and not can_hold(rule.when, after_set=True):
                idle.append(("requires", rule.position))
        idle += [
            ("expect", expectation.position)
            for expectation, when in zip(matrix.expect, expected, strict=True)
            if not can_hold(when, after_set=True)
        ]
        source = Source(matrix.text, str(matrix.path))
        return [
            source.problem(position, f"this `{kind}` rule matches no case")
            if position.file == source.origin
            else Problem(position, f"this `{kind}` rule matches no case")
            for kind, position in idle
        ]

    def _row(self, point: Point) -> str:
        place = tuple([point[number] for number in self._row_axes])
        row = self._rows.get(place)
        if row is None:
            pairs = [pair for number in self._row_axes if (pair := self._pairs[number][point[number]])]
            row = self._rows[place] = digest(pairs)
        return row

    def _chosen(self, point: Point) -> Chosen:
        if not self.settings:
            return ()
        chosen = [
            number
            for number, setting in enumerate(self.settings)
            if self._conditions.holds(setting.when, point) is True
        ]
        for number in chosen:
            self._used_settings[number] = True
        return tuple(chosen)

    def _needs(self, point: Point, chosen: Chosen) -> tuple[Need, ...]:
        needs = []
        for number, rule in enumerate(self.matrix.requires):
            answer = self._conditions.holds(rule.when, point, chosen)
            if answer is False:
                continue
            self._used_requires[number] = True
            if (number, answer) not in self._needed:
                self._needed[number, answer] = _need(rule, answer)
            needs.append(self._needed[number, answer])
        return tuple(needs)


def _need(rule: Requirement, answer: Truth) -> Need:
    """A requirement as the machine judges it; ``where`` stays in it when only the machine can tell."""
    text = rule.needs.text
    if answer is None and rule.when.where is not None:
        text = f"not ({rule.when.where.text}) or ({text})"
    return Need(text, rule.reason or f"needs {rule.needs.text}")
