"""One line for people about every outcome. Pure."""

from __future__ import annotations

import re

from rmcp.outcome.evidence import Evidence
from rmcp.words import CAUSE_TEXT, Cause

_MESSAGE_LIMIT = 300  # characters of Judgement.message: one terminal line or two


def because(e: Evidence) -> str:
    """`: cause in kernel`, or the guilty line where the cause says nothing."""
    best = e.best[0]
    if not best or best.cause in (Cause.UNKNOWN_ABORT, Cause.SEGFAULT):
        return f": {best.line.strip()}" if best.line else ""
    text = f": {CAUSE_TEXT[best.cause]}"
    return text + (f" in {best.fields['kernel']}" if best.fields.get("kernel") else "")


def say_stuck(e: Evidence) -> str:
    """Where the process that cannot be reaped sits."""
    stuck = [task for task in e.attempt.tasks if task.state.startswith("D")] or list(e.attempt.tasks)
    where = f"; {stuck[0].name} is in state {stuck[0].state}" if stuck else ""
    if stuck and stuck[0].wchan:
        where += f" in {stuck[0].wchan}"
    return f"not reaped after SIGKILL{where}"


def say_collateral(e: Evidence) -> str:
    """Whose incident it died in."""
    incident = e.other_owner
    if incident is not None:
        return f"died while a device {incident.kind} of {incident.owner} was open"
    return f"died with a device event that the kernel log attributes to {e.neighbour_name}"


def say_oom(e: Evidence) -> str:
    """What ran out of memory."""
    if e.attempt.error is not None:
        return f"{e.attempt.error.type}: {e.attempt.error.message}"
    if e.attempt.memory_limited:
        return "the memory limit of the case was hit"
    return e.best[0].line.strip() or "memory exhausted"


# What torch's c10 appends to every CUDA and HIP error: true, always the same, and longer than the error.
_ADVICE = re.compile(
    r"^(?:Search for `|(?:CUDA|HIP) kernel errors might be|For debugging consider passing"
    r"|Compile with `TORCH_USE_(?:CUDA|HIP)_DSA`|Device-side assertion tracking was not enabled).*$\n?",
    re.MULTILINE,
)


def say_error(e: Evidence) -> str:
    """The exception, without the advice that follows every error of the device."""
    error = e.attempt.error
    assert error is not None
    return f"{error.type}: {_ADVICE.sub('', error.message)}".rstrip(": \n")


def say_mismatch(e: Evidence) -> str:
    """The first wrong check and its size."""
    bad = [check for check in e.attempt.checks if not check.loose]
    first = bad[0]
    size = (
        f", max error {first.max_abs:.3g} (bound {first.bound:.3g})"
        if first.max_abs is not None and (first.bound is not None)
        else ""
    )
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{first.name}: {first.fingerprint or 'wrong numbers'}{size}{more}"


def say_hang(e: Evidence) -> str:
    """Budget and phase of a stall."""
    deadline = e.attempt.deadline
    if deadline is None:
        return "killed by rmcp without a recorded deadline"
    budget = e.silent_s if deadline.kind == "case" else deadline.budget_s
    return f"no progress for {budget:g} s in phase {deadline.phase or 'start'}" + because(e)


def say_timeout(e: Evidence) -> str:
    """Budget and phase of a timeout."""
    deadline = e.attempt.deadline
    assert deadline is not None
    return f"{deadline.budget_s:g} s spent while still progressing, in phase {deadline.phase or 'start'}"


def say_crash(e: Evidence) -> str:
    """Signal, phase and cause."""
    where = f" in phase {e.attempt.phase}" if e.attempt.phase else ""
    return f"{e.attempt.signal}{where}{because(e)}"


def say_no_result(e: Evidence) -> str:
    """Exit status and cause."""
    return f"exited with {e.attempt.exit_code} without a result{because(e)}"


def say_shaky(e: Evidence) -> str:
    """What followed a right result."""
    if e.attempt.exit_code not in (0, None):
        return f"right result, then exit status {e.attempt.exit_code}{because(e)}"
    return "right result, but the process ended before it reported its teardown"


def say_remarks(e: Evidence) -> str:
    """All remarks in one line."""
    attempt = e.attempt
    parts = [f"{check.name}: within the loose tolerance only" for check in attempt.checks if not check.tight]
    parts += [f"leaked process {leak.pid}" for leak in attempt.leaked]
    return "; ".join([*parts, *attempt.remarks, *attempt.protocol])


def one_line(text: str) -> str:
    """The text on one line, cut to what a terminal shows."""
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"
