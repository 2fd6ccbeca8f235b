"""Estimates of a plan's time: what counts, and that they grow with the work."""

from __future__ import annotations

import pytest

from rmcp.matrix import estimate
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_text

CONV = {"n": 2, "c": 4, "h": 9, "w": 11, "k": 6, "kernel": 3}


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (CONV, 2 * 6 * 4 * 9 * 7 * 9),
        ({**CONV, "padding": 1, "stride": [2, 1]}, 2 * 6 * 4 * 9 * 5 * 11),
        ({**CONV, "groups": 2, "kernel": [1, 5], "dilation": 2}, 2 * 6 * 2 * 5 * 9 * 3),
        ({**CONV, "transposed": True, "stride": 2}, 2 * 6 * 4 * 9 * 9 * 11),
        ({"n": 1, "c": 8, "w": 64, "k": 16, "kernel": 4}, 16 * 8 * 4 * 61),
        ({"c": 4, "d": 8, "h": 8, "w": 8, "k": 8, "kernel": 3}, 8 * 4 * 27 * 6**3),
        ({**CONV, "n": 0}, 0),
        ({**CONV, "h": 1}, 0),
        ({**CONV, "kernel": "big"}, 0),
        ({**CONV, "groups": 0}, 0),
        ({}, 16 * 3 * 9 * 30 * 30),
    ],
)
def test_products_of_one_convolution(args, wanted):
    assert estimate.products(args) == wanted


def seconds(rules="", **more):
    args = ", ".join(f"{name}: {value}" for name, value in {**CONV, **more}.items())
    text = f"rmcp: 1\nname: t\ndefaults: {{workload: conv2d, timeout: {{silent: 50s}}, args: {{{args}}}}}\n"
    text += "axes:\n  runtime: {role: compare, values: {this: {}, old: {runtime: {python: /old}}}}\n"
    text += "  env: {values: {a: {}, b: {env: {A: '1'}}}}\n" + rules
    return expand(load_text(text, "t.yaml")).estimate_s()


def test_what_costs_and_what_does_not():
    base = seconds()
    assert base == pytest.approx(estimate._START_S + 3 * estimate._ZYGOTE_S + 4 * estimate._CASE_S, rel=0.01)
    assert seconds("requires: [{match: {env: b}, needs: {device: rocm}}]\n") < base - 2 * estimate._CASE_S
    assert seconds("requires: [{needs: {device: rocm}}]\n") == 0, "nothing of it runs on a CPU"
    newer = seconds("requires: [{needs: torch >= 2.1}]\n")
    assert newer < base, "the other runtime is taken for an old one"
    hang = "expect: [{where: env == b and runtime == this, outcome: [hang, pass], reason: r}]\n"
    assert seconds(hang) == pytest.approx(base + 50 + estimate._STOP_S)


def test_large_shapes_gradients_and_half_precision_cost_more():
    big = {"n": 16, "c": 256, "k": 256, "h": 56, "w": 56}
    forward, backward = seconds(**big), seconds(**big, direction="backward")
    half = seconds(**big, direction="backward", dtype="float16")
    assert seconds() < forward < backward < half
    assert backward - seconds() == pytest.approx(3 * (forward - seconds()), rel=0.01)
    assert seconds(**big, direction="backward", dtype="float16", workaround="cpu") == backward
    assert seconds(**big, dtype="float16") == forward
