"""Attempt -> Judgement: the precedence rules of an outcome as one ordered table. Pure: no clock, no I/O.

The first row whose condition holds gives the outcome. Read top to bottom the table says: what was never run;
what cannot be reaped; who else is to blame; exhausted memory; what the child reported before anything died;
what we killed; what died by itself; what never answered; and only then the shades of a complete result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.device.kernel_events import KernelEvent
from rmcp.isolation.attempt import Attempt
from rmcp.outcome.evidence import (
    DEVICE_OF_CAUSE,
    GENERIC_CAUSES,
    MEMORY_CAUSES,
    Evidence,
    Incident,
    gather,
)
from rmcp.outcome.fingerprint import warning
from rmcp.outcome.judgement import SIGNATURE_RULE, Judgement
from rmcp.outcome.recognition import Recognition
from rmcp.outcome.signature import signature_of
from rmcp.outcome.words import CAUSE_TEXT, Cause, DeviceEvent, Outcome

_MESSAGE_LIMIT = 300  # characters of Judgement.message: one terminal line or two
_FIRST_CAUSES = frozenset({Outcome.ERROR, Outcome.MISMATCH, Outcome.OOM})
# Signals that mean the process itself broke; a SIGKILL or SIGTERM that we did not send came from outside.
_OUTSIDE_SIGNALS = frozenset({"SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU"})


@dataclass(frozen=True)
class Rule:
    """One row: its name (used by docs, golden folders and notes), when it holds, and what it gives."""

    name: str
    outcome: Outcome
    when: Callable[[Evidence], bool]
    say: Callable[[Evidence], str]


def _died(e: Evidence) -> bool:
    """True when the case did not end by itself with a clean report."""
    return e.killed or e.attempt.signal is not None or not e.attempt.result


def _owned_by_other(e: Evidence) -> Incident | None:
    """The incident of a named other owner that was open before this attempt died, if there is one."""
    for incident in e.incidents:
        if incident.owner and (incident.at is None or incident.at <= e.attempt.duration_s):
            return incident
    return None


def _collateral(e: Evidence) -> bool:
    """Died while somebody else's incident was open, with nothing that names this case as its cause."""
    if not _died(e) or e.kernel:
        return False
    if _owned_by_other(e) is None and e.neighbour.cause not in DEVICE_OF_CAUSE:
        return False
    # A reset reaches every process of the device; an own fault address, assert or Python error is its own.
    own = e.best[0].cause
    return own in (Cause.GPU_HANG_RESET, *GENERIC_CAUSES) and not _plain_exception(e)


def _plain_exception(e: Evidence) -> bool:
    return (
        e.attempt.error is not None
        and e.exception.cause is Cause.PYTHON_EXCEPTION_OTHER
        and not {"hip_error", "cuda_error"} & set(e.exception.fields)
        and not e.text.device
    )


def _own_device_event(e: Evidence) -> bool:
    """A device event that belongs to this attempt: the kernel names its pid, or the driver's line is in its output."""
    return e.device is not DeviceEvent.NONE or e.kernel.cause in DEVICE_OF_CAUSE or (e.text.device and e.text.cause in DEVICE_OF_CAUSE)


def _oom(e: Evidence) -> bool:
    if not e.memory:
        return False
    if e.attempt.result and e.attempt.error is None and not e.killed and e.attempt.signal is None:
        return False  # it ran out of memory, coped, and finished: judged by its result
    # Exit 0 without a result is no-result whatever the text says; a kill by us came after the memory ran out.
    return e.attempt.exit_code != 0 or e.attempt.error is not None


def _shaky(e: Evidence) -> bool:
    return not e.attempt.farewell or (e.attempt.exit_code not in (0, None))


def _remarkable(e: Evidence) -> bool:
    attempt = e.attempt
    return bool(
        any(not check.tight for check in attempt.checks)
        or attempt.leaked
        or attempt.remarks
        or attempt.protocol
    )


RULES: tuple[Rule, ...] = (
    Rule(
        "interrupted",
        Outcome.NOT_RUN,
        lambda e: e.attempt.interrupted,
        lambda e: "stopped before it could finish",
    ),
    Rule(
        "harness",
        Outcome.HARNESS_ERROR,
        lambda e: e.attempt.harness is not None,
        lambda e: e.attempt.harness or "",
    ),
    Rule("not-reaped", Outcome.UNKILLABLE, lambda e: not e.attempt.reaped, lambda e: _say_stuck(e)),
    Rule("other-owner", Outcome.COLLATERAL, _collateral, lambda e: _say_collateral(e)),
    Rule("memory", Outcome.OOM, _oom, lambda e: _say_oom(e)),
    Rule(
        "reported-error",
        Outcome.ERROR,
        lambda e: e.attempt.error is not None and not e.late,
        lambda e: _say_error(e),
    ),
    Rule("wrong-numbers", Outcome.MISMATCH, lambda e: e.failed_checks, lambda e: _say_mismatch(e)),
    Rule(
        "stalled",
        Outcome.HANG,
        lambda e: (
            e.killed
            and (e.attempt.deadline is None or e.attempt.deadline.kind != "case" or not e.progressing)
        ),
        lambda e: _say_hang(e),
    ),
    Rule("budget-spent", Outcome.TIMEOUT, lambda e: e.killed, lambda e: _say_timeout(e)),
    Rule(
        "died-after-result",
        Outcome.TAINTED,
        lambda e: e.attempt.result and e.attempt.signal is not None,
        lambda e: f"right result, then killed by {e.attempt.signal} in teardown" + _because(e),
    ),
    Rule("signal", Outcome.CRASH, lambda e: e.attempt.signal is not None, lambda e: _say_crash(e)),
    Rule("no-result", Outcome.NO_RESULT, lambda e: not e.attempt.result, lambda e: _say_no_result(e)),
    Rule(
        "bad-exit-after-result",
        Outcome.TAINTED,
        _shaky,
        lambda e: _say_shaky(e),
    ),
    Rule(
        "device-event",
        Outcome.TAINTED,
        _own_device_event,
        lambda e: "right result, but the device reported a fault of this case" + _because(e),
    ),
    Rule("remark", Outcome.WARN, _remarkable, lambda e: _say_remarks(e)),
    Rule("clean", Outcome.PASS, lambda e: True, lambda e: ""),
)


def judge(
    attempt: Attempt,
    *,
    kernel: Sequence[KernelEvent] = (),
    device_events: Sequence[Incident] = (),
    silent_s: float = 45.0,
    case_id: str = "",
    meant_rocm: str = "",
) -> Judgement:
    """Judge one attempt.

    ``kernel`` are the kernel-log reports of its window, ``device_events``
    the incidents that were open on its device, with their owners, ``silent_s`` the stall budget of the case in
    seconds: a case whose life was over counts as progressing when its last heartbeat is younger than that.
    Incidents that ``case_id`` itself owns (an earlier attempt of it) make nobody collateral.
    ``meant_rocm`` is the ROCm version that the runtime should have loaded (or torch.version.hip): when the driver's
    line tells of another one, a note says so.
    """
    others = [incident for incident in device_events if not case_id or incident.owner != case_id]
    evidence = gather(attempt, kernel=kernel, incidents=others, silent_s=silent_s)
    rule = next(rule for rule in RULES if rule.when(evidence))
    outcome = rule.outcome
    recognition, source = _cause_of(evidence, outcome)
    fields = _fields_of(evidence, rule, recognition)
    signature, titles = signature_of(
        outcome=outcome,
        cause=recognition.cause,
        signal=None if evidence.killed else attempt.signal,
        layer=recognition.layer,
        kernel=str(fields.get("kernel", "")),
        frame=_frame(evidence, outcome),
        phase=_phase(evidence),
    )
    if outcome is Outcome.COLLATERAL:
        source = "kernel-log" if evidence.neighbour else "timing"
    return Judgement(
        outcome=outcome,
        cause=recognition.cause,
        message=_one_line(rule.say(evidence)),
        signature=signature,
        titles=titles,
        device=_device_of(evidence, outcome, recognition),
        source=source,
        fields=fields,
        notes=tuple(_notes(evidence, outcome, meant_rocm or str(attempt.observed.get("hip") or ""))),
        rule=SIGNATURE_RULE,
    )


def _cause_of(e: Evidence, outcome: Outcome) -> tuple[Recognition, str]:
    """Recognition and source that the outcome stores; an outcome that needs no reason has none."""
    if outcome in (Outcome.PASS, Outcome.WARN, Outcome.NOT_RUN, Outcome.HARNESS_ERROR):
        return Recognition(), ""
    if outcome is Outcome.MISMATCH:
        return e.best if _own_device_event(e) else (Recognition(), "")
    if outcome is Outcome.TAINTED and e.attempt.signal is None and not _own_device_event(e):
        return e.best if e.best[0].cause not in GENERIC_CAUSES else (Recognition(), "")
    best, source = e.best
    if outcome is Outcome.OOM and best.cause not in MEMORY_CAUSES:
        return Recognition(Cause.OUT_OF_MEMORY, best.fields, layer="host", pattern_id="memory-limit"), "exit"
    if outcome in (Outcome.HANG, Outcome.TIMEOUT, Outcome.UNKILLABLE) and best.cause in GENERIC_CAUSES:
        # What stands in the text of a hung process (an abort of ours, a stack dump) is our own doing.
        return Recognition(fields=best.fields if best.pattern_id else {}), ""
    return best, source


def _fields_of(e: Evidence, rule: Rule, recognition: Recognition) -> Mapping[str, Any]:
    attempt = e.attempt
    fields: dict[str, Any] = dict(recognition.fields)
    fields["rule"] = rule.name
    if recognition.pattern_id:
        fields["pattern"] = recognition.pattern_id
    if recognition.line:
        fields["line"] = recognition.line[:500]
    if recognition.runtime_hint:
        fields["runtime_hint"] = recognition.runtime_hint
    if attempt.signal is not None:
        fields["signal"] = attempt.signal
    elif attempt.exit_code not in (None, 0):
        fields["exit_code"] = attempt.exit_code
    if attempt.error is not None:
        fields.setdefault("exception", attempt.error.type)
    fingerprints = sorted(
        {check.fingerprint for check in attempt.checks if not check.tight and check.fingerprint}
    )
    if fingerprints:
        fields["fingerprint"] = ", ".join(fingerprints)
    return fields


def _phase(e: Evidence) -> str:
    if e.attempt.error is not None and e.attempt.error.in_phase:
        return e.attempt.error.in_phase
    if e.attempt.result and _died(e):
        return "teardown"
    return e.attempt.deadline.phase if e.attempt.deadline is not None and e.killed else e.attempt.phase


def _frame(e: Evidence, outcome: Outcome) -> str:
    """What tells two failures without a kernel name apart: exception type, or the failed check's fingerprint."""
    if outcome is Outcome.MISMATCH:
        bad = next((check for check in e.attempt.checks if not check.loose), None)
        return f"{bad.name}:{bad.fingerprint}" if bad else ""
    if e.attempt.error is not None:
        return e.attempt.error.type
    return ""


def _device_of(e: Evidence, outcome: Outcome, recognition: Recognition) -> DeviceEvent:
    if outcome is Outcome.COLLATERAL:
        owner = _owned_by_other(e)
        return owner.kind if owner else DEVICE_OF_CAUSE.get(e.neighbour.cause, DeviceEvent.NONE)
    cause = DEVICE_OF_CAUSE.get(recognition.cause, DeviceEvent.NONE)
    if recognition.fields.get("where") == "cpu":
        cause = DeviceEvent.NONE
    order = list(DeviceEvent)
    return max(cause, e.device, key=order.index)


def _notes(e: Evidence, outcome: Outcome, meant_rocm: str) -> list[str]:
    """What is true beside the outcome and would be lost otherwise."""
    attempt = e.attempt
    notes = [f"leaked process {leak.pid} ({leak.command}) was killed" for leak in attempt.leaked]
    notes += [f"result channel: {text}" for text in attempt.protocol]
    notes += list(attempt.remarks)
    reported = attempt.error is not None or outcome is Outcome.MISMATCH
    if outcome in _FIRST_CAUSES and reported and (attempt.signal or e.killed):
        how = "was killed by rmcp" if e.killed else f"died by {attempt.signal}"
        notes.append(f"afterwards the process {how}; the first cause counts")
    if outcome is Outcome.CRASH and attempt.signal in _OUTSIDE_SIGNALS and not e.best[0]:
        notes.append(
            f"{attempt.signal} was not sent by rmcp and no log explains it: somebody else, or the OOM killer"
        )
    if attempt.deadline is not None and not e.killed:
        notes.append("its budget ran out while it was already leaving by itself")
    caution = warning(e.best[0].runtime_hint, meant_rocm)
    if caution:
        notes.append(caution)
    also = [str(cause) for cause in e.best[0].also]
    if also and outcome not in (Outcome.PASS, Outcome.WARN):
        notes.append("the text also names: " + ", ".join(also))
    if e.neighbour and outcome not in (Outcome.COLLATERAL, Outcome.PASS, Outcome.WARN):
        notes.append(
            f"the kernel log blames {e.neighbour_name} too: {e.neighbour.cause}"
        )
    return notes


def _because(e: Evidence) -> str:
    best = e.best[0]
    if not best or best.cause in (Cause.UNKNOWN_ABORT, Cause.SEGFAULT):
        return f": {best.line.strip()}" if best.line else ""
    text = f": {CAUSE_TEXT[best.cause]}"
    return text + (f" in {best.fields['kernel']}" if best.fields.get("kernel") else "")


def _say_stuck(e: Evidence) -> str:
    stuck = [task for task in e.attempt.tasks if task.state.startswith("D")] or list(e.attempt.tasks)
    where = f"; {stuck[0].name} is in state {stuck[0].state}" if stuck else ""
    if stuck and stuck[0].wchan:
        where += f" in {stuck[0].wchan}"
    return f"not reaped after SIGKILL{where}"


def _say_collateral(e: Evidence) -> str:
    incident = _owned_by_other(e)
    if incident is not None:
        return f"died while a device {incident.kind} of {incident.owner} was open"
    return f"died with a device event that the kernel log attributes to {e.neighbour_name}"


def _say_oom(e: Evidence) -> str:
    if e.attempt.error is not None:
        return f"{e.attempt.error.type}: {e.attempt.error.message}"
    if e.attempt.memory_limited:
        return "the memory limit of the case was hit"
    return e.best[0].line.strip() or "memory exhausted"


def _say_error(e: Evidence) -> str:
    error = e.attempt.error
    assert error is not None
    return f"{error.type}: {error.message}".rstrip(": ")


def _say_mismatch(e: Evidence) -> str:
    bad = [check for check in e.attempt.checks if not check.loose]
    first = bad[0]
    size = (
        f", max error {first.max_abs:.3g} (bound {first.bound:.3g})"
        if first.max_abs is not None and (first.bound is not None)
        else ""
    )
    more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
    return f"{first.name}: {first.fingerprint or 'wrong numbers'}{size}{more}"


def _say_hang(e: Evidence) -> str:
    deadline = e.attempt.deadline
    if deadline is None:
        return "killed by rmcp without a recorded deadline"
    budget = e.silent_s if deadline.kind == "case" else deadline.budget_s
    return f"no progress for {budget:g} s in phase {deadline.phase or 'start'}" + _because(e)


def _say_timeout(e: Evidence) -> str:
    deadline = e.attempt.deadline
    assert deadline is not None
    return f"{deadline.budget_s:g} s spent while still progressing, in phase {deadline.phase or 'start'}"


def _say_crash(e: Evidence) -> str:
    where = f" in phase {e.attempt.phase}" if e.attempt.phase else ""
    return f"{e.attempt.signal}{where}{_because(e)}"


def _say_no_result(e: Evidence) -> str:
    return f"exited with {e.attempt.exit_code} without a result{_because(e)}"


def _say_shaky(e: Evidence) -> str:
    if e.attempt.exit_code not in (0, None):
        return f"right result, then exit status {e.attempt.exit_code}{_because(e)}"
    return "right result, but the process ended before it reported its teardown"


def _say_remarks(e: Evidence) -> str:
    attempt = e.attempt
    parts = [f"{check.name}: within the loose tolerance only" for check in attempt.checks if not check.tight]
    parts += [f"leaked process {leak.pid}" for leak in attempt.leaked]
    return "; ".join([*parts, *attempt.remarks, *attempt.protocol])


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MESSAGE_LIMIT else line[: _MESSAGE_LIMIT - 1] + "…"
