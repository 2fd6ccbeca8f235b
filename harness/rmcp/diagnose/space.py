"""The hypothesis space of a set of cells: distinct predicates as bit masks, and evidence as weighted bit
masks.

A mask is a Python int with bit i for cell i, so that "which cells have both" is one ``&`` and counting is one
``bit_count()``: 2,000 cells are 32 machine words.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmcp.diagnose.features import Features, Value
from rmcp.diagnose.predicates import Atom, offered

# Prior of the evidence model. A cell is flaky with this chance, and then any share of failing attempts is
# equally likely; otherwise it does what its rule says in all but one of a hundred attempts.
_FLAKY_SHARE = 0.1
_FIRM = 0.99
_GRAIN = 0.25  # weights are rounded to this, so that a few masks carry all of them
_MOST_ATOMS = 900  # keeps a search within a second or two; the dearest predicates go first


@dataclass(frozen=True)
class Tally:
    """Attempts of one cell: how many ended with the signature in question, how many passed."""

    failed: int = 0
    passed: int = 0

    @property
    def attempts(self) -> int:
        """Attempts that say something: those that ended with another signature are not in it."""
        return self.failed + self.passed

    @property
    def share(self) -> float:
        """k/n, 0.0 when nothing is known."""
        return self.failed / self.attempts if self.attempts else 0.0

    @property
    def flaky(self) -> bool:
        """Both were seen."""
        return self.failed > 0 and self.passed > 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.failed + other.failed, self.passed + other.passed)


def weight(tally: Tally) -> float:
    """Log likelihood ratio of k/n for "inside the rule" against "outside": what one cell says for a rule."""
    k, n = tally.failed, tally.attempts
    if n == 0:
        return 0.0
    flaky = _FLAKY_SHARE / (n + 1)
    ways = math.comb(n, k) * (1 - _FLAKY_SHARE)
    inside = ways * _FIRM**k * (1 - _FIRM) ** (n - k) + flaky
    outside = ways * (1 - _FIRM) ** k * _FIRM ** (n - k) + flaky
    return math.log(inside / outside)


def mask_of(indices: Iterable[int]) -> int:
    """The mask with these bits."""
    wanted = list(indices)
    if not wanted:
        return 0
    raw = bytearray(max(wanted) // 8 + 1)
    for index in wanted:
        raw[index // 8] |= 1 << (index % 8)
    return int.from_bytes(raw, "little")


def bits(mask: int) -> list[int]:
    """The indices of a mask, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


class Evidence:
    """Tallies of one signature as masks by weight. Cells without a word for or against it weigh nothing."""

    def __init__(self, tallies: Mapping[int, Tally]) -> None:
        self.tallies = {index: tally for index, tally in tallies.items() if tally.attempts}
        groups: dict[float, list[int]] = {}
        for index, tally in self.tallies.items():
            rounded = round(weight(tally) / _GRAIN) * _GRAIN
            if rounded:
                groups.setdefault(rounded, []).append(index)
        self.positive = [(w, mask_of(ids)) for w, ids in sorted(groups.items(), reverse=True) if w > 0]
        self.negative = [(-w, mask_of(ids)) for w, ids in sorted(groups.items()) if w < 0]
        self.known = mask_of(self.tallies)
        self.failing = mask_of(i for i, t in self.tallies.items() if t.failed)
        self.passing = mask_of(i for i, t in self.tallies.items() if not t.failed)
        self.firm = mask_of(i for i, t in self.tallies.items() if t.failed * 2 > t.attempts)
        self.most = self.support((1 << (max(self.tallies, default=0) + 1)) - 1)

    def support(self, mask: int) -> float:
        """Evidence inside ``mask`` that speaks for a rule; an upper bound of `score` for every narrower
        rule."""
        return math.fsum(w * (mask & group).bit_count() for w, group in self.positive)

    def score(self, mask: int) -> float:
        """Log likelihood ratio of "exactly these cells are inside the rule" against "none is"."""
        total = 0.0
        for w, group in self.positive:
            total += w * (mask & group).bit_count()
        for w, group in self.negative:
            total -= w * (mask & group).bit_count()
        return total


class Space:
    """All cells (tried or not) and the predicates that split them; predicates with one extension are one."""

    def __init__(self, cells: Sequence[Features], axes: Iterable[str] = (), bundles: Iterable[str] = ()) -> None:
        self.cells = tuple(cells)
        self.everything = (1 << len(self.cells)) - 1
        by_value = _by_value(self.cells)
        same: dict[int, list[Atom]] = {}
        for atom in offered(self.cells, axes, bundles):
            mask = 0
            for value, members in by_value[atom.feature].items():
                if atom.holds({atom.feature: value}):
                    mask |= members
            if mask not in (0, self.everything):
                same.setdefault(mask, []).append(atom)
        ranked = sorted(same.items(), key=lambda item: min(atom.cost for atom in item[1]))[:_MOST_ATOMS]
        self.masks = tuple(mask for mask, _ in ranked)
        self.aliases = tuple(
            tuple(sorted(atoms, key=lambda atom: (atom.cost, len(atom.text()), atom.text()))) for _, atoms in ranked
        )
        self.atoms = tuple(names[0] for names in self.aliases)

    def extension(self, terms: Iterable[int]) -> int:
        """The cells in which all of these predicates hold."""
        mask = self.everything
        for term in terms:
            mask &= self.masks[term]
        return mask


def _by_value(cells: Sequence[Features]) -> dict[str, dict[Value, int]]:
    lists: dict[str, dict[Value, list[int]]] = {}
    for index, features in enumerate(cells):
        for name, value in features.items():
            lists.setdefault(name, {}).setdefault(value, []).append(index)
    return {name: {value: mask_of(indices) for value, indices in values.items()} for name, values in lists.items()}
