"""The gauntlet: every fault of `faults/` in one run of pytest; each must cost its own test and nothing else."""

from __future__ import annotations

import ast
import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

FAULTS = Path(__file__).parent / "faults"
NAMES = sorted(path.stem.removeprefix("test_") for path in FAULTS.glob("test_*.py"))
TIMEOUT_S = 4.0  # budget of a test in the gauntlet; the failure of 50 MB takes pytest itself a second or two
RUN_S = 240.0  # the whole gauntlet takes 20 s on two cores
GROWTH_KB = 50 * 1024  # of the runner, although one fault floods 200 MB and another fails with 50 MB of text

pytestmark = pytest.mark.slow


def expectation(name: str) -> dict[str, Any]:
    """EXPECT of a fault file, without importing it."""
    for node in ast.parse((FAULTS / f"test_{name}.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXPECT":
            found: dict[str, Any] = ast.literal_eval(node.value)
            return found
    raise AssertionError(f"{name} says nothing about what it expects")


def processes_with(token: str) -> list[str]:
    """Living processes that were started with this token in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            environment = Path(f"/proc/{entry}/environ").read_bytes()
            state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if token.encode() in environment and state not in "ZX":
            found.append(f"{entry} {Path(f'/proc/{entry}/cmdline').read_bytes()!r}")
    return found


class Gauntlet:
    """What one run of all faults left behind."""

    def __init__(self, folder: Path) -> None:
        self.token = f"rmcp-gauntlet-{os.getpid()}-{time.time_ns()}"
        log, xml = folder / "log.jsonl", folder / "junit.xml"
        environment = {**os.environ, "FAULT_LOG": str(log), "PYTHONPATH": str(FAULTS), "RMCP_TEST_TOKEN": self.token}
        environment.pop("PYTEST_ADDOPTS", None)
        argv = [
            sys.executable, "-m", "pytest", "-p", "fault_log", "-p", "no:cacheprovider", "-p", "no:hypothesispytest",
            "--rmcp-isolate", f"--rmcp-timeout={TIMEOUT_S}", "--rmcp-memory=2GiB", f"--junitxml={xml}", "-q",
            "--rootdir", str(FAULTS), "-c", os.devnull, str(FAULTS),
        ]  # fmt: skip
        began = time.monotonic()
        done = subprocess.run(
            argv, env=environment, cwd=folder, timeout=RUN_S, capture_output=True, check=False, errors="replace"
        )
        self.wall_s = time.monotonic() - began
        self.exit = done.returncode
        self.terminal = done.stdout + done.stderr
        lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
        self.memory_kb = [line["maxrss_kb"] for line in lines if "maxrss_kb" in line]
        self.reports: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        for line in lines:
            if "nodeid" in line:
                file, _, test = line["nodeid"].partition("::")
                name = file.removesuffix(".py").removeprefix("test_")
                assert line["when"] not in self.reports.setdefault((name, test), {}), "two reports of one phase"
                self.reports[name, test][line["when"]] = line
        self.junit = {
            (case.get("classname", "").removeprefix("test_"), case.get("name", "")): case
            for case in ElementTree.parse(xml).iter("testcase")
        }


@pytest.fixture(scope="module")
def gauntlet(tmp_path_factory: pytest.TempPathFactory) -> Gauntlet:
    return Gauntlet(tmp_path_factory.mktemp("gauntlet"))


def verdict_of(reports: dict[str, dict[str, Any]]) -> str:
    if reports.get("call", {}).get("outcome") == "failed":
        return "failed"
    if any(report["outcome"] == "failed" for report in reports.values()):
        return "error"
    if any(report["xfail"] is not None and report["outcome"] == "skipped" for report in reports.values()):
        return "xfailed"
    return str(reports["call"]["outcome"])


@pytest.mark.parametrize("name", NAMES)
def test_fault(gauntlet: Gauntlet, name: str) -> None:
    expected = expectation(name)
    reports = gauntlet.reports[name, "test_fault"]
    assert verdict_of(reports) == expected["verdict"]
    guilty = next((report for report in reports.values() if report["outcome"] == "failed"), reports.get("call", {}))
    seen = guilty["rmcp"]
    text, case = guilty["text"], gauntlet.junit[name, "test_fault"]
    if "when" in expected:
        assert guilty["when"] == expected["when"]
    if "outcome" in expected:
        assert seen["outcome"] == expected["outcome"]
    if "cause" in expected:
        assert seen["cause"] == expected["cause"]
    if "signal" in expected:
        assert seen["signal"] == expected["signal"]
        number = getattr(signal, expected["signal"])
        assert f"{expected['signal']} ({int(number)})" in text
    if "text" in expected:
        assert expected["text"] in text + str(guilty["xfail"])
    if "stderr" in expected:
        assert expected["stderr"] in guilty["stderr"]
        assert expected["stderr"] in ElementTree.tostring(case, encoding="unicode").replace("&#10;", "\n")
    if expected.get("hang"):
        assert 0.9 * TIMEOUT_S <= guilty["duration"] <= TIMEOUT_S + 1.0
        assert float(case.get("time", 0)) >= 0.9 * TIMEOUT_S


@pytest.mark.parametrize("name", NAMES)
def test_neighbours(gauntlet: Gauntlet, name: str) -> None:
    marks = [expectation(other).get("stderr") for other in NAMES]
    for test in ("test_before", "test_after"):
        reports = gauntlet.reports[name, test]
        assert [report["outcome"] for report in reports.values()] == ["passed"] * 3
        for report in reports.values():
            assert not any(mark and mark in report["stderr"] + report["stdout"] for mark in marks)


def test_runner_survives(gauntlet: Gauntlet) -> None:
    assert gauntlet.exit == 1
    assert len(gauntlet.junit) == 3 * len(NAMES)
    assert "garbage" not in gauntlet.terminal.replace("test_garbage", "")


def test_no_process_is_left(gauntlet: Gauntlet) -> None:
    assert processes_with(gauntlet.token) == []


def test_runner_stays_small(gauntlet: Gauntlet) -> None:
    before, after = gauntlet.memory_kb
    assert after - before < GROWTH_KB


def test_hangs_cost_little_more_than_their_budget(gauntlet: Gauntlet) -> None:
    hangs = sum(bool(expectation(name).get("hang")) for name in NAMES)
    assert gauntlet.wall_s < hangs * (TIMEOUT_S + 1.0) + 30.0
