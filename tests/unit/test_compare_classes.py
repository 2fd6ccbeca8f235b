"""Every decision of the change classes, as a table."""

from __future__ import annotations

import itertools

import pytest

from rmcp.compare import CHANGES, Cell, Change, change_of
from rmcp.compare.perf import slower_or_faster, speed_of
from rmcp.words import Outcome, OutcomeClass, class_of

O, C = Outcome, Change  # noqa: E741
TABLE = [
    (O.PASS, O.PASS, C.UNCHANGED),
    (O.PASS, O.WARN, C.WORSE),
    (O.WARN, O.PASS, C.BETTER),
    (O.PASS, O.MISMATCH, C.REGRESSION),
    (O.WARN, O.CRASH, C.REGRESSION),
    (O.PASS, O.ERROR, C.REGRESSION),
    (O.PASS, O.TAINTED, C.REGRESSION),
    (O.MISMATCH, O.PASS, C.FIX),
    (O.HANG, O.WARN, C.FIX),
    (O.CRASH, O.MISMATCH, C.LATERAL),
    (O.ERROR, O.MISMATCH, C.LATERAL),
    (O.MISMATCH, O.CRASH, C.LATERAL),
    (O.MISMATCH, O.ERROR, C.LATERAL),
    (O.ERROR, O.CRASH, C.WORSE),
    (O.OOM, O.HANG, C.WORSE),
    (O.CRASH, O.ERROR, C.BETTER),
    (O.TIMEOUT, O.OOM, C.BETTER),
    (O.CRASH, O.HANG, C.LATERAL),
    (O.ERROR, O.OOM, C.LATERAL),
    (O.HANG, O.UNKILLABLE, C.WORSE),
    (O.UNKILLABLE, O.CRASH, C.BETTER),
    (O.CRASH, O.CRASH, C.UNCHANGED),
    (O.PASS, O.UNSUPPORTED, C.DISABLED),
    (O.CRASH, O.UNSUPPORTED, C.DISABLED),
    (O.UNSUPPORTED, O.PASS, C.ENABLED),
    (O.UNSUPPORTED, O.CRASH, C.ENABLED),
    (O.UNSUPPORTED, O.UNSUPPORTED, C.UNCHANGED),
    (O.PASS, O.LOST, C.NO_VERDICT),
    (O.COLLATERAL, O.PASS, C.NO_VERDICT),
    (O.HARNESS_ERROR, O.CRASH, C.NO_VERDICT),
    (O.BLOCKED, O.PASS, C.NO_VERDICT),
    (O.CRASH, O.NOT_RUN, C.NO_VERDICT),
    (O.LOST, O.LOST, C.NO_VERDICT),
    (O.BLOCKED, O.BLOCKED, C.UNCHANGED),
    (O.UNSUPPORTED, O.BLOCKED, C.NO_VERDICT),
]


@pytest.mark.parametrize(("before", "after", "change"), TABLE, ids=[f"{a}-{b}" for a, b, _ in TABLE])
def test_table(before: Outcome, after: Outcome, change: Change) -> None:
    assert change_of(Cell(before), Cell(after)) is change


@pytest.mark.parametrize(("before", "after"), list(itertools.product(Outcome, Outcome)))
def test_laws(before: Outcome, after: Outcome) -> None:
    change = change_of(Cell(before), Cell(after))
    good = (C.FIX, C.BETTER)
    if after is O.MISMATCH:
        assert change not in good, "a move to a wrong number is never an improvement"
    klasses = [class_of(o) for o in (before, after)]
    if OutcomeClass.NO_VERDICT in klasses:
        assert change is C.NO_VERDICT
    if change is C.FIX:
        assert klasses[1] is OutcomeClass.PASSED
    if change is C.REGRESSION:
        assert klasses[0] is OutcomeClass.PASSED
    # The way back is the opposite.
    back = change_of(Cell(after), Cell(before))
    opposite = {
        C.REGRESSION: C.FIX,
        C.FIX: C.REGRESSION,
        C.WORSE: C.BETTER,
        C.BETTER: C.WORSE,
        C.ENABLED: C.DISABLED,
        C.DISABLED: C.ENABLED,
    }
    assert back is opposite.get(change, change)


def test_an_oom_that_a_signal_ended_died() -> None:
    assert change_of(Cell(O.OOM), Cell(O.OOM, signal="SIGKILL")) is C.WORSE


def test_presence() -> None:
    assert change_of(None, Cell(O.CRASH)) is C.NEW
    assert change_of(Cell(O.CRASH), None) is C.GONE


def test_harm_to_the_device_counts_within_a_class() -> None:
    assert change_of(Cell(O.CRASH), Cell(O.CRASH, device="wedged")) is C.WORSE
    assert change_of(Cell(O.CRASH, device="reset"), Cell(O.HANG)) is C.BETTER


def test_signature_needs_the_same_rules() -> None:
    before = Cell(O.CRASH, cause="segfault", signature="a", rule=1)
    assert change_of(before, before._replace(signature="b")) is C.SIGNATURE
    assert change_of(before, before._replace(signature="b", rule=2)) is C.UNCHANGED
    assert change_of(before, before._replace(signature="b", rule=2, cause="aperture_violation")) is C.SIGNATURE


FAST = (1.0, 1.02, 0.98, 1.01, 0.99, 1.0)
SLOW = tuple(2 * t for t in FAST)


def test_perf_needs_samples_size_and_certainty() -> None:
    assert change_of(Cell(O.PASS, samples=FAST), Cell(O.PASS, samples=SLOW)) is C.PERF
    assert change_of(Cell(O.PASS, samples=SLOW), Cell(O.PASS, samples=FAST)) is C.PERF
    assert change_of(Cell(O.PASS, samples=FAST), Cell(O.WARN, samples=SLOW)) is C.WORSE
    assert not slower_or_faster(FAST[:4], SLOW[:4])
    assert not slower_or_faster(FAST, tuple(1.05 * t for t in FAST))
    assert not slower_or_faster((1, 5, 1, 5, 1, 5), (5, 1, 5, 1, 6, 1.5))
    assert not slower_or_faster((0, 1, 1, 1, 1), SLOW)


def test_speed_of_a_side() -> None:
    speed = speed_of([(1.0 + i / 100, 1.3 * (1.0 + i / 100)) for i in range(50)])
    assert speed is not None
    assert speed.ratio == pytest.approx(1.3)
    assert speed.differs
    assert speed_of([(1, 1), (0, 1), (1, 2)]) is None
    noisy = speed_of([(1.0, 2.0 if i % 2 else 0.5) for i in range(40)])
    assert noisy is not None
    assert not noisy.differs


def test_every_class_is_described() -> None:
    assert list(CHANGES) == list(Change)
