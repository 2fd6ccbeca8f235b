"""The examples of docs/workloads.md, workarounds.md and runtimes.md run as they are printed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from rmcp.matrix.expand import expand
from rmcp.matrix.given import given_runtime
from rmcp.matrix.load import load_text

DOCS = Path(__file__).parents[2] / "docs"


def blocks(name: str, language: str) -> list[str]:
    """The fenced blocks of one language ("" for plain ones)."""
    text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [body for kind, body in fenced if kind == language]


@pytest.mark.torch
def test_a_workload_of_ones_own(tmp_path: Path) -> None:
    from rmcp_torch.context import Context

    (example,) = blocks("workloads", "python")
    module: dict[str, object] = {}
    exec(compile(example, "workloads.md", "exec"), module)
    ctx = Context("cpu", 7, lambda frame: None)
    module["run"](ctx)  # type: ignore[operator]
    assert [check["tight"] for check in ctx.checks] == [True]
    assert ctx.metrics["size"] == 256 and ctx.observed["library"] == "BLAS" and ctx.remarks
    (tmp_path / "mine.py").write_text(example)
    text = "rmcp: 1\nname: t\ndefaults: {workload: 'mine.py:run'}\naxes: {size: [8, 16]}\n"
    assert len(expand(load_text(text, str(tmp_path / "t.yaml"))).cases) == 2


@pytest.mark.torch
def test_workarounds_in_ones_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    (policy,) = blocks("workarounds", "json")
    assert len(json.loads(policy)["rules"]) == 2
    Path("policy.yaml").write_text(policy)
    (example,) = blocks("workarounds", "python")
    for line in (line for line in example.splitlines() if line.startswith("model")):
        backbone = torch.nn.Sequential(torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.Conv2d(16, 16, 3, groups=16))
        model = torch.nn.Sequential()
        model.add_module("backbone", backbone)
        x = torch.randn(1, 3, 44, 44)
        wanted = model(x)
        names: dict[str, object] = {"model": model}
        exec("from rmcp_torch import apply_policy, patch_model, safe_conv2d\n" + line, names)
        patched = names["model"]
        kinds = [type(layer) for layer in patched.modules() if isinstance(layer, torch.nn.Conv2d)]  # type: ignore[attr-defined]
        assert any(kind is not torch.nn.Conv2d for kind in kinds), line
        torch.testing.assert_close(patched(x), wanted)  # type: ignore[operator]
    x, weight, bias = torch.randn(1, 3, 44, 44), torch.randn(4, 3, 3, 3), torch.randn(4)
    (line,) = [line for line in example.splitlines() if line.startswith("y = ")]
    names = {"x": x, "weight": weight, "bias": bias}
    exec("from rmcp_torch import safe_conv2d\n" + line, names)
    torch.testing.assert_close(names["y"], torch.nn.functional.conv2d(x, weight, bias, padding=1))


def test_runtimes_of_a_matrix() -> None:
    axis, uncached = blocks("runtimes", "yaml")
    head = "rmcp: 1\nname: t\ndefaults: {workload: noop}\n"
    cases = expand(load_text(head + axis, "t.yaml")).cases
    assert [case.runtime.name for case in cases] == ["this", "5.2", "patched", "6.2"]
    (case,) = expand(load_text(head + "axes:\n  env:\n    values:\n" + uncached, "t.yaml")).cases
    assert case.env["RMCP_HIP_ALLOC"] == "uncached"


def test_runtimes_of_the_command_line(tmp_path: Path) -> None:
    import shlex

    commands = next(block for block in blocks("runtimes", "") if "--runtime" in block)
    words = [word for line in commands.splitlines() for word in shlex.split(line, comments=True)]
    given = [given_runtime(words[at + 1], tmp_path) for at, word in enumerate(words) if word == "--runtime"]
    assert [(each.name, *each.fields) for each in given] == [
        ("debian", "python"), ("6.2", "image", "engine"), ("venv", "python"),
    ]  # fmt: skip


@pytest.mark.torch
def test_capture_in_ones_own_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    (example,) = [block for block in blocks("runtimes", "python") if "capture" in block]
    model = torch.nn.Conv2d(3, 4, 3)
    exec(example, {"model": model, "train_one_step": lambda model: model(torch.randn(1, 3, 8, 8)).sum().backward()})
    (case,) = expand(load_text(Path("mine.yaml").read_text(), "mine.yaml")).cases
    assert (case.args["k"], case.args["direction"]) == (4, "backward")
