"""From results to workarounds: for each failing rule the cheapest remedy that this run proves to be
sufficient.

A remedy is another value of one axis (an environment, a workaround, a layout, a dtype, a backend switch, a
device, a runtime) under which the same cells passed. The policy file is the one that
`rmcp_torch.apply_policy` reads.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rmcp.diagnose.conditions import conditions_of
from rmcp.diagnose.explain import Explanation
from rmcp.diagnose.space import bits
from rmcp.diagnose.study import Cell, Study, signature_of
from rmcp.runs.model import CaseRecord
from rmcp.words import OutcomeClass, class_of

_Key = tuple[tuple[str, str], ...]
_TIMES = ("median_s", "median_ms", "ms", "seconds")  # metrics that measure the work itself, best first
# How deep a remedy reaches into the user's program; decides between remedies of equal speed. CPU and another
# runtime come last whatever they cost: they give up the device or the installation.
_ORDER = ("env", "layout", "backend", "workaround", "dtype", "cpu", "runtime")
LAST_RESORT = ("cpu", "runtime")
_UNKNOWN_SLOWDOWN = 2.0  # taken for a remedy that no passing pair measures
_MOST_CASES = 50  # proof case ids in the file


@dataclass(frozen=True)
class Remedy:
    """Another value of an axis, held against one rule. ``cured`` of ``failing`` cells passed with it.

    ``harmed``: cells outside the rule that passed without it and fail with it. ``slowdown``: median of time
    with over time without, on pairs that both pass; None when there is no such pair. ``pairs``: how many
    there were.
    """

    axis: str
    value: str
    kind: str
    patch: Mapping[str, Any]
    cured: int
    failing: int
    harmed: int
    slowdown: float | None
    pairs: int
    cases: tuple[str, ...] = ()

    @property
    def sufficient(self) -> bool:
        """Every failing cell that has a counterpart with it passed there, and (when it acts on all) nothing
        broke."""
        return 0 < self.failing == self.cured and (self.kind == "workaround" or not self.harmed)

    @property
    def order(self) -> tuple[bool, bool, float, int]:
        """Sorts the cheapest sufficient one first."""
        cost = self.slowdown if self.slowdown is not None else _UNKNOWN_SLOWDOWN
        return (not self.sufficient, self.kind in LAST_RESORT, round(cost, 2), _ORDER.index(self.kind))

    def text(self) -> str:
        """``env no-direct (MIOPEN_DEBUG_CONV_DIRECT=0): cured 61 of 61, 1.8 times the time (24 pairs)``."""
        what = " ".join(f"{name}={'unset' if value is None else value}" for name, value in self.patch.items())
        speed = (
            "speed not measured"
            if self.slowdown is None
            else f"{self.slowdown:.2f} times the time ({self.pairs} pairs)"
        )
        harm = f", but breaks {self.harmed} others" if self.harmed else ""
        return f"{self.axis} {self.value} ({what}): cured {self.cured} of {self.failing}{harm}, {speed}"


@dataclass(frozen=True)
class Choice:
    """One rule of the run and what to do about it; ``remedy`` None: nothing that was tried is sufficient."""

    explanation: Explanation
    remedy: Remedy | None
    considered: tuple[Remedy, ...]
    where: Mapping[str, Any]
    scope: Mapping[str, str]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Configuration:
    """One setting of all remedy axes: cells that passed, cells that have a verdict, and speed against the
    fastest."""

    axes: Mapping[str, str]
    passed: int
    total: int
    relative_time: float | None


@dataclass(frozen=True)
class Compiled:
    """The policy of a run. ``env`` is the environment that the chosen remedies need together."""

    choices: tuple[Choice, ...]
    env: Mapping[str, str | None] = field(default_factory=dict)
    configurations: tuple[Configuration, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def unsolved(self) -> list[Choice]:
        """Rules for which nothing sufficient was tried."""
        return [choice for choice in self.choices if choice.remedy is None]


def compile_policy(found: Study, told: Sequence[Explanation]) -> Compiled:
    """Choose a remedy for every rule. Only what this run tried counts: nothing is assumed to work."""
    by_axes = {_key(cell.case.axes): cell for cell in found.cells if cell.record is not None}
    axes = remedy_axes(found)
    env: dict[str, str | None] = {}
    choices, notes = [], []
    for explanation in told:
        considered = sorted(_remedies(found, explanation, by_axes, axes), key=lambda remedy: remedy.order)
        chosen: Remedy | None = None
        for remedy in considered:
            if not remedy.sufficient:
                break
            if remedy.kind == "env" and any(env.get(n, v) != v for n, v in remedy.patch.items()):
                notes.append(f"{remedy.axis} {remedy.value} would undo the environment of another rule: not taken")
                continue
            chosen = remedy
            break
        if chosen is not None and chosen.kind == "env":
            env.update(chosen.patch)
        where, dropped = conditions_of(found, explanation, axes)
        choices.append(Choice(explanation, chosen, tuple(considered), where, _scope(found, explanation), dropped))
    return Compiled(tuple(choices), env, tuple(_configurations(found, axes)), tuple(notes))


def remedy_axes(found: Study) -> dict[str, str]:
    """Axes whose values differ in nothing but something that could be a remedy: axis -> kind."""
    kinds: dict[str, str] = {}
    values: dict[str, dict[str, list[Cell]]] = {}
    for cell in found.cells:
        for axis, value in cell.case.axes.items():
            values.setdefault(axis, {}).setdefault(value, []).append(cell)
    by_axes = {_key(cell.case.axes): cell for cell in found.cells}
    for axis, members in values.items():
        seen = {_kind(a, b) for a, b in _examples(axis, members, by_axes)}
        if seen and None not in seen:
            kinds[axis] = sorted(str(kind) for kind in seen)[0]
    return kinds


def _examples(
    axis: str, members: Mapping[str, Sequence[Cell]], by_axes: Mapping[_Key, Cell]
) -> Iterable[tuple[Cell, Cell]]:
    """A pair of cells that differ in nothing but this axis, for each pair of its values that has one."""
    names = list(members)
    for first in names:
        for second in names:
            if first == second:
                continue
            for cell in members[first]:
                other = by_axes.get(_key({**cell.case.axes, axis: second}))
                if other is not None:
                    yield cell, other
                    break


def _kind(a: Cell, b: Cell) -> str | None:
    """What changes between two cells, None when it is no remedy (another shape) or nothing."""
    names = {n for n in {*a.case.args, *b.case.args} if a.case.args.get(n) != b.case.args.get(n)}
    if a.case.runtime != b.case.runtime:
        return "runtime" if not names else None
    if a.case.device != b.case.device or names == {"device"}:
        return "cpu" if not names - {"device"} else None
    if dict(a.case.env) != dict(b.case.env):
        return "env" if not names else None
    for kind, allowed in (
        ("workaround", {"workaround"}),
        ("layout", {"memory_format", "layout"}),
        ("dtype", {"dtype", "autocast"}),
        ("backend", {"benchmark", "deterministic", "tf32", "backend"}),
    ):
        if names and names <= allowed:
            return kind
    return None


def _remedies(
    found: Study, explanation: Explanation, by_axes: Mapping[_Key, Cell], axes: Mapping[str, str]
) -> list[Remedy]:
    if explanation.finding is None:
        return []
    mask = explanation.finding.hypothesis.mask
    inside = [found.cells[i] for i in bits(mask) if found.cells[i].record is not None]
    failing = [cell for cell in inside if _fails(cell, explanation.signature)]
    options: dict[tuple[str, str], None] = {}
    for cell in found.cells:
        for axis in axes:
            value = cell.case.axes.get(axis)
            if value is not None and any(f.case.axes.get(axis) != value for f in failing):
                options[axis, value] = None
    remedies = []
    for axis, value in options:
        if any(f.case.axes.get(axis) == value for f in failing):
            continue  # it fails there too, by this very rule
        remedies.append(_remedy(found, failing, by_axes, axis, value, axes[axis]))
    return [remedy for remedy in remedies if remedy.failing]


def _remedy(
    found: Study, failing: Sequence[Cell], by_axes: Mapping[_Key, Cell], axis: str, value: str, kind: str
) -> Remedy:
    cured = told = harmed = 0
    cases: list[str] = []
    patch: Mapping[str, Any] = {}
    stock = {cell.case.axes.get(axis) for cell in failing}
    for cell in failing:
        other = by_axes.get(_key({**cell.case.axes, axis: value}))
        if other is None or other.record is None or _passed(other.record) is None:
            continue
        told += 1
        cured += bool(_passed(other.record))
        cases.append(other.case.id)
        patch = patch or _patch(cell, other, kind)
    ratios = []
    for cell in found.cells:
        if cell.record is None or cell.case.axes.get(axis) not in stock or not _passed(cell.record):
            continue
        other = by_axes.get(_key({**cell.case.axes, axis: value}))
        if other is None or other.record is None:
            continue
        if _passed(other.record):
            before, after = _times(cell.record, other.record)
            if before > 0 and after > 0:
                ratios.append(after / before)
        elif _passed(other.record) is False:
            harmed += 1
    slowdown = statistics.median(ratios) if ratios else None
    if str(patch.get("workaround", "")).startswith("cpu"):
        kind = "cpu"
    return Remedy(axis, value, kind, patch, cured, told, harmed, slowdown, len(ratios), tuple(cases[:_MOST_CASES]))


def _patch(cell: Cell, other: Cell, kind: str) -> dict[str, Any]:
    if kind == "env":
        names = sorted({*cell.case.env, *other.case.env})
        return {n: other.case.env.get(n) for n in names if cell.case.env.get(n) != other.case.env.get(n)}
    if kind == "runtime":
        return {"runtime": other.case.runtime.name}
    if kind == "cpu" and cell.case.device != other.case.device:
        return {"device": other.case.device}
    names = sorted({*cell.case.args, *other.case.args})
    return {n: other.case.args.get(n) for n in names if cell.case.args.get(n) != other.case.args.get(n)}


def _fails(cell: Cell, signature: str) -> bool:
    return cell.record is not None and any(signature_of(a) == signature for a in cell.record.attempts)


def _passed(record: CaseRecord) -> bool | None:
    """Whether all attempts with a verdict passed; None when there is none."""
    kinds = [class_of(a.outcome, a.signal) for a in record.attempts]
    told = [k for k in kinds if k not in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)]
    return all(kind is OutcomeClass.PASSED for kind in told) if told else None


def _times(a: CaseRecord, b: CaseRecord) -> tuple[float, float]:
    """The same measure of both: a metric of the work, else the whole attempt (seconds or the metric's
    unit)."""
    for name in _TIMES:
        first, second = a.metrics.get(name), b.metrics.get(name)
        if isinstance(first, (int, float)) and isinstance(second, (int, float)):
            return float(first), float(second)
    return a.duration_s, b.duration_s


def _scope(found: Study, explanation: Explanation) -> dict[str, str]:
    """The versions in which the rule was seen to fail: the policy says nothing about others."""
    seen: dict[str, set[str]] = {}
    mask = explanation.finding.hypothesis.mask if explanation.finding else 0
    for index in bits(mask):
        cell = found.cells[index]
        if _fails(cell, explanation.signature):
            for name in ("gfx", "rocm", "torch", "device"):
                if name in cell.features:
                    seen.setdefault(name, set()).add(str(cell.features[name]))
    return {name: ", ".join(sorted(values)) for name, values in seen.items()}


def _configurations(found: Study, axes: Mapping[str, str]) -> list[Configuration]:
    groups: dict[_Key, list[Cell]] = {}
    fastest: dict[_Key, float] = {}
    for cell in found.cells:
        if cell.record is None or _passed(cell.record) is None:
            continue
        groups.setdefault(_key({a: v for a, v in cell.case.axes.items() if a in axes}), []).append(cell)
        if _passed(cell.record):
            rest, spent = _rest(cell, axes), _times(cell.record, cell.record)[0]
            if spent > 0:
                fastest[rest] = min(fastest.get(rest, math.inf), spent)
    made = []
    for key, cells in groups.items():
        passing = [cell for cell in cells if cell.record is not None and _passed(cell.record)]
        logs = [
            math.log(spent / fastest[_rest(cell, axes)])
            for cell in passing
            if cell.record is not None and (spent := _times(cell.record, cell.record)[0]) > 0
        ]
        made.append(
            Configuration(dict(key), len(passing), len(cells), math.exp(statistics.fmean(logs)) if logs else None)
        )
    made.sort(key=lambda c: (-c.passed / c.total, c.relative_time or math.inf))
    return made


def _rest(cell: Cell, axes: Mapping[str, str]) -> _Key:
    return _key({axis: value for axis, value in cell.case.axes.items() if axis not in axes})


def _key(axes: Mapping[str, str]) -> _Key:
    return tuple(sorted(axes.items()))
