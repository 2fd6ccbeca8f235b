"""The exact bootstrap of medians: the limit of the one by dice, and two ways of asking that agree."""

from __future__ import annotations

import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.stats.medians import differ, ratio_of, weights

times = st.lists(st.floats(0.001, 10.0), min_size=5, max_size=64)


@pytest.mark.parametrize("n", [1, 2, 5, 6, 9, 33, 64])
def test_weights_are_chances_and_symmetric(n: int) -> None:
    assert sum(weights(n)) == pytest.approx(1.0)
    assert all(weight >= 0 for weight in weights(n))
    assert weights(n) == pytest.approx(weights(n)[::-1])


@pytest.mark.parametrize("n", [5, 9, 63])
def test_it_is_the_limit_of_drawing(n: int) -> None:
    dice = random.Random(n)
    before = [dice.lognormvariate(0, 0.2) for _ in range(n)]
    after = [dice.lognormvariate(0.1, 0.2) for _ in range(n)]
    drawn = sorted(
        statistics.median(dice.choices(after, k=n)) / statistics.median(dice.choices(before, k=n))
        for _ in range(20_000)
    )
    found = ratio_of(before, after)
    assert found is not None
    # Chances, not values: the interval's ends have 2.5 % of the draws beyond them, within what 20,000 draws tell.
    assert sum(ratio < found.low for ratio in drawn) / 20_000 == pytest.approx(0.025, abs=0.02)
    assert sum(ratio > found.high for ratio in drawn) / 20_000 == pytest.approx(0.025, abs=0.02)
    assert found.ratio == pytest.approx(statistics.median(after) / statistics.median(before))


@settings(max_examples=200, deadline=None)
@given(times, times)
def test_the_quick_question_agrees_with_the_interval(before: list[float], after: list[float]) -> None:
    found = ratio_of(before, after)
    assert found is not None
    assert found.low <= found.high
    # A rounding error at the very border of the tail may decide either way.
    if not (found.low == 1.0 or found.high == 1.0):
        assert differ(before, after) == found.differs


def test_too_few_samples_or_no_time_say_nothing() -> None:
    assert ratio_of([1.0] * 4, [2.0] * 64) is None
    assert ratio_of([1.0] * 4 + [0.0], [2.0] * 5) is None
    assert not differ([1.0] * 4, [2.0] * 64)


def test_how_often_equal_programs_are_called_different() -> None:
    """The promise of a 95 % interval, kept within the noise of 400 trials."""
    dice = random.Random(3)
    wrong = sum(
        differ([dice.lognormvariate(0, 0.1) for _ in range(30)], [dice.lognormvariate(0, 0.1) for _ in range(30)])
        for _ in range(400)
    )
    assert wrong <= 400 * 0.08
