"""What the patches of a point come to: arguments, environment, runtime, budgets; shared between cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.matrix.document import Matrix, Patch, Setting
from rmcp.matrix.model import RuntimeSpec, Timeouts

Point = tuple[int, ...]  # index of a value per axis
Chosen = tuple[int, ...]  # numbers of the `set` rules that are about a point

DEFAULT_SEED = 1234
_SETUP = ("env", "runtime", "timeout", "workload", "device", "seed", "threads")


@dataclass(frozen=True, slots=True)
class Setup:
    """All of a case but its arguments; many cases share one."""

    env: Mapping[str, str | None]
    runtime: RuntimeSpec
    timeout: Timeouts
    workload: str
    device: str
    seed: int
    threads: int | None


class Patching:
    """Merges patches: defaults, then axes in file order, then `set` rules in file order; the later wins."""

    def __init__(self, matrix: Matrix, settings: Sequence[Setting]) -> None:
        self._matrix = matrix
        self._patches = [[value.patch for value in axis.values] for axis in matrix.axes]
        self._settings = [setting.patch for setting in settings]
        self._args_axes = self._patching(("args",))
        self._setup_axes = self._patching(_SETUP)
        self._args_rules = {i for i, patch in enumerate(self._settings) if patch.args}
        self._setup_rules = {i for i, patch in enumerate(self._settings) if _holds(patch, _SETUP)}
        self._runtime_axis = next(iter(self._patching(("runtime",))), None)
        self._args: dict[Any, Mapping[str, Any]] = {}
        self._setups: dict[Any, Setup] = {}
        # Arguments that `set` rules give, and "workload" when one of them does.
        self.set_names = {name for patch in self._settings for name in patch.args}
        self.set_names |= {"workload" for patch in self._settings if patch.workload is not None}
        self.workload_axes = self._patching(("workload",))
        self.argument_axes = self._argument_axes()

    def args(self, point: Point, chosen: Chosen) -> Mapping[str, Any]:
        """The workload's arguments."""
        rules = tuple([rule for rule in chosen if rule in self._args_rules]) if chosen else ()
        memo = (rules, *[point[axis] for axis in self._args_axes])
        made = self._args.get(memo)
        if made is None:
            merged = dict(self._matrix.defaults.args)
            for patch in self._in_order(point, self._args_axes, rules):
                merged.update(patch.args)
            made = self._args[memo] = merged
        return made

    def setup(self, point: Point, chosen: Chosen) -> Setup:
        """Everything else of a case."""
        rules = tuple([rule for rule in chosen if rule in self._setup_rules]) if chosen else ()
        memo = (rules, *[point[axis] for axis in self._setup_axes])
        made = self._setups.get(memo)
        if made is None:
            patches = [self._matrix.defaults, *self._in_order(point, self._setup_axes, rules)]
            made = self._setups[memo] = self._merged(patches, point)
        return made

    def _in_order(self, point: Point, axes: Sequence[int], rules: Sequence[int]) -> list[Patch]:
        return [
            *(self._patches[axis][point[axis]] for axis in axes),
            *(self._settings[rule] for rule in rules),
        ]

    def _merged(self, patches: list[Patch], point: Point) -> Setup:
        env: dict[str, str | None] = {}
        runtime: dict[str, Any] = {}
        timeout: dict[str, float] = {}
        single: dict[str, Any] = {"workload": "", "device": "auto", "seed": DEFAULT_SEED, "threads": None}
        for patch in patches:
            env.update(patch.env)
            runtime.update(patch.runtime)
            timeout.update(patch.timeout)
            for name in single:
                value = getattr(patch, name)
                if value is not None:
                    single[name] = value
        axis = self._runtime_axis
        # The value's name is the runtime's; a runtime that no axis names comes from `defaults` or `set`.
        name = "default" if runtime else "this"
        if axis is not None:
            name = self._matrix.axes[axis].values[point[axis]].name
        return Setup(env, RuntimeSpec(name=name, **runtime), Timeouts(**timeout), **single)

    def _patching(self, kinds: Sequence[str]) -> tuple[int, ...]:
        """Numbers of the axes whose values patch one of ``kinds``."""
        return tuple(i for i, patches in enumerate(self._patches) if any(_holds(patch, kinds) for patch in patches))

    def _argument_axes(self) -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for number, patches in enumerate(self._patches):
            for patch in patches:
                for name in patch.args:
                    found.setdefault(name, set()).add(number)
        return found


def _holds(patch: Patch, kinds: Sequence[str]) -> bool:
    return any(getattr(patch, kind) not in (None, {}) for kind in kinds)
