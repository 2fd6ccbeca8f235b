"""Matrix -> Plan: product, exclude, reduce, add, set, requires, and the count after each step."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence

from rmcp.errors import UserError
from rmcp.matrix.building import Builder, Point
from rmcp.matrix.document import DEFAULT_PROFILE, Axis, Condition, Exclude, Matrix, Profile, Reduce
from rmcp.matrix.errors import MatrixError, Position, Problem, did_you_mean
from rmcp.matrix.lock import read_lock
from rmcp.matrix.model import Case
from rmcp.matrix.nodes import Source
from rmcp.matrix.plan import Plan, Step
from rmcp.matrix.reduce import Constraint, Coverage, covering_rows
from rmcp.matrix.select import select

# Combinations looked at to find out whether `exclude` brings a product under the limit; about 2 s.
_MOST_LOOKED_AT = 1_000_000


def expand(matrix: Matrix, profile: str | None = None, use_lock: bool = True) -> Plan:
    """All cases of a matrix under a profile; without one under the profile `default` where the matrix has it.

    The lock file is read where there is one and ``use_lock``.

    Raises MatrixError for rules that match nothing, UserError for an unknown profile or too many cases.
    """
    return _Expansion(matrix, _profile(matrix, profile), use_lock).plan()


def _profile(matrix: Matrix, name: str | None) -> Profile | None:
    if name is None:
        return matrix.profiles.get(DEFAULT_PROFILE)
    if name not in matrix.profiles:
        hint = did_you_mean(name, matrix.profiles) or "it has no profiles"
        raise UserError(f"matrix {matrix.name!r} has no profile {name!r}; {hint}")
    return matrix.profiles[name]


class _Expansion:
    def __init__(self, matrix: Matrix, profile: Profile | None, use_lock: bool) -> None:
        self.matrix, self.profile = matrix, profile
        self.reduce = profile.reduce if profile is not None and profile.changes_reduce else matrix.reduce
        self.limit = matrix.limit if profile is None or profile.limit is None else profile.limit
        self.settings = (*matrix.set, *(profile.set if profile is not None else ()))
        self.builder = Builder(matrix, self.settings)
        self.use_lock = use_lock
        self.rows: list[Point] = []
        self.gone = 0
        self.source = Source(matrix.text, str(matrix.path))

    def plan(self) -> Plan:
        matrix, steps = self.matrix, []
        sizes = [len(axis.values) for axis in matrix.axes]
        product = math.prod(sizes)
        coverage: Coverage | None = None
        full: int | None
        steps.append(Step("product", product, " x ".join(f"{a.name} {len(a.values)}" for a in matrix.axes)))
        if self.reduce is None:
            points = self._whole_product(product)
            full = len(points)
        else:
            points, coverage, full = self._reduced(self.reduce, product)
        if full is None:
            steps.append(
                Step(
                    "exclude",
                    product,
                    f"{len(matrix.exclude)} rules; too many cases to count what they take out",
                )
            )
        else:
            steps.append(Step("exclude", full, f"{len(matrix.exclude)} rules took out {product - full}"))
        if coverage is not None:
            steps.append(Step("reduce", len(points), str(coverage)))
        added = self._additions(set(points))
        if matrix.add:
            steps.append(Step("add", len(points) + len(added), f"{len(matrix.add)} entries put in {len(added)}"))
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
            steps.append(Step("select", len(planned), f"profile {self.profile.name}: {self.profile.select.text}"))
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
            rows=tuple(self.rows),
            stale=coverage is not None and (self.gone > 0 or coverage.dropped > 0 or coverage.rows > coverage.kept > 0),
        )

    def _excluded(self, point: Point) -> Exclude | None:
        for rule in self.matrix.exclude:
            if self.builder.holds(rule.when, point) is True:
                return rule
        return None

    def _all_points(self) -> Iterator[Point]:
        return itertools.product(*(range(len(axis.values)) for axis in self.matrix.axes))

    def _whole_product(self, product: int) -> list[Point]:
        if not self.matrix.exclude or product > _MOST_LOOKED_AT:
            self._check_limit(product)
        points: list[Point] = []
        for point in self._all_points():
            if self._excluded(point) is None:
                points.append(point)
                if len(points) > self.limit:
                    self._check_limit(product)
        return points

    def _reduced(self, reduce: Reduce, product: int) -> tuple[list[Point], Coverage, int | None]:
        """Points of the covering array times the compare axes, in the order of the product."""
        axes = self.matrix.axes
        free = [i for i, axis in enumerate(axes) if not axis.compare]
        compared = [i for i, axis in enumerate(axes) if axis.compare]
        sizes = [len(axes[i].values) for i in free]
        sides_count = math.prod(len(axes[i].values) for i in compared)
        smallest = math.prod(sorted(sizes, reverse=True)[: reduce.strength])
        if not self.matrix.exclude:
            self._check_limit(sides_count * smallest, at_least=True)
        self._check_limit(sides_count, at_least=True)
        sides = list(itertools.product(*(range(len(axes[i].values)) for i in compared)))
        rules = self._constraints(free, compared, sides)
        locked = self._locked(reduce, [axes[i] for i in free])
        self.rows, coverage = covering_rows(sizes, reduce.strength, rules, locked)
        points = []
        for row, side in itertools.product(self.rows, sides):
            point = self._point((*free, *compared), (*row, *side))
            if self._excluded(point) is None:
                points.append(point)
                if len(points) > self.limit:
                    self._check_limit(len(self.rows) * sides_count)
        full = product if not self.matrix.exclude else None
        if full is None and product <= _MOST_LOOKED_AT:
            full = sum(self._excluded(point) is None for point in self._all_points())
        return sorted(points), coverage, full

    def _point(self, axes: Sequence[int], values: Sequence[int]) -> Point:
        point = [0] * len(self.matrix.axes)
        for axis, value in zip(axes, values, strict=True):
            point[axis] = value
        return tuple(point)

    def _constraints(self, free: list[int], compared: list[int], sides: list[Point]) -> list[Constraint]:
        """`exclude` as constraints on rows.

        A row is legal when one compared value at least may run it, so the rules that look at compare axes
        make one constraint together.
        """
        place = {axis: number for number, axis in enumerate(free)}
        constraints: list[Constraint] = []
        mixed: list[Condition] = []
        for rule in self.matrix.exclude:
            axes = self.builder.depends_on(rule.when)
            if any(axis in compared for axis in axes):
                mixed.append(rule.when)
            else:
                allows = functools.partial(self._allows, (rule.when,), axes, (), [()])
                constraints.append(Constraint(tuple(place[axis] for axis in axes), allows))
        if mixed:
            involved = sorted({axis for when in mixed for axis in self.builder.depends_on(when)} - set(compared))
            allows = functools.partial(self._allows, tuple(mixed), tuple(involved), tuple(compared), sides)
            constraints.append(Constraint(tuple(place[axis] for axis in involved), allows))
        return constraints

    def _allows(
        self, rules: Sequence[Condition], axes: Point, compared: Point, sides: list[Point], values: Point
    ) -> bool:
        for side in sides:
            point = self._point((*axes, *compared), (*values, *side))
            if not any(self.builder.holds(when, point) is True for when in rules):
                return True
        return False

    def _locked(self, reduce: Reduce, axes: list[Axis]) -> list[Point]:
        if reduce.lock is None or not self.use_lock or not reduce.lock.is_file():
            return []
        rows, self.gone = read_lock(reduce.lock, axes)
        return rows

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
                problems.append(self._problem(entry.position, "this entry adds nothing: `exclude` takes it out", hint))
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

    def _check_ids(self, cases: list[Case]) -> None:
        """Ids are unique by construction (axes.check_clashes); this proves it for the plan at hand."""
        if len({case.id for case in cases}) != len(cases):
            raise UserError(f"matrix {self.matrix.name!r} gives two cases the same id; name the values apart")

    def _problem(self, position: Position, message: str, hint: str = "") -> Problem:
        return self.source.problem(position, message, hint)

    def _raise(self, problems: list[Problem]) -> None:
        if problems:
            raise MatrixError(problems)
