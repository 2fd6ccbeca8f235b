"""The state machine of one device: healthy -> suspect -> recovering -> condemned. Pure: no I/O and no clock.

`step` takes a state and an event and returns the next state and what the caller has to do now. The caller
runs the canary, waits, watches the kernel log or runs the configured reset, and feeds the answer back as
the next event. Times in events are seconds on any one monotonic clock; they are only stored and compared.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

from rmcp.words import DeviceEvent


class Health(Enum):
    """``suspect``: something died on it, not yet checked; ``recovering``: a canary failed; ``condemned``:
    no more cases."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    RECOVERING = "recovering"
    CONDEMNED = "condemned"


class Gate(Enum):
    """Whether the next case may start: now, after the pending actions, or not any more."""

    OPEN = "open"
    WAIT = "wait"
    BLOCKED = "blocked"


@dataclass(frozen=True)
class Policy:
    """How careful to be. ``reset_command`` is empty unless the user configured one: resets hit every
    process."""

    canary_every: int = 25  # cases; a canary costs about 2 s (import excluded), so under 0.1 s per case
    canary_timeout_s: float = 60.0  # a first HIP initialisation after a reset has been seen to take over 20 s
    canary_tries: int = 2  # one failure may be the tail of the reset itself
    recovery_pause_s: float = 10.0  # queue teardown and mode-1 resets take up to 10 s
    watch_s: float = 70.0  # amdgpu's compute timeout is 60 s by default: it fires after we killed a hung case
    reset_command: tuple[str, ...] = ()
    reset_timeout_s: float = 60.0
    resets: int = 1  # a device that needs a second reset in one run is not a measuring instrument


# -- events
# ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaseEnded:
    """A case left the device. ``died``: its class is `died` or a device event is its own; ``reaped``: False
    when it survived SIGKILL; ``killed_hang``: we ended a hang, so the kernel's own timeout may still be to
    come."""

    case: str
    at: float
    died: bool = False
    reaped: bool = True
    killed_hang: bool = False
    pid: int = 0
    device: DeviceEvent = DeviceEvent.NONE


@dataclass(frozen=True)
class CanaryEnded:
    """The canary's answer; ``detail`` is one line for people when it failed."""

    ok: bool
    at: float
    detail: str = ""


@dataclass(frozen=True)
class ResetEnded:
    """The configured reset command ended."""

    ok: bool
    at: float
    detail: str = ""


@dataclass(frozen=True)
class ForeignIncident:
    """The kernel log names a fault or reset of a process that is not ours; ``owner`` says which."""

    owner: str
    at: float


@dataclass(frozen=True)
class DeviceGone:
    """The device left the bus or its driver is gone (Xid 79, no such PCI address)."""

    at: float
    detail: str = ""


Event = CaseEnded | CanaryEnded | ResetEnded | ForeignIncident | DeviceGone

# -- actions
# ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RunCanary:
    """Run the canary in its own child, after ``after_s`` seconds; answer with CanaryEnded."""

    timeout_s: float
    after_s: float = 0.0


@dataclass(frozen=True)
class RunReset:
    """Run the user's reset command; answer with ResetEnded."""

    command: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True)
class WatchKernelLog:
    """Keep the kernel log window of ``case`` open for ``seconds`` more; nothing waits for it."""

    case: str
    pid: int
    seconds: float


@dataclass(frozen=True)
class Incident:
    """A span in which the device was not to be trusted, and who owns it. ``until`` is None while it is
    open."""

    owner: str
    since: float
    until: float | None = None


@dataclass(frozen=True)
class CloseIncident:
    """The device is well again; keep the incident for the judgement of what died in it."""

    incident: Incident


@dataclass(frozen=True)
class Block:
    """No further case may start on this device; what is still planned is `blocked` for this reason."""

    reason: str


Action = RunCanary | RunReset | WatchKernelLog | CloseIncident | Block


@dataclass(frozen=True)
class State:
    """All that is remembered of one device. ``pending``: the answer we wait for (canary, reset, or nothing);
    ``recent``: cases since the last good canary, the suspects when a routine canary fails."""

    health: Health = Health.HEALTHY
    policy: Policy = Policy()
    trivial: bool = False
    pending: str = ""
    incident: Incident | None = None
    recent: tuple[str, ...] = ()
    canary_failures: int = 0
    resets: int = 0
    reason: str = ""


def healthy(policy: Policy | None = None, *, cpu: bool = False) -> State:
    """The first state. ``cpu``: a device that cannot be broken by a case; every step leaves it healthy."""
    return State(policy=policy or Policy(), trivial=cpu)


def gate(state: State) -> Gate:
    """Whether the next case may start on the device."""
    if state.health is Health.CONDEMNED:
        return Gate.BLOCKED
    return Gate.WAIT if state.pending else Gate.OPEN


def step(state: State, event: Event) -> tuple[State, tuple[Action, ...]]:
    """The next state and what to do now, in this order. Never raises; a condemned device stays condemned."""
    if state.trivial:
        return state, ()
    if state.health is Health.CONDEMNED:
        return state, (Block(state.reason),) if isinstance(event, CaseEnded | ForeignIncident) else ()
    if isinstance(event, CaseEnded):
        return _case_ended(state, event)
    if isinstance(event, CanaryEnded):
        return _canary_ended(state, event)
    if isinstance(event, ResetEnded):
        return _reset_ended(state, event)
    if isinstance(event, ForeignIncident):
        opened = replace(_open(state, event.owner, event.at), health=_at_least_suspect(state.health))
        return _ask_canary(opened)
    return _condemn(
        state, event.at, f"the device is gone: {event.detail}" if event.detail else "the device is gone"
    )


def _case_ended(state: State, event: CaseEnded) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, recent=(*state.recent, event.case)[-max(1, state.policy.canary_every) :])
    watch: tuple[Action, ...] = ()
    if event.killed_hang:
        watch = (WatchKernelLog(event.case, event.pid, state.policy.watch_s),)
    if not event.reaped:
        state = _open(state, event.case, event.at)
        state, actions = _condemn(
            state, event.at, f"{event.case} could not be killed and may still use the device", named=True
        )
        return state, watch + actions
    if event.device is DeviceEvent.LOST:
        state = _open(state, event.case, event.at)
        state, actions = _condemn(state, event.at, f"the device was lost in {event.case}", named=True)
        return state, watch + actions
    if event.died or event.device is not DeviceEvent.NONE:
        state = replace(_open(state, event.case, event.at), health=_at_least_suspect(state.health))
        state, actions = _ask_canary(state)
        return state, watch + actions
    if len(state.recent) >= state.policy.canary_every > 0:
        state, actions = _ask_canary(state)
        return state, watch + actions
    return state, watch


def _canary_ended(state: State, event: CanaryEnded) -> tuple[State, tuple[Action, ...]]:
    state = replace(state, pending="")
    if event.ok:
        well = replace(state, health=Health.HEALTHY, incident=None, recent=(), canary_failures=0, reason="")
        if state.incident is None:
            return well, ()
        return well, (CloseIncident(replace(state.incident, until=event.at)),)
    why = f"canary failed{': ' + event.detail if event.detail else ''}"
    if state.incident is None:  # a routine canary: any case since the last good one may have done it
        owner = state.recent[0] if len(set(state.recent)) == 1 else ""
        state = _open(state, owner, event.at)
        if not owner and state.recent:
            why += f" (unnoticed damage by one of the last {len(state.recent)} cases)"
    failures = state.canary_failures + 1
    state = replace(state, health=Health.RECOVERING, canary_failures=failures, reason=why)
    if failures < state.policy.canary_tries:
        return _ask_canary(state, state.policy.recovery_pause_s)
    if state.policy.reset_command and state.resets < state.policy.resets:
        state = replace(state, pending="reset", resets=state.resets + 1)
        return state, (RunReset(state.policy.reset_command, state.policy.reset_timeout_s),)
    return _condemn(state, event.at, f"{why}, {failures} times in a row")


def _reset_ended(state: State, event: ResetEnded) -> tuple[State, tuple[Action, ...]]:
    if not event.ok:
        return _condemn(
            state, event.at, f"the reset command failed{': ' + event.detail if event.detail else ''}"
        )
    # One more canary decides; it is the last try, a reset that did not help will not help the second time.
    failures = max(0, state.policy.canary_tries - 1)
    return _ask_canary(replace(state, pending="", canary_failures=failures), state.policy.recovery_pause_s)


def _open(state: State, owner: str, at: float) -> State:
    """Open an incident unless one is open: the first cause owns what follows."""
    return state if state.incident is not None else replace(state, incident=Incident(owner, at))


def _ask_canary(state: State, after_s: float = 0.0) -> tuple[State, tuple[Action, ...]]:
    return replace(state, pending="canary"), (RunCanary(state.policy.canary_timeout_s, after_s),)


def _at_least_suspect(health: Health) -> Health:
    return Health.SUSPECT if health is Health.HEALTHY else health


def _condemn(state: State, at: float, reason: str, named: bool = False) -> tuple[State, tuple[Action, ...]]:
    state = _open(state, state.recent[-1] if state.recent else "", at)
    owner = state.incident.owner if state.incident is not None else ""
    if owner and not named:
        reason += f"; first trouble: {owner}"
    return replace(state, health=Health.CONDEMNED, pending="", reason=reason), (Block(reason),)
