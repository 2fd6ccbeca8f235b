"""Smallest sufficient subsets: prefix bisection where answers are monotone, Zeller's ddmin where they are
not.

Prefix bisection finds a set of k among n with about k * log2(n) questions (the "critical element" search of
Junker's QuickXplain and of delta debugging's binary case); ddmin is the fallback, it assumes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Questions(Generic[T]):
    """Counts and remembers what was asked about subsets of ``items``."""

    items: Sequence[T]
    holds: Callable[[Sequence[T]], bool]
    asked: dict[frozenset[int], bool] = field(default_factory=dict)

    def ask(self, indices: frozenset[int]) -> bool:
        """Whether the subset suffices; each subset is asked once."""
        if indices not in self.asked:
            self.asked[indices] = self.holds([self.items[i] for i in sorted(indices)])
        return self.asked[indices]


@dataclass(frozen=True)
class Minimal(Generic[T]):
    """A subset that suffices and from which nothing can be left out. ``questions``: how many subsets were
    tried; ``floor``: log2 of the number of subsets of that size, the fewest answers that could have named
    it."""

    items: tuple[T, ...]
    questions: int
    floor: float
    method: str


def minimal_subset(items: Sequence[T], holds: Callable[[Sequence[T]], bool]) -> Minimal[T] | None:
    """A minimal subset of ``items`` for which ``holds`` is true; None when it is false for all of them
    together."""
    questions = Questions(items, holds)
    everything = frozenset(range(len(items)))
    if questions.ask(frozenset()):
        return Minimal((), len(questions.asked), 0.0, "nothing is needed")
    if not questions.ask(everything):
        return None
    found, method = _prefixes(questions), "prefix bisection"
    if found is None or not _is_minimal(questions, found):
        found, method = _ddmin(questions, everything if found is None else found), "ddmin"
    floor = math.log2(max(1, math.comb(len(items), len(found))))
    return Minimal(tuple(items[i] for i in sorted(found)), len(questions.asked), floor, method)


def _prefixes(questions: Questions[T]) -> frozenset[int] | None:
    """Find the items one by one: the shortest sufficient prefix ends in one that is needed. None: not
    monotone."""
    needed: frozenset[int] = frozenset()
    end = len(questions.items)
    while not questions.ask(needed):
        low, high = 0, end  # needed + items[:low] does not suffice, needed + items[:high] does
        while high - low > 1:
            middle = (low + high) // 2
            if questions.ask(needed | frozenset(range(middle))):
                high = middle
            else:
                low = middle
        if high == 0 or high - 1 in needed or not questions.ask(needed | frozenset(range(high))):
            return None
        needed |= {high - 1}
        end = high - 1
        if end == 0 and not questions.ask(needed):
            return None
    return needed


def _is_minimal(questions: Questions[T], found: frozenset[int]) -> bool:
    return questions.ask(found) and not any(questions.ask(found - {i}) for i in found)


def _ddmin(questions: Questions[T], start: frozenset[int]) -> frozenset[int]:
    """Zeller and Hildebrandt's ddmin: 1-minimal whatever the answers are."""
    current, parts = sorted(start), 2
    while len(current) >= 2:
        size = math.ceil(len(current) / parts)
        chunks = [frozenset(current[i : i + size]) for i in range(0, len(current), size)]
        whole = frozenset(current)
        subset = next((chunk for chunk in chunks if len(chunk) < len(current) and questions.ask(chunk)), None)
        if subset is not None:
            current, parts = sorted(subset), 2
            continue
        rest = next((whole - c for c in chunks if len(chunks) > 2 and questions.ask(whole - c)), None)
        if rest is not None:
            current, parts = sorted(rest), max(parts - 1, 2)
        elif parts >= len(current):
            break
        else:
            parts = min(len(current), parts * 2)
    return frozenset(current)
