"""Matrix -> Plan: product, exclude, reduce, add, set, requires, and the count after each step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from rmcp.errors import UserError
from rmcp.matrix.building import Builder, Point
from rmcp.matrix.document import Axis, Exclude, Matrix, Profile, Reduce
from rmcp.matrix.errors import MatrixError, Position, Problem, did_you_mean
from rmcp.matrix.model import Case
from rmcp.matrix.nodes import Source
from rmcp.matrix.plan import Plan, Step
from rmcp.matrix.reduce import Coverage, reduce_rows
from rmcp.matrix.select import select

# Combinations looked at to find out whether `exclude` brings a product under the limit; about 2 s.
_MOST_LOOKED_AT = 1_000_000


def expand(matrix: Matrix, profile: str | None = None) -> Plan:
    """All cases of a matrix under a profile.

    Raises MatrixError for rules that match nothing, UserError for an unknown profile or too many cases.
    """
    return _Expansion(matrix, _profile(matrix, profile)).plan()


def _profile(matrix: Matrix, name: str | None) -> Profile | None:
    if name is None:
        return None
    if name not in matrix.profiles:
        hint = did_you_mean(name, matrix.profiles) or "it has no profiles"
        raise UserError(f"matrix {matrix.name!r} has no profile {name!r}; {hint}")
    return matrix.profiles[name]


class _Expansion:
    def __init__(self, matrix: Matrix, profile: Profile | None) -> None:
        self.matrix, self.profile = matrix, profile
        self.reduce = profile.reduce if profile is not None and profile.changes_reduce else matrix.reduce
        self.limit = matrix.limit if profile is None or profile.limit is None else profile.limit
        self.settings = (*matrix.set, *(profile.set if profile is not None else ()))
        self.builder = Builder(matrix, self.settings)
        self.excluded_by: list[set[int]] = [set() for _ in matrix.exclude]
        self.used_excludes = [False] * len(matrix.exclude)
        self.source = Source(matrix.text, str(matrix.path))

    def plan(self) -> Plan:
        matrix, steps = self.matrix, []
        sizes = [len(axis.values) for axis in matrix.axes]
        product = math.prod(sizes) if sizes else 0
        coverage: Coverage | None = None
        steps.append(Step("product", product, " x ".join(f"{a.name} {len(a.values)}" for a in matrix.axes)))
        if self.reduce is None:
            points = self._whole_product(product)
            full = len(points)
            steps.append(Step("exclude", full, f"{len(matrix.exclude)} rules took out {product - full}"))
        else:
            points, coverage, full, exact = self._reduced(self.reduce, product)
            note = f"{len(matrix.exclude)} rules took out {product - full}"
            steps.append(
                Step("exclude", full, note if exact else "too many to count, excluded ones included")
            )
            steps.append(Step("reduce", len(points), str(coverage)))
        self._check_excludes(exact=self.reduce is None or exact)
        added = self._additions(set(points))
        if matrix.add:
            steps.append(
                Step("add", len(points) + len(added), f"{len(matrix.add)} entries put in {len(added)}")
            )
        self._check_limit(len(points) + len(added))
        cases = [self.builder.case(point, "product" if self.reduce is None else "reduce") for point in points]
        cases += [self.builder.case(point, "add") for point in added]
        self._raise(self.builder.unused())
        if self.settings:
            touched = self.builder.touched
            steps.append(Step("set", len(cases), f"{len(self.settings)} rules changed {touched} cases"))
        planned = tuple(cases)
        if self.profile is not None and self.profile.select is not None:
            planned = select(planned, self.profile.select)
            steps.append(
                Step("select", len(planned), f"profile {self.profile.name}: {self.profile.select.text}")
            )
        self._check_ids(cases)
        return Plan(
            matrix=matrix,
            profile=self.profile.name if self.profile is not None else None,
            cases=planned,
            steps=tuple(steps),
            coverage=coverage,
            full=full,
            reduce=self.reduce,
            settings=self.settings,
        )

    def _excluded(self, point: Point) -> Exclude | None:
        for number, rule in enumerate(self.matrix.exclude):
            if self.builder.holds(rule.when, point) is True:
                self.used_excludes[number] = True
                return rule
        return None

    def _all_points(self) -> Iterator[Point]:
        return itertools.product(*(range(len(axis.values)) for axis in self.matrix.axes))

    def _whole_product(self, product: int) -> list[Point]:
        if not self.matrix.axes:
            return []
        if not self.matrix.exclude or product > _MOST_LOOKED_AT:
            self._check_limit(product)
        points: list[Point] = []
        for point in self._all_points():
            if self._excluded(point) is None:
                points.append(point)
                if len(points) > self.limit:
                    self._check_limit(product)
        return points

    def _reduced(self, reduce: Reduce, product: int) -> tuple[list[Point], Coverage, int, bool]:
        """Points of the covering array times the compare axes, in the order of the product."""
        axes = self.matrix.axes
        free = [i for i, axis in enumerate(axes) if not axis.compare]
        compared = [i for i, axis in enumerate(axes) if axis.compare]
        compare_rows = list(
            itertools.islice(
                itertools.product(*(range(len(axes[i].values)) for i in compared)), self.limit + 1
            )
        )
        sizes = sorted((len(axes[i].values) for i in free), reverse=True)
        self._check_limit(len(compare_rows) * math.prod(sizes[: reduce.strength]), at_least=True)

        def whole(row: Point, side: Point) -> Point:
            point = [0] * len(axes)
            for place, value in (*zip(free, row, strict=True), *zip(compared, side, strict=True)):
                point[place] = value
            return tuple(point)

        def legal(row: Point) -> bool:
            """A row stays when at least one compared value may run it."""
            return any(self._excluded(whole(row, side)) is None for side in compare_rows)

        rows, coverage = reduce_rows([axes[i] for i in free], reduce, legal, self.matrix)
        self._check_limit(len(rows) * len(compare_rows))
        points = [p for row in rows for side in compare_rows if self._excluded(p := whole(row, side)) is None]
        exact = product <= _MOST_LOOKED_AT
        full = (
            sum(self._excluded(p) is None for p in self._all_points())
            if exact and self.matrix.exclude
            else product
        )
        return sorted(set(points)), coverage, full, exact

    def _additions(self, present: set[Point]) -> list[Point]:
        """What `add` puts in.

        An axis that an entry leaves out takes every value when it is compared, else its default, else every
        value. `exclude` holds for added cases too.
        """
        added: dict[Point, None] = {}
        problems = []
        for entry in self.matrix.add:
            choices = [self._choices(axis, entry.values.get(axis.name)) for axis in self.matrix.axes]
            self._check_limit(math.prod(len(choice) for choice in choices))
            points = list(itertools.product(*choices))
            legal = [point for point in points if self._excluded(point) is None]
            if not legal:
                rule = self._excluded(points[0]) if points else None
                hint = f"excluded at {rule.position}" if rule is not None else ""
                problems.append(
                    self._problem(entry.position, "this entry adds nothing: `exclude` takes it out", hint)
                )
            for point in legal:
                if point not in present:
                    added[point] = None
        self._raise(problems)
        return list(added)

    def _choices(self, axis: Axis, given: tuple[str, ...] | None) -> list[int]:
        names = axis.names
        if given is not None:
            return [names.index(name) for name in given]
        if axis.default is not None and not axis.compare:
            return [names.index(axis.default)]
        return list(range(len(names)))

    def _check_limit(self, count: int, at_least: bool = False) -> None:
        if count <= self.limit:
            return
        axes = " x ".join(str(len(axis.values)) for axis in self.matrix.axes)
        more = "at least " if at_least else ""
        raise UserError(
            f"matrix {self.matrix.name!r} ({self.matrix.path}) expands to {more}{count:,} cases ({axes}), "
            f"more than limits.cases = {self.limit:,}. Nothing was built. Add `reduce: {{strength: 2}}`, "
            f"`exclude` rules, choose a profile, or raise `limits: {{cases: {count}}}`."
        )

    def _check_excludes(self, exact: bool) -> None:
        if not exact:
            return
        self._raise(
            [
                self._problem(
                    rule.position, "this `exclude` rule takes out no case", "an earlier rule may have done so"
                )
                for rule, used in zip(self.matrix.exclude, self.used_excludes, strict=True)
                if not used
            ]
        )

    def _check_ids(self, cases: list[Case]) -> None:
        """Ids are unique by construction (axes.check_clashes); this proves it for the plan at hand."""
        if len({case.id for case in cases}) != len(cases):
            raise UserError(f"matrix {self.matrix.name!r} gives two cases the same id; name the values apart")

    def _problem(self, position: Position, message: str, hint: str = "") -> Problem:
        return self.source.problem(position, message, hint)

    def _raise(self, problems: list[Problem]) -> None:
        if problems:
            raise MatrixError(problems)
