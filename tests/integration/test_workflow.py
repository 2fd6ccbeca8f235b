"""The shell of `.github/workflows/rdna1.yml`, run step by step as a runner would, on this machine instead of a card.

What GitHub itself does (choosing machines, conditions of jobs, artifacts) is not here; the expressions that the steps
use are put in by hand, and a new one fails the test until it is added.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from rmcp.runs import load_run

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "rdna1.yml"
JOBS = yaml.safe_load(WORKFLOW.read_text())["jobs"]
_STEP_S = 120.0

MATRIX = """rmcp: 1
name: m
defaults: {{workload: faults, device: cpu, timeout: {{start: 60s, case: 60s, silent: 60s}}}}
axes:
  what:
    values:
      well: {{args: {{kind: none}}}}
      other: {{args: {{kind: {other}}}}}
      third: {{args: {{kind: none}}}}
      fourth: {{args: {{kind: none}}}}
"""


class Runner:
    """One workflow run: a workspace, the state folder outside of it, and the outputs of its steps."""

    def __init__(self, folder: Path, number: int) -> None:
        self.work = folder / "work"
        self.state = folder / "state"
        self.number = str(number)
        self.outputs: dict[str, str] = {}
        self.work.mkdir(exist_ok=True)
        self.state.mkdir(exist_ok=True)

    def environment(self, job: dict[str, str]) -> dict[str, str]:
        out = self.state / "runs" / self.number / job.get("name", "none")
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PYTEST_"))},
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "RMCP_STATE": str(self.state), "MATRIX": "m.yaml", "PROFILE": "", "SELECT": "", "SHARDS": "2",
            "PYTHON": sys.executable, "OUT": str(out), "JOB_NAME": job.get("name", ""),
            "JOB_SELECT": job.get("select", ""), "JOB_SHARD": job.get("shard", ""),
            "GITHUB_OUTPUT": str(self.work / "outputs"), "GITHUB_STEP_SUMMARY": str(self.work / "summary.md"),
            "GITHUB_RUN_ID": self.number, "GITHUB_REPOSITORY": "me/card", "GITHUB_SERVER_URL": "https://git.example",
        }  # fmt: skip

    def script(self, step: dict[str, str]) -> str:
        def value(found: re.Match[str]) -> str:
            return {"steps.merge.outputs.run": self.outputs.get("run", "")}[found[1]]

        return re.sub(r"\$\{\{\s*(.*?)\s*\}\}", value, step["run"])

    def start(self, job: str, name: str, entry: dict[str, str]) -> subprocess.Popen[str]:
        step = next(step for step in JOBS[job]["steps"] if name in (step.get("name"), step.get("id")))
        argv = ["bash", "-e", "-o", "pipefail", "-c", self.script(step)]  # as GitHub calls bash
        return subprocess.Popen(
            argv, cwd=self.work, env=self.environment(entry), text=True, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def step(self, job: str, name: str, entry: dict[str, str] | None = None) -> tuple[int, str]:
        process = self.start(job, name, entry or {})
        text, _ = process.communicate(timeout=_STEP_S)
        outputs = self.work / "outputs"
        if outputs.exists():
            self.outputs.update(line.split("=", 1) for line in outputs.read_text().splitlines())
            outputs.unlink()
        return process.returncode, text

    def test_jobs(self) -> list[dict[str, str]]:
        code, text = self.step("plan", "plan")
        assert code == 0, text
        return json.loads(self.outputs["jobs"])["include"]

    def report(self) -> None:
        for name in ("merge", "Reports, step summary, annotations"):
            code, text = self.step("report", name)
            assert code == 0, text


def test_two_nights_the_second_with_a_regression(tmp_path: Path) -> None:
    first = Runner(tmp_path, 1)
    (first.work / "m.yaml").write_text(MATRIX.format(other="none"))
    jobs = first.test_jobs()
    assert [job["shard"] for job in jobs] == ["1/2", "2/2"]
    assert first.step("gate", "Refuse a drained machine")[0] == 0
    for job in jobs:
        code, text = first.step("test", "run", job)
        assert (code, first.outputs["code"]) == (0, "0"), text
    first.report()
    assert len(load_run(first.outputs["run"]).cases) == 4
    assert "4 cases" in (first.work / "summary.md").read_text()
    assert first.step("report", "compare") == (0, "there is no last good run yet\n")
    assert first.step("report", "Raw outcomes for other tools")[0] == 0
    assert len((first.work / "reports" / "cases.jsonl").read_text().splitlines()) == 4
    assert first.step("report", "Unexpected or outstanding results fail the workflow")[0] == 0
    assert first.step("report", "Remember this run as the last good one")[0] == 0

    second = Runner(tmp_path, 2)
    (second.work / "m.yaml").write_text(MATRIX.format(other="segfault"))
    for job in second.test_jobs():
        assert second.step("test", "run", job)[0] == 0  # 1 is judged over all jobs, later
    second.report()
    code, text = second.step("report", "compare")
    assert code == 1
    assert "m[other]" in text
    assert (second.work / "reports" / "comparison.html").stat().st_size > 10_000
    code, text = second.step("report", "Unexpected or outstanding results fail the workflow")
    assert (code, "crash" in text) == (1, True)


def test_a_machine_that_died_goes_on_where_it_stopped(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1)
    (runner.work / "m.yaml").write_text(MATRIX.format(other="sleep"))
    job = {"name": "m-this", "select": "", "shard": "1/1"}
    process = runner.start("test", "run", job)
    journal = runner.state / "runs" / "1" / "m-this" / "latest" / "journal" / "main.jsonl"
    give_up = time.monotonic() + 60.0
    while time.monotonic() < give_up and not (journal.exists() and journal.read_text().count('"kind":"start"') >= 2):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=_STEP_S)
    # The sleeper would sleep again: with a short budget it is a hang now, and one case is no reason to stop.
    run = journal.parent.parent
    manifest = json.loads((run / "run.json").read_text())
    manifest["options"]["timeout"] = 1.0
    (run / "run.json").write_text(json.dumps(manifest))
    code, text = runner.step("test", "run", job)
    assert code == 0, text
    assert text.startswith("resuming ")
    outcomes = {case.id: str(case.outcome) for case in load_run(run).cases}
    assert outcomes == {"m[well]": "pass", "m[other]": "hang", "m[third]": "pass", "m[fourth]": "pass"}


def test_a_condemned_device_drains_the_runner(tmp_path: Path) -> None:
    runner = Runner(tmp_path, 1)
    (runner.work / "m.yaml").write_text(MATRIX.format(other="none"))
    job = {"name": "m-this", "select": "", "shard": "1/1"}
    assert runner.step("test", "run", job)[0] == 0
    assert runner.step("test", "Drain the runner when the device is condemned", job) == (0, "")
    journal = runner.state / "runs" / "1" / "m-this" / "latest" / "journal" / "main.jsonl"
    with journal.open("a") as file:
        file.write('{"kind":"device","device":"0000:03:00.0","event":"condemned","reason":"canary failed"}\n')
    assert "::error" in runner.step("test", "Drain the runner when the device is condemned", job)[1]
    code, text = runner.step("gate", "Refuse a drained machine")
    assert code == 1
    assert "power-cycle the machine" in text


@pytest.mark.parametrize("job", sorted(JOBS))
def test_no_input_reaches_a_shell_but_by_a_variable(job: str) -> None:
    """An expression inside a script is text of whoever started the workflow: a place to put commands."""
    for step in JOBS[job]["steps"]:
        assert set(re.findall(r"\$\{\{\s*(.*?)\s*\}\}", step.get("run", ""))) <= {"steps.merge.outputs.run"}
