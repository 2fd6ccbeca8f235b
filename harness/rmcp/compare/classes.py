"""The change class of one row between two sides: a table of decisions (pure)."""

from __future__ import annotations

from rmcp.compare.model import Cell, Change
from rmcp.compare.perf import slower_or_faster
from rmcp.words import Outcome, OutcomeClass, class_of

# What a death does to the machine; a case that now takes the device with it is worse, whatever it is called.
_HARM = {"none": 0, "fault": 0, "reset": 1, "wedged": 2, "lost": 2}
_UNCERTAIN = (Outcome.BLOCKED, Outcome.NOT_RUN)


def _uncertain(cell: Cell, klass: OutcomeClass) -> bool:
    return klass is OutcomeClass.NO_VERDICT or cell.outcome in _UNCERTAIN


def _harm(cell: Cell) -> int:
    return 2 if cell.outcome is Outcome.UNKILLABLE else _HARM.get(cell.device, 0)


def _among_passed(before: Cell, after: Cell) -> Change:
    if before.outcome is not after.outcome:
        return Change.WORSE if after.outcome is Outcome.WARN else Change.BETTER
    if before.samples and after.samples and slower_or_faster(before.samples, after.samples):
        return Change.PERF
    return Change.UNCHANGED


def _same_class(before: Cell, after: Cell) -> Change:
    """Both failed in the same class: harm to the device, then the outcome's word, then the signature."""
    if _harm(before) != _harm(after):
        return Change.WORSE if _harm(after) > _harm(before) else Change.BETTER
    if before.outcome is not after.outcome:
        return Change.LATERAL
    if before.rule != after.rule:  # a changed rule is not a changed crash: hold only what rules do not touch
        same = (before.cause, before.signal) == (after.cause, after.signal)
    else:
        same = before.signature == after.signature
    return Change.UNCHANGED if same else Change.SIGNATURE


def change_of(before: Cell | None, after: Cell | None) -> Change:
    """The change from ``before`` (None: the row is not there) to ``after``.

    Classes, not a total order: passed | failed silently | failed | died. A move to a wrong number is never an
    improvement, and nothing without a verdict is a fix or a regression.
    """
    if before is None or after is None:
        return Change.NEW if before is None and after is not None else Change.GONE
    if before.outcome is Outcome.PASS and after.outcome is Outcome.PASS:
        return _among_passed(before, after)  # by far the most frequent pair
    old, new = class_of(before.outcome, before.signal), class_of(after.outcome, after.signal)
    if _uncertain(before, old) or _uncertain(after, new):
        same = before.outcome is after.outcome and before.outcome in _UNCERTAIN
        return Change.UNCHANGED if same else Change.NO_VERDICT
    off, now_off = old is OutcomeClass.NOT_RUN, new is OutcomeClass.NOT_RUN
    if off or now_off:
        return Change.UNCHANGED if off and now_off else Change.ENABLED if off else Change.DISABLED
    passed, passes = old is OutcomeClass.PASSED, new is OutcomeClass.PASSED
    if passed and passes:
        return _among_passed(before, after)
    if passed or passes:
        return Change.REGRESSION if passed else Change.FIX
    if old is new:
        return _same_class(before, after)
    if OutcomeClass.FAILED_SILENTLY in (old, new):
        return Change.LATERAL
    return Change.WORSE if new is OutcomeClass.DIED else Change.BETTER
