"""Two sides, row by row: the change classes, corrected by what the attempts of flaky rows can prove (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rmcp.compare.classes import change_of
from rmcp.compare.model import Cell, Change
from rmcp.stats.rates import Compared, Rate, RateChange, compare_rates
from rmcp.words import Outcome, OutcomeClass, class_of

Cells = Sequence[Cell | None]

_PASS = Outcome.PASS
# Changes that speak of failing more or less often; the others are about the way of failing, or about none.
_PASSES_OR_FAILS = (Change.REGRESSION, Change.FIX)
_FAILS_ALIKE = (Change.UNCHANGED, Change.SIGNATURE)
_UNPROVEN = (RateChange.MAYBE_REGRESSION, RateChange.MAYBE_FIX)


@dataclass(frozen=True)
class Pairing:
    """One change per row, and by row what the exact test said where it decided the change."""

    changes: Sequence[Change | None]
    doubts: Mapping[int, Compared] = field(default_factory=dict)


def paired(before: Cells, after: Cells) -> Pairing:
    """The change of every row. Rows that were repeated are tested: what may be chance is `probably-flaky`, and a
    case that failed on both sides, but provably more often on one, is `worse` or `better`."""
    changes = [
        # Two passes are what most pairs are; a large comparison has a million.
        Change.UNCHANGED
        if old is not None and new is not None and old[0] is _PASS and new[0] is _PASS and not new.samples
        else Change.UNCHANGED  # two sides without the row: nothing changed between them
        if old is None and new is None
        else change_of(old, new)
        for old, new in zip(before, after, strict=True)
    ]
    rates = {
        at: (_rate(old), _rate(new))
        for at, (old, new) in enumerate(zip(before, after, strict=True))
        if old is not None and new is not None and (old.rate or new.rate) and changes[at] in _TESTED
    }
    doubts: dict[int, Compared] = {}
    for at, found in compare_rates(rates).items():
        decided = after_test(changes[at], found.change)
        if decided is not changes[at]:
            changes[at] = decided
            doubts[at] = found
    return Pairing(changes, doubts)


_TESTED = frozenset((*_PASSES_OR_FAILS, *_FAILS_ALIKE))


def after_test(change: Change, found: RateChange) -> Change:
    """The change class once the exact test of the attempts has spoken."""
    if change in _PASSES_OR_FAILS and found in _UNPROVEN:
        return Change.FLAKY
    if change in _FAILS_ALIKE and found is RateChange.REGRESSION:
        return Change.WORSE
    if change in _FAILS_ALIKE and found is RateChange.FIX:
        return Change.BETTER
    return change


def _rate(cell: Cell) -> Rate:
    if cell.rate is not None:
        return cell.rate
    klass = class_of(cell.outcome, cell.signal)
    if klass in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN):
        return Rate(0, 0)
    return Rate(int(klass is not OutcomeClass.PASSED), 1)
