"""The expression language: the vectors that Python and JavaScript share, and its laws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.matrix.expressions import Expression, ExpressionError, compile_expression

VECTORS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "vectors" / "expressions.json").read_text(encoding="utf-8")
)


class AnyName(dict[str, str]):
    """Declared types for some names, every other name allowed."""

    def __contains__(self, name: object) -> bool:
        return True


@pytest.mark.parametrize("vector", VECTORS, ids=[v["expr"] or "empty" for v in VECTORS])
def test_vector(vector: dict[str, Any]) -> None:
    def evaluate() -> bool | None:
        return compile_expression(vector["expr"], AnyName(vector["types"])).evaluate(vector["facts"])

    if "error" in vector:
        with pytest.raises(ExpressionError) as caught:
            evaluate()
        assert caught.value.offset == vector["error"]
    else:
        assert evaluate() is vector["result"]


def test_unknown_name_suggests() -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression("env == a and memory_fromat == x", ["env", "memory_format"])
    assert caught.value.offset == 13
    assert "did you mean 'memory_format'?" in str(caught.value)
    assert str(caught.value).splitlines()[2].index("^") == 4 + 13


def test_names_are_what_it_reads() -> None:
    expression = compile_expression("a == 1 or not (b in [x] and is:new)")
    assert expression.names == {"a", "b", "is"}


def test_matches_is_false_when_unknown() -> None:
    expression = compile_expression("gfx != gfx1010")
    assert expression.evaluate({}) is None
    assert expression.matches({}) is False


@pytest.mark.parametrize("text", ["(" * 5000 + "a == b", "not " * 3000 + "a == b", "a == b or " * 5000])
def test_hostile_sizes_are_errors(text: str) -> None:
    with pytest.raises(ExpressionError):
        compile_expression(text)


@given(st.text())
def test_any_text_compiles_or_is_an_expression_error(text: str) -> None:
    try:
        expression = compile_expression(text)
    except ExpressionError as error:
        offset = error.offset
    else:
        assert isinstance(expression, Expression)
        assert expression.evaluate({}) in (None, True, False)
        offset = 0
    assert 0 <= offset <= len(text)


_atoms = st.sampled_from(["a == 1", "b == 2", "c == 3"])
_trees = st.recursive(
    _atoms,
    lambda inner: st.one_of(
        inner.map(lambda x: f"not ({x})"),
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(lambda t: f"({t[0]}) {t[1]} ({t[2]})"),
    ),
    max_leaves=6,
)


@given(_trees, st.dictionaries(st.sampled_from("abc"), st.sampled_from([1, 2, 3])))
def test_knowing_more_never_changes_a_definite_answer(text: str, facts: dict[str, int]) -> None:
    expression = compile_expression(text)
    answer = expression.evaluate(facts)
    if answer is not None:
        for name in "abc":
            for value in (1, 2, 3):
                assert expression.evaluate({name: value, **facts}) is answer


_values = st.integers(1, 3)


@given(_trees, st.fixed_dictionaries({"a": _values, "b": _values, "c": _values}))
def test_with_all_facts_it_is_boolean_logic(text: str, facts: dict[str, int]) -> None:
    python = text
    for name in "abc":
        python = python.replace(f"{name} ==", f"{facts[name]} ==")
    expected = eval(python)  # the test's own oracle: it holds literals only
    assert compile_expression(text).evaluate(facts) is expected
