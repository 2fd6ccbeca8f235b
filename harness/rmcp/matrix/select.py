"""Chooses cases: by expression, and by shard (hash of the key, so that shards are stable under edits)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from rmcp.errors import UserError
from rmcp.matrix.expressions import Expression, ExpressionError, compile_expression, misspelt
from rmcp.matrix.facts import MACHINE_FACTS, CaseFacts, known_names
from rmcp.matrix.model import Case

_SHARD = re.compile(r"([0-9]{1,6})/([0-9]{1,6})")


def select(
    cases: Iterable[Case], expression: str | Expression, names: Mapping[str, str] | None = None
) -> tuple[Case, ...]:
    """The cases for which the expression is true. Raises UserError for a mistake in it.

    ``names`` are the matrix's (``Matrix.names``); without them the axes and arguments of the cases, untyped.
    A misspelt value is told when nothing is left. Facts of the machine (gfx, rocm ...) are not known yet when
    cases are chosen; they are refused.
    """
    cases = tuple(cases)
    if isinstance(expression, str):
        compiled = compile_expression(expression, _names(cases) if names is None else names)
        _refuse_machine_facts(compiled, cases)
        expression = compiled
    chosen = tuple(case for case in cases if expression.matches(CaseFacts(case)))
    if cases and not chosen:
        values = {axis: {case.axes[axis] for case in cases} for axis in cases[0].axes}
        for mistake in misspelt(expression, values, names or {}):
            raise mistake
    return chosen


def _names(cases: tuple[Case, ...]) -> dict[str, str]:
    axes = dict.fromkeys(cases[0].axes if cases else (), "")
    args: set[str] = set()
    seen: set[int] = set()
    for case in cases:
        if id(case.args) not in seen:  # cases share their argument mappings
            seen.add(id(case.args))
            args.update(case.args)
    return known_names(axes, args)


def _refuse_machine_facts(expression: Expression, cases: tuple[Case, ...]) -> None:
    for name in sorted(expression.names & set(MACHINE_FACTS)):
        if cases and not any(name in case.axes or name in case.args for case in cases):
            raise ExpressionError(
                expression.text,
                max(expression.text.find(name), 0),
                f"{name!r} is known only on the machine that runs",
                "cases are chosen before any runtime starts: by axes, arguments, id, key, workload",
            )


def shard(cases: Iterable[Case], part: str) -> tuple[Case, ...]:
    """Part ``"2/5"`` of the cases: those whose key, as a number, leaves 1 when divided by 5."""
    found = _SHARD.fullmatch(part.strip())
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        raise UserError(f"a shard is written NUMBER/COUNT, for example 2/5; found {part!r}")
    return tuple(case for case in cases if shard_of(case.key, count) == number)


def shard_of(key: str, count: int) -> int:
    """Number (from 1) of the shard that a key belongs to."""
    return int(key[:15], 16) % count + 1
