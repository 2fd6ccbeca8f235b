"""Exact tests against brute force, known values and their own laws."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.stats.exact import (
    Sprt,
    binomial_tail,
    fisher_greater,
    fisher_two_sided,
    holm,
    log_fisher_greater,
    log_sum,
)

small = st.integers(0, 5)


def brute(a, b, c, d):
    """P(at least a failing inside), by choosing which cells fail in every way there is."""
    total, failing = a + b + c + d, a + c
    draws = [sum(1 for cell in chosen if cell < a + b) for chosen in itertools.combinations(range(total), failing)]
    return sum(1 for inside in draws if inside >= a) / len(draws)


@given(small, small, small, small)
def test_fisher_counts_what_enumeration_counts(a, b, c, d):
    if a + b + c + d <= 12:
        assert fisher_greater(a, b, c, d) == pytest.approx(brute(a, b, c, d), rel=1e-9)


@pytest.mark.parametrize(
    ("table", "p"),
    [((3, 1, 1, 3), 17 / 70), ((0, 5, 5, 0), 1.0), ((5, 0, 0, 5), 1 / 252), ((0, 0, 3, 4), 1.0)],
)
def test_fisher_known_values(table, p):
    assert fisher_greater(*table) == pytest.approx(p)


def test_fisher_stays_finite_where_a_float_cannot():
    assert -10_000 < log_fisher_greater(1000, 0, 0, 1000) < -1000


def test_fisher_refuses_negative_counts():
    with pytest.raises(ValueError, match="negative"):
        log_fisher_greater(1, -1, 0, 0)


@given(small, small, small, small)
def test_two_sided_is_symmetric_and_a_probability(a, b, c, d):
    p = fisher_two_sided(a, b, c, d)
    assert 0 < p <= 1
    assert p == pytest.approx(fisher_two_sided(b, a, d, c))
    assert p == pytest.approx(fisher_two_sided(c, d, a, b))
    assert p >= min(1.0, fisher_greater(a, b, c, d)) - 1e-9 or a / max(1, a + b) <= c / max(1, c + d)


@given(st.integers(0, 12), st.floats(0.01, 0.99))
def test_binomial_tail_adds_up(n, p):
    for k in range(n + 1):
        exact = math.comb(n, k) * p**k * (1 - p) ** (n - k)
        assert binomial_tail(k, n, p) - (binomial_tail(k + 1, n, p) if k < n else 0) == pytest.approx(exact, abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_keeps_order_and_never_helps(ps):
    adjusted = holm(ps)
    assert all(q >= p - 1e-12 and q <= 1 for p, q in zip(ps, adjusted, strict=True))
    order = sorted(range(len(ps)), key=lambda i: ps[i])
    assert [adjusted[i] for i in order] == sorted(adjusted)


def test_holm_worked_example():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6))
def test_log_sum(logs):
    assert log_sum(logs) == pytest.approx(math.log(sum(math.exp(x) for x in logs)))


def test_steady_answers_need_one_attempt_and_flaky_ones_more():
    assert Sprt(0.02, 0.02).decide(1, 0) is True
    assert Sprt(0.02, 0.02).decide(0, 1) is False
    assert Sprt(0.2, 0.02).decide(1, 0) is None
    assert Sprt(0.2, 0.02).decide(3, 0) is True
    assert Sprt(0.2, 0.02).decide(5, 5) is None
