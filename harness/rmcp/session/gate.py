"""The gate before the device: lock, kernel-log window, health state machine with its canary. Thin shell around
:mod:`rmcp.device`; the CPU needs none of it and pays nothing."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rmcp.attempt import Attempt
from rmcp.device import health
from rmcp.device.kernel_log import KernelEvent, KernelLog, Mark, Watch, attribute, parse
from rmcp.device.lock import CPU, DeviceBusy, DeviceLock
from rmcp.matrix.model import Case, Timeouts
from rmcp.outcome.evidence import Incident
from rmcp.outcome.judgement import Judgement
from rmcp.words import DeviceEvent, Outcome, OutcomeClass, class_of

_LOCK_WAIT_S = 600.0  # another worker's case may use its whole budget; then the case is blocked, not hung


@dataclass(frozen=True)
class _Device:
    """What is remembered of one device between cases."""

    lock: DeviceLock
    state: health.State
    incidents: tuple[health.Incident, ...] = ()


@dataclass(frozen=True)
class _Watched:
    """A killed hang whose kernel log window stays open for a while."""

    case: str
    pid: int
    watch: Watch


class Gate:
    """``run_attempt(case)`` runs a canary; ``note(kind, data)`` journals what happened to a device."""

    def __init__(
        self,
        run_id: str,
        policy: health.Policy,
        run_attempt: Callable[[Case], Attempt],
        note: Callable[..., None],
        log: KernelLog,
    ) -> None:
        self._run_id = run_id
        self._policy = policy
        self._run_attempt = run_attempt
        self._note = note
        self._log = log
        self._devices: dict[str, _Device] = {}
        self._current = CPU
        self._mark: Mark | None = None
        self._watches: list[_Watched] = []
        self._foreign = ""  # who else the kernel blames in the last window

    def enter(self, name: str) -> str | None:
        """Take the device; the reason why it may not be used, or None when the case may start."""
        device = self._devices.get(name)
        if device is None:
            state = health.healthy(self._policy, cpu=name == CPU)
            device = self._devices[name] = _Device(DeviceLock(name, run=self._run_id), state)
        self._current = name
        if health.gate(device.state) is health.Gate.BLOCKED:
            return device.state.reason
        try:
            device.lock.acquire(_LOCK_WAIT_S)
        except DeviceBusy as busy:
            return str(busy)
        return None

    def leave(self) -> None:
        """Give the device back."""
        self._devices[self._current].lock.release()

    def incidents(self, started: float) -> list[Incident]:
        """Open or recent incidents of the current device, for the judgement of what died meanwhile."""
        return [
            Incident(DeviceEvent.FAULT, entry.owner, entry.since - started)
            for entry in self._devices[self._current].incidents
            if entry.until is None or entry.until >= started
        ]

    def mark(self) -> float:
        """Begin a window of the kernel log; the monotonic time of its start."""
        # Without /dev/kmsg a mark may cost a process; on the CPU the log is asked too seldom to be worth that.
        self._poll_watches()
        wanted = self._log.source != "none" and (self._current != CPU or self._log.source == "kmsg")
        self._mark = self._log.mark() if wanted else None
        return time.monotonic()

    def window(self, attempt: Attempt) -> tuple[Sequence[KernelEvent], Sequence[str]]:
        """What the kernel said since ``mark`` (events, raw lines). Not asked for a clean pass on the CPU."""
        self._foreign = ""
        clean = attempt.exit_code == 0 and attempt.result and not attempt.sent
        if self._mark is None or (clean and self._current == CPU):
            return (), ()
        lines = self._log.window(self._mark)
        events = parse(lines)
        self._foreign = attribute(events, attempt.pid).foreign_owner
        return events, lines

    def ended(self, case: Case, attempt: Attempt, judgement: Judgement) -> None:
        """Tell the state machine how the case left the device, and do what it asks."""
        device = self._devices[self._current]
        if device.state.trivial:
            return
        died = class_of(judgement.outcome, attempt.signal) is OutcomeClass.DIED
        state, actions = health.step(
            device.state,
            health.CaseEnded(
                case.id, time.monotonic(), died=died, reaped=attempt.reaped, pid=attempt.pid,
                killed_hang=judgement.outcome in (Outcome.HANG, Outcome.TIMEOUT), device=judgement.device,
            ),
        )  # fmt: skip
        self._devices[self._current] = replace(device, state=state)
        self._do(case, list(actions))
        if self._foreign:
            self._step(case, health.ForeignIncident(self._foreign, time.monotonic()))

    def _step(self, case: Case, event: health.Event) -> None:
        device = self._devices[self._current]
        state, actions = health.step(device.state, event)
        self._devices[self._current] = replace(device, state=state)
        self._do(case, list(actions))

    def _poll_watches(self) -> None:
        """What the kernel says of a hang after we killed it: its own timeout may come a minute later."""
        for watched in self._watches:
            found = attribute(watched.watch.poll(), watched.pid).own
            if found:
                self._note("kernel", case=watched.case, lines=[event.text for event in found])
        self._watches = [watched for watched in self._watches if not watched.watch.done]

    def _do(self, case: Case, actions: list[health.Action]) -> None:
        while actions:
            action = actions.pop(0)
            device = self._devices[self._current]
            event: health.Event | None = None
            if isinstance(action, health.RunCanary):
                event = self._canary(case, action)
            elif isinstance(action, health.RunReset):
                event = _reset(action)
            elif isinstance(action, health.CloseIncident):
                known = (*device.incidents, action.incident)
                self._devices[self._current] = device = replace(device, incidents=known)
            elif isinstance(action, health.WatchKernelLog) and self._mark is not None:
                watch = self._log.watch(self._mark, action.seconds)
                self._watches.append(_Watched(action.case, action.pid, watch))
            elif isinstance(action, health.Block):
                self._note("device", device=self._current, event="condemned", reason=action.reason)
            if event is not None:
                self._note("device", device=self._current, event=type(event).__name__, ok=getattr(event, "ok", None),
                           detail=getattr(event, "detail", ""))  # fmt: skip
                state, more = health.step(device.state, event)
                self._devices[self._current] = replace(device, state=state)
                actions.extend(more)

    def _canary(self, case: Case, action: health.RunCanary) -> health.CanaryEnded:
        """A fixed tiny computation in a child of its own, without the case's environment."""
        if action.after_s:
            time.sleep(action.after_s)
        canary = Case(
            id="canary", key="canary", row="canary", workload="rmcp_torch.canary:run", axes={},
            runtime=case.runtime, device=case.device,
            timeout=Timeouts(case.timeout.start, action.timeout_s, action.timeout_s),
        )  # fmt: skip
        seen = self._run_attempt(canary)
        ok = seen.result and seen.error is None and seen.exit_code == 0
        detail = ""
        if not ok:
            text = seen.error.message if seen.error is not None else seen.stderr.text()[-300:]
            detail = f"{seen.signal or seen.exit_code} {text}".strip()
        return health.CanaryEnded(ok, time.monotonic(), detail)


def _reset(action: health.RunReset) -> health.ResetEnded:
    try:
        done = subprocess.run(action.command, capture_output=True, timeout=action.timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return health.ResetEnded(False, time.monotonic(), str(error))
    return health.ResetEnded(done.returncode == 0, time.monotonic(), done.stderr.decode("utf-8", "replace")[-300:])
