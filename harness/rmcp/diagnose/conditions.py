"""A rule's predicates as the conditions of a policy file, which knows the arguments of a convolution only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rmcp.diagnose.explain import Explanation
from rmcp.diagnose.predicates import Atom, Op
from rmcp.diagnose.space import bits
from rmcp.diagnose.study import Study
from rmcp_torch.workarounds.policy import NAMES

_SAME = {"out_h*out_w": "hw"}  # feature -> the policy file's word for it
_PLACES = ("gfx", "rocm", "torch", "kernel", "device", "host")  # said by the scope of the rule


def conditions_of(
    found: Study, explanation: Explanation, settings: Mapping[str, str]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """``where`` of a policy rule and remarks on what it cannot say (then it matches more layers than need
    it).

    ``settings`` are the axes that change how a layer runs, not which one: what a rule says about them is its
    scope.
    """
    where: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    if explanation.finding is None:
        return {}, ()
    for term in explanation.finding.hypothesis.terms:
        atom = found.space.atoms[term]
        if atom.feature in _PLACES or atom.feature.startswith("$") or atom.feature == "workaround":
            continue
        if atom.feature in settings and atom.feature not in NAMES:
            continue
        made = _first(found.space.aliases[term]) or _by_values(found, explanation, atom)
        if made is None:
            if not _is_setting(found, atom.feature):
                notes.append(f"the policy cannot say {atom.text()}: the rule matches more layers than need it")
            continue
        for name, test in made.items():
            where[name] = _both(where.get(name, {}), test)
    return where, tuple(notes)


def _first(atoms: Iterable[Atom]) -> dict[str, dict[str, Any]] | None:
    """The plainest of some equal predicates that the file can say."""
    for atom in atoms:
        name = _SAME.get(atom.feature, atom.feature)
        test = _test(atom) if name in NAMES else None
        if test is not None:
            return {name: test}
    return None


def _test(atom: Atom) -> dict[str, Any] | None:
    if atom.op in (Op.MOD, Op.NMOD) and isinstance(atom.value, int):
        rest = [r for r in range(atom.modulus) if (r == atom.value) is (atom.op is Op.MOD)]
        return {"mod": [atom.modulus, rest]}
    if atom.op is Op.EQ and isinstance(atom.value, (int, float, str)) and not isinstance(atom.value, bool):
        return {"in": [atom.value]}
    if isinstance(atom.value, int) and not isinstance(atom.value, bool):
        if atom.op is Op.GE:
            return {"min": atom.value}
        if atom.op is Op.LT:
            return {"max": atom.value - 1}
    return None


def _by_values(found: Study, explanation: Explanation, atom: Atom) -> dict[str, dict[str, Any]] | None:
    """A predicate over an axis or a derived quantity: the values of one argument that decide it, if one
    does."""
    cells = [cell for cell in found.cells if cell.record is not None]
    names = sorted({name for cell in cells for name in cell.case.args if name in NAMES})
    for name in names:
        yes = {_hashable(cell.case.args.get(name)) for cell in cells if atom.holds(cell.features)}
        no = {_hashable(cell.case.args.get(name)) for cell in cells if not atom.holds(cell.features)}
        if yes and no and _are_plain(yes) and not yes & no:
            return {name: {"in": sorted(yes, key=lambda value: (isinstance(value, str), value))}}
    # A named shape: all of its arguments together, when the covered cells agree on them.
    if atom.op is Op.EQ and atom.feature in found.axes and not _is_setting(found, atom.feature):
        members = [cell for cell in cells if atom.holds(cell.features)]
        same = {n: {_hashable(cell.case.args.get(n)) for cell in members} for n in names}
        made = {n: {"in": list(v)} for n, v in same.items() if len(v) == 1 and _are_plain(v)}
        return made or None
    if explanation.finding is None or _is_setting(found, atom.feature):
        return None
    # Else the very sizes that failed: narrow, but never more than was seen.
    inside = [found.cells[i] for i in bits(explanation.finding.hypothesis.mask)]
    sizes = [n for n in ("h", "w", "c", "k") if n in names and n in _speaks_of(atom.feature)]
    seen = {n: {_hashable(cell.case.args[n]) for cell in inside if n in cell.case.args} for n in sizes}
    return {n: {"in": sorted(v, key=str)} for n, v in seen.items() if _are_plain(v)} or None


def _hashable(value: Any) -> Any:
    """A list as a tuple, so that values can be compared as sets."""
    return tuple(_hashable(part) for part in value) if isinstance(value, (list, tuple)) else value


def _are_plain(values: Iterable[Any]) -> bool:
    """Whether the policy file can list these values."""
    return all(isinstance(value, (int, str)) and not isinstance(value, bool) for value in values)


def _speaks_of(feature: str) -> tuple[str, ...]:
    if feature in ("h*w", "pow2_hw", "square"):
        return ("h", "w")
    return {"pow2_c": ("c",), "pow2_k": ("k",), "gemm_m": ("k",), "gemm_k": ("c",)}.get(feature, ())


def _is_setting(found: Study, feature: str) -> bool:
    """Whether an axis sets the environment or the runtime: the remedy replaces it, a layer does not know
    it."""
    if feature not in found.axes:
        return False
    seen: dict[str, set[str]] = {}
    for cell in found.cells:
        told = f"{sorted((n, str(v)) for n, v in cell.case.env.items())}|{cell.case.runtime}|{cell.case.device}"
        seen.setdefault(cell.case.axes.get(feature, ""), set()).add(told)
    groups = [frozenset(told) for told in seen.values()]
    return len(groups) > 1 and len(set(groups)) == len(groups)


def _both(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Both tests on one argument."""
    made = dict(first)
    for word, value in second.items():
        if word == "min":
            made[word] = max(value, made.get(word, value))
        elif word == "max":
            made[word] = min(value, made.get(word, value))
        elif word == "in" and word in made:
            made[word] = [v for v in made[word] if v in value]
        elif word == "mod" and word in made:
            # Two residue classes at once: one over the product of the moduli.
            (m, r), (n, s) = made[word], value
            made[word] = [m * n, [x for x in range(m * n) if x % m in r and x % n in s]]
        else:
            made[word] = value
    return made
