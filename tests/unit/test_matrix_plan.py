"""`rmcp plan` and `rmcp schema` as a user sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rmcp import cli
from rmcp.matrix import axes, load, reading, rules
from rmcp.matrix.expand import expand
from rmcp.matrix.find import find_matrices, find_matrix, shipped_matrices
from rmcp.matrix.load import load_matrix
from rmcp.matrix.why import why
from rmcp.session.remarks import remarks

FULL = Path(__file__).parents[1] / "golden" / "matrix" / "full.yaml"


def rmcp(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["plan", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = rmcp(capsys, str(FULL))
    assert code == 0
    assert "full: 43 cases" in out
    assert "product        288  runtime 4 x env 3 x memory_format 2 x dtype 2 x h 3 x shape 2" in out
    assert "2-way: 56 of 56 combinations (100 %)" in out
    assert "43 of 230 cases of the full product (18.7 %) are run; 187 are inferred only" in out
    assert "runtime (compared): this 11, 5.2 10, 5.10 11, patched 11" in out
    assert "... and 3 more" in out
    assert "... and" not in rmcp(capsys, str(FULL), "--all")[1]


def test_select_shard_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert "full: 8 cases" in rmcp(capsys, str(FULL), "--select", "dtype == float16 and h == 44")[1]
    counts = [rmcp(capsys, str(FULL), "--shard", f"{n}/3")[1].split()[1] for n in (1, 2, 3)]
    assert sum(map(int, counts)) == 43
    assert rmcp(capsys, str(FULL), "--select", "shape == c3-k3 and c == 16")[0] == 5
    code, _, err = rmcp(capsys, str(FULL), "--select", "dtyp == x")
    assert code == 4
    assert "did you mean 'dtype'?" in err
    assert rmcp(capsys, str(FULL), "--profile", "ful")[0] == 4


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    data: dict[str, Any] = json.loads(rmcp(capsys, str(FULL), "--format", "json")[1])
    assert len(data["cases"]) == 43
    assert data["inferred"] == 187
    case = next(c for c in data["cases"] if c["id"] == "full[patched/channels_last/float16/42/c3-k3]")
    assert case["origin"] == "add"
    assert case["axes"]["env"] == "stock"
    assert case["args"]["kernel"] == [3, 3]
    assert case["runtime"] == {"name": "patched", "prefix": "/opt/rocm-patched"}
    assert case["env"] == {"OMP_NUM_THREADS": "1", "DEBUG": None}
    assert data["compare_axes"] == ["runtime"]


def test_gha(capsys: pytest.CaptureFixture[str]) -> None:
    out = rmcp(capsys, str(FULL), "--format", "gha", "--shard", "2")[1]
    assert out.count("\n") == 1  # one line, so that it fits `name=value` in $GITHUB_OUTPUT
    jobs = json.loads(out)["include"]
    assert {job["runtime"] for job in jobs} == {"this", "5.2", "5.10", "patched"}
    assert {job["shard"] for job in jobs} == {"1/2", "2/2"}
    assert sum(job["cases"] for job in jobs) == 43
    first = jobs[0]
    chosen = rmcp(capsys, str(FULL), "--select", first["select"], "--shard", first["shard"])[1]
    assert f"full: {first['cases']} cases" in chosen
    assert rmcp(capsys, str(FULL), "--format", "gha", "--shard", "0")[0] == 4


def line_of(text: str) -> str:
    """``full.yaml:LINE:`` of the first line of the file that holds a text."""
    lines = FULL.read_text(encoding="utf-8").splitlines()
    return f"full.yaml:{next(n for n, line in enumerate(lines, 1) if text in line)}:"


EXPLAINED = [
    (
        "full[this/no-sdma/contiguous/float16/c3-k3]",
        ["OUT: excluded at", line_of("env: no-sdma}, reason"), "not interesting"],
    ),
    ("full[patched/channels_last/float16/42/c3-k3]", ["IN: added at", line_of("why: "), "user report"]),
    ("full[this/channels_last/float16/c3-k3]", ["IN: a row of the 2-way", line_of("reduce: {st")]),
    ("this/channels_last/float16/32/c3-k3", ["IN: a row of the 2-way covering array"]),
    (
        "full[this/contiguous/float32/44/c3-k3]",
        ["OUT: not a row of the 2-way", "h=44, shape=c3-k3: full[", line_of("h == 44"), "requires at"]
        + [line_of("needs: \"rocm"), "where gfx == gfx1010 and groups == 2 holds", "expects at"],
    ),
]


@pytest.mark.parametrize(("case", "expected"), EXPLAINED)
def test_explain(capsys: pytest.CaptureFixture[str], case: str, expected: list[str]) -> None:
    code, out, _ = rmcp(capsys, str(FULL), "--explain", case)
    assert code == 0
    assert [text for text in expected if text not in out] == []


def test_explain_by_key_and_by_profile(capsys: pytest.CaptureFixture[str]) -> None:
    plan = expand(load_matrix(FULL), "full")
    out_of_reduced = next(c for c in plan.cases if c.axes["h"] == "44" and c.axes["env"] == "preload-hip")
    assert out_of_reduced.id in rmcp(capsys, str(FULL), "--explain", out_of_reduced.key[:12])[1]
    told = rmcp(capsys, str(FULL), "--profile", "smoke", "--explain", out_of_reduced.id)[1]
    assert "OUT: profile 'smoke' at" in told
    for unknown in ("full[this/contigous/float32/c3-k3]", "other[x]", "f" * 64, "full[default]"):
        assert rmcp(capsys, str(FULL), "--explain", unknown)[0] == 4


def test_every_planned_case_is_in_and_every_other_out() -> None:
    matrix = load_matrix(FULL)
    plan, product = expand(matrix), expand(matrix, "full")
    planned = {case.key for case in plan.cases}
    for case in product.cases:
        assert ("\nIN: " in why(plan, case.id)) is (case.key in planned)
        assert ("\nOUT: " in why(plan, case.id)) is (case.key not in planned)


def test_shares() -> None:
    matrix = load_matrix(FULL)
    assert str(expand(matrix, "full").shares()) == "all 230 cases of the full product"
    smoke = expand(matrix, "smoke").shares()
    assert smoke.inferred == 0
    assert smoke.planned + smoke.untested == 230


def test_list_names_every_shipped_matrix(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = rmcp(capsys, "--list")
    assert code == 0
    for path in shipped_matrices():
        assert f"{path.stem}  " in out
    assert "cases, about" in out


def test_shipped_matrices_expand_under_every_profile() -> None:
    assert {"conv2d", "selftest"} <= {path.stem for path in shipped_matrices()}
    for path in shipped_matrices():
        matrix = load_matrix(path)
        for profile in (None, *matrix.profiles):
            assert expand(matrix, profile).cases
            assert not expand(matrix, profile).stale


def test_find(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_matrix(None).name == "conv2d.yaml"
    assert find_matrix("selftest").name == "selftest.yaml"
    (tmp_path / "a.yaml").write_text(FULL.read_text())
    (tmp_path / "b.yaml").write_text(FULL.read_text())
    (tmp_path / "b.expect.yaml").write_text("rmcp: 1\n")
    assert [path.name for path in find_matrices(str(tmp_path))] == ["a.yaml", "b.yaml"]
    assert rmcp(capsys, ".")[1].count("full: 43 cases") == 2
    assert "holds 2 matrices" in rmcp(capsys, ".", "--format", "json")[2]
    (tmp_path / "conv2d").mkdir()  # a folder of the shipped name does not hide it
    assert find_matrix("conv2d").is_file()
    code, _, err = rmcp(capsys, "conv3d")
    assert code == 4
    assert "did you mean 'conv2d'?" in err
    (tmp_path / "empty").mkdir()
    assert "holds no matrix" in rmcp(capsys, "empty")[2]


def test_remarks_stand_at_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        "rmcp: 1\nname: m\ndefaults: {workload: noop}\naxes:\n  env:\n    values:\n"
        '      a: {env: {MIOPEN_DEBUG_CONV_GEM: "0"}}\n      b: {env: {HSA_ENABLE_SDMA: "0"}}\n'
    )
    (line,) = remarks(load_matrix(path))
    assert line.startswith(f"{path}:7:17: ")
    assert "MIOPEN_DEBUG_CONV_GEM" in line


@pytest.mark.parametrize(
    ("axis", "inert"),
    [
        ("layout: [contiguous]", True),
        ("memory_format: [contiguous]", True),
        ("memory_format: [contiguous, channels_last]", False),
    ],
)
def test_a_variable_is_inert_when_no_value_sets_what_it_waits_for(tmp_path: Path, axis: str, inert: bool) -> None:
    path = tmp_path / "m.yaml"
    path.write_text(
        f"rmcp: 1\nname: m\ndefaults: {{workload: noop}}\naxes:\n  {axis}\n  env:\n    values:\n"
        '      a: {env: {PYTORCH_MIOPEN_SUGGEST_NHWC: "1"}}\n'
    )
    assert [line for line in remarks(load_matrix(path)) if "inert" in line] == remarks(load_matrix(path))
    assert bool(remarks(load_matrix(path))) is inert


def test_schema_and_reader_know_the_same_keys() -> None:
    from rmcp.matrix.schema import json_schema

    schema = json_schema()
    known = {name: set(part.get("properties", {})) for name, part in schema["$defs"].items()}
    assert set(schema["properties"]) == set(load.TOP_KEYS)
    assert known["Patch"] == set(reading.PATCH_KEYS)
    assert known["Value"] == {*reading.PATCH_KEYS, "doc"}
    assert known["Timeouts"] == set(reading.TIMEOUT_KEYS)
    assert known["Axis"] == set(axes.AXIS_KEYS)
    assert known["Exclude"] == set(rules.EXCLUDE_KEYS)
    assert known["Reduce"] == set(rules.REDUCE_KEYS)
    assert known["Setting"] == set(rules.SET_KEYS)
    assert known["Requirement"] == set(rules.REQUIRE_KEYS)
    assert known["Expectation"] == set(rules.EXPECT_KEYS)
    assert known["Profile"] == set(load.PROFILE_KEYS)


def test_the_schema_accepts_the_shipped_matrices() -> None:
    yaml = pytest.importorskip("yaml")
    from rmcp.matrix.schema import MatrixFile

    for path in (FULL, *shipped_matrices()):
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
        MatrixFile.model_validate(json.loads(json.dumps(data, default=str)))


def test_schema_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert schema["additionalProperties"] is False


def test_a_plan_needs_neither_torch_nor_pydantic() -> None:
    code = (
        "import sys; from rmcp import cli; code = cli.main(['plan', sys.argv[1], '--profile', 'full']);"
        "heavy = {'torch', 'pydantic', 'pytest', 'covertable'} & set(sys.modules);"
        "print(sorted(heavy), file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(FULL)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr.strip()) == (0, "[]")
