"""Explanations, expressions, coverage, stability: what is said about a run, and that it is true of its cases."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.commands.explain import run as explain_command
from rmcp.diagnose.coverage import coverage
from rmcp.diagnose.explain import explanations, to_json, to_text
from rmcp.diagnose.exploring import explore_signature, new_shapes
from rmcp.diagnose.expression import quoted
from rmcp.diagnose.features import Version, facts_of, features_of
from rmcp.diagnose.policy import compile_policy
from rmcp.diagnose.policy_files import decision_page, policy_text
from rmcp.diagnose.probe import Budget
from rmcp.diagnose.probing import ProbeResult
from rmcp.diagnose.study import coverage_of, study
from rmcp.diagnose.variants import case_of
from rmcp.matrix.expressions import compile_expression
from rmcp.matrix.facts import known_names
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import Cause, Outcome
from rmcp_torch.workarounds.policy import parse

AXES = ("runtime", "env", "shape")
SIGNATURE = "crash|aperture_violation|SIGABRT"


def record(axes, args, outcome=Outcome.PASS, env=None, attempts=1, signature=SIGNATURE, metrics=None, runtime=None):
    name = f"conv2d[{'/'.join(axes.values())}]"
    cause = Cause.APERTURE_VIOLATION if outcome is Outcome.CRASH else Cause.NONE
    made = AttemptRecord(
        1, outcome, cause, signature="" if outcome is Outcome.PASS else signature, duration_s=0.1, metrics=metrics or {}
    )
    return CaseRecord(
        name, name, name, "conv2d", axes, args, env or {}, runtime or {"name": axes.get("runtime", "this")}, outcome,
        cause, signature=made.signature, attempts=(made,) * attempts,
    )  # fmt: skip


def a_run(tmp_path, planted, sizes=(28, 43, 56), channels=(3, 16, 20)):
    cases = []
    for runtime, env, size, c in itertools.product(("5.2", "5.10", "6.2"), ("stock", "off"), sizes, channels):
        axes = {"runtime": runtime, "env": env, "shape": f"c{c}-h{size}"}
        args = {"n": 1, "c": c, "h": size, "w": size, "k": 16, "kernel": 3, "padding": 1}
        patch = {"MIOPEN_DEBUG_CONV_DIRECT": "0"} if env == "off" else {}
        features = features_of(axes, args)
        cases.append(record(axes, args, Outcome.CRASH if planted(features) else Outcome.PASS, patch))
    runtimes = {name: {"hip": name, "torch": "2.0", "device": "rocm"} for name in ("5.2", "5.10", "6.2")}
    return Run("r1", tmp_path, {}, tuple(cases), runtimes=runtimes, compare_axes=("runtime",))


def planted(f):
    return f["runtime"] >= Version.parse("5.10") and f["h*w"] >= 1849 and f["env"] == "stock"


def test_one_sentence_with_counts(tmp_path):
    found = study(a_run(tmp_path, planted))
    (told,) = explanations(found, {s: found.localise(s) for s in found.signatures()})
    assert told.sentence.startswith("crash/aperture_violation iff ")
    assert told.sentence.endswith(": 12 of 12, contradicted by 0 of 42")
    assert told.significant
    assert {p.kind for p in told.proof} == {"fails", "passes beside it"}
    assert any("h*w >= 1849" in rival for rival in told.rivals)


@pytest.mark.parametrize(
    "rule",
    [planted, lambda f: f["c"] % 8 != 0 and f["h"] == 56, lambda f: f["h*w"] >= 1849 and f["c"] == 16],
)
def test_the_expression_selects_exactly_the_failing_cases(tmp_path, rule):
    run = a_run(tmp_path, rule)
    found = study(run)
    (told,) = explanations(found, {s: found.localise(s) for s in found.signatures()})
    compiled = compile_expression(told.expression, known_names(dict.fromkeys(AXES, ""), {"c", "h", "w", "k", "n"}))
    for case in run.cases:
        facts = {**facts_of(run.runtimes[case.runtime["name"]], {}), **case.args, **case.axes, "id": case.id}
        assert compiled.matches(facts) is (case.outcome is Outcome.CRASH), told.expression


def test_json_and_text_say_the_same(tmp_path):
    found = study(a_run(tmp_path, planted))
    rules = {s: found.localise(s) for s in found.signatures()}
    told, share = explanations(found, rules), coverage_of(found, rules)
    data = json.loads(json.dumps(to_json(told, share)))
    assert data["rmcp_explain"] == 1
    assert data["explanations"][0]["sentence"] in to_text(told, share)
    assert data["explanations"][0]["counts"]["covered"] == 12
    assert data["coverage"]["proven"] == 54
    assert all(isinstance(line, str) for line in data["explanations"][0]["proof"])


def test_two_signatures_are_explained_apart(tmp_path):
    run = a_run(tmp_path, planted)
    cases = tuple(
        record(c.axes, c.args, Outcome.CRASH, c.env, signature="crash|segfault|SIGSEGV")
        if c.outcome is Outcome.PASS and c.axes["env"] == "off" and c.args["c"] == 3
        else c
        for c in run.cases
    )
    found = study(Run("r", tmp_path, {}, cases, runtimes=run.runtimes))
    told = explanations(found, {s: found.localise(s) for s in found.signatures()})
    rules = {e.signature: e.rule for e in told}
    assert set(rules) == {SIGNATURE, "crash|segfault|SIGSEGV"}
    assert "env == off" in rules["crash|segfault|SIGSEGV"]
    assert "off" not in rules[SIGNATURE]


def test_nothing_failed_is_said(tmp_path):
    found = study(a_run(tmp_path, lambda f: False))
    assert "nothing failed" in to_text(explanations(found, {}))


@pytest.mark.parametrize(
    ("outcomes", "said"),
    [
        ((Outcome.CRASH, Outcome.CRASH), "always: 2 of 2 cases, and nothing passed beside them"),
        ((Outcome.PASS, Outcome.CRASH), "nothing tells what failed so (1) from what passed (1)"),
    ],
)
def test_no_rule_is_made_of_too_little(tmp_path, outcomes, said):
    cases = tuple(record({"a": str(n)}, {"a": n}, outcome) for n, outcome in enumerate(outcomes))
    found = study(Run("r1", tmp_path, {}, cases, compare_axes=()))
    (told,) = explanations(found, {s: found.localise(s) for s in found.signatures()})
    assert said in told.sentence


def test_probing_goes_to_new_shapes_to_tell_an_area_from_a_height(tmp_path):
    """All shapes of the matrix are square: only a new shape can tell h from h*w."""
    run = a_run(tmp_path, planted)
    found = study(run)
    shapes = new_shapes(found, found.localise(SIGNATURE))
    assert any(case.args["h"] != case.args["w"] for case in shapes)
    asked = []

    def probe(cases):
        asked.extend(cases)
        return [
            ProbeResult(Outcome.CRASH, SIGNATURE) if planted(features_of(c.axes, c.args)) else ProbeResult(Outcome.PASS)
            for c in cases
        ]

    one = explore_signature(found, SIGNATURE, probe, Budget(probes=40))
    assert one.explored.settled
    inside = one.explored.finding.hypothesis.mask
    for index, cell in enumerate(one.study.cells):
        assert bool(inside >> index & 1) is planted(cell.features)
    assert len(asked) <= 40


def test_probing_leaves_unsupported_and_lost_cases_alone(tmp_path):
    run = a_run(tmp_path, planted)
    cases = [
        CaseRecord(
            c.id, c.key, c.row, c.workload, c.axes, c.args, c.env, c.runtime,
            (Outcome.UNSUPPORTED, Outcome.LOST)[i % 2], attempts=(),
        )
        if i % 3
        else c
        for i, c in enumerate(run.cases)
    ]  # fmt: skip
    found = study(Run("r", tmp_path, {}, tuple(cases), runtimes=run.runtimes))
    one = explore_signature(found, SIGNATURE, lambda cases: pytest.fail("ran one"), Budget(probes=9), shapes=False)
    assert one.explored.probes == ()


@given(st.text(max_size=12))
def test_quoted_words_mean_themselves(text):
    word = quoted(text)
    if word:
        assert compile_expression(f"x == {word}", {"x": "text"}).matches({"x": text})


def test_case_of_keeps_what_runs():
    case = case_of(
        record({"env": "off"}, {"h": 3}, env={"A": None}, runtime={"name": "5.2", "python": "/p", "options": ["-x"]})
    )
    assert (case.runtime.python, case.runtime.options) == ("/p", ("-x",))
    assert dict(case.env) == {"A": None}


def test_coverage_adds_up_and_infers_only_what_was_seen_in_pairs():
    product = [{"a": a, "b": b, "c": c} for a, b, c in itertools.product("01", "01", "01")]
    share = coverage(product, product[:3], {"bad": product[7]}, agreed=[6], possible=[6, 5])
    assert (share.total, share.proven, share.inferred_fails) == (8, 4, 1)
    assert share.proven + share.inferred + share.untested == 8
    assert share.nearest[0].distance == 1
    assert coverage(product, [p for p in product if p != product[0]], {}).inferred_passes == 1


def test_the_command_is_wired():
    assert callable(explain_command)


words = st.sampled_from(["a", "5.2", "5.10", "x y", "no", "*", "in", "7"])
values = st.one_of(st.integers(-3, 70), st.booleans(), words, st.none(), st.lists(st.integers(0, 3), max_size=2))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_run_can_be_explained(tmp_path_factory, data):
    """Whatever names, values and outcomes a run holds: nothing is raised, and every expression is true of its rule."""
    cases = []
    for number in range(data.draw(st.integers(0, 14))):
        axes = {"env": data.draw(words), "shape": data.draw(words)}
        args = data.draw(st.dictionaries(st.sampled_from(["c", "h", "w", "k", "n", "kernel", "dtype"]), values))
        ends = data.draw(st.lists(st.sampled_from(list(Outcome)), max_size=3))
        attempts = tuple(
            AttemptRecord(i + 1, end, signature=data.draw(st.sampled_from(["", "s|1", "t"])))
            for i, end in enumerate(ends)
        )
        env = data.draw(st.dictionaries(st.sampled_from(["A", "B"]), st.sampled_from([None, "0", "1"])))
        last = ends[-1] if ends else Outcome.NOT_RUN
        cases.append(
            CaseRecord(
                f"m[{number}]",
                str(number),
                str(number),
                "w",
                axes,
                args,
                env,
                {"name": "this"},
                last,
                attempts=attempts,
            )
        )
    found = study(Run("r", tmp_path_factory.getbasetemp(), {}, tuple(cases)))
    rules = {signature: found.localise(signature) for signature in found.signatures()}
    told, share = explanations(found, rules), coverage_of(found, rules)
    json.dumps(to_json(told, share), allow_nan=False)
    assert to_text(told, share)
    compiled = compile_policy(found, told)
    parse(json.loads(policy_text(compiled, "2030-01-01", "r")))
    assert decision_page(compiled, "r")
    for e in told:
        if e.expression:
            names = known_names({"env": "", "shape": ""}, {n for c in cases for n in c.args})
            test = compile_expression(e.expression, names)
            for index, case in enumerate(cases):
                inside = bool(e.finding.hypothesis.mask >> index & 1)
                assert test.matches({"id": case.id, **case.args, **case.axes}) is inside, e.expression
