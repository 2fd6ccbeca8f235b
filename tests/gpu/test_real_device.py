"""On a real GPU: probe, a clean convolution, a real device fault, and a healthy device after it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.torch, pytest.mark.slow]

WORKLOADS = """
import torch
def right(ctx):
    ctx.compare("sum", torch.ones(8, device=ctx.device) + 1, torch.full((8,), 2.0, dtype=torch.float64), 0.0)
def outside(ctx):
    table = torch.zeros(4, device=ctx.device)
    return {"value": float(table[torch.tensor([10_000_000], device=ctx.device)].sum())}
def too_large(ctx):
    torch.empty(1 << 50, dtype=torch.uint8, device=ctx.device)
"""
MATRIX = """rmcp: 1
name: gpu
defaults: {timeout: {start: 300s, case: 120s, silent: 60s}}
axes:
  what:
    values:
      right: {workload: "w.py:right"}
      outside: {workload: "w.py:outside"}
      after: {workload: "w.py:right"}
      too-large: {workload: "w.py:too_large"}
"""


def test_a_device_fault_is_one_case_and_the_next_is_well(tmp_path: Path) -> None:
    (tmp_path / "w.py").write_text(WORKLOADS)
    (tmp_path / "gpu.yaml").write_text(MATRIX)
    words = [sys.executable, "-m", "pytest", "--rmcp-matrix=gpu.yaml", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 1, done.stdout
    export = [sys.executable, "-m", "rmcp.cli", "export", "latest", "--format", "jsonl"]
    out = subprocess.run(export, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True).stdout
    seen = {row["axes"]["what"]: row for row in map(json.loads, out.splitlines())}
    assert seen["right"]["outcome"] == seen["after"]["outcome"] == "pass"
    assert seen["outside"]["outcome"] in ("error", "crash")
    assert seen["outside"]["cause"] in ("device_assert", "memory_access_fault")
    assert seen["too-large"]["outcome"] == "oom"
    run = json.loads((tmp_path / "reports" / "latest" / "run.json").read_text())
    assert run["facts"]["gpus"]


def test_the_default_matrix_runs_on_the_device(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "--rmcp-matrix", "--rmcp-profile=smoke", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False)
    assert "expected" in done.stdout, done.stdout + done.stderr
    journal = (tmp_path / "reports" / "latest" / "journal" / "main.jsonl").read_text()
    runtimes = [json.loads(line) for line in journal.splitlines() if '"kind":"runtime"' in line]
    assert runtimes[0]["facts"]["device"] == "cuda"
