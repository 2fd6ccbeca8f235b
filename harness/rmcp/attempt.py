"""Attempt: one execution of a case with all its evidence, before anything is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Captured:
    """One output stream: the first 32 KiB, the last 64 KiB, and how many bytes between them were dropped."""

    head: bytes = b""
    tail: bytes = b""
    dropped: int = 0

    def data(self) -> bytes:
        """Head and tail as one byte string, with a line in the middle that says what is missing."""
        if not self.dropped:
            return self.head + self.tail
        return self.head + f"\n[rmcp: {self.dropped} bytes dropped here]\n".encode() + self.tail

    def text(self) -> str:
        """The same as text; bytes that are not UTF-8 are shown as backslash escapes."""
        return self.data().decode("utf-8", "backslashreplace")


@dataclass(frozen=True)
class Phase:
    """A heartbeat: the phase that began, in seconds since the case was started (monotonic clock)."""

    name: str
    at: float


@dataclass(frozen=True)
class Sent:
    """A signal that rmcp sent, in seconds since the case was started."""

    signal: str
    at: float


@dataclass(frozen=True)
class Deadline:
    """Why the kill ladder began. ``kind``: `silent` (no heartbeat for ``budget_s``) or `case` (life over)."""

    kind: str
    phase: str
    at: float
    budget_s: float


@dataclass(frozen=True)
class TaskState:
    """One thread of a stuck process as /proc showed it; empty strings where it was not readable."""

    pid: int
    tid: int
    name: str
    state: str
    wchan: str = ""
    stack: str = ""


@dataclass(frozen=True)
class Leaked:
    """A process that outlived its case and was killed."""

    pid: int
    command: str


@dataclass(frozen=True)
class Check:
    """One numeric comparison of a result with its reference (see rmcp_torch.workloads.numerics).

    ``tight`` and ``loose`` say within which tolerance it was; ``fingerprint`` names the kind of difference.
    ``picture`` is a coarse error map, rows of numbers 0..9, at most 32 x 32, or None.
    """

    name: str
    tight: bool
    loose: bool
    max_abs: float | None = None
    bound: float | None = None
    rms: float | None = None
    fraction_off: float | None = None
    fingerprint: str = ""
    detail: str = ""
    picture: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PythonError:
    """An exception that left the workload: type name, str() of it, formatted traceback."""

    type: str
    message: str
    traceback: str = ""
    in_phase: str = ""


@dataclass(frozen=True)
class Attempt:
    """All that was seen of one execution. Times are seconds on the monotonic clock since ``start``.

    ``exit_code`` and ``signal`` (a name such as "SIGSEGV") are what waitpid told; both None: not reaped.
    ``result`` says that a complete result frame came; ``farewell`` that the child reported its teardown;
    ``harness`` is a text when rmcp itself could not run the case (zygote refused, died, protocol broke);
    ``runner_gone`` that the runner stopped it. ``observed`` holds what really ran: torch, libraries, backend.
    """

    number: int = 1
    exit_code: int | None = None
    signal: str | None = None
    reaped: bool = True
    result: bool = False
    farewell: bool = False
    error: PythonError | None = None
    checks: tuple[Check, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    observed: Mapping[str, Any] = field(default_factory=dict)
    phases: tuple[Phase, ...] = ()
    sent: tuple[Sent, ...] = ()
    deadline: Deadline | None = None
    stdout: Captured = Captured()
    stderr: Captured = Captured()
    stacks: str = ""
    tasks: tuple[TaskState, ...] = ()
    leaked: tuple[Leaked, ...] = ()
    protocol: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    harness: str | None = None
    interrupted: bool = False
    level: str = "fork"
    predecessors: tuple[str, ...] = ()
    result_at: float | None = None
    duration_s: float = 0.0
    maxrss_kb: int = 0
    wall_start: float = 0.0  # time.time() of the start, to match it with other logs
    pid: int = 0
    memory_limited: bool = False  # a configured memory limit was hit (rlimit or cgroup event)

    @property
    def phase(self) -> str:
        """Name of the last phase that was reported, empty when none was."""
        return self.phases[-1].name if self.phases else ""
