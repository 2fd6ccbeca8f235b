"""A rule in the matrix's expression language, which knows axes, arguments and facts but no arithmetic.

A predicate over a derived quantity (``h*w >= 1849``, ``c % 8 != 0``) becomes the list of values of an axis
or an argument that have it. What cannot be said that way is said by case ids, so that the expression is
never wrong: it is evaluated on every case of the run before it is handed out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from rmcp.diagnose.features import Features, Version
from rmcp.diagnose.predicates import Atom, Op
from rmcp.errors import UserError
from rmcp.matrix.expressions import compile_expression
from rmcp.matrix.facts import known_names
from rmcp.matrix.model import Case
from rmcp.matrix.versions import as_text

_BARE = re.compile(r"[A-Za-z0-9_./+-][A-Za-z0-9_./+:-]*")
_KEYWORDS = frozenset(("and", "or", "not", "in", "is"))
_MOST_LISTED = 400  # words in one list; a longer one helps nobody


def expression_of(
    atoms: Sequence[Atom],
    cells: Sequence[tuple[Case, Features]],
    facts: Sequence[Mapping[str, object]],
    inside: Sequence[bool],
) -> str:
    """The rule as an expression that is true for exactly the ``inside`` cells of the run; '' when there is
    none.

    ``facts`` are what the expression is evaluated on, one for each cell.
    """
    if not cells:
        return ""
    parts = [_part(atom, cells, facts) for atom in atoms]
    if parts and all(parts):
        text = " and ".join(str(part) for part in parts)
        if _agrees(text, facts, inside):
            return text
    ids = [case.id for (case, _), held in zip(cells, inside, strict=True) if held]
    listed = _listed("id", ids)
    return listed if listed and _agrees(listed, facts, inside) else ""


def facts_for(case: Case, machine: Mapping[str, object]) -> dict[str, object]:
    """What an expression may name for a case: machine facts, then its fields, arguments and axes."""
    own = {"id": case.id, "key": case.key, "row": case.row, "workload": case.workload, "seed": case.seed}
    return {**machine, **own, **case.args, **case.axes}


def _agrees(text: str, facts: Sequence[Mapping[str, object]], inside: Sequence[bool]) -> bool:
    names = known_names({}, {name for known in facts for name in known}, report=True)
    try:
        compiled = compile_expression(text, names)
    except UserError:
        return False
    return all(compiled.matches(known) is held for known, held in zip(facts, inside, strict=True))


def _part(atom: Atom, cells: Sequence[tuple[Case, Features]], facts: Sequence[Mapping[str, object]]) -> str | None:
    named = all(atom.feature in known for known in facts)
    if named and atom.op in (Op.EQ, Op.NE, Op.GE, Op.LT):
        value = atom.value.text if isinstance(atom.value, Version) else as_text(atom.value)
        text = f"{atom.feature} {atom.op.value} {quoted(value)}"
        if quoted(value) and _agrees(text, facts, [atom.holds(features) for _, features in cells]):
            return text
    holds = [atom.holds(features) for _, features in cells]
    axes = sorted({axis for case, _ in cells for axis in case.axes})
    for axis in axes:
        listed = _by_values(axis, [case.axes.get(axis, "") for case, _ in cells], holds)
        if listed:
            return listed
    for name in sorted({name for case, _ in cells for name in case.args}):
        listed = _by_values(name, [as_text(case.args.get(name, "")) for case, _ in cells], holds)
        if listed:
            return listed
    return None


def _by_values(name: str, values: Sequence[str], holds: Sequence[bool]) -> str | None:
    """``name in [..]`` when a value decides whether the predicate holds."""
    yes = {value for value, held in zip(values, holds, strict=True) if held}
    no = {value for value, held in zip(values, holds, strict=True) if not held}
    if yes & no or not yes or not no or "" in yes | no:
        return None
    ordered = list(dict.fromkeys(values))
    if len(no) < len(yes):
        return _listed(name, [value for value in ordered if value in no], "!=", "not in")
    return _listed(name, [value for value in ordered if value in yes])


def _listed(name: str, values: Sequence[str], one: str = "==", many: str = "in") -> str | None:
    words = [quoted(value) for value in values]
    if not all(words) or not words or len(words) > _MOST_LISTED:
        return None
    return f"{name} {one} {words[0]}" if len(words) == 1 else f"{name} {many} [{', '.join(words)}]"


def quoted(value: str) -> str:
    """A word as the language reads it, with the wildcards in it made literal; '' when it cannot be said."""
    plain = "".join(f"[{char}]" if char in "*?[" else char for char in value)
    if plain == value and _BARE.fullmatch(value) and value not in _KEYWORDS:
        return value
    for mark in ('"', "'"):
        if mark not in plain and "\n" not in plain:
            return f"{mark}{plain}{mark}"
    return ""
