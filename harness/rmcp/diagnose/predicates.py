"""Atomic predicates over features: the words out of which a rule is made, and which of them a set of cases
offers."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rmcp.diagnose.features import Features, Value, Version

# Sizes that kernels tile by: a channel count that one of these does not divide takes another path.
MODULI = (2, 4, 8, 16, 32)
_RESIDUE_FEATURES = ("c", "k", "h", "w", "n", "gemm_m", "gemm_n", "gemm_k")
_MOST_CATEGORIES = 64  # more values than this name cases one by one, which explains nothing
_MOST_CUTS = 24  # thresholds of one feature; evenly thinned beyond it (boundary finds the exact edge later)
_EQUAL_NUMBERS = 12  # a number is also offered as "== v" while it has at most this many values
_COINCIDENCE = 0.6  # extra cost of a property that small sets of sizes often share by chance
_BUNDLE = 0.45  # extra cost of the name of several arguments together
_DERIVED = 0.3  # extra cost of a quantity that the reader has to compute


class Op(str, Enum):
    """How a predicate compares."""

    EQ = "=="
    NE = "!="
    GE = ">="
    LT = "<"
    MOD = "%"
    NMOD = "!%"


@dataclass(frozen=True)
class Atom:
    """One predicate. ``modulus`` only for MOD and NMOD (value: the residue). ``low`` is the greatest value
    seen below a threshold: anything in (low, value] says the same on the data. ``cost``: 1.0 for the
    plainest."""

    feature: str
    op: Op
    value: Value
    modulus: int = 0
    low: Value | None = None
    cost: float = 1.0

    def holds(self, features: Features) -> bool:
        """Whether a case has it; a feature that the case lacks never holds and is never unequal."""
        found = features.get(self.feature)
        if found is None:
            return False
        if self.op is Op.EQ:
            return found == self.value
        if self.op is Op.NE:
            return found != self.value
        if self.op in (Op.MOD, Op.NMOD):
            if not isinstance(found, int):
                return False
            return (found % self.modulus == self.value) is (self.op is Op.MOD)
        if not _comparable(found, self.value):
            return False
        below = bool(found < self.value)  # type: ignore[operator]
        return below is (self.op is Op.LT)

    def text(self) -> str:
        """The predicate as people read it: ``h*w >= 1849``, ``c % 8 != 0``, ``not depthwise``."""
        if isinstance(self.value, bool) and self.op in (Op.EQ, Op.NE):
            return self.feature if (self.op is Op.EQ) is self.value else f"not {self.feature}"
        if self.op in (Op.MOD, Op.NMOD):
            return f"{self.feature} % {self.modulus} {'==' if self.op is Op.MOD else '!='} {self.value}"
        return f"{self.feature} {self.op.value} {self.value}"

    def to_json(self) -> dict[str, Any]:
        """The predicate as JSON-able values."""
        plain = str(self.value) if isinstance(self.value, Version) else self.value
        data: dict[str, Any] = {"feature": self.feature, "op": self.op.value, "value": plain}
        if self.modulus:
            data["modulus"] = self.modulus
        if self.low is not None:
            data["low"] = str(self.low) if isinstance(self.low, Version) else self.low
        return data


def _comparable(left: Value, right: Value) -> bool:
    numbers = isinstance(left, (int, float)) and isinstance(right, (int, float))
    return numbers or (isinstance(left, Version) and isinstance(right, Version))


def offered(cases: Sequence[Features], axes: Iterable[str] = (), bundles: Iterable[str] = ()) -> list[Atom]:
    """All atoms that split ``cases``; features named in ``axes`` are the plainest. At most some hundreds.

    ``bundles`` are axes whose values stand for several arguments at once (a named shape): what the arguments say
    is preferred to the name.
    """
    plain, named = set(axes), set(bundles)
    values: dict[str, set[Value]] = {}
    for features in cases:
        for name, value in features.items():
            values.setdefault(name, set()).add(value)
    atoms: list[Atom] = []
    for name in sorted(values):
        derived = _BUNDLE if name in named else 0.0 if name in plain else _extra(name)
        atoms.extend(_atoms_of(name, values[name], 1.0 + derived))
    return atoms


def _extra(name: str) -> float:
    if name.startswith("pow2_"):
        return _COINCIDENCE
    return _DERIVED if "*" in name or "_" in name else 0.1


def _atoms_of(name: str, values: set[Value], cost: float) -> list[Atom]:
    if len(values) < 2:
        return []
    if all(isinstance(value, bool) for value in values):
        return [Atom(name, Op.EQ, True, cost=cost), Atom(name, Op.EQ, False, cost=cost)]
    atoms: list[Atom] = []
    versions = [value for value in values if isinstance(value, Version)]
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(values) <= _MOST_CATEGORIES and (not numbers or len(values) <= _EQUAL_NUMBERS):
        for value in sorted(values, key=str):
            atoms.append(Atom(name, Op.EQ, value, cost=cost + (0.1 if numbers else 0.0)))
            if len(values) > 2:
                atoms.append(Atom(name, Op.NE, value, cost=cost + 0.1))
    for ordered in (sorted(versions), sorted(numbers)):
        cuts: list[tuple[Value, Value]] = list(itertools.pairwise(ordered))
        if len(cuts) > _MOST_CUTS:
            step = len(cuts) / _MOST_CUTS
            cuts = [cuts[int(i * step)] for i in range(_MOST_CUTS)]
        for low, high in cuts:
            atoms.append(Atom(name, Op.GE, high, low=low, cost=cost))
            atoms.append(Atom(name, Op.LT, high, low=low, cost=cost))
    if name in _RESIDUE_FEATURES and all(isinstance(value, int) for value in values):
        for index, modulus in enumerate(MODULI):
            dearer = cost + 0.2 + 0.01 * index
            atoms.append(Atom(name, Op.MOD, 0, modulus, cost=dearer))
            atoms.append(Atom(name, Op.NMOD, 0, modulus, cost=dearer))
    return atoms
