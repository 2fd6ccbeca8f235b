"""Covering arrays: complete, legal, short, stable under edits; the lock file."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.errors import UserError
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_matrix
from rmcp.matrix.plan import Plan
from rmcp.matrix.reduce import Constraint, Row, covering_rows

HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"


def covered(rows: Iterable[Row], strength: int) -> set[tuple[tuple[int, int], ...]]:
    """The test's own count: every (axis, value) combination that stands in a row."""
    found = set()
    for row in rows:
        found.update(itertools.combinations(enumerate(row), strength))
    return found


def forbid(axes: tuple[int, ...], values: tuple[int, ...]) -> Constraint:
    return Constraint(axes, lambda given: given != values)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[int], int, list[Constraint]]:
    sizes = draw(st.lists(st.integers(1, 4), min_size=1, max_size=5))
    strength = draw(st.integers(1, 3))
    rules = []
    for _ in range(draw(st.integers(0, 4))):
        axes = tuple(sorted(draw(st.sets(st.integers(0, len(sizes) - 1), min_size=1, max_size=3))))
        rules.append(forbid(axes, tuple(draw(st.integers(0, sizes[axis] - 1)) for axis in axes)))
    return sizes, strength, rules


@settings(max_examples=150, deadline=None)
@given(problems())
def test_rows_cover_exactly_what_legal_points_can(problem: tuple[list[int], int, list[Constraint]]) -> None:
    sizes, strength, rules = problem
    rows, coverage = covering_rows(sizes, strength, rules)
    legal = [
        point
        for point in itertools.product(*(range(size) for size in sizes))
        if all(rule.allows(tuple(point[axis] for axis in rule.axes)) for rule in rules)
    ]
    strength = min(strength, len(sizes))
    assert set(rows) <= set(legal)
    assert covered(rows, strength) == covered(legal, strength)
    assert coverage.covered == coverage.possible == len(covered(legal, strength))
    assert coverage.impossible + coverage.possible == sum(
        math.prod(part) for part in itertools.combinations(sizes, strength)
    )
    assert rows == sorted(set(rows))
    assert covering_rows(sizes, strength, rules)[0] == rows


@settings(max_examples=80, deadline=None)
@given(problems(), st.data())
def test_locked_rows_stay(problem: tuple[list[int], int, list[Constraint]], data: st.DataObject) -> None:
    sizes, strength, rules = problem
    first, _ = covering_rows(sizes, strength, [])
    rows, coverage = covering_rows(sizes, strength, rules, first)
    legal = {r for r in first if all(rule.allows(tuple(r[axis] for axis in rule.axes)) for rule in rules)}
    assert legal <= set(rows)
    assert (coverage.kept, coverage.dropped) == (len(legal), len(first) - len(legal))
    assert coverage.covered == coverage.possible


@pytest.mark.parametrize(
    ("sizes", "strength", "most"),
    # the numbers of rows that published tools (pairwise.org) need, with a quarter to spare
    [((3, 3, 3, 3), 2, 11), ((2,) * 10, 2, 12), ((10,) * 4, 2, 140), ((3,) * 13, 2, 25), ((2,) * 6, 3, 18)],
)
def test_arrays_are_short(sizes: tuple[int, ...], strength: int, most: int) -> None:
    rows, coverage = covering_rows(sizes, strength, [])
    assert coverage.covered == coverage.possible
    assert len(rows) <= most


def test_too_many_combinations_are_refused() -> None:
    with pytest.raises(UserError, match="choose a smaller strength"):
        covering_rows([100] * 5, 3, [])


class Files:
    """A matrix with a lock file in a folder."""

    def __init__(self, folder: Path) -> None:
        self.path, self.lock = folder / "m.yaml", folder / "m.lock.json"

    def plan(self, axes: str, rules: str = "") -> Plan:
        self.path.write_text(f"{HEAD}axes: {{{axes}}}\n{rules}\nreduce: {{strength: 2, lock: m.lock.json}}\n")
        return expand(load_matrix(self.path))

    def write(self, plan: Plan) -> None:
        from rmcp import cli

        assert cli.main(["plan", str(self.path), "--lock"]) == 0
        assert plan.rows


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


AXES = "e: {default: s, values: [s, t, u]}, a: [p, q, r], d: [f16, f32], shape: [s1, s2, s3, s4, s5]"


def test_edits_keep_the_rows_of_the_lock(files: Files) -> None:
    before = files.plan(AXES)
    files.write(before)
    keys = {case.key for case in before.cases}
    assert not files.plan(AXES).stale
    new_value = files.plan(AXES.replace("s5", "s5, s6"))
    assert keys < {case.key for case in new_value.cases}
    assert all(case.axes["shape"] == "s6" for case in new_value.cases if case.key not in keys)
    assert new_value.stale
    reordered = files.plan(
        "shape: [s5, s4, s3, s2, s1], d: [f32, f16], a: [r, q, p], e: {default: s, values: [u, t, s]}"
    )
    assert keys == {case.key for case in reordered.cases}
    new_axis = files.plan(AXES + ", n: {default: off, values: [off, on]}")
    assert keys < {case.key for case in new_axis.cases}
    gone = files.plan(AXES.replace(", s5", ""))
    staying = {case.key for case in before.cases if case.axes["shape"] != "s5"}
    assert staying <= {case.key for case in gone.cases}
    assert gone.stale
    excluded = files.plan(AXES, "exclude: [{match: {a: p, d: f16}}]")
    kept = {case.key for case in before.cases if (case.axes["a"], case.axes["d"]) != ("p", "f16")}
    assert kept <= {case.key for case in excluded.cases}
    assert excluded.coverage is not None
    assert excluded.coverage.covered == excluded.coverage.possible


def test_the_lock_file_is_readable_and_stable(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    plan = files.plan(AXES)
    files.write(plan)
    assert "wrote" in capsys.readouterr().err
    data = json.loads(files.lock.read_text())
    assert (data["rmcp-lock"], data["matrix"], data["strength"]) == (1, "t", 2)
    assert data["axes"] == ["e", "a", "d", "shape"]
    assert len(data["rows"]) == len(plan.rows)
    files.write(plan)
    assert "unchanged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "lock format None"),
        ('{"rmcp-lock": 2}', "lock format 2"),
        ('{"rmcp-lock": 1}', "not a lock file"),
        ('{"rmcp-lock": 1, "axes": ["a"], "rows": [["x", "y"]]}', "not a lock file"),
        ('{"rmcp-lock": 1, "axes": ["a"], "rows": [[1]]}', "not a lock file"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_broken_lock_files(files: Files, text: str, message: str) -> None:
    files.lock.write_text(text)
    with pytest.raises(UserError, match=message):
        files.plan(AXES)


def test_compare_axes_are_never_reduced(files: Files) -> None:
    plan = files.plan(AXES + ", r: {role: compare, values: [r1, r2, r3]}")
    rows: dict[str, set[str]] = {}
    for case in plan.cases:
        rows.setdefault(case.row, set()).add(case.axes["r"])
    assert all(sides == {"r1", "r2", "r3"} for sides in rows.values())
    assert len(rows) == len(plan.rows)


def test_a_row_that_one_compared_value_may_run_stays(files: Files) -> None:
    """r1 may not run a=p, r2 may not run d=f16: their combination has no case, each alone has."""
    plan = files.plan(
        AXES + ", r: {role: compare, values: [r1, r2]}",
        "exclude: [{match: {r: r1, a: p}}, {match: {r: r2, d: f16}}]",
    )
    pairs = {(case.axes["a"], case.axes["d"]) for case in plan.cases}
    assert pairs == set(itertools.product("pqr", ("f16", "f32"))) - {("p", "f16")}
    assert plan.coverage is not None
    assert plan.coverage.impossible == 1
    assert not any(case.axes["r"] == "r1" and case.axes["a"] == "p" for case in plan.cases)
