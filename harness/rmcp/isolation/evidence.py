"""From the evidence that a guard sent (a JSON dict) to an Attempt. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rmcp.attempt import (
    Attempt,
    Captured,
    Check,
    Deadline,
    Leaked,
    Phase,
    PythonError,
    Sent,
    TaskState,
)

_CHECK_FIELDS = set(Check.__dataclass_fields__)


def attempt_from(evidence: Mapping[str, Any], *, number: int, level: str = "fork", **more: Any) -> Attempt:
    """One Attempt. ``evidence`` is what `rmcp_torch.guard.Watch` returns; ``more`` are further Attempt fields."""
    result = evidence.get("result") or {}
    return Attempt(
        number=number,
        exit_code=evidence["exit_code"],
        signal=evidence["signal"],
        reaped=evidence["reaped"],
        result=bool(evidence.get("result")),
        # A kept child (batch) has not left yet: its result is all there is to ask for.
        farewell=bool(evidence["farewell"]) or bool(evidence.get("alive")),
        error=_error(result.get("error")),
        checks=tuple(_check(entry) for entry in result.get("checks") or ()),
        metrics=result.get("metrics") or {},
        observed=result.get("observed") or {},
        remarks=(*(result.get("remarks") or ()), *_threads(evidence.get("threads_left") or ())),
        phases=tuple(Phase(str(name), float(at)) for name, at in evidence["phases"]),
        sent=tuple(Sent(str(name), float(at)) for name, at in evidence["sent"]),
        deadline=Deadline(**evidence["deadline"]) if evidence["deadline"] else None,
        stdout=captured_from(evidence["stdout"]),
        stderr=captured_from(evidence["stderr"]),
        stacks=evidence["stacks"],
        tasks=tuple(TaskState(**task) for task in evidence["tasks"]),
        leaked=tuple(Leaked(int(pid), str(command)) for pid, command in evidence["leaked"]),
        protocol=tuple(evidence["protocol"]),
        interrupted=bool(evidence["aborted"]),
        level=level,
        result_at=evidence["result_at"],
        duration_s=evidence["duration_s"],
        maxrss_kb=evidence["maxrss_kb"],
        wall_start=evidence["wall_start"],
        pid=evidence["pid"],
        memory_limited=evidence.get("oom_kills", 0) > 0,
        **more,
    )


def captured_from(message: Mapping[str, Any]) -> Captured:
    """An output stream; the guard sends bytes as Latin-1 text."""
    return Captured(message["head"].encode("latin-1"), message["tail"].encode("latin-1"), int(message["dropped"]))


def _threads(names: Sequence[str]) -> tuple[str, ...]:
    return (f"threads still ran at its end: {', '.join(names)}",) if names else ()


def _error(entry: Mapping[str, Any] | None) -> PythonError | None:
    if not entry:
        return None
    return PythonError(
        str(entry.get("type", "")),
        str(entry.get("message", "")),
        str(entry.get("traceback", "")),
        str(entry.get("in_phase", "")),
    )


def _check(entry: Mapping[str, Any]) -> Check:
    known = {name: value for name, value in entry.items() if name in _CHECK_FIELDS}
    if known.get("picture") is not None:
        known["picture"] = tuple(known["picture"])
    return Check(**known)
