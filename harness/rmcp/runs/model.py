"""Run: what a run directory says after folding. Report, compare and diagnose read this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.words import Cause, DeviceEvent, Outcome, Verdict

RUN_FORMAT = 1  # version of run.json, plan.jsonl and the journal lines


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One journalled attempt. ``directory`` (relative to the run) holds stdout.txt, stderr.txt, stacks.txt,
    tasks.json, kernel.log and repro.py of what did not pass; None when nothing was kept.

    ``phases`` are (name, seconds since start); ``checks`` and ``metrics`` as the child reported them.
    """

    number: int
    outcome: Outcome
    cause: Cause = Cause.NONE
    signal: str | None = None
    exit_code: int | None = None
    signature: str = ""
    titles: tuple[str, ...] = ()
    rule: int = 1
    device: DeviceEvent = DeviceEvent.NONE
    source: str = ""
    message: str = ""
    notes: tuple[str, ...] = ()
    fields: Mapping[str, Any] = field(default_factory=dict)
    phase: str = ""
    phases: tuple[tuple[str, float], ...] = ()
    checks: tuple[Mapping[str, Any], ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)
    duration_s: float = 0.0
    maxrss_kb: int = 0
    wall_start: float = 0.0
    directory: str | None = None
    level: str = "fork"
    predecessors: tuple[str, ...] = ()
    writer: str = ""
    boot: str = ""


@dataclass(frozen=True, slots=True)
class CaseRecord:
    """One planned case and what became of it; exactly one per planned case, also when it never ran."""

    id: str
    key: str
    row: str
    workload: str
    axes: Mapping[str, str]
    args: Mapping[str, Any]
    env: Mapping[str, str | None]
    runtime: Mapping[str, Any]
    outcome: Outcome
    cause: Cause = Cause.NONE
    signal: str | None = None
    signature: str = ""
    verdict: Verdict = Verdict.NO_VERDICT
    stability: str = "single"
    reason: str = ""  # why it is unsupported, blocked, not-run; or the expectation's reason
    attempts: tuple[AttemptRecord, ...] = ()
    device: str = "auto"
    seed: int = 1234
    deciding: int = -1  # index into ``attempts`` of the one that decided the outcome (see runs/fold.py)

    @property
    def last(self) -> AttemptRecord | None:
        """The attempt that decided the outcome, or None when the case never ran."""
        return self.attempts[self.deciding] if self.attempts else None

    @property
    def duration_s(self) -> float:
        """Wall seconds of the deciding attempt."""
        return self.attempts[self.deciding].duration_s if self.attempts else 0.0

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Metrics of the deciding attempt."""
        return self.attempts[self.deciding].metrics if self.attempts else {}


@dataclass(frozen=True)
class Problem:
    """Something on disk that could not be read as it should; shown as a visible row, never dropped."""

    where: str
    what: str


@dataclass(frozen=True)
class Run:
    """A folded run. ``manifest`` is run.json; ``runtimes`` maps a runtime's name to the facts its zygote
    reported (python, torch, hip, cuda, device, device_name, libraries); ``facts`` are the host's."""

    id: str
    path: Path
    manifest: Mapping[str, Any]
    cases: tuple[CaseRecord, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    runtimes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    compare_axes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    finished: bool = False  # the runner wrote its last word; False: it died, was stopped hard, or still runs
    live: bool = False  # a writer still holds its journal open
    events: tuple[Mapping[str, Any], ...] = ()  # journal lines of no case: device, batch, note ...
