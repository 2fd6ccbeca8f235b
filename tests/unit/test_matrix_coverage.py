"""What a run says about the full product."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.matrix.coverage import measure
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_text

HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"
AXES = "axes: {e: {default: s, values: [s, t, u]}, a: [p, q], h: [1, 2, 3]}\n"
PLAN = expand(load_text(HEAD + AXES + "exclude: [{match: {e: u, a: q}}]\n", "t.yaml"))
POINTS = [dict(case.axes) for case in PLAN.cases]


def test_everything_proven() -> None:
    found = measure(PLAN, POINTS, [])
    assert (found.full, found.proven, found.inferred, found.untested) == (15, 15, 0, 0)
    assert found.nearest == ()


def test_a_covering_array_infers_the_rest() -> None:
    reduced = expand(load_text(HEAD + AXES + "reduce: {strength: 2}", "t.yaml"))
    found = measure(reduced, [case.axes for case in reduced.cases], [])
    assert found.proven == len(reduced.cases)
    assert (found.proven + found.inferred, found.untested) == (18, 0)
    assert "inferred (all their 2-way combinations passed)" in str(found)


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["", "passed", "failed"]), min_size=15, max_size=15))
def test_shares_add_up_and_inferred_means_what_it_says(ways: list[str]) -> None:
    judged = [point for point, way in zip(POINTS, ways, strict=True) if way]
    failing = [point for point, way in zip(POINTS, ways, strict=True) if way == "failed"]
    found = measure(PLAN, judged, failing)
    assert found.proven + found.inferred + found.untested == found.full == 15
    passed = [point for point in judged if point not in failing]
    seen = {pair for point in passed for pair in itertools.combinations(sorted(point.items()), 2)}
    rest = [point for point in POINTS if point not in judged]
    inferred = [p for p in rest if set(itertools.combinations(sorted(p.items()), 2)) <= seen]
    assert found.inferred == len(inferred), "a combination that only ever failed infers nothing"
    assert len(found.nearest) <= found.untested, "what is inferred to pass is not called untested"


def test_nearest_untested_cases() -> None:
    failing = [{"e": "t", "a": "q", "h": "2"}, {"e": "t", "a": "q", "h": "3"}]
    found = measure(PLAN, failing, failing)
    assert (found.nearest[0].id, found.nearest[0].distance, found.nearest[0].failures) == ("t[t/q/1]", 1, 2)
    assert all(near.distance == 1 for near in found.nearest[:3])
    # excluded cases are nobody's neighbour
    assert not any(near.id.startswith("t[u/q") for near in found.nearest)
    assert len({near.id for near in found.nearest}) == len(found.nearest) == 10


def test_cases_of_another_matrix_are_strangers() -> None:
    found = measure(PLAN, [{"e": "s", "a": "gone", "h": "1"}, {"a": "p", "h": "1"}], [])
    assert (found.proven, found.strangers) == (1, 1)


def test_a_product_too_large_to_count() -> None:
    axes = ", ".join(f"a{i}: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]" for i in range(6))
    plan = expand(load_text(HEAD + f"axes: {{{axes}}}\nreduce: {{strength: 1}}", "t.yaml"))
    failing = [plan.cases[0].axes]
    found = measure(plan, failing, failing)
    assert found.full is None
    assert "too large" in str(found)
    assert len(found.nearest) == 10
