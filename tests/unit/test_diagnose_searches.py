"""Boundary, minimal subsets, env bisect and shrink: planted truths recovered, also with 20 % flaky
attempts."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.device.knowledge import knowledge
from rmcp.diagnose.along import parse_along
from rmcp.diagnose.bisect_env import MIOPEN_SWITCHES, OTHER_SWITCHES, Switch, applied, bisect_env, difference
from rmcp.diagnose.boundary import Kind, decisive, draw, find_boundary
from rmcp.diagnose.minimal import minimal_subset
from rmcp.diagnose.probing import BudgetSpent, Oracle, ProbeResult, log_from_json, log_to_json
from rmcp.diagnose.searching import begin, passes, same_as, steady
from rmcp.diagnose.shrink import shrink
from rmcp.diagnose.variants import experiment_key, variant
from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.words import Outcome

SIGNATURE = "crash|segfault|SIGSEGV"
FAILED = ProbeResult(Outcome.CRASH, SIGNATURE, 0.1)
PASSED = ProbeResult(Outcome.PASS, "", 0.1)
ARGS = {
    "n": 2,
    "c": 24,
    "h": 56,
    "w": 56,
    "k": 32,
    "kernel": 3,
    "padding": 1,
    "dtype": "float16",
    "bias": True,
}
CASE = Case("conv2d[x]", "k" * 64, "r" * 64, "conv2d", {"shape": "x"}, ARGS, {"A": "1", "B": "0"})


def flaky_probe(fails, flip, seed=1):
    rng = random.Random(seed)

    def probe(cases):
        return [FAILED if fails(case) and rng.random() >= flip else PASSED for case in cases]

    return probe


@given(st.integers(1, 400), st.integers(1, 400))
@settings(deadline=None)
def test_boundary_finds_any_edge(edge, start):
    if start >= edge:
        found = find_boundary(lambda t: t >= edge, start, 1, 400)
        assert (found.low, found.high) == (edge if edge > 1 else None, None)
        assert found.kind is (Kind.EDGE if edge > 1 else Kind.EVERYWHERE)
        assert len(found.asked) <= 45


@given(st.sampled_from([2, 3, 4, 8, 16]), st.integers(0, 15), st.integers(1, 60))
@settings(deadline=None, max_examples=60)
def test_boundary_finds_residue_classes_with_and_without_an_edge(modulus, residue, edge):
    residue %= modulus

    def fails(t):
        return t >= edge and t % modulus == residue

    start = next(t for t in range(70, 200) if fails(t))
    found = find_boundary(fails, start, 1, 256)
    assert found.kind is Kind.RESIDUE
    assert all(found.predicts(t) is fails(t) for t in range(1, 257))


def test_boundary_says_scattered_and_does_not_invent_an_edge():
    odd = {t for t in range(1, 257) if random.Random(t * 7).random() < 0.5} | {64}
    found = find_boundary(lambda t: t in odd, 64, 1, 256)
    assert found.kind is Kind.SCATTERED
    assert "scattered" in found.text("h")


def test_boundary_keeps_what_it_has_when_the_budget_ends():
    asked = []

    def fails(t):
        if len(asked) == 4:
            raise BudgetSpent("4")
        asked.append(t)
        return t >= 43

    found = find_boundary(fails, 64, 1, 256)
    assert not found.complete
    assert set(found.asked) == {64, *asked}


def test_drawing_shows_both_sides():
    text = draw(find_boundary(lambda t: t >= 43, 64, 1, 256), "h,w")
    assert "." in text.splitlines()[0]
    assert "#" in text.splitlines()[0]
    assert text.splitlines()[0].index("#") > text.splitlines()[0].index(".")


def test_boundary_through_flaky_attempts():
    wrong = 0
    attempts = []
    for seed in range(30):
        oracle = Oracle(flaky_probe(lambda case: case.args["h"] >= 43, 0.2, seed), 2000)
        begin(oracle, CASE)

        def at(t):
            return variant(CASE, args={"h": t})

        def search(o=oracle):
            return find_boundary(lambda t: o.ask(at(t), same_as(SIGNATURE)), 56, 1, 224)

        found = steady(oracle, same_as(SIGNATURE), search, lambda b: map(at, decisive(b)))
        wrong += found.low != 43 or found.kind is not Kind.EDGE
        attempts.append(oracle.spent)
    print(
        f"boundary, 20 % flaky: {30 - wrong} of 30 right, {sum(attempts) / 30:.0f} attempts, floor {math.log2(224):.0f}"
    )
    assert wrong <= 3


@given(st.integers(1, 40), st.data())
@settings(deadline=None)
def test_minimal_subset_finds_a_planted_set_in_k_log_n(n, data):
    wanted = data.draw(st.sets(st.integers(0, n - 1), max_size=4))
    found = minimal_subset(range(n), lambda part: wanted <= set(part))
    assert set(found.items) == wanted
    k = len(wanted)
    assert found.questions <= k * (math.log2(max(2, n)) + 3) + 3


@given(st.integers(1, 7), st.data())
@settings(deadline=None)
def test_minimal_subset_is_one_minimal_whatever_the_answers_are(n, data):
    table = data.draw(st.lists(st.booleans(), min_size=2**n, max_size=2**n))

    def holds(part):
        return table[sum(1 << i for i in part)]

    found = minimal_subset(range(n), holds)
    if found is None:
        assert not table[-1]
        assert not table[0]
        return
    assert holds(found.items)
    if found.items:
        assert not any(holds([i for i in found.items if i != gone]) for gone in found.items)


def test_minimal_subset_of_what_never_holds():
    assert minimal_subset("abc", lambda part: False) is None


def test_env_bisect_names_cause_and_cure():
    own = {f"V{i}": str(i) for i in range(12)} | {"BAD": "1", "WORSE": "2"}

    def fails(env):
        return env.get("BAD") == "1" and env.get("WORSE") == "2" and env.get("HELP") != "1"

    value = Switch("helpful", {**own, "HELP": "1", "X": "1", "Y": "2"})
    answer = bisect_env(own, fails, lambda env: not fails(env), [value], ())
    assert answer.cause.patch == {"BAD": "1", "WORSE": "2"}
    assert answer.cause.questions <= 2 * (math.log2(14) + 4)
    assert answer.cure.patch == {"HELP": "1"}
    assert answer.complete


def test_env_bisect_goes_from_algorithm_to_solver():
    """Only one solver is bad; with every algorithm off nothing is left to run, which is no cure."""
    bad = "MIOPEN_DEBUG_CONV_DIRECT_ASM_3X3U"
    families = [s.name for s in MIOPEN_SWITCHES]

    def passes_with(env):
        if all(env.get(name) == "0" for name in families):
            return False
        return env.get(bad) == "0" or env.get("MIOPEN_DEBUG_CONV_DIRECT") == "0"

    answer = bisect_env({}, lambda env: not passes_with(env), passes_with)
    assert answer.cure.patch == {bad: "0"}
    assert answer.cure.refined == "MIOPEN_DEBUG_CONV_DIRECT"
    assert answer.cure.questions < 20


def test_env_bisect_needs_several_families():
    need = ("MIOPEN_DEBUG_CONV_DIRECT", "MIOPEN_DEBUG_CONV_WINOGRAD")

    def passes_with(env):
        return all(env.get(name) == "0" for name in need) and env.get("MIOPEN_DEBUG_CONV_GEMM") != "0"

    answer = bisect_env({}, lambda env: not passes_with(env), passes_with)
    assert answer.cure.patch == dict.fromkeys(need, "0")


def test_env_bisect_says_when_nothing_cures():
    answer = bisect_env({}, lambda env: True, lambda env: False)
    assert answer.cure is None
    assert any("no environment" in note for note in answer.notes)
    assert all(tried.cured is False for tried in answer.tried)


def test_env_bisect_through_flaky_attempts():
    own = {f"V{i}": "1" for i in range(16)}
    right, spent = 0, []
    for seed in range(20):
        oracle = Oracle(flaky_probe(lambda c: c.env.get("V3") == "1" and c.env.get("V11") == "1", 0.2, seed), 4000)
        case = variant(CASE, env=own)
        begin(oracle, case)

        def ask(env, question, oracle=oracle, case=case):
            return oracle.ask(variant(case, env=env), question)

        answer = bisect_env(
            own, lambda e, ask=ask: ask(e, same_as(SIGNATURE)), lambda e, ask=ask: ask(e, passes), (), ()
        )
        right += answer.cause.patch == {"V3": "1", "V11": "1"}
        spent.append(oracle.spent)
    floor = math.log2(math.comb(16, 2))
    print(f"env bisect, 20 % flaky: {right} of 20, {sum(spent) / 20:.0f} attempts, floor {floor:.1f} answers")
    assert right >= 17


@given(
    st.dictionaries(st.sampled_from("ABCD"), st.sampled_from([None, "0", "1"])),
    st.dictionaries(st.sampled_from("ABCD"), st.sampled_from([None, "0", "1"])),
)
def test_difference_applied_gives_the_other_environment(start, end):
    reached = applied(start, difference(start, end))
    assert {k: v for k, v in reached.items() if v is not None} == {k: v for k, v in end.items() if v is not None}


def test_shrink_reaches_the_planted_minimum():
    def fails(case):
        a = case.args
        return a["h"] * a["w"] >= 1849 and a["c"] % 8 == 0 and case.env.get("A") == "1"

    found = shrink(CASE, fails)
    args = found.case.args
    assert fails(found.case)
    assert args["h"] * args["w"] <= 1849 + 60
    assert (args["c"], args["n"], args["k"], args["kernel"]) == (8, 1, 1, 1)
    assert (args["padding"], args["dtype"], args["bias"]) == (0, "float32", False)
    assert dict(found.case.env) == {"A": "1"}
    assert found.complete


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 56), st.integers(1, 24), st.sampled_from([1, 2, 4, 8]))
def test_shrink_never_returns_what_does_not_fail(h, c, m):
    def fails(case):
        return case.args["h"] >= h and case.args["c"] >= c and case.args["c"] % m == 0

    found = shrink(CASE, fails)
    assert fails(found.case)
    assert found.case.args["h"] == h
    assert found.case.args["c"] == math.ceil(c / m) * m


def test_shrink_leaves_a_case_alone_that_cannot_get_smaller():
    found = shrink(CASE, lambda case: case is CASE or case == CASE)
    assert found.case == CASE
    assert found.steps == ()


def test_shrink_through_flaky_attempts():
    sizes = []
    for seed in range(10):
        oracle = Oracle(flaky_probe(lambda c: c.args["h"] >= 20 and c.args["c"] >= 5, 0.2, seed), 4000)
        same = same_as(begin(oracle, CASE).signature)
        found = shrink(CASE, lambda c, o=oracle, s=same: o.ask(c, s))
        sizes.append((found.case.args["h"], found.case.args["c"]))
    print("shrink, 20 % flaky:", sizes)
    assert sum(size == (20, 5) for size in sizes) >= 8


def test_shrink_stops_with_its_best_when_the_budget_ends():
    oracle = Oracle(flaky_probe(lambda c: True, 0.0), 4)
    found = shrink(CASE, lambda c: oracle.ask(c, same_as(SIGNATURE)))
    assert not found.complete
    assert experiment_key(found.case) != experiment_key(CASE)


def test_oracle_learns_flakiness_and_remembers():
    answers = iter([FAILED, PASSED, FAILED, FAILED, FAILED, FAILED, FAILED])
    oracle = Oracle(lambda cases: [next(answers)], 50)
    assert oracle.ask(CASE, same_as(SIGNATURE)) is True
    assert oracle.spent == 1
    oracle.attempt(CASE)
    assert oracle.ask(CASE, same_as(SIGNATURE)) is True
    assert oracle.flip >= 0.2
    again = Oracle(lambda cases: pytest.fail("asked again"), 50, log=log_from_json(log_to_json(oracle.log)))
    again.flip = oracle.flip
    assert again.ask(CASE, same_as(SIGNATURE)) is True


def test_another_signature_is_not_the_same_failure():
    other = ProbeResult(Outcome.CRASH, "crash|unknown_abort|SIGABRT")
    assert same_as(SIGNATURE)(other) is False
    assert passes(other) is False
    assert same_as(SIGNATURE)(ProbeResult(Outcome.BLOCKED)) is None
    assert same_as("t")(ProbeResult(Outcome.CRASH, "s", titles=("t",))) is True


def test_a_search_needs_a_case_that_fails():
    with pytest.raises(UserError, match="does not fail"):
        begin(Oracle(flaky_probe(lambda c: False, 0.0)), CASE)


@pytest.mark.parametrize(
    ("text", "t", "args"),
    [
        ("h,w", 7, {"h": 7, "w": 7}),
        ("c=8*t,k=t+1", 3, {"c": 24, "k": 4}),
        ("h=t,w=(t-1)//2", 9, {"h": 9, "w": 4}),
    ],
)
def test_along(text, t, args):
    assert parse_along(text, ARGS).args(t) == args


@pytest.mark.parametrize("text", ["depth", "h=__import__('os')", "h=t**t", "h=t//0", "h=" + "(" * 300, "h=9e9", ""])
def test_along_refuses(text):
    with pytest.raises(UserError):
        parse_along(text, ARGS)


def test_along_finds_its_start():
    assert parse_along("h=2*t", ARGS).start(ARGS) == 28
    with pytest.raises(UserError, match="--start"):
        parse_along("h=3*t", ARGS).start(ARGS)


def test_variants_have_their_own_identity():
    one = variant(CASE, args={"h": 7}, env={"A": "1"})
    assert one.args["h"] == 7
    assert dict(one.env) == {"A": "1"}
    assert one.key != CASE.key
    assert one.id.startswith("conv2d[x~")
    assert variant(CASE, args={"h": 56}) is CASE
    assert variant(CASE, args={"h": 7}, env={"A": "1"}) == one
    assert "padding" not in variant(CASE, args={"padding": None}).args
    assert set(one.id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789[]~=._+-")


def test_every_switch_is_a_variable_that_the_knowledge_base_knows():
    names = {n for s in (*MIOPEN_SWITCHES, *OTHER_SWITCHES) for one in (s, *s.parts) for n in one.patch}
    assert not [name for name in sorted(names) if knowledge().find(name) is None]


def test_no_switch_sets_a_variable_to_what_it_is_anyway():
    for switch in (*MIOPEN_SWITCHES, *OTHER_SWITCHES):
        for name, value in switch.patch.items():
            assert value not in knowledge().find(name).noop, (name, value)
