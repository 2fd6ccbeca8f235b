"""Evidence: an Attempt boiled down to the few facts that the precedence table asks for. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rmcp.attempt import Attempt
from rmcp.device.kernel_events import KernelEvent, attribute
from rmcp.outcome.patterns import XIDS_AFTERWARDS
from rmcp.outcome.recognise import recognise
from rmcp.outcome.recognition import Recognition
from rmcp.words import Cause, DeviceEvent

# Causes that stand for exhausted memory, of the device or of the host.
MEMORY_CAUSES = frozenset({Cause.OUT_OF_MEMORY, Cause.CPU_OOM_KILL})
# A cause that only says "there was an exception" or "it aborted": any other evidence is better.
GENERIC_CAUSES = frozenset({Cause.NONE, Cause.PYTHON_EXCEPTION_OTHER, Cause.UNKNOWN_ABORT, Cause.SEGFAULT})
# Device faults as causes, with what they did to the device.
DEVICE_OF_CAUSE = {
    Cause.APERTURE_VIOLATION: DeviceEvent.FAULT,
    Cause.MEMORY_ACCESS_FAULT: DeviceEvent.FAULT,
    Cause.ILLEGAL_INSTRUCTION: DeviceEvent.FAULT,
    Cause.DEVICE_ASSERT: DeviceEvent.FAULT,
    Cause.GPU_HANG_RESET: DeviceEvent.RESET,
}
_NOTHING = Recognition()


@dataclass(frozen=True)
class Incident:
    """A device event with an owner: the id of the case or the name of the process that caused it.

    ``owner`` empty: nobody is named, so it cannot make anybody collateral. ``at`` in seconds since the
    attempt's start (negative: it was open when the attempt began), None when not known.
    """

    kind: DeviceEvent
    owner: str = ""
    at: float | None = None
    text: str = ""


@dataclass(frozen=True)
class Evidence:
    """What the precedence table looks at. ``kernel`` is the recognition of the kernel-log reports that belong to
    this attempt, ``neighbour`` of device events that belong to another process, ``nameless`` of those that
    belong to nobody."""

    attempt: Attempt
    text: Recognition = _NOTHING
    text_source: str = ""
    exception: Recognition = _NOTHING
    kernel: Recognition = _NOTHING
    nameless: Recognition = _NOTHING
    neighbour: Recognition = _NOTHING
    neighbour_name: str = ""
    device: DeviceEvent = DeviceEvent.NONE  # the worst that the kernel log says of this attempt's own doing
    incidents: tuple[Incident, ...] = ()
    silent_s: float = 45.0
    exit_cause: Recognition = _NOTHING

    @property
    def killed(self) -> bool:
        """True when our kill ladder had begun before the process ended: nothing after it is its own end.

        A deadline that fired while the process was already leaving by itself (no signal sent, an exit
        status of its own) is not a kill.
        """
        if self.attempt.sent:
            return True
        return self.attempt.deadline is not None and self.attempt.exit_code is None

    @property
    def late(self) -> bool:
        """True when what the child reported came after our first signal, and so is our doing, not its own."""
        attempt = self.attempt
        if not attempt.sent:
            return False
        if attempt.error is not None and attempt.error.type.rpartition(".")[2] in (
            "KeyboardInterrupt",
            "SystemExit",
        ):
            return True
        return attempt.result_at is not None and attempt.result_at > attempt.sent[0].at

    @property
    def progressing(self) -> bool:
        """True when the last heartbeat before the deadline is younger than the stall budget (seconds)."""
        deadline = self.attempt.deadline
        if deadline is None:
            return False
        last = max((phase.at for phase in self.attempt.phases if phase.at <= deadline.at), default=0.0)
        return deadline.at - last <= self.silent_s

    @property
    def failed_checks(self) -> bool:
        """True when a complete result is outside even the loose tolerance."""
        return self.attempt.result and not self.late and any(not check.loose for check in self.attempt.checks)

    @property
    def memory(self) -> bool:
        """True when memory ran out: a limit was hit, the kernel killed this pid, or the text says so."""
        if self.attempt.memory_limited and not self.attempt.result:
            return True
        return self.best[0].cause in MEMORY_CAUSES

    @property
    def other_owner(self) -> Incident | None:
        """The incident of a named other owner that was open before this attempt ended, if there is one."""
        for incident in self.incidents:
            if incident.owner and (incident.at is None or incident.at <= self.attempt.duration_s):
                return incident
        return None

    @property
    def _cleaned_up(self) -> bool:
        nearer = bool(self.text or self.exception) or self.killed
        return nearer and self.kernel.fields.get("xid") in XIDS_AFTERWARDS

    @property
    def best(self) -> tuple[Recognition, str]:
        """The recognition that counts and the source it came from.

        Kernel log by pid beats text, unless it only tells how the driver cleaned up after an error that the
        process itself reported, or after our kill. Of the texts a device fault printed by the driver beats the
        exception (on ROCm 7 the exception is the consequence), the exception beats other text; timing comes last.
        """
        if self.kernel and not self._cleaned_up:
            return self.kernel, "kernel-log"
        if self.text and (self.text.device or not self.exception):
            return self.text, self.text_source
        if self.exception.cause not in GENERIC_CAUSES:
            return self.exception, "exception"
        if self.text.cause not in GENERIC_CAUSES:
            return self.text, self.text_source
        if self.exception:
            return self.exception, "exception"
        if self.nameless and not self.attempt.result:
            return self.nameless, "timing"
        return self.exit_cause, "exit" if self.exit_cause else ""


def _recognise_kernel(events: Sequence[KernelEvent]) -> Recognition:
    """Recognition of kernel-log reports, joined in their order."""
    return recognise("\n".join(event.text for event in events), raw=True) if events else _NOTHING


def gather(
    attempt: Attempt,
    *,
    kernel: Sequence[KernelEvent] = (),
    incidents: Sequence[Incident] = (),
    silent_s: float = 45.0,
) -> Evidence:
    """Read every text of an attempt once."""
    pids = {attempt.pid, *(task.pid for task in attempt.tasks), *(leak.pid for leak in attempt.leaked)} - {0}
    blamed = attribute(kernel, pids)
    foreign = [event for event in blamed.foreign if event.device is not DeviceEvent.NONE]
    text, source = _streams(attempt)
    exception = _NOTHING
    if attempt.error is not None:
        error = attempt.error
        # The last line of a traceback is the exception; what chained exceptions came from stands above it.
        exception = recognise(f"{error.traceback}\n{error.type}: {error.message}", raw=True)
        if not exception:
            exception = Recognition(Cause.PYTHON_EXCEPTION_OTHER, {"exception": error.type}, pattern_id="exception")
    return Evidence(
        attempt=attempt,
        text=text,
        text_source=source,
        exception=exception,
        kernel=_recognise_kernel(blamed.own),
        nameless=_recognise_kernel(blamed.nameless) if not foreign else _NOTHING,
        neighbour=_recognise_kernel(foreign),
        neighbour_name=blamed.foreign_owner if foreign else "",
        device=blamed.worst,
        incidents=tuple(incidents),
        silent_s=silent_s,
        exit_cause=recognise("", signal=attempt.signal, exit_code=attempt.exit_code),
    )


def _streams(attempt: Attempt) -> tuple[Recognition, str]:
    """Recognition of stderr and stdout together: stderr comes first, stdout adds what it alone has.

    ROCm 7.0 prints the guilty kernel's name on stdout and the fault on stderr.
    """
    stderr, stdout = attempt.stderr.data(), attempt.stdout.data()
    first = recognise(stderr, raw=True)
    second = recognise(stdout, raw=True)
    if first.cause in GENERIC_CAUSES and second.cause not in GENERIC_CAUSES:
        first, second = second, first
        source = "stdout"
    elif first:
        source = "stderr"
    else:
        return second, "stdout" if second else ""
    if "kernel" not in first.fields and b"Kernel Name" in stdout + stderr:
        kernel = recognise(stderr + b"\n" + stdout, raw=True).fields.get("kernel")
        if kernel:
            first = replace(first, fields={**first.fields, "kernel": kernel})
    if second.cause is first.cause:
        first = replace(first, fields={**second.fields, **first.fields})
    return first, source
