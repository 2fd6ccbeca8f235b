"""Why a case is in a plan or not: every rule that had a say, with its position."""

from __future__ import annotations

import itertools
import math
import re

from rmcp.errors import UserError
from rmcp.matrix.building import Builder, Point
from rmcp.matrix.document import Axis
from rmcp.matrix.errors import did_you_mean
from rmcp.matrix.facts import CaseFacts
from rmcp.matrix.model import Case
from rmcp.matrix.plan import Plan

_KEY = re.compile(r"[0-9a-f]{8,64}")
_MOST_KEYS = 200_000  # cases of the product whose keys are tried to find one that is not planned; about 2 s


def why(plan: Plan, text: str) -> str:
    """Lines that say whether the case is planned, and by which rules. Raises UserError for no case."""
    builder = Builder(plan.matrix, plan.settings)
    point = _point(plan, builder, text.strip())
    case = builder.case(point, "product")
    planned = {case.key: case for case in plan.cases}
    lines = [f"{case.id}  key {case.key[:12]}  row {case.row[:12]}"]
    lines.append("    " + ", ".join(f"{axis}={value}" for axis, value in case.axes.items()))
    found = planned.get(case.key)
    if found is None:
        lines += [
            "OUT: " + line if number == 0 else line for number, line in enumerate(_out(plan, builder, point, case))
        ]
    else:
        lines.append("IN: " + _in(plan, found))
    lines += _changes(plan, builder, point, case)
    return "\n".join(lines)


def _in(plan: Plan, case: Case) -> str:
    if case.origin == "add":
        entries = [
            entry
            for entry in plan.matrix.add
            if all(case.axes[axis] in values for axis, values in entry.values.items())
        ]
        return f"added at {entries[0].position}: {entries[0].why}" if entries else "added"
    if case.origin == "reduce" and plan.reduce is not None:
        return f"a row of the {plan.reduce.strength}-way covering array asked for at {plan.reduce.position}"
    return "part of the product; no rule takes it out"


def _out(plan: Plan, builder: Builder, point: Point, case: Case) -> list[str]:
    for rule in plan.matrix.exclude:
        if builder.holds(rule.when, point) is True:
            reason = f": {rule.reason}" if rule.reason else ""
            return [f"excluded at {rule.position} ({rule.when.text}){reason}"]
    profile = plan.matrix.profiles.get(plan.profile or "")
    if profile is not None and profile.select is not None and not profile.select.matches(CaseFacts(case)):
        return [f"profile {profile.name!r} at {profile.position} selects {profile.select.text}"]
    if plan.coverage is None or plan.reduce is None:
        return ["it is not among the chosen cases"]
    lines = [
        f"not a row of the {plan.reduce.strength}-way covering array asked for at {plan.reduce.position}; "
        "every combination in it stands in another case:"
    ]
    free = [axis.name for axis in plan.matrix.axes if not axis.compare]
    for names in itertools.combinations(free, plan.coverage.strength):
        with_same = next((c for c in plan.cases if all(c.axes[n] == case.axes[n] for n in names)), None)
        told = ", ".join(f"{name}={case.axes[name]}" for name in names)
        lines.append(f"    {told}: {with_same.id if with_same is not None else 'in no case'}")
    return lines


def _changes(plan: Plan, builder: Builder, point: Point, case: Case) -> list[str]:
    lines = []
    for setting in plan.settings:
        if builder.holds(setting.when, point) is True:
            lines.append(f"set at {setting.position} ({setting.when.text})")
    for rule in plan.matrix.requires:
        answer = builder.requires(rule, point)
        if answer is not False:
            maybe = "" if answer else f" where {rule.when.text} holds on the machine"
            lines.append(f"requires at {rule.position}: {rule.needs.text}{maybe} ({rule.reason or 'no reason given'})")
    facts = CaseFacts(case)
    for expected in plan.matrix.expect:
        answer = True if expected.where is None else expected.where.evaluate(facts)
        if answer is not False:
            words = " or ".join(str(outcome) for outcome in expected.outcomes)
            where = "" if answer or expected.where is None else f" where {expected.where.text} holds"
            lines.append(f"expects at {expected.position}: {words}{where} ({expected.reason})")
    return lines


def _point(plan: Plan, builder: Builder, text: str) -> Point:
    matrix = plan.matrix
    if _KEY.fullmatch(text):
        return _by_key(plan, builder, text)
    inside = text
    if text.endswith("]") and "[" in text:
        name, _, inside = text[:-1].partition("[")
        if name.rsplit("::", 1)[-1] != matrix.name:
            raise UserError(f"{text!r} is a case of another matrix; this one is {matrix.name!r}")
    parts = [] if inside == "default" else inside.split("/")
    point = parse_parts(matrix.axes, parts)
    if point is None:
        known = {case.id for case in plan.cases} if len(plan.cases) <= 2000 else set()
        hint = did_you_mean(text if "[" in text else f"{matrix.name}[{text}]", known) if known else ""
        axes = "/".join(axis.name for axis in matrix.axes)
        raise UserError(
            f"{text!r} is no case of matrix {matrix.name!r}; an id is written {matrix.name}[{axes}] "
            f"with defaults left out; {hint}"
        )
    return point


def parse_parts(axes: tuple[Axis, ...], parts: list[str]) -> Point | None:
    """The point that the parts of an id stand for, or None. Defaults may be left out or written."""
    point = []
    at = 0
    for axis in axes:
        names = axis.names
        part = parts[at] if at < len(parts) else None
        if part is not None and part in names:
            point.append(names.index(part))
            at += 1
        elif axis.default is not None:
            point.append(names.index(axis.default))
        else:
            return None
    return tuple(point) if at == len(parts) else None


def _by_key(plan: Plan, builder: Builder, key: str) -> Point:
    axes = plan.matrix.axes
    for case in plan.cases:
        if case.key.startswith(key):
            return tuple(axis.names.index(case.axes[axis.name]) for axis in axes)
    if math.prod(len(axis.values) for axis in axes) <= _MOST_KEYS:
        for point in itertools.product(*(range(len(axis.values)) for axis in axes)):
            if builder.key(point).startswith(key):
                return point
    raise UserError(f"no case of matrix {plan.matrix.name!r} has the key {key}")
