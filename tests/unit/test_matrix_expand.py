"""Expansion: ids, keys, patches, rules, counts, refusals."""

from __future__ import annotations

import hashlib
import itertools
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.errors import UserError
from rmcp.matrix.errors import MatrixError
from rmcp.matrix.expand import expand
from rmcp.matrix.facts import CaseFacts
from rmcp.matrix.load import load_text
from rmcp.matrix.model import Case
from rmcp.matrix.plan import Plan
from rmcp.matrix.select import select, shard

GOLDEN = Path(__file__).parents[1] / "golden" / "matrix"
HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"
FULL = (GOLDEN / "full.yaml").read_text(encoding="utf-8")


def plan(text: str, profile: str | None = None) -> Plan:
    return expand(load_text(HEAD + text, "t.yaml"), profile)


def ids(text: str, profile: str | None = None) -> list[str]:
    return [case.id for case in plan(text, profile).cases]


def only(cases: tuple[Case, ...], expression: str) -> Case:
    (case,) = select(cases, expression)
    return case


def test_ids_are_value_names_in_axis_order_without_defaults() -> None:
    text = "axes: {r: [5.2, this], env: {default: stock, values: {stock: {}, no-sdma: {}}}, d: [f16]}"
    assert ids(text) == ["t[5.2/f16]", "t[5.2/no-sdma/f16]", "t[this/f16]", "t[this/no-sdma/f16]"]


def test_the_id_of_all_defaults() -> None:
    assert ids("axes: {a: {default: x, values: [x, y]}}") == ["t[default]", "t[y]"]


@pytest.mark.parametrize("rules", ["", "reduce: {strength: 2}"])
def test_a_matrix_without_axes_is_one_case(rules: str) -> None:
    assert ids("axes: {}\n" + rules) == ["t[default]"]


@pytest.mark.parametrize("strength", [1, 2, 6])
def test_reducing_few_axes(strength: int) -> None:
    compared = "axes: {r: {role: compare, values: [p, q]}%s}\nreduce: {strength: " + str(strength) + "}"
    assert len(ids(compared % "")) == 2
    assert len(ids(compared % ", a: [x, y, z]")) == 6


def test_keys_are_hashes_of_sorted_pairs_without_defaults() -> None:
    cases = plan(
        "axes: {z: [1], a: {default: x, values: [x, y]}, r: {role: compare, values: {p: {}, q: {}}}}"
    ).cases
    case = only(cases, "a == y and r == q")
    assert case.key == hashlib.sha256(b"a=y\nr=q\nz=1").hexdigest()
    assert case.row == hashlib.sha256(b"a=y\nz=1").hexdigest()
    assert only(cases, "a == y and r == p").row == case.row
    assert only(cases, "a == x and r == q").row != case.row


def test_a_new_axis_with_a_default_and_new_values_change_no_key() -> None:
    before = plan("axes: {a: [x, y], b: {default: p, values: [p, q]}}").cases
    after = plan(
        "axes: {n: {default: o, values: [o, m]}, b: {default: p, values: [r, p, q]}, a: [w, x, y]}"
    ).cases
    assert {case.key for case in before} <= {case.key for case in after}


def test_patches_defaults_then_axes_then_set() -> None:
    text = (
        "axes:\n  a: {values: {x: {args: {h: 2}, env: {A: '1'}, device: cuda, threads: 2}, y: {}}}\n"
        "  b: {values: {u: {timeout: {case: 5}, workload: faults, args: {kind: none}}, v: {}}}\n"
        "set:\n  - {match: {a: x}, args: {h: 3}, seed: 9}\n  - {where: 'h == 2', env: {A: null}}\n"
        "  - {where: 'workload == faults', timeout: {silent: 1}}\n"
    )
    head = HEAD.replace("noop", "noop, args: {h: 1, w: 1}, env: {B: '2'}")
    cases = expand(load_text(head + text, "t.yaml")).cases
    case = only(cases, "a == x and b == u")
    assert case.args == {"h": 3, "w": 1, "kind": "none"}
    assert case.env == {"A": None, "B": "2"}
    assert (case.device, case.threads, case.seed, case.workload) == ("cuda", 2, 9, "faults")
    assert (case.timeout.case, case.timeout.silent) == (5, 1)
    other = only(cases, "a == y and b == v")
    assert (other.args, other.env, other.device, other.seed) == ({"h": 1, "w": 1}, {"B": "2"}, "auto", 1234)


def test_needs_keep_what_only_the_machine_can_tell() -> None:
    text = (
        "axes: {env: {default: s, values: {s: {}, t: {}}}, h: [1, 2]}\nrequires:\n"
        "  - {where: 'env == t', needs: {device: rocm}, reason: r}\n"
        "  - {where: 'gfx == gfx1010 and h == 2', needs: {rocm: [5.2, '6.*'], device: rocm}}\n"
        "  - {needs: 'linux >= 5.4', reason: old}\n"
    )
    cases = plan(text).cases
    assert [need.expression for need in only(cases, "env == s and h == 1").needs] == ["linux >= 5.4"]
    need = only(cases, "env == t and h == 2").needs
    assert [n.expression for n in need] == [
        "device == rocm",
        "not (gfx == gfx1010 and h == 2) or (rocm in [5.2, 6.*] and device == rocm)",
        "linux >= 5.4",
    ]
    assert need[1].reason == "needs rocm in [5.2, 6.*] and device == rocm"


def test_exclude_by_match_and_by_expression() -> None:
    text = "axes: {a: [x, y], h: [1, 2, 3]}\nexclude: [{match: {a: x, h: [2, 3]}}, {where: a == y and h > 2}]"
    assert ids(text) == ["t[x/1]", "t[y/1]", "t[y/2]"]


@pytest.mark.parametrize(
    "rule",
    [
        "exclude: [{where: 'h > 9'}]",
        "set: [{match: {a: x}, where: 'h > 9', seed: 1}]",
        "requires: [{where: 'h > 9 and gfx == gfx1010', needs: {device: rocm}}]",
        "expect: [{where: 'h > 9 and gfx == gfx1010', outcome: crash, reason: r}]",
    ],
)
def test_a_rule_that_matches_nothing_is_an_error(rule: str) -> None:
    with pytest.raises(MatrixError, match="rule matches no case") as caught:
        plan("axes: {a: [x], h: [1, 2]}\n" + rule)
    assert caught.value.problems[0].position.line == 5


def test_rules_see_what_set_changed() -> None:
    text = "axes: {a: [x], h: [1, 2]}\nset: [{match: {h: 2}, args: {g: 2}}]\n"
    text += "requires: [{where: g == 2, needs: {device: rocm}}]\n"
    cases = plan(text + "expect: [{where: g == 2, outcome: crash, reason: r}]").cases
    assert [len(case.needs) for case in cases] == [0, 1]
    assert [CaseFacts(case)["g"] for case in cases] == [None, 2]  # absent, not unknown
    assert len(select(cases, "g != 2")) == 1


def test_a_rule_that_only_this_plan_misses_is_none() -> None:
    text = "axes: {a: [x, y], h: [1, 2]}\nset: [{match: {h: 2}, seed: 1}]\nprofiles: {p: {select: 'h == 1'}}"
    assert len(plan(text, "p").cases) == 2


def test_add() -> None:
    text = (
        "axes: {r: {role: compare, values: {p: {}, q: {}}}, e: {default: s, values: {s: {}, t: {}, u: {}}},"
        " a: [x, y, z], b: [1, 2, 3]}\n"
        "exclude: [{match: {a: z, r: q}}]\nreduce: {strength: 1}\nadd: [{a: z, b: [2, 3], why: w}]\n"
    )
    added = [case for case in plan(text).cases if case.origin == "add"]
    planned = {case.id for case in plan(text).cases}
    assert {"t[p/z/2]", "t[p/z/3]"} <= planned
    assert not any(case.axes["r"] == "q" and case.axes["a"] == "z" for case in plan(text).cases)
    assert added
    assert all(case.axes["e"] == "s" for case in added)
    assert len(planned) == len(plan(text).cases)


def test_add_of_excluded_cases_is_an_error() -> None:
    with pytest.raises(MatrixError, match=r"excluded at t\.yaml:5:11"):
        plan("axes: {a: [x, y]}\nexclude: [{match: {a: x}}]\nadd: [{a: x, why: w}]")


def test_profiles() -> None:
    matrix = load_text(FULL, "full.yaml")
    assert len(expand(matrix, "full").cases) == 230
    smoke = expand(matrix, "smoke")
    assert {case.axes["h"] for case in smoke.cases} == {"32"}
    assert smoke.steps[-1].name == "select"
    patient = expand(matrix, "patient")
    assert {case.timeout.case for case in patient.cases if case.axes["env"] == "stock"} == {3600}
    with pytest.raises(UserError, match="did you mean 'smoke'"):
        expand(matrix, "smokey")


def test_steps_count_every_step() -> None:
    steps = {step.name: step.count for step in expand(load_text(FULL, "full.yaml")).steps}
    assert list(steps) == ["product", "exclude", "reduce", "add", "set"]
    assert steps["product"] == 4 * 3 * 2 * 2 * 3 * 2
    assert steps["exclude"] == 230


@pytest.mark.parametrize(
    "text",
    [
        "axes: {%s}\nlimits: {cases: 1000000}",
        "axes: {%s}\nexclude: [{match: {a0: '0'}}]",
        "axes: {%s}\nreduce: {strength: 6}",
        "axes: {%s, r: {role: compare, values: [%s]}}\nreduce: {strength: 1}",
        "axes: {%s}\nadd: [{why: w}]\nreduce: {strength: 1}",
    ],
)
def test_a_plan_past_the_limit_is_refused_at_once(text: str) -> None:
    axes = ", ".join(f"a{i}: [{', '.join(map(str, range(20)))}]" for i in range(12))
    compared = ", ".join(f"v{i}" for i in range(3000))
    began = time.process_time()
    with pytest.raises(UserError, match=r"limits\.cases|combinations"):
        plan(text % ((axes,) if text.count("%s") == 1 else (axes, compared)))
    assert time.process_time() - began < 5  # nothing of size 20^12 was built; seconds, not hours


def test_excludes_that_bring_the_plan_under_the_limit_are_honoured() -> None:
    text = "axes: {a: [1, 2, 3, 4], b: [1, 2, 3, 4]}\nexclude: [{where: 'a > 1'}]\nlimits: {cases: 4}"
    assert len(plan(text).cases) == 4
    with pytest.raises(UserError, match=r"expands to 16 cases \(4 x 4\), more than limits\.cases = 3"):
        plan(text.replace("cases: 4", "cases: 3"))


def test_shared_value_names_without_defaults_are_unambiguous() -> None:
    cases = plan("axes: {stride: [1, 2], h: [1, 2]}").cases
    assert [case.id for case in cases] == ["t[1/1]", "t[1/2]", "t[2/1]", "t[2/2]"]


names = st.sampled_from(["p", "q", "r", "s", "1", "2", "5.10"])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(names, min_size=1, max_size=4, unique=True), st.booleans(), st.booleans()),
        min_size=1,
        max_size=4,
    )
)
def test_ids_and_keys_are_unique_or_the_matrix_is_refused(axes: list[tuple[list[str], bool, bool]]) -> None:
    lines = [
        f"  x{number}: {{values: [{', '.join(values)}]"
        + (f", default: {values[0]}" if default else "")
        + (", role: compare" if compare else "")
        + "}"
        for number, (values, default, compare) in enumerate(axes)
    ]
    try:
        cases = plan("axes:\n" + "\n".join(lines)).cases
    except MatrixError:
        return
    product = len(list(itertools.product(*(values for values, _, _ in axes))))
    assert len({case.id for case in cases}) == len({case.key for case in cases}) == len(cases) == product


def test_select_by_axes_arguments_and_globs() -> None:
    cases = expand(load_text(FULL, "full.yaml"), "full").cases
    assert {case.axes["h"] for case in select(cases, "h >= 42 and shape == c16-*")} == {"42", "44"}
    assert {case.axes["shape"] for case in select(cases, "c == 16")} == {"c16-k1"}
    assert len(select(cases, "args.c == 16")) == len(select(cases, "c == 16"))
    assert len(select(cases, "kernel == 1")) == len(select(cases, "shape == c16-k1"))
    assert {case.axes["runtime"] for case in select(cases, "runtime > 5.2")} == {"5.10"}
    assert select(cases, "id == 'full[this/contiguous/float32/c3-k3]'") == ()  # brackets are a pattern
    assert len(select(cases, "id == 'full?this/contiguous/float32/c3-k3?'")) == 1
    with pytest.raises(UserError, match="only on the machine"):
        select(cases, "gfx == gfx1010")
    with pytest.raises(UserError, match="no value of axis 'dtype' is 'flaot16'"):
        select(cases, "dtype == flaot16")
    with pytest.raises(UserError, match="did you mean 'shape'"):
        select(cases, "shap == x")


def test_shards_are_a_partition_that_does_not_depend_on_the_rest() -> None:
    cases = expand(load_text(FULL, "full.yaml"), "full").cases
    parts = [shard(cases, f"{number}/5") for number in range(1, 6)]
    assert sorted(case.key for part in parts for case in part) == sorted(case.key for case in cases)
    assert all(len(part) > 20 for part in parts)
    some = cases[::3]
    whole = {case.key for case in shard(cases, "2/5")}
    assert {case.key for case in shard(some, "2/5")} == whole & {case.key for case in some}
    for bad in ("0/5", "6/5", "2", "a/b", "1/0", ""):
        with pytest.raises(UserError, match="NUMBER/COUNT"):
            shard(cases, bad)


def test_case_facts() -> None:
    cases = expand(load_text(FULL, "full.yaml"), "full").cases
    case = only(cases, "id == '*?5.2/no-sdma/contiguous/float32/44/c3-k3?'")
    facts = CaseFacts(case, {"rocm": "5.2", "kernel": "6.8.0", "h": "never"})
    assert facts["h"] == "44"
    assert facts["kernel"] == [3, 3]
    assert facts["args.c"] == 3
    assert facts["rocm"] == "5.2"
    assert "gfx" not in facts
    assert dict(facts)["workload"] == "noop"
    assert len(facts) == len(dict(facts))
