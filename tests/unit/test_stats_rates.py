"""Rates of attempts: what is more than chance, and what is probably flaky."""

from __future__ import annotations

from rmcp.stats.rates import Rate, RateChange, compare_rates


def test_comparison_calls_flaky_what_is_flaky():
    rows = {
        "steady": (Rate(0, 3), Rate(3, 3)),
        "single": (Rate(0, 1), Rate(1, 1)),
        "flaky": (Rate(1, 3), Rate(3, 3)),
        "fixed": (Rate(3, 3), Rate(0, 3)),
        "much worse": (Rate(1, 30), Rate(29, 30)),
        "unseen": (Rate(0, 0), Rate(1, 1)),
        "same": (Rate(2, 3), Rate(2, 3)),
    }
    found = {row: c.change for row, c in compare_rates(rows).items()}
    assert found == {
        "steady": RateChange.REGRESSION,
        "single": RateChange.REGRESSION,
        "flaky": RateChange.MAYBE_REGRESSION,
        "fixed": RateChange.FIX,
        "much worse": RateChange.REGRESSION,
        "unseen": RateChange.UNTESTED,
        "same": RateChange.SAME,
    }


def test_correction_grows_with_the_number_of_flaky_rows():
    one = {"a": (Rate(1, 8), Rate(6, 8))}
    many = {**one, **{f"b{i}": (Rate(1, 3), Rate(2, 3)) for i in range(30)}}
    assert compare_rates(one)["a"].change is RateChange.REGRESSION
    assert compare_rates(many)["a"].change is RateChange.MAYBE_REGRESSION
