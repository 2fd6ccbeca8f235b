"""The pure parts of isolation of ordinary tests: limits, wire format, reports, safety of a fork."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import warnings
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rmcp
from rmcp.errors import UserError
from rmcp.pytest_plugin.isolated_policy import limits_from
from rmcp.pytest_plugin.isolated_reports import PHASES, Place, Seen, compose, judged, own_frames, passed
from rmcp.pytest_plugin.isolated_virgin import Virginity, fork_works, open_gpu_node
from rmcp.pytest_plugin.isolated_wire import clean, restored, safe_repr, warning_from_wire, warning_to_wire
from rmcp.words import Outcome

PLACE = Place("test_a.py::test_a", ("test_a.py", 4, "test_a"), "/x/test_a.py", {"test_a": 1})
EMPTY = {"head": "", "tail": "", "dropped": 0}


def limits(marks: list[Any], **more: Any) -> Any:
    return limits_from(marks, **{"timeout": None, "other_timeout": None, "memory": None, "retries": 0, **more})


@pytest.mark.parametrize(
    ("marks", "options", "expected"),
    [
        ([], {}, (600.0, None, 0)),
        ([], {"timeout": 5.0}, (5.0, None, 0)),
        ([], {"timeout": 5.0, "other_timeout": 3.0}, (3.0, None, 0)),
        ([((), {"timeout": 9})], {"timeout": 5.0, "other_timeout": 3.0}, (9.0, None, 0)),
        ([((7, "1MB", 2), {})], {}, (7.0, 1024**2, 2)),
        ([((), {"memory": 1000})], {"memory": 5}, (600.0, 1000, 0)),
        ([((), {"timeout": 1}), ((), {"timeout": 2, "retries": 3})], {"retries": 1}, (1.0, None, 3)),
        ([], {"retries": 1, "memory": 7}, (600.0, 7, 1)),
    ],
)
def test_limits(marks: list[Any], options: dict[str, Any], expected: tuple[float, int | None, int]) -> None:
    found = limits(marks, **options)
    assert (found.timeout, found.memory, found.retries) == expected


@pytest.mark.parametrize("mark", [((), {"time": 1}), ((), {"timeout": 0}), ((), {"timeout": "1"}), ((1, 2, 3, 4), {})])
def test_limits_that_make_no_sense(mark: Any) -> None:
    with pytest.raises(UserError):
        limits([mark])


class Text(str):
    def __str__(self) -> str:
        return "something else"


class Mute:
    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, "a", None, True, 1.5), [1, "a", None, True, 1.5]),
        (Text("kept"), "kept"),
        ({1: {"a"}}, {"1": ["a"]}),
        (Mute(), "<Mute whose repr() raised RuntimeError>"),
        (b"x", "b'x'"),
    ],
)
def test_clean(value: Any, expected: Any) -> None:
    assert clean(value) == expected


def test_clean_bounds_what_is_huge() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert len(json.dumps(clean({"a": "x" * 50_000_000, "b": ["y" * 10_000] * 5000, "c": endless}))) < 20_000_000
    assert len(safe_repr("x" * 100_000)) < 20_000


LEAVES = st.none() | st.booleans() | st.floats() | st.text() | st.binary()


@given(st.recursive(LEAVES, lambda children: st.lists(children) | st.dictionaries(st.text(), children)))
def test_clean_values_are_json(value: Any) -> None:
    json.loads(json.dumps(clean(value)))


def test_warnings_travel() -> None:
    class Local(UserWarning):
        def __init__(self, one: str, two: str) -> None:
            super().__init__(one)

    for instance, category in ((DeprecationWarning("old"), DeprecationWarning), (Local("a", "b"), UserWarning)):
        record = warnings.WarningMessage(instance, type(instance), "file.py", 3)
        wire = json.loads(json.dumps(warning_to_wire(record, "runtest", "id", None)))
        back = warning_from_wire(wire)["warning_message"]
        assert back.category is category
        assert str(instance) in str(back.message)


def test_restored_has_the_tuples_that_reporters_insist_on() -> None:
    place = ["a", 1, "b"]
    wire = {"longrepr": place, "location": place, "sections": [["x", "y"]], "user_properties": [["k", 1]]}
    assert restored(wire) == {
        "longrepr": ("a", 1, "b"), "location": ("a", 1, "b"), "sections": [("x", "y")], "user_properties": [("k", 1)],
    }  # fmt: skip


def report(when: str, outcome: str = "passed") -> dict[str, Any]:
    return {"nodeid": PLACE.nodeid, "when": when, "outcome": outcome, "longrepr": None, "sections": [], "keywords": {}}


def evidence(**more: Any) -> dict[str, Any]:
    return {
        "pid": 7, "exit_code": 0, "signal": None, "reaped": True, "alive": False, "result": {"t": "result"},
        "result_at": 0.1, "farewell": True, "phases": [("setup", 0.0), ("call", 0.1)], "sent": [], "aborted": False,
        "deadline": None, "stdout": EMPTY, "stderr": EMPTY, "stacks": "", "tasks": [], "leaked": [], "protocol": [],
        "duration_s": 1.0, "wall_start": 0.0, "maxrss_kb": 0, "cpu_s": 0.0, **more,
    }  # fmt: skip


ALL = [report(when) for when in PHASES]
DEAD = {"exit_code": None, "signal": "SIGSEGV", "result": None, "farewell": False}


@pytest.mark.parametrize(
    ("seen", "outcome", "failed"),
    [
        (Seen(evidence(), ALL), Outcome.PASS, []),
        (Seen(evidence(leaked=[(9, "sleep")]), ALL), Outcome.WARN, []),
        (Seen(evidence(), [ALL[0], report("call", "failed"), ALL[2]]), Outcome.PASS, ["call"]),
        (Seen(evidence(**DEAD), ALL[:1]), Outcome.CRASH, ["call"]),
        (Seen(evidence(**DEAD, phases=[("setup", 0.0)]), []), Outcome.CRASH, ["setup"]),
        (Seen(evidence(**DEAD, phases=[("teardown", 0.0)]), ALL[:2]), Outcome.CRASH, ["teardown"]),
        (Seen(evidence(signal="SIGABRT", exit_code=None), ALL), Outcome.TAINTED, ["call"]),
        (Seen(evidence(exit_code=3), ALL), Outcome.TAINTED, ["call"]),
        (Seen(evidence(farewell=False), ALL), Outcome.TAINTED, ["call"]),
        (Seen(evidence(result=None), ALL[:1]), Outcome.NO_RESULT, ["call"]),
        (Seen(evidence(), ALL[:2]), Outcome.NO_RESULT, ["call"]),
        (Seen(evidence(**DEAD), [], place="teardown"), Outcome.CRASH, ["call"]),
    ],
)
def test_the_verdict_is_whole(seen: Seen, outcome: Outcome, failed: list[str]) -> None:
    attempt, judgement = judged(seen)
    reports = compose(seen, attempt, judgement, PLACE)
    assert judgement.outcome is outcome
    assert [each["when"] for each in reports if each["outcome"] == "failed"] == failed
    assert passed(judgement, reports) is (not failed)
    assert reports[-1]["when"] == "teardown"
    json.dumps(reports)


def test_xfail_takes_what_it_names() -> None:
    dead = Seen(evidence(**DEAD), ALL[:1], xfail={"crash": True, "hang": False, "reason": "known"})
    attempt, judgement = judged(dead)
    call = compose(dead, attempt, judgement, PLACE)[1]
    assert (call["outcome"], call["wasxfail"]) == (
        "skipped", "known; rmcp: crash by SIGSEGV (11) in call [segfault]",
    )  # fmt: skip
    deadline = {"kind": "silent", "phase": "call", "at": 1.0, "budget_s": 1.0}
    killed = evidence(**{**DEAD, "signal": "SIGKILL"}, deadline=deadline, sent=[("SIGKILL", 1.0)])
    hung = Seen(killed, ALL[:1], xfail=dead.xfail)
    attempt, judgement = judged(hung)
    assert compose(hung, attempt, judgement, PLACE)[1]["outcome"] == "failed"


def test_outputs_lie_in_the_sections_of_their_phase() -> None:
    def text(words: str) -> dict[str, Any]:
        return {"head": words, "tail": "", "dropped": 0}

    outputs = {"setup": {"stdout": text("one"), "stderr": EMPTY}}
    seen = Seen(evidence(**DEAD, stderr=text("HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: x")), ALL[:1], outputs)
    attempt, judgement = judged(seen)
    call = compose(seen, attempt, judgement, PLACE)[1]
    assert [title for title, _text in call["sections"]][:2] == ["Captured stdout setup", "Captured stderr call"]
    message = call["longrepr"]["reprcrash"]["message"]
    assert "SIGSEGV (11)" in message
    assert "[aperture_violation]" in message


def test_own_frames() -> None:
    mine = '  File "/t/test_a.py", line 3 in f'
    dump = f'Thread 1:\n{mine}\n  File "/x/_pytest/python.py", line 1 in g\n    code\n  File "/x/pluggy/a.py"\n'
    assert own_frames(dump).splitlines() == ["Thread 1:", mine, "  ... pytest"]


def test_fork_that_works_and_fork_that_waits_for_ever() -> None:
    assert fork_works(lambda: None)
    began = time.monotonic()
    assert not fork_works(lambda: time.sleep(60), seconds=0.2)
    assert time.monotonic() - began < 5.0


def test_an_initialised_gpu_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    class Cuda:
        ready = False

        @classmethod
        def is_initialized(cls) -> bool:
            return cls.ready

    torch = type(sys)("torch")
    torch.cuda = Cuda  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    seen = Virginity(threads=10_000)
    assert seen.lost() is None
    Cuda.ready = True
    assert "torch.cuda is initialised" in str(seen.lost())
    Cuda.ready = False
    assert seen.lost() is not None, "a loss is for ever"


def test_no_gpu_node_is_open_here() -> None:
    fd = os.open(os.devnull, os.O_RDONLY)
    try:
        assert open_gpu_node() is None
    finally:
        os.close(fd)


def test_exceptions_for_xfail() -> None:
    assert issubclass(rmcp.Crash, Exception)
    assert issubclass(rmcp.Hang, Exception)
    with pytest.raises(AttributeError):
        rmcp.Crush  # noqa: B018
    assert signal.SIGSEGV == 11
