"""The runner is killed or told to stop: nothing lives on, nothing is lost, a resumed run is whole."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmcp.runs.reader import load_run

KILLER = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_resume.py"

HANGING = """\
rmcp: 1
name: hanging
defaults: {workload: faults, device: cpu, timeout: {case: 120s, silent: 100s}}
axes:
  kind: {values: {good: {args: {kind: none}}, hung: {args: {kind: stubborn}}, later: {args: {kind: none}}}}
"""


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a run whose second case hangs, and wait until it is in flight."""
    (folder / "hanging.yaml").write_text(HANGING)
    words = [sys.executable, "-m", "pytest", "--rmcp-matrix=hanging.yaml", "-p", "no:cacheprovider", *options]
    runner = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        lines = [json.loads(text) for path in folder.glob("reports/2*/journal/*.jsonl") for text in path.open()]
        started = {line["key"] for line in lines if line["kind"] == "start"}
        ended = {line["key"] for line in lines if line["kind"] == "end"}
        if len(started) > len(ended) and ended:
            time.sleep(0.3)
            return runner
        time.sleep(0.05)
    runner.kill()
    pytest.fail("the hanging case never started")


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    runner = start(tmp_path)
    runner.send_signal(number)
    assert runner.wait(20) == 2
    run = load_run("latest", tmp_path / "reports")
    outcomes = {case.axes["kind"]: case.outcome.value for case in run.cases}
    assert outcomes == {"good": "pass", "hung": "not-run", "later": "not-run"}
    assert {"report.html", "junit.xml", "summary.md"} <= {path.name for path in run.path.iterdir()}


@pytest.mark.usefixtures("no_process_left")
def test_second_interrupt_exits_at_once(tmp_path: Path) -> None:
    runner = start(tmp_path)
    runner.send_signal(signal.SIGINT)
    time.sleep(0.02)
    runner.send_signal(signal.SIGINT)
    assert runner.wait(10) == 2


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_killed_and_resumed(tmp_path: Path, options: tuple[str, ...]) -> None:
    runner = start(tmp_path, *options)
    runner.send_signal(signal.SIGKILL)
    runner.wait(10)
    give_up = time.monotonic() + 10
    while (lost := load_run("latest", tmp_path / "reports")).live and time.monotonic() < give_up:
        time.sleep(0.05)  # a worker dies with its controller, but not in the same instant
    assert {case.axes["kind"]: case.outcome.value for case in lost.cases}["hung"] == "lost"
    words = [sys.executable, "-m", "pytest", "--rmcp-resume", "--rmcp-timeout=1", "-p", "no:cacheprovider", *options]
    again = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 1, again.stdout
    whole = load_run("latest", tmp_path / "reports")
    assert whole.id == lost.id
    seen = {case.axes["kind"]: [attempt.outcome.value for attempt in case.attempts] for case in whole.cases}
    assert seen == {"good": ["pass"], "hung": ["lost", "hang"], "later": ["pass"]}


@pytest.mark.usefixtures("no_process_left")
@pytest.mark.parametrize("forgotten", [False, True])
def test_the_machine_dies_under_a_batch(tmp_path: Path, forgotten: bool) -> None:
    """One sync serves the cases of a batch: after a power cut all that were announced are suspects, and each of them
    is then run with a START of its own on disk. ``forgotten``: what came after the sync never reached the disk."""
    runner = start(tmp_path, "--rmcp-isolation=batch")
    runner.send_signal(signal.SIGKILL)
    runner.wait(10)
    (journal,) = tmp_path.glob("reports/2*/journal/main.jsonl")
    lines = [json.loads(text) for text in journal.read_text().splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.index("ahead") < kinds.index("start")
    assert len(lines[kinds.index("ahead")]["entries"]) == 3
    lines[0]["boot"] = "0" * 32
    if forgotten:
        del lines[kinds.index("ahead") + 1 :]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    lost = load_run("latest", tmp_path / "reports")
    assert not lost.problems
    found = {case.axes["kind"]: [a.fields.get("lost") for a in case.attempts] for case in lost.cases}
    assert found == {"good": ["machine"] if forgotten else [None], "hung": ["machine"], "later": ["machine"]}
    words = [sys.executable, "-m", "pytest", "--rmcp-resume", "--rmcp-timeout=1", "-p", "no:cacheprovider"]
    subprocess.run([*words, "--rmcp-isolation=batch"], cwd=tmp_path, capture_output=True, timeout=120, check=False)
    resumed = [json.loads(text) for text in journal.read_text().splitlines()][len(lines) :]
    assert "start" in {line["kind"] for line in resumed}
    assert "ahead" not in {line["kind"] for line in resumed}
    whole = load_run("latest", tmp_path / "reports")
    assert {case.axes["kind"]: case.outcome.value for case in whole.cases} == {
        "good": "pass", "hung": "hang", "later": "pass",
    }  # fmt: skip
    assert not whole.problems


@pytest.mark.slow
def test_random_kills() -> None:
    words = [sys.executable, str(KILLER), "--kills", "5", "--cases", "40", "--seed", "7"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resumed to the end" in done.stdout
