"""Zygotes that did not come up: what the case that needed one is told."""

from __future__ import annotations

import time
from dataclasses import replace

from rmcp.attempt import Attempt, Captured, Deadline, Phase, Sent, TaskState
from rmcp.isolation.zygote_process import ZygoteGone, ZygoteProcess
from rmcp_torch import linux as target_linux


class RuntimeFailed(Exception):
    """A runtime that is there died or hung while it started; ``attempt`` is what was seen of it."""

    def __init__(self, attempt: Attempt) -> None:
        super().__init__(attempt.harness or f"the runtime did not start ({attempt.signal or 'no message'})")
        self.attempt = attempt


class StartFailed(Exception):
    """The zygote of a case could not be started; ``attempt`` is what the case is told. ``missing``: there is no such
    runtime on this machine."""

    def __init__(self, attempt: Attempt, missing: bool = False) -> None:
        super().__init__(attempt.harness)
        self.attempt, self.missing = attempt, missing


def status_text(status: int | None) -> str:
    """A return code as people say it."""
    if status is None:
        return "not reaped"
    return target_linux.signal_name(-status) if status < 0 else f"exit {status}"


def died_at_start(gone: ZygoteGone, started: float, level: str) -> Attempt:
    """A runtime that dies while importing torch is a finding about its environment, not about rmcp."""
    seen = Attempt(
        level=level, phases=(Phase("import", 0.0),), stderr=Captured(tail=gone.log),
        duration_s=time.monotonic() - started,
    )  # fmt: skip
    if gone.status is not None and gone.status < 0:
        return replace(seen, signal=target_linux.signal_name(-gone.status))
    text = f"the runtime ended before it was ready ({status_text(gone.status)})"
    return replace(seen, exit_code=gone.status, harness=text)


def hung_at_start(process: ZygoteProcess, budget: float, level: str) -> Attempt:
    """The import took longer than ``budget`` seconds."""
    waited = time.monotonic() - process.started
    tasks = target_linux.tasks_of(process.pid)

    return Attempt(
        level=level, signal="SIGKILL", phases=(Phase("import", 0.0),), duration_s=waited,
        deadline=Deadline("silent", "import", waited, budget), sent=(Sent("SIGKILL", waited),),
        stderr=Captured(tail=process.log()), tasks=tuple(TaskState(**task) for task in tasks),
    )  # fmt: skip
