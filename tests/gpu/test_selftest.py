"""On a real GPU: every fault of `selftest-gpu` at every level, and what a killed runner leaves on the device."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.torch, pytest.mark.slow]

_RUN_S = 600.0
_GONE_S = 15.0  # the kernel tears the context of a killed process down; an endless kernel has to be preempted first


def rmcp(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
    return subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=_RUN_S, check=False)


def exported(folder: Path) -> dict[str, dict[str, object]]:
    argv = [sys.executable, "-m", "rmcp.cli", "export", "latest", "--format", "jsonl"]
    out = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=True).stdout
    return {row["axes"]["fault"]: row for row in map(json.loads, out.splitlines())}


# A fresh interpreter per case takes seconds on every machine: a few kinds of fault are enough there.
_FEW = ["--rmcp-select", "fault in [right, index-outside, after-index-outside, wild-write-late, too-large]"]


@pytest.mark.parametrize(("level", "more"), [("fork", []), ("batch", []), ("exec", _FEW)])
def test_the_selftest_of_the_gpu_is_as_expected(tmp_path: Path, level: str, more: list[str]) -> None:
    done = rmcp(tmp_path, "--rmcp-matrix=selftest-gpu", f"--rmcp-isolation={level}", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    seen = exported(tmp_path)
    assert {seen[name]["outcome"] for name in seen if name.startswith(("right", "after-"))} == {"pass"}
    # What broke a process for good is never asked of the next case of its batch.
    assert all(len(row["attempts"]) == 1 for name, row in seen.items() if name.startswith("after-"))  # type: ignore[arg-type]


PLAIN = """
import torch

def test_well_before():
    assert float(torch.ones(4, device="cuda").sum()) == 4.0

def test_assertion_on_the_device():
    torch.zeros(4, device="cuda")[torch.tensor([10_000_000], device="cuda")].sum().item()

def test_wild_write_that_returns_first():
    body = "template <typename T> T bad(T x) { *(volatile float *)(0x00007ff000000008ull) = x; return x; }"
    torch.cuda.jiterator._create_jit_fn(body)(torch.ones(8, device="cuda"))

def test_well_after():
    assert float(torch.ones(4, device="cuda").sum()) == 4.0
"""
ENGAGED = """
import torch
import pytest

HERE = torch.ones(4, device="cuda")  # the runner has used the GPU before any fork

def test_still_isolated():
    assert float(HERE.sum()) == 4.0

@pytest.mark.xfail(strict=True)
def test_fault():
    HERE[torch.tensor([10_000_000], device="cuda")].sum().item()
"""


def test_plain_tests_are_isolated_from_device_faults(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(PLAIN)
    done = rmcp(tmp_path, "--rmcp-isolate", "-rA", "test_plain.py")
    for word, name in (
        ("PASSED", "test_well_before"),
        ("FAILED", "test_assertion_on_the_device"),
        ("FAILED", "test_wild_write_that_returns_first"),
        ("PASSED", "test_well_after"),
    ):
        assert f"{word} test_plain.py::{name}" in done.stdout, done.stdout


def test_a_runner_that_used_the_gpu_is_not_forked(tmp_path: Path) -> None:
    (tmp_path / "test_engaged.py").write_text(ENGAGED)
    done = rmcp(tmp_path, "--rmcp-isolate", "-rA", "test_engaged.py")
    assert "1 passed, 1 xfailed" in done.stdout, done.stdout
    assert "fresh" in done.stdout, done.stdout


def test_a_killed_runner_leaves_nothing_on_the_device(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rmcp-matrix=selftest-gpu"]
    argv += ["--rmcp-select", "fault == endless"]
    log = tmp_path / "log"
    with log.open("w") as file:
        runner = subprocess.Popen(argv, cwd=tmp_path, stdout=file, stderr=file, start_new_session=True)
    try:
        give_up = time.monotonic() + 120.0
        while not users_of_gpu() and time.monotonic() < give_up:
            time.sleep(0.2)
        time.sleep(2.0)  # the kernel is running now
        assert users_of_gpu(), log.read_text()
    finally:
        os.kill(runner.pid, signal.SIGKILL)
        runner.wait(timeout=10)
    give_up = time.monotonic() + _GONE_S
    while users_of_gpu() and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not users_of_gpu()


def users_of_gpu() -> list[int]:
    """Processes with an open GPU device file."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                targets = [os.readlink(fd) for fd in (entry / "fd").iterdir()]
            except OSError:
                continue
            if any(target.startswith(("/dev/nvidia0", "/dev/kfd", "/dev/dri/render")) for target in targets):
                found.append(int(entry.name))
    return found
