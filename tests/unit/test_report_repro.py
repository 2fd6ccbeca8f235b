"""Reproducers: run, with nothing but torch, and end as the case would."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic

from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.report.repro import reproducer, rmcp_command, run_command, shell_command

HARNESS = Path(__file__).parents[2] / "harness"


def conv_case(**args: object) -> Case:
    shape = {"n": 1, "c": 4, "h": 8, "w": 8, "k": 4, "kernel": 3, "padding": 1}
    return Case("conv2d[x]", "k", "r", "conv2d", {"shape": "x"}, {**shape, **args}, device="cpu")


def run_script(text: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    script = tmp_path / "repro.py"
    script.write_text(text)
    command = [sys.executable, str(script)]
    environ = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HARNESS)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environ, check=False)


@pytest.mark.torch
@pytest.mark.parametrize(
    "args",
    [
        {},
        {
            "direction": "train",
            "memory_format": "channels_last",
            "dtype": "float32",
            "benchmark": True,
            "tf32": True,
        },
        {
            "memory_format": "explicit",
            "groups": 2,
            "kernel": [3, 1],
            "padding": [1, 0],
            "bias": False,
            "dtype": "bfloat16",
        },
    ],
)
def test_conv2d_needs_torch_only(args: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("torch")
    text = reproducer(conv_case(**args))
    assert "rmcp_torch" not in text
    assert len(text.splitlines()) < 30
    done = run_script(text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "largest error" in done.stdout
    assert float(done.stdout.split("largest error")[1]) < 0.1


@pytest.mark.torch
def test_other_workloads_run_where_they_live(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    case = dataclasses.replace(conv_case(workaround="im2col"), workload="noop", args={})
    done = run_script(reproducer(case), tmp_path)
    assert done.returncode == 0, done.stderr
    assert "result" in done.stdout


def test_a_case_that_plain_torch_cannot_show_uses_the_workload() -> None:
    assert "rmcp_torch" in reproducer(conv_case(workaround="unfold"))
    assert "rmcp_torch" in reproducer(conv_case(unknown=1))


@pytest.mark.parametrize(
    "evil", ['"); import os; os.abort() #', "x\nimport os\nos.abort()\n", "'''", "{0}", "\u2028print(1)"]
)
def test_hostile_values_stay_values(evil: str) -> None:
    case = dataclasses.replace(conv_case(dtype=evil, n=evil, memory_format=evil), id=evil, env={"A": evil})
    for text in (reproducer(case), reproducer(dataclasses.replace(case, workload=evil))):
        compile(text, "repro.py", "exec")
        assert "\nimport os\n" not in text
        names = {name for code in [compile(text, "repro.py", "exec")] for name in code.co_names}
        assert "abort" not in names


def test_no_control_character_reaches_a_terminal() -> None:
    case = dataclasses.replace(conv_case(), env={"A": "\x1b[31m'\u202e"})
    assert shell_command(case) == r"env $'A=\x1b[31m\'\u202e' python repro.py"


def test_commands_are_quoted() -> None:
    case = dataclasses.replace(
        conv_case(),
        env={"A": "1 2", "B": None, "C": "$(touch x)"},
        runtime=RuntimeSpec("old", python="/opt/my py/bin/python"),
    )
    assert shell_command(case) == "env -u B 'A=1 2' 'C=$(touch x)' '/opt/my py/bin/python' repro.py"
    assert shell_command(conv_case()) == "python repro.py"
    record = synthetic.case({"shape": "a b"})
    assert rmcp_command(synthetic.run_of([record]), record) == "rmcp run conv2d.yaml --case 'conv2d[a b]'"


def test_the_command_repeats_what_makes_the_case() -> None:
    options = {"profile": "my profile", "device": "cuda:1", "select": "x == y"}
    runtimes = ["5.2=/opt/a", "mine={prefix: /opt/b}"]
    told = run_command("m.yaml", "m[mine/a]", "mine", options, runtimes)
    assert told == (
        "rmcp run m.yaml --case 'm[mine/a]' --profile 'my profile' --runtime 'mine={prefix: /opt/b}'"
        " --rmcp-device=cuda:1"
    )
    assert run_command("m.yaml", "m[a]", "this", {}, runtimes) == "rmcp run m.yaml --case 'm[a]'"
