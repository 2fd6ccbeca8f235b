"""The state machine of a device as a table, and what holds for every sequence of events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.device.health import (
    Block,
    CanaryEnded,
    CaseEnded,
    CloseIncident,
    DeviceGone,
    Event,
    ForeignIncident,
    Gate,
    Health,
    Incident,
    Policy,
    ResetEnded,
    RunCanary,
    RunReset,
    State,
    WatchKernelLog,
    gate,
    healthy,
    step,
)
from rmcp.words import DeviceEvent

POLICY = Policy(canary_every=3, canary_timeout_s=60.0, canary_tries=2, recovery_pause_s=10.0, watch_s=70.0)
WITH_RESET = Policy(canary_every=3, reset_command=("reset-it",), reset_timeout_s=9.0, resets=1)
NOW, LATER = RunCanary(60.0), RunCanary(60.0, 10.0)
H, S, R, C = Health.HEALTHY, Health.SUSPECT, Health.RECOVERING, Health.CONDEMNED


def ok(name: str = "a", at: float = 1.0) -> CaseEnded:
    return CaseEnded(name, at)


def died(name: str = "a", at: float = 1.0) -> CaseEnded:
    return CaseEnded(name, at, died=True)


GOOD, BAD = CanaryEnded(True, 2.0), CanaryEnded(False, 2.0, "no sum")
FAULT = CaseEnded("a", 1.0, device=DeviceEvent.FAULT)
HUNG = CaseEnded("a", 1.0, died=True, killed_hang=True, pid=7)
UNKILLABLE = CaseEnded("a", 1.0, died=True, reaped=False, killed_hang=True, pid=7)
LOST = CaseEnded("a", 1.0, died=True, device=DeviceEvent.LOST)
WATCH = WatchKernelLog("a", 7, 70.0)
CLOSED = CloseIncident(Incident("a", 1.0, 2.0))
WHY = "canary failed: no sum"
TWICE = f"{WHY}, 2 times in a row; first trouble: a"

# events, health after each of them, actions of the last one
TABLE = [
    ("a case passes", [ok()], [H], ()),
    ("every third case is followed by a canary", [ok("a"), ok("b"), ok("c")], [H, H, H], (NOW,)),
    ("which closes nothing", [ok("a"), ok("b"), ok("c"), GOOD], [H, H, H, H], ()),
    ("and counts anew", [ok("a"), ok("b"), ok("c"), GOOD, ok("d")], [H] * 5, ()),
    ("a death", [died()], [S], (NOW,)),
    ("a device event of a case that passed", [FAULT], [S], (NOW,)),
    ("a killed hang is watched for", [HUNG], [S], (WATCH, NOW)),
    ("a good canary ends the incident", [died(), GOOD], [S, H], (CLOSED,)),
    ("a bad one is tried again", [died(), BAD], [S, R], (LATER,)),
    ("and may be good then", [died(), BAD, GOOD], [S, R, H], (CLOSED,)),
    ("or not", [died(), BAD, BAD], [S, R, C], (Block(TWICE),)),
    ("the counter is of failures in a row", [died(), BAD, GOOD, died(), BAD], [S, R, H, S, R], (LATER,)),
    ("unkillable", [UNKILLABLE], [C], (WATCH, Block("a could not be killed and may still use the device"))),
    ("lost from the bus", [LOST], [C], (Block("the device was lost in a"),)),
    ("gone", [ok("a"), DeviceGone(3.0, "Xid 79")], [H, C], (Block("the device is gone: Xid 79; first trouble: a"),)),
    ("a reset by somebody else", [ForeignIncident("process blender (pid 9)", 1.0)], [S], (NOW,)),
    ("a second death in an incident", [died("a"), died("b"), GOOD], [S, S, H], (CLOSED,)),
    ("condemned is for good", [UNKILLABLE, GOOD], [C, C], ()),
    ("and says so to what follows", [UNKILLABLE, ok("b")], [C, C],
     (Block("a could not be killed and may still use the device"),)),
]  # fmt: skip

RESETS = [
    ("the configured reset", [died(), BAD, BAD], [S, R, R], (RunReset(("reset-it",), 9.0),)),
    ("is followed by a canary", [died(), BAD, BAD, ResetEnded(True, 3.0)], [S, R, R, R], (LATER,)),
    ("which may be good", [died(), BAD, BAD, ResetEnded(True, 3.0), GOOD], [S, R, R, R, H], (CLOSED,)),
    ("or not: one reset only", [died(), BAD, BAD, ResetEnded(True, 3.0), BAD], [S, R, R, R, C], (Block(TWICE),)),
    ("a reset that fails", [died(), BAD, BAD, ResetEnded(False, 3.0, "no permission")], [S, R, R, C],
     (Block("the reset command failed: no permission; first trouble: a"),)),
]  # fmt: skip


def play(events: list[Event], policy: Policy) -> tuple[list[Health], State, tuple[object, ...]]:
    state, actions, seen = healthy(policy), (), []
    for event in events:
        state, actions = step(state, event)
        seen.append(state.health)
    return seen, state, actions


@pytest.mark.parametrize(
    ("events", "states", "actions"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_table(events: list[Event], states: list[Health], actions: tuple[object, ...]) -> None:
    seen, _, last = play(events, POLICY)
    assert (seen, last) == (states, actions)


@pytest.mark.parametrize(
    ("events", "states", "actions"), [row[1:] for row in RESETS], ids=[row[0] for row in RESETS]
)
def test_reset_is_opt_in(events: list[Event], states: list[Health], actions: tuple[object, ...]) -> None:
    seen, _, last = play(events, WITH_RESET)
    assert (seen, last) == (states, actions)


def test_a_routine_canary_that_fails_accuses_nobody_in_particular() -> None:
    _, state, _ = play([ok("a"), ok("b"), ok("c"), BAD], POLICY)
    assert state.health is Health.RECOVERING
    assert state.incident == Incident("", 2.0)
    assert "one of the last 3 cases" in state.reason


def test_a_routine_canary_after_one_case_accuses_that_case() -> None:
    state, _ = step(healthy(Policy(canary_every=1)), ok("only"))
    state, _ = step(state, BAD)
    assert state.incident == Incident("only", 2.0)


def test_gates() -> None:
    state = healthy(POLICY)
    assert gate(state) is Gate.OPEN
    state, _ = step(state, died())
    assert gate(state) is Gate.WAIT
    state, _ = step(state, GOOD)
    assert gate(state) is Gate.OPEN
    state, _ = step(state, UNKILLABLE)
    assert gate(state) is Gate.BLOCKED


EVENTS = st.one_of(
    st.builds(
        CaseEnded,
        st.sampled_from("abcd"),
        st.floats(0, 100),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.integers(1, 9),
        st.sampled_from(list(DeviceEvent)),
    ),
    st.builds(CanaryEnded, st.booleans(), st.floats(0, 100)),
    st.builds(ResetEnded, st.booleans(), st.floats(0, 100)),
    st.builds(ForeignIncident, st.sampled_from(["x", "y"]), st.floats(0, 100)),
    st.builds(DeviceGone, st.floats(0, 100)),
)


@given(st.lists(EVENTS, max_size=30), st.sampled_from([POLICY, WITH_RESET]))
def test_what_holds_for_every_sequence(events: list[Event], policy: Policy) -> None:
    state, resets = healthy(policy), 0
    for event in events:
        before = state
        state, actions = step(state, event)
        resets += sum(isinstance(one, RunReset) for one in actions)
        asked = [one for one in actions if isinstance(one, RunCanary | RunReset)]
        assert len(asked) <= 1
        if asked:
            assert gate(state) is Gate.WAIT  # nothing starts until the answer has come
        if before.health is Health.CONDEMNED:
            assert state == before
        if state.health is Health.CONDEMNED:
            assert state.reason
            assert gate(state) is Gate.BLOCKED
        if state.health in (Health.SUSPECT, Health.RECOVERING):
            assert state.incident is not None
        if state.health is Health.HEALTHY and state.incident is not None:
            pytest.fail("a healthy device with an open incident")
    assert resets <= policy.resets
    assert policy.reset_command or not resets


@given(st.lists(EVENTS, max_size=30))
def test_the_cpu_is_always_well(events: list[Event]) -> None:
    state = healthy(POLICY, cpu=True)
    for event in events:
        assert step(state, event) == (state, ())
    assert gate(state) is Gate.OPEN
