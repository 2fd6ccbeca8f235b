"""Reading a matrix file: what is understood, and what each mistake looks like."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rmcp import cli
from rmcp.errors import UserError
from rmcp.matrix import nodes
from rmcp.matrix.document import Matrix
from rmcp.matrix.errors import MatrixError
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_matrix, load_text
from rmcp.words import Cause, Outcome

GOLDEN = Path(__file__).parents[1] / "golden" / "matrix"
HEAD = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"


def load(text: str) -> Matrix:
    return load_text(HEAD + text, "t.yaml")


def test_eight_mistakes_are_told_at_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(GOLDEN)
    assert cli.main(["plan", "eight.yaml"]) == 4
    told = capsys.readouterr().err
    assert told == (GOLDEN / "eight.txt").read_text(encoding="utf-8")
    assert "Traceback" not in told


def test_scalars_are_text_and_args_are_typed() -> None:
    matrix = load(
        "axes:\n"
        "  runtime: {role: compare, type: version, values: {5.10: {}, no: {}, on: {}}}\n"
        "  shape: {values: {a: {args: {i: 1, f: 1.5, e: 1e3, t: true, n: null, q: '1', s: yes, o: 0o17,"
        " x: 0xF, l: [1, {k: off}], inf: .inf, none: ~, v: 1.2.3}}}}\n"
    )
    assert matrix.axes[0].names == ("5.10", "no", "on")
    case = expand(matrix).cases[0]
    assert case.args == {
        "i": 1, "f": 1.5, "e": 1000.0, "t": True, "n": None, "q": "1", "s": "yes", "o": 15, "x": 15,
        "l": [1, {"k": "off"}], "inf": float("inf"), "none": None, "v": "1.2.3",
    }  # fmt: skip
    assert isinstance(case.args["i"], int)
    assert isinstance(case.args["e"], float)


def test_env_is_text_and_null_removes() -> None:
    matrix = load("axes: {env: {values: {a: {env: {X: 0, Y: no, Z: null, E: ''}}}}}")
    assert expand(matrix).cases[0].env == {"X": "0", "Y": "no", "Z": None, "E": ""}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("120s", 120), ("2m", 120), ("500ms", 0.5), ("90", 90), ("1.5", 1.5), ("1h", 3600), ("3 min", 180)],
)
def test_durations(text: str, seconds: float) -> None:
    matrix = load(f"axes: {{a: {{values: {{x: {{timeout: {{silent: {text}}}}}}}}}}}")
    assert expand(matrix).cases[0].timeout.silent == seconds


def test_a_single_timeout_is_the_case_budget() -> None:
    case = expand(load("axes: {a: {values: {x: {timeout: 7s}}}}")).cases[0]
    assert (case.timeout.case, case.timeout.start) == (7, 120)


def test_relative_paths_start_at_the_matrix(tmp_path: Path) -> None:
    (tmp_path / "work.py").write_text("def go(ctx, size=1): pass\n")
    path = tmp_path / "m.yaml"
    path.write_text(
        "rmcp: 1\nname: m\ndefaults: {workload: 'work.py:go'}\n"
        "axes: {env: {values: {a: {env: {P: '${matrix_dir}/x.so'}}}},"
        " runtime: {values: {r: {runtime: {python: venv/bin/python}}, q: {runtime: {python: python3.9}}}},"
        " size: [1]}"
    )
    case, other = expand(load_matrix(path)).cases
    assert case.workload == f"{tmp_path.resolve()}/work.py:go"
    assert case.env == {"P": f"{tmp_path.resolve()}/x.so"}
    assert case.runtime.python == f"{tmp_path.resolve()}/venv/bin/python"
    assert case.runtime.name == "r"
    assert other.runtime.python == "python3.9"


def test_expectations_of_their_own_file(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(HEAD + "axes: {a: [x, y]}\nexpect: [{where: a == x, outcome: crash, reason: r}]\n")
    beside = tmp_path / "m.expect.yaml"
    rule = "{match: {a: y}, outcome: [hang], cause: gpu_hang_reset, reason: s}"
    beside.write_text(f"rmcp: 1\nexpect:\n  - {rule}\n")
    first, second = load_matrix(path).expect
    assert (first.outcomes, second.outcomes) == ((Outcome.CRASH,), (Outcome.HANG,))
    assert second.causes == (Cause.GPU_HANG_RESET,)
    assert second.position.file == str(beside)
    assert second.where is not None
    assert second.where.matches({"a": "y"})
    assert len(load_text(path.read_text(), str(path), beside=True).expect) == 2
    assert len(load_text(path.read_text(), str(path)).expect) == 1
    beside.write_text("rmcp: 1\nexpect:\n  - {where: b == y, outcome: [hang], reason: s}\n")
    with pytest.raises(MatrixError, match="unknown name 'b'") as caught:
        load_matrix(path)
    assert caught.value.problems[0].position.file == str(beside)


def test_merge_keys_and_aliases() -> None:
    matrix = load(
        "axes:\n  s:\n    values:\n      a: &base {args: {h: 1}, doc: d}\n"
        "      b: {<<: *base, seed: 5}\n      c: *base\n      d: {<<: [*base, {threads: 3}], args: {h: 2}}\n"
    )
    a, b, c, d = expand(matrix).cases
    assert (a.args, b.args, b.seed, c.args) == ({"h": 1}, {"h": 1}, 5, {"h": 1})
    assert (d.args, d.threads) == ({"h": 2}, 3)


@pytest.mark.parametrize("name", ["full", "eight"])
def test_the_pure_python_parser_reads_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")

    def read() -> object:
        try:
            return expand(load_text(text, "t.yaml")).cases
        except MatrixError as error:
            return str(error)

    first = read()
    monkeypatch.setattr(nodes, "_LOADER", yaml.SafeLoader)
    assert read() == first


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, levels)]
    return "\n".join(lines)


def tower(levels: int) -> str:
    """Not deep anywhere as written, but deep when aliases are followed."""
    return "\n".join(["a0: &a0 [x]"] + [f"a{i}: &a{i} [[[[[[[[[*a{i - 1}]]]]]]]]]" for i in range(1, levels)])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(30), "aliases counted"),
        ("[" * 100_000, "nested deeper than"),
        ("a: " + "{a: " * 60 + "}" * 60, "nested deeper than"),
        (tower(9), "nested deeper"),
    ],
)
def test_hostile_files_are_refused(text: str, message: str) -> None:
    with pytest.raises(MatrixError, match=message):
        load_text(text, "t.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        load_matrix(tmp_path / "none.yaml")
    bad = tmp_path / "latin.yaml"
    bad.write_bytes(b"rmcp: 1\nname: caf\xe9\n")
    with pytest.raises(MatrixError, match="2:10: byte 0xe9 is not UTF-8"):
        load_matrix(bad)
    bad.write_bytes(b"\xef\xbb\xbf" + (HEAD + "axes: {a: [1]}").encode())
    assert load_matrix(bad).name == "t"


def test_arguments_of_a_file_workload(tmp_path: Path) -> None:
    work = tmp_path / "work.py"
    path = tmp_path / "m.yaml"
    path.write_text("rmcp: 1\nname: m\ndefaults: {workload: 'work.py:go'}\naxes: {size: [1], colour: [red]}")
    work.write_text("def go(ctx, *, size, shape=1): pass\n")
    with pytest.raises(MatrixError, match=r"work\.py:go takes no argument 'colour'"):
        load_matrix(path)
    work.write_text("def go(ctx, *, size, shape, colour): pass\n")
    with pytest.raises(MatrixError, match="needs the argument 'shape'"):
        load_matrix(path)
    work.write_text("def run(ctx): pass\n")
    with pytest.raises(MatrixError, match="has no function 'go'"):
        load_matrix(path)
    for unknowable in ("from x import *", "go = None", "def go(ctx, **k): 0", "def go(:", "@d\ndef go(): 0"):
        work.write_text(unknowable)
        assert load_matrix(path).name == "m"
    work.unlink()
    with pytest.raises(MatrixError, match="there is no file"):
        load_matrix(path)


_BITS = """\
rmcp: 1
name: x
axes:
  a: [1, 2]
  b: {values: {x: {args: {k: 1}}}}
defaults: {workload: noop}
exclude:
  - {match: {a: 1}}
  - where: a == 1
reduce: {strength: 2}
add: [{a: 1, why: w}]
set: [{match: {a: '*'}, timeout: 1}]
requires: [{where: 'gfx == 1', needs: {device: cpu}}]
expect: [{outcome: crash, reason: r}]
limits: {cases: 3}
profiles: {p: {reduce: none}}
<<: *x
? [a]
%YAML 1.1
---
...
""".splitlines() + ["&x", "*x", "- ", ": ", "!!set", "\t", *"'\"|>{}[]~=<"]
_yaml_bits = st.lists(st.one_of(st.sampled_from(_BITS), st.text(max_size=12)), max_size=14)


@settings(max_examples=400, deadline=None)
@given(st.one_of(_yaml_bits.map("\n".join), _yaml_bits.map(" ".join), st.text(max_size=80)))
@example("rmcp: 1\nname: x\ndefaults: {workload: noop}\naxes:\n  a: [1, 2]\nexclude:\n  - {match: {a: 1}}")
@example("\ud800")
@example("a: \x00")
@example("? &a [*a]")
@example("%TAG ! !x\n--- !y")
def test_any_text_is_a_matrix_or_a_user_error(text: str) -> None:
    try:
        plan = expand(load_text(text, "t.yaml"))
    except UserError as error:
        assert str(error)  # noqa: PT017 - any other exception fails the test
    else:
        assert len({case.id for case in plan.cases}) == len(plan.cases)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_broken_matrix_is_a_matrix_or_a_user_error(data: st.DataObject) -> None:
    """One character of a full matrix removed, doubled or replaced: still no other exception."""
    text = (GOLDEN / "full.yaml").read_text(encoding="utf-8")
    at = data.draw(st.integers(0, len(text) - 1))
    characters = ["", text[at] * 2, "[", "}", ":", "\n", "&a", "*a", "'", '"', "-", "\x85"]
    middle = data.draw(st.sampled_from(characters))
    try:
        expand(load_text(text[:at] + middle + text[at + 1 :], "t.yaml"))
    except UserError as error:
        assert str(error)  # noqa: PT017
