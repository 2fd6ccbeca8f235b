"""Attempt -> Judgement: the precedence rules of an outcome as one ordered table. Pure: no clock, no I/O.

The first row whose condition holds gives the outcome. Read top to bottom the table says: what was never run;
what cannot be reaped; who else is to blame; exhausted memory; what the child reported before anything died;
what we killed; what died by itself; what never answered; and only then the shades of a complete result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.attempt import Attempt
from rmcp.device.kernel_events import KernelEvent
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
from rmcp.outcome.messages import (
    because,
    one_line,
    say_collateral,
    say_crash,
    say_error,
    say_hang,
    say_mismatch,
    say_no_result,
    say_oom,
    say_remarks,
    say_shaky,
    say_stuck,
    say_timeout,
)
from rmcp.outcome.recognition import Recognition
from rmcp.outcome.signature import signature_of
from rmcp.words import Cause, DeviceEvent, Outcome

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


def _collateral(e: Evidence) -> bool:
    """Died while somebody else's incident was open, with nothing that names this case as its cause."""
    if not _died(e) or e.kernel:
        return False
    if e.other_owner is None and e.neighbour.cause not in DEVICE_OF_CAUSE:
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
    by_kernel = e.device is not DeviceEvent.NONE or e.kernel.cause in DEVICE_OF_CAUSE
    return by_kernel or (e.text.device and e.text.cause in DEVICE_OF_CAUSE)


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
        any(not check.tight for check in attempt.checks) or attempt.leaked or attempt.remarks or attempt.protocol
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
    Rule("not-reaped", Outcome.UNKILLABLE, lambda e: not e.attempt.reaped, say_stuck),
    Rule("other-owner", Outcome.COLLATERAL, _collateral, say_collateral),
    Rule("memory", Outcome.OOM, _oom, say_oom),
    Rule(
        "reported-error",
        Outcome.ERROR,
        lambda e: e.attempt.error is not None and not e.late,
        say_error,
    ),
    Rule("wrong-numbers", Outcome.MISMATCH, lambda e: e.failed_checks, say_mismatch),
    Rule(
        "stalled",
        Outcome.HANG,
        lambda e: e.killed and (e.attempt.deadline is None or e.attempt.deadline.kind != "case" or not e.progressing),
        say_hang,
    ),
    Rule("budget-spent", Outcome.TIMEOUT, lambda e: e.killed, say_timeout),
    Rule(
        "died-after-result",
        Outcome.TAINTED,
        lambda e: e.attempt.result and e.attempt.signal is not None,
        lambda e: f"right result, then killed by {e.attempt.signal} in teardown" + because(e),
    ),
    Rule("signal", Outcome.CRASH, lambda e: e.attempt.signal is not None, say_crash),
    Rule("no-result", Outcome.NO_RESULT, lambda e: not e.attempt.result, say_no_result),
    Rule(
        "bad-exit-after-result",
        Outcome.TAINTED,
        _shaky,
        say_shaky,
    ),
    Rule(
        "device-event",
        Outcome.TAINTED,
        _own_device_event,
        lambda e: "right result, but the device reported a fault of this case" + because(e),
    ),
    Rule("remark", Outcome.WARN, _remarkable, say_remarks),
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
        message=one_line(rule.say(evidence)),
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
    fingerprints = sorted({check.fingerprint for check in attempt.checks if not check.tight and check.fingerprint})
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
        owner = e.other_owner
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
        notes.append(f"{attempt.signal} was not sent by rmcp and no log explains it: somebody else, or the OOM killer")
    if attempt.deadline is not None and not e.killed:
        notes.append("its budget ran out while it was already leaving by itself")
    caution = warning(e.best[0].runtime_hint, meant_rocm)
    if caution:
        notes.append(caution)
    also = [str(cause) for cause in e.best[0].also]
    if also and outcome not in (Outcome.PASS, Outcome.WARN):
        notes.append("the text also names: " + ", ".join(also))
    if e.neighbour and outcome not in (Outcome.COLLATERAL, Outcome.PASS, Outcome.WARN):
        notes.append(f"the kernel log blames {e.neighbour_name} too: {e.neighbour.cause}")
    return notes
