"""Runtimes given on the command line: how they are read, where they land, and what stays the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmcp import cli
from rmcp.errors import UserError
from rmcp.matrix.expand import expand
from rmcp.matrix.find import shipped_matrices
from rmcp.matrix.given import given_axis, given_runtime
from rmcp.matrix.load import load_matrix, load_recorded, load_text
from rmcp.session.options import RunOptions
from rmcp.session.prepare import prepare

HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"
PLAIN = HEAD + "axes: {h: [1, 2]}\n"
COMPARED = HEAD + (
    "axes:\n  env: {default: s, values: {s: {}, t: {env: {A: '1'}}}}\n"
    "  runtime: {role: compare, type: version, values: {this: {}, old: {runtime: {python: /old}, threads: 2}}}\n"
    "  h: [1, 2, 3]\nreduce: {strength: 2}\nexpect: [{where: runtime == new, outcome: crash, reason: r}]\n"
)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("debian=/usr/bin/python3", {"python": "/usr/bin/python3"}),
        (" a = /b/c ", {"python": "/b/c"}),
        ("a=~/venv", {"python": "~/venv"}),
        ("a=python3.11", {"python": "python3.11"}),
        ("a=bin/py", {"python": "{here}/bin/py"}),
        ("a=venv", {"python": "{here}/venv"}),
        ("5.2={python: bin/py}", {"python": "{here}/bin/py"}),
        ("p={prefix: /opt/rocm}", {"prefix": "/opt/rocm"}),
        ('i={image: "rocm/pytorch:6.2", engine: podman, options: [--network=host]}',
         {"image": "rocm/pytorch:6.2", "engine": "podman", "options": ("--network=host",)}),
    ],
)  # fmt: skip
def test_what_the_option_takes(text, fields, tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    wanted = {key: value.replace("{here}", str(tmp_path)) if isinstance(value, str) else value for key, value in fields.items()}  # fmt: skip # noqa: E501
    given = given_runtime(text, tmp_path)
    assert (given.name, dict(given.fields)) == (text.partition("=")[0].strip(), wanted)
    again = given_runtime(given.text, Path("/elsewhere"))
    assert (again.name, dict(again.fields)) == (given.name, wanted), "the recorded text means the same anywhere"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("/usr/bin/python3", "takes NAME=PYTHON"),
        ("debian=", "takes NAME=PYTHON"),
        ("", "takes NAME=PYTHON"),
        ("this=/usr/bin/python3", "is the interpreter that runs pytest"),
        ("a b=/x", "cannot name a runtime"),
        ("=/x", "cannot name a runtime"),
        ("a={}", "is empty"),
        ("a={pyton: /x}", "did you mean 'python'"),
        ("a={image: x, prefix: /y}", "not both"),
        ("a={image: x", "not valid YAML"),
        ("a={engine: docker}", "needs an image"),
    ],
)
def test_mistakes_say_what_to_write(text: str, told: str) -> None:
    with pytest.raises(UserError, match=told):
        given_runtime(text, Path("/"))


def test_a_given_runtime_is_one_more_column_and_changes_no_key() -> None:
    before = expand(load_text(COMPARED.partition("expect")[0], "t.yaml"))
    after = expand(load_text(COMPARED, "t.yaml", runtimes=["new=/new/python"]))
    assert len(after.cases) == len(before.cases) // 2 * 3
    assert {case.key for case in before.cases} < {case.key for case in after.cases}
    rows = {name: {case.row for case in after.cases if case.runtime.name == name} for name in ("this", "old", "new")}
    assert rows["this"] == rows["old"] == rows["new"]
    new = next(case for case in after.cases if case.runtime.name == "new")
    assert new.runtime.python == "/new/python"
    assert new.id.startswith("t[") and "new" in new.id
    assert after.matrix.compare_axes == ("runtime",)


def test_a_known_name_gets_the_given_interpreter_and_keeps_the_rest() -> None:
    text = COMPARED.partition("expect")[0]
    before, after = expand(load_text(text, "t.yaml")), expand(load_text(text, "t.yaml", runtimes=["old=/mine"]))
    assert [case.key for case in before.cases] == [case.key for case in after.cases]
    assert {(case.runtime.python, case.threads) for case in after.cases if case.runtime.name == "old"} == {("/mine", 2)}


def test_a_matrix_without_a_runtime_axis_gets_one_that_is_compared() -> None:
    before = expand(load_text(PLAIN, "t.yaml"))
    after = expand(load_text(PLAIN, "t.yaml", runtimes=["new=/new", "x={prefix: /opt}"]))
    assert [case.id for case in after.cases] == ["t[1]", "t[2]", "t[new/1]", "t[new/2]", "t[x/1]", "t[x/2]"]
    assert [case.key for case in after.cases[:2]] == [case.key for case in before.cases]
    assert [case.row for case in after.cases] == [case.row for case in before.cases] * 3
    assert [case.runtime.name for case in after.cases] == ["this"] * 2 + ["new"] * 2 + ["x"] * 2
    assert given_axis({"runtimes": list(after.matrix.runtimes)}, ["h"]) == "runtime"
    assert given_axis({"runtimes": list(after.matrix.runtimes)}, ["h", "runtime"]) == given_axis({}, ["h"]) == ""


def test_a_name_that_would_make_ids_ambiguous_is_refused() -> None:
    text = HEAD + "axes: {env: {default: s, values: {s: {}, new: {env: {A: '1'}}}}, h: [1, 2]}\n"
    with pytest.raises(UserError, match="clashes with another axis in ids"):
        load_text(text, "t.yaml", runtimes=["new=/new"])


def test_a_recorded_matrix_has_its_runtimes() -> None:
    made = load_text(COMPARED, "t.yaml", runtimes=["new=/new/python"])
    again = load_recorded({"text": made.text, "path": "t.yaml", "runtimes": list(made.runtimes)}, "x.yaml")
    assert [case.key for case in expand(again).cases] == [case.key for case in expand(made).cases]


@pytest.mark.parametrize("path", shipped_matrices(), ids=lambda path: path.stem)
def test_every_shipped_matrix_takes_a_further_runtime(path: Path) -> None:
    plain, more = expand(load_matrix(path)), expand(load_matrix(path, ["mine=/mine/bin/python"]))
    mine = [case for case in more.cases if case.runtime.name == "mine"]
    here = [case for case in more.cases if case.runtime.name == "this"]
    assert {case.row for case in mine} == {case.row for case in here} and len(mine) == len(here) > 0
    assert {case.key for case in plain.cases} < {case.key for case in more.cases}


def test_plan_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["plan", "conv2d", "--runtime", "debian=/usr/bin/python3", "--profile", "smoke"]) == 0
    assert "runtime (compared): this 4, debian 4" in capsys.readouterr().out
    assert cli.main(["plan", "conv2d", "--runtime", "debian"]) == 4
    assert "takes NAME=PYTHON" in capsys.readouterr().err


def test_a_profile_named_default_runs_when_none_is_named(tmp_path: Path) -> None:
    profiles = "profiles: {default: {select: h == 1, set: [{where: h == 1, seed: 5}]}, full: {}}\n"
    matrix = load_text(PLAIN + profiles, "t.yaml")
    assert [(case.id, case.seed) for case in expand(matrix).cases] == [("t[1]", 5)]
    assert [case.seed for case in expand(matrix, "full").cases] == [1234, 1234]
    path = tmp_path / "t.yaml"
    path.write_text(PLAIN + profiles)
    with pytest.raises(UserError, match=r"under its profile `default` \(others: full\) has no case 't\[2\]'"):
        prepare(RunOptions(matrix=str(path), cases=("t[2]",)))
    (prepared,) = prepare(RunOptions(matrix=str(path), cases=("t[2]",), profile="full"))
    assert [case.id for case in prepared.cases] == ["t[2]"]


def test_the_product_of_a_run_keeps_what_its_profile_sets() -> None:
    from rmcp.diagnose.product import _whole

    text = PLAIN + "profiles: {default: {select: h == 1, set: [{where: h > 0, seed: 5}]}, full: {}}\n"
    matrix = load_text(text, "t.yaml")
    assert [case.seed for case in expand(_whole(matrix, {"profile": None})).cases] == [5, 5]
    assert [case.seed for case in expand(_whole(matrix, {"profile": "full"})).cases] == [1234, 1234]
