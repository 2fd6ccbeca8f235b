"""Policies: what they match, what they refuse, and how a model is patched by one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from rmcp_torch.workarounds.policy import DYNAMIC, NAMES, Policy, PolicyError, dump, load, parse


def policy(*rules, default="none"):
    return parse({"rmcp_policy": 1, "default": default, "rules": list(rules)})


BIG = {
    "where": {"hw": {"min": 1765}, "c": {"in": [16, 32]}},
    "workaround": "split_spatial",
    "why": "aperture",
}


@pytest.mark.parametrize(
    ("test", "value", "holds"),
    [
        ({"min": 43}, 43, True),
        ({"min": 43}, 42, False),
        ({"max": 3}, 3, True),
        ({"max": 3}, 4, False),
        ({"in": [1, 5]}, 5, True),
        ({"in": [1, 5]}, 4, False),
        ({"mod": [8, [1, 7]]}, 15, True),
        ({"mod": [8, [1, 7]]}, 16, False),
        ({"min": 1, "max": 9, "mod": [2, [0]]}, 4, True),
        ({"min": 1, "max": 9, "mod": [2, [0]]}, 5, False),
        ([2, 3], 3, True),
        (2, 3, False),
    ],
)
def test_tests_of_numbers(test, value, holds):
    rule = policy({"where": {"h": test}, "workaround": "unfold"}).rules[0]
    assert rule.matches({"h": value}) is holds


def test_tests_of_texts():
    found = policy({"where": {"dtype": "float16"}, "workaround": "fp32_upcast"})
    assert found.choose({"dtype": "float16"}) == "fp32_upcast"
    assert found.choose({"dtype": "float32"}) == "none"


def test_the_first_rule_decides_and_missing_arguments_leave_it_open():
    found = policy(BIG, {"where": {"c": 16}, "workaround": "unfold"})
    assert found.choose({"c": 16, "hw": 2000}) == "split_spatial"
    assert found.choose({"c": 16, "hw": 100}) == "unfold"
    assert found.choose({"c": 16}) is None
    assert found.choose({"c": 3}) == "none"


def test_a_policy_survives_writing_and_reading(tmp_path):
    found = policy(
        BIG, {"where": {"k": {"mod": [8, [0, 3]]}, "dtype": {"in": ["float16"]}}, "workaround": "cpu"}
    )
    path = tmp_path / "policy.yaml"
    path.write_text(dump(found))
    assert load(str(path)) == found


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([], "rmcp_policy: 1"),
        ({"rmcp_policy": 2}, "found 2"),
        ({"rmcp_policy": 1, "rules": 3}, "rules"),
        ({"rmcp_policy": 1, "rules": [3]}, "rules[0]"),
        ({"rmcp_policy": 1, "rules": [{"where": {"height": 3}, "workaround": "unfold"}]}, "height"),
        ({"rmcp_policy": 1, "rules": [{"where": {"h": {"least": 3}}, "workaround": "unfold"}]}, "least"),
        ({"rmcp_policy": 1, "rules": [{"where": {"h": {"min": "3"}}, "workaround": "unfold"}]}, "min"),
        ({"rmcp_policy": 1, "rules": [{"where": {"h": {"mod": [0, [1]]}}, "workaround": "unfold"}]}, "mod"),
        ({"rmcp_policy": 1, "rules": [{"where": {}}]}, "workaround"),
    ],
)
def test_mistakes_are_named(document, says):
    with pytest.raises(PolicyError) as raised:
        parse(document)
    assert says in str(raised.value)


def test_a_file_that_is_not_json(tmp_path):
    path = tmp_path / "policy.yaml"
    path.write_text("rmcp_policy: 1")
    with pytest.raises(PolicyError, match="JSON"):
        load(str(path))


def test_the_policy_module_needs_no_torch():
    code = "import sys, rmcp_torch.workarounds.policy; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_an_expired_rule_is_applied_with_a_warning(tmp_path):
    torch = pytest.importorskip("torch")
    from rmcp_torch import apply_policy

    path = tmp_path / "policy.yaml"
    rules = [{"where": {}, "workaround": "unfold", "expires": "2020-01-31"}]
    path.write_text(json.dumps({"rmcp_policy": 1, "rules": rules}))
    with pytest.warns(UserWarning, match="2020-01-31"):
        model = apply_policy(torch.nn.Conv2d(2, 2, 3), str(path))
    assert model.rmcp_choice == "unfold"


def test_a_model_patched_by_a_policy(tmp_path):
    torch = pytest.importorskip("torch")
    from rmcp_torch import apply_policy
    from rmcp_torch.workarounds import SafeConv2d
    from rmcp_torch.workarounds.modules import dynamic_arguments, static_arguments

    path = tmp_path / "policy.yaml"
    path.write_text(
        json.dumps(
            {"rmcp_policy": 1, "rules": [BIG, {"where": {"groups": {"min": 2}}, "workaround": "unfold"}]}
        )
    )
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 3, padding=1),
        torch.nn.Conv2d(16, 16, 3, padding=1, stride=(2, 1)),
        torch.nn.Conv2d(16, 4, 3, groups=4),
    )
    apply_policy(model, str(path))
    assert type(model[0]) is torch.nn.Conv2d
    assert isinstance(model[1].rmcp_choice, Policy)
    layer = model[1]
    assert isinstance(layer, SafeConv2d)
    small, large = torch.zeros(1, 16, 42, 42), torch.zeros(2, 16, 90, 40)
    assert (layer._rmcp_name(small), layer._rmcp_name(large)) == ("none", "split_spatial")
    arguments = {**static_arguments(layer), **dynamic_arguments(layer, large)}
    assert set(arguments) == NAMES
    assert arguments["hw"] == layer(large).shape[2] * layer(large).shape[3]
    assert DYNAMIC < NAMES
