"""Minimise a failing case: shape, arguments and environment, while the signature stays the same.

Every proposal is only tried; what a workload refuses (groups that do not divide channels) fails another way
and is not taken. So nothing here needs to know what is legal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.diagnose.minimal import minimal_subset
from rmcp.diagnose.probing import BudgetSpent, Undecidable
from rmcp.diagnose.variants import variant
from rmcp.matrix.model import Case

# The plainest value of an argument that is not a size, tried before anything else. None: leave it out.
PLAINEST: Mapping[str, Any] = {
    "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": False, "memory_format": "contiguous",
    "dtype": "float32", "direction": "forward", "autocast": None, "workaround": None, "benchmark": False,
    "deterministic": False, "tf32": False, "repeat": 1,
}  # fmt: skip
_MOST_ROUNDS = 6  # rounds over all arguments; each takes at least one proposal or it is the last


@dataclass(frozen=True)
class Step:
    """One proposal that was taken: what changed, from what, to what."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Shrunk:
    """The smallest case found, the proposals taken on the way, and how many were asked."""

    case: Case
    steps: tuple[Step, ...]
    questions: int
    complete: bool = True


class _Search:
    def __init__(self, case: Case, same: Callable[[Case], bool]) -> None:
        self.case, self._same = case, same
        self.steps: list[Step] = []
        self.questions = 0

    def try_case(self, proposal: Case) -> bool:
        """Take the proposal if it fails the same way."""
        if proposal == self.case:
            return False
        self.questions += 1
        try:
            same = self._same(proposal)
        except Undecidable:
            same = False
        return same

    def try_args(self, args: Mapping[str, Any]) -> bool:
        """Take these arguments if the case still fails the same way."""
        proposal = variant(self.case, args=args)
        if not self.try_case(proposal):
            return False
        for name, value in args.items():
            if self.case.args.get(name) != value:
                self.steps.append(Step(name, self.case.args.get(name), value))
        self.case = proposal
        return True


def shrink(case: Case, same: Callable[[Case], bool], plainest: Mapping[str, Any] = PLAINEST) -> Shrunk:
    """The smallest variant of ``case`` for which ``same`` holds. ``same`` may raise BudgetSpent or
    Undecidable."""
    search = _Search(case, same)
    complete = True
    try:
        _environment(search)
        for _ in range(_MOST_ROUNDS):
            before = len(search.steps)
            _plain(search, plainest)
            _sizes(search)
            if len(search.steps) == before:
                break
    except BudgetSpent:
        complete = False
    return Shrunk(_renamed(case, search.case), tuple(search.steps), search.questions, complete)


def _renamed(first: Case, last: Case) -> Case:
    """The result as one variant of the case that the user named, not of the proposals in between."""
    return variant(first, args={**dict.fromkeys(first.args), **last.args}, env=last.env)


def _environment(search: _Search) -> None:
    own = sorted(search.case.env.items())
    if not own:
        return
    start = search.case
    found = minimal_subset(
        own, lambda part: search.try_case(p) if (p := variant(start, env=dict(part))) != start else True
    )
    if found is not None and len(found.items) < len(own):
        for name, value in own:
            if (name, value) not in found.items:
                search.steps.append(Step(name, value, None))
        search.case = variant(start, env=dict(found.items))


def _plain(search: _Search, plainest: Mapping[str, Any]) -> None:
    for name, value in plainest.items():
        if name in search.case.args and search.case.args[name] != value:
            search.try_args({name: value})


def _sizes(search: _Search) -> None:
    sizes = [name for name, value in search.case.args.items() if _is_size(value)]
    # Pairs that are equal are often tied together (h and w, c and groups): try them as one before each alone.
    for group in _tied(search.case.args, sizes):
        _descend(search, group)
    for name in sizes:
        _descend(search, (name,))
    for name, value in list(search.case.args.items()):
        if isinstance(value, (list, tuple)) and value and all(_is_size(part) for part in value):
            search.try_args({name: min(value)})


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 1


def _tied(args: Mapping[str, Any], sizes: Sequence[str]) -> list[tuple[str, ...]]:
    by_value: dict[int, list[str]] = {}
    for name in sizes:
        by_value.setdefault(args[name], []).append(name)
    return [tuple(names) for names in by_value.values() if len(names) > 1]


def _descend(search: _Search, names: tuple[str, ...]) -> None:
    """Bring equal sizes down together: 1 first, then bisection, then the common tiles (residue classes)."""
    value = search.case.args.get(names[0])
    if not _is_size(value):
        return
    if search.try_args(dict.fromkeys(names, 1)):
        return
    low, high = 1, search.case.args[names[0]]  # low does not fail the same way, high does
    while high - low > 1:
        middle = (low + high) // 2
        if search.try_args(dict.fromkeys(names, middle)):
            high = middle
        else:
            low = middle
    # The failing set may be a residue class: bisection then stops early, steps of a tile go on.
    for tile in (64, 32, 16, 8, 4, 2):
        while high - tile >= 1 and search.try_args(dict.fromkeys(names, high - tile)):
            high -= tile
