"""One point of the product -> one Case. Parts that many cases share are made once."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmcp.matrix.document import Condition, Matrix, Patch, Requirement, Setting
from rmcp.matrix.errors import Problem
from rmcp.matrix.expressions import Truth
from rmcp.matrix.model import Case, Need, RuntimeSpec, Timeouts
from rmcp.matrix.nodes import Source

Point = tuple[int, ...]  # index of a value per axis

_DEFAULT_SEED = 1234
_MOST_LOOKED_AT = 1_000_000  # points tried to find one that a rule matches; about 2 s


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the patches of a case come to."""

    args: Mapping[str, Any]
    env: Mapping[str, str | None]
    runtime: RuntimeSpec
    timeout: Timeouts
    workload: str
    device: str
    seed: int
    threads: int | None


def digest(pairs: list[tuple[str, str]]) -> str:
    """sha256 (hex) of sorted axis=value pairs, one a line."""
    return hashlib.sha256("\n".join(f"{axis}={value}" for axis, value in sorted(pairs)).encode()).hexdigest()


class Builder:
    """Builds the cases of one matrix. ``touched`` counts the cases that a `set` rule changed."""

    def __init__(self, matrix: Matrix, settings: tuple[Setting, ...]) -> None:
        self.matrix, self.settings = matrix, settings
        self.axes = matrix.axes
        self.touched = 0
        self._index = {axis.name: number for number, axis in enumerate(matrix.axes)}
        self._compare = [axis.compare for axis in matrix.axes]
        self._pairs: list[list[tuple[str, str] | None]] = [
            [None if value.name == axis.default else (axis.name, value.name) for value in axis.values]
            for axis in matrix.axes
        ]
        self._patching = [i for i, axis in enumerate(matrix.axes) if any(v.patch.places for v in axis.values)]
        self._args_from = self._argument_axes()
        self._parts: dict[tuple[Any, ...], _Parts] = {}
        self._answers: dict[tuple[Any, ...], Truth] = {}
        self._depends: dict[int, tuple[int, ...]] = {}
        self._matched: dict[int, list[tuple[int, frozenset[int]]]] = {}
        self._used_settings = [False] * len(settings)
        self._used_requires = [False] * len(matrix.requires)
        self._runtime_axis = next((i for i in self._patching if self._patches_runtime(i)), None)
        self._shared: dict[Any, Any] = {}

    def case(self, point: Point, origin: str) -> Case:
        """The case of one point."""
        pairs = [pair for column, value in zip(self._pairs, point, strict=True) if (pair := column[value])]
        row = [pair for pair in pairs if not self._compare[self._index[pair[0]]]]
        chosen = self._chosen(point)
        self.touched += bool(chosen)
        parts = self._made(point, chosen)
        name = "/".join([value for _, value in pairs]) or "default"
        key = digest(pairs)
        return Case(
            id=f"{self.matrix.name}[{name}]",
            key=key,
            row=key if len(row) == len(pairs) else self._digest_of(row),
            workload=parts.workload,
            axes={axis.name: axis.values[value].name for axis, value in zip(self.axes, point, strict=True)},
            args=parts.args,
            env=parts.env,
            runtime=parts.runtime,
            device=parts.device,
            timeout=parts.timeout,
            seed=parts.seed,
            threads=parts.threads,
            needs=self._needs(point, parts),
            origin=origin,
        )

    def key(self, point: Point) -> str:
        """The key of a point's case."""
        return digest(
            [pair for column, value in zip(self._pairs, point, strict=True) if (pair := column[value])]
        )

    def holds(self, when: Condition, point: Point, args: Mapping[str, Any] | None = None) -> Truth:
        """Whether a condition holds for a point: True, False, or None when it depends on the machine."""
        for number, values in self._matches(when):
            if point[number] not in values:
                return False
        if when.where is None:
            return True
        memo: tuple[Any, ...] = (id(when), *(point[i] for i in self._dependencies(when)))
        if args is None and memo in self._answers:
            return self._answers[memo]
        facts: dict[str, object] = dict(self._made(point, ()).args if args is None else args)
        facts.update({"args." + name: value for name, value in list(facts.items())})
        facts["workload"] = self._made(point, ()).workload
        for axis, value in zip(self.axes, point, strict=True):
            facts[axis.name] = axis.values[value].name
        answer = when.where.evaluate(facts)
        if args is None:
            self._answers[memo] = answer
        return answer

    def unused(self) -> list[Problem]:
        """Rules that no case meets, not even one that `reduce` left out."""
        source = Source(self.matrix.text, str(self.matrix.path))
        problems = [
            source.problem(rule.position, "this `exclude` rule matches no case")
            for rule in self.matrix.exclude
            if not self.can_hold(rule.when)
        ]
        for setting, used in zip(self.settings, self._used_settings, strict=True):
            if not used and not self.can_hold(setting.when):
                problems.append(source.problem(setting.position, "this `set` rule matches no case"))
        for rule, used in zip(self.matrix.requires, self._used_requires, strict=True):
            if not used and not self.can_hold(rule.when):
                problems.append(source.problem(rule.position, "this `requires` rule matches no case"))
        return problems

    def depends_on(self, when: Condition) -> tuple[int, ...]:
        """Numbers of the axes that decide a condition, ascending."""
        where = self._dependencies(when) if when.where is not None else ()
        return tuple(sorted({*where, *(number for number, _ in self._matches(when))}))

    def can_hold(self, when: Condition) -> bool:
        """Whether any point of the product meets a condition (looks at 1,000,000 at most, then says yes)."""
        wanted = self.depends_on(when)
        ranges = [range(len(self.axes[i].values)) for i in wanted]
        point = [0] * len(self.axes)
        for looked_at, values in enumerate(itertools.product(*ranges)):
            for place, value in zip(wanted, values, strict=True):
                point[place] = value
            if looked_at >= _MOST_LOOKED_AT or self.holds(when, tuple(point)) is not False:
                return True
        return False

    def _matches(self, when: Condition) -> list[tuple[int, frozenset[int]]]:
        """``when.match`` as numbers: (axis, its matched values)."""
        found = self._matched.get(id(when))
        if found is None:
            found = self._matched[id(when)] = [
                (
                    self._index[axis],
                    frozenset(
                        i for i, name in enumerate(self.axes[self._index[axis]].names) if name in names
                    ),
                )
                for axis, names in when.match.items()
            ]
        return found

    def _argument_axes(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for number in self._patching:
            for value in self.axes[number].values:
                for name in value.patch.args:
                    found.setdefault(name, set()).add(number)
        return found

    def _patches_runtime(self, number: int) -> bool:
        return any("runtime" in value.patch.places for value in self.axes[number].values)

    def _dependencies(self, when: Condition) -> tuple[int, ...]:
        """Axes that the answer of ``when.where`` depends on."""
        if id(when) not in self._depends:
            axes: set[int] = set()
            for name in when.where.names if when.where is not None else ():
                if name in self._index:
                    axes.add(self._index[name])
                elif name == "workload":
                    axes.update(self._patching)
                else:
                    axes |= self._args_from.get(name.removeprefix("args."), set())
            self._depends[id(when)] = tuple(sorted(axes))
        return self._depends[id(when)]

    def _chosen(self, point: Point) -> tuple[int, ...]:
        chosen = []
        for number, setting in enumerate(self.settings):
            if self.holds(setting.when, point) is True:
                chosen.append(number)
                self._used_settings[number] = True
        return tuple(chosen)

    def _made(self, point: Point, chosen: tuple[int, ...]) -> _Parts:
        memo = (chosen, *(point[i] for i in self._patching))
        parts = self._parts.get(memo)
        if parts is None:
            patches = [self.matrix.defaults, *(self.axes[i].values[point[i]].patch for i in self._patching)]
            patches += [self.settings[i].patch for i in chosen]
            parts = self._parts[memo] = self._merge(patches, point)
        return parts

    def _merge(self, patches: list[Patch], point: Point) -> _Parts:
        """Later patches go before earlier ones: defaults, axes in file order, `set` rules in file order."""
        args: dict[str, Any] = {}
        env: dict[str, str | None] = {}
        runtime: dict[str, Any] = {}
        timeout: dict[str, float] = {}
        single: dict[str, Any] = {"workload": "", "device": "auto", "seed": _DEFAULT_SEED, "threads": None}
        for patch in patches:
            args.update(patch.args)
            env.update(patch.env)
            runtime.update(patch.runtime)
            timeout.update(patch.timeout)
            for name in single:
                value = getattr(patch, name)
                if value is not None:
                    single[name] = value
        name = "this"
        if self._runtime_axis is not None:
            name = self.axes[self._runtime_axis].values[point[self._runtime_axis]].name
        elif runtime:
            name = "default"
        return _Parts(
            args=args,
            env=self._share(("env", *sorted(env.items(), key=str)), env),
            runtime=self._share(
                ("runtime", name, *sorted(runtime.items())), RuntimeSpec(name=name, **runtime)
            ),
            timeout=self._share(("timeout", *sorted(timeout.items())), Timeouts(**timeout)),
            **single,
        )

    def _share(self, key: Any, value: Any) -> Any:
        return self._shared.setdefault(key, value)

    def _digest_of(self, pairs: list[tuple[str, str]]) -> str:
        key = ("digest", *pairs)
        if key not in self._shared:
            self._shared[key] = digest(pairs)
        return str(self._shared[key])

    def _needs(self, point: Point, parts: _Parts) -> tuple[Need, ...]:
        needs = []
        for number, rule in enumerate(self.matrix.requires):
            answer = self.holds(rule.when, point, parts.args)
            if answer is False:
                continue
            self._used_requires[number] = True
            needs.append(self._need(rule, answer))
        return tuple(needs)

    def _need(self, rule: Requirement, answer: Truth) -> Need:
        text = rule.needs.text
        if answer is None and rule.when.where is not None:
            text = f"not ({rule.when.where.text}) or ({text})"
        return self._share(("need", text, rule.reason), Need(text, rule.reason or f"needs {rule.needs.text}"))  # type: ignore[no-any-return]
