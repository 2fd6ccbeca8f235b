"""The target's small pure parts: frames, ring, ladder; and what keeps both sides apart."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp_torch import ladder
from rmcp_torch.beats import Beats
from rmcp_torch.child import describe
from rmcp_torch.frames import Decoder, encode
from rmcp_torch.ladder import ABANDON, DUMP, KILL, TERM, WAIT, Budgets, Snapshot, decide
from rmcp_torch.ring import Ring

HARNESS = Path(ladder.__file__).resolve().parents[1]
MARKER = b"8 bytes!"

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


message_lists = st.lists(st.dictionaries(st.text(), json_values, max_size=3), max_size=4)


@given(message_lists, st.binary(max_size=40), st.integers(1, 9))
def test_messages_survive_garbage_and_any_cut(messages: list[dict], garbage: bytes, size: int) -> None:
    stream = garbage + b"".join(encode(MARKER, message) + garbage for message in messages)
    decoder = Decoder(MARKER)
    seen = [message for at in range(0, len(stream), size) for message in decoder.feed(stream[at : at + size])]
    assert seen == messages
    assert decoder.noise + decoder.pending == len(garbage) * (len(messages) + 1)


@given(st.binary(max_size=400))
def test_garbage_is_never_a_message(data: bytes) -> None:
    assert Decoder(MARKER).feed(data) == []


@given(st.integers(0, 200))
def test_a_damaged_frame_is_noise_and_the_next_one_is_found(position: int) -> None:
    frame = bytearray(encode(MARKER, {"t": "result", "text": "x" * 150}))
    frame[position % len(frame)] ^= 0x55
    decoder = Decoder(MARKER)
    seen = decoder.feed(bytes(frame)) + decoder.feed(encode(MARKER, {"t": "bye"}) * 3)
    # A damaged length field may swallow a frame, never more than what it claims; nothing false appears.
    assert all(message == {"t": "bye"} for message in seen)


@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 30), st.integers(1, 30))
def test_ring_keeps_both_ends_and_counts_the_rest(chunks: list[bytes], head: int, tail: int) -> None:
    ring = Ring(head, tail)
    for chunk in chunks:
        ring.feed(chunk)
    whole = b"".join(chunks)
    message = ring.as_message()
    kept = message["head"].encode("latin-1"), message["tail"].encode("latin-1")
    assert kept[0] == whole[:head]
    assert whole.endswith(kept[1])
    assert len(kept[1]) <= tail
    assert len(kept[0]) + message["dropped"] + len(kept[1]) == len(whole)


BUDGETS = Budgets(case=10.0, silent=3.0, phases={"import": 8.0}, dump_grace=0.2, term_grace=0.5, kill_grace=20.0)


@pytest.mark.parametrize(
    ("seen", "now", "action", "why"),
    [
        (Snapshot(0.0, 0.0, "launch"), 2.9, WAIT, ""),
        (Snapshot(0.0, 0.0, "launch"), 3.0, DUMP, "silent"),
        (Snapshot(0.0, 0.0, "import"), 7.9, WAIT, ""),
        (Snapshot(0.0, 0.0, "import"), 8.0, DUMP, "silent"),
        (Snapshot(0.0, 9.9, "launch"), 10.0, DUMP, "case"),
        (Snapshot(0.0, 5.0, "import"), 10.0, DUMP, "silent"),  # silent for half of its life: no progress
        (Snapshot(0.0, 9.9, "launch", (DUMP, 10.0)), 10.1, WAIT, ""),
        (Snapshot(0.0, 9.9, "launch", (DUMP, 10.0), dumped=True), 10.1, TERM, ""),
        (Snapshot(0.0, 9.9, "launch", (DUMP, 10.0)), 10.21, TERM, ""),
        (Snapshot(0.0, 9.9, "launch", (TERM, 10.2)), 10.6, WAIT, ""),
        (Snapshot(0.0, 9.9, "launch", (TERM, 10.2)), 10.71, KILL, ""),
        (Snapshot(0.0, 9.9, "launch", (KILL, 10.7)), 30.6, WAIT, ""),
        (Snapshot(0.0, 9.9, "launch", (KILL, 10.7)), 30.71, ABANDON, ""),
        (Snapshot(0.0, 9.9, "launch", (ABANDON, 30.7)), 99.0, WAIT, ""),
        (Snapshot(0.0, 0.0, "launch", abort=True), 0.1, KILL, "abort"),
        (Snapshot(0.0, 0.0, "launch", (TERM, 10.2), abort=True), 10.3, KILL, "abort"),
        (Snapshot(0.0, 0.0, "launch", (KILL, 10.7), abort=True), 10.8, WAIT, ""),
    ],
)
def test_ladder(seen: Snapshot, now: float, action: str, why: str) -> None:
    decision = decide(seen, now, BUDGETS)
    assert (decision.action, decision.why) == (action, why)


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.lists(st.floats(0.0, 20.0), max_size=10))
def test_the_ladder_always_ends(case: float, silent: float, beats: list[float]) -> None:
    """Whatever the heartbeats, a child that never dies is abandoned within its life and the graces."""
    budgets = Budgets(case=case, silent=silent, kill_grace=5.0)
    now, last, rung = 0.0, 0.0, None
    pending = sorted(beats)
    for _ in range(60):
        while pending and pending[0] <= now:
            last = pending.pop(0)
        decision = decide(Snapshot(0.0, last, "x", rung), now, budgets)
        if decision.action == ABANDON:
            break
        if decision.action != WAIT:
            rung = (decision.action, now)
        now = max(now, min([decision.wake, *pending[:1]])) + 1e-9
    assert decision.action == ABANDON
    assert now <= case + budgets.dump_grace + budgets.term_grace + budgets.kill_grace + 0.001


def imported_roots(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports anywhere in it."""
    roots = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            roots |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            roots.add(node.module.split(".")[0])
    return roots


def test_the_runner_never_imports_torch() -> None:
    for path in (HARNESS / "rmcp").rglob("*.py"):
        assert "torch" not in imported_roots(path), path


def test_the_target_imports_the_standard_library_and_torch_only() -> None:
    allowed = set(sys.stdlib_module_names) | {"torch", "rmcp_torch"}
    for path in (HARNESS / "rmcp_torch").rglob("*.py"):
        assert imported_roots(path) <= allowed, (path, imported_roots(path) - allowed)


def test_nobody_waits_without_a_deadline() -> None:
    waits = {"wait", "communicate", "recv"}
    for path in HARNESS.rglob("*.py"):
        if path.name.startswith("_faults_"):
            continue  # hanging is their purpose
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            bare = not node.args and not node.keywords
            unbounded = bare and (node.func.attr in waits or node.func.attr == "join")
            blocking = node.func.attr in ("waitpid", "wait4") and ast.unparse(node.args[1]) == "0"
            assert not unbounded, f"{path}:{node.lineno}: {ast.unparse(node)}"
            assert not blocking, f"{path}:{node.lineno}: {ast.unparse(node)}"


def test_importing_the_target_imports_no_torch() -> None:
    code = "import sys, rmcp_torch, rmcp_torch.zygote; sys.exit('torch' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": str(HARNESS)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, timeout=60, check=False).returncode == 0


def test_an_exception_is_described_when_its_source_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> list[str]:
        raise OSError(24, "Too many open files")

    try:
        raise ValueError("the first")
    except ValueError as raised:
        with monkeypatch.context() as patch:
            patch.setattr("traceback.format_exception", refused)
            told = describe(raised, "launch")
    assert (told["type"], told["message"], told["in_phase"]) == ("ValueError", "the first", "launch")
    assert f'File "{__file__}"' in told["traceback"]


def test_notes_cross_a_fork_without_a_descriptor() -> None:
    beats = Beats(b"secret!!")
    before = set(os.listdir("/proc/self/fd"))
    pid = os.fork()
    if pid == 0:
        ok = all(beats.write({"n": number}) for number in range(3))
        os._exit(0 if ok else 1)
    assert os.waitpid(pid, 0)[1] == 0
    assert beats.read() == [{"n": 0}, {"n": 1}, {"n": 2}]
    assert beats.read() == []
    beats.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_notes_that_do_not_fit_are_refused_and_damaged_ones_are_left_out() -> None:
    beats = Beats(b"secret!!", size=200)
    written = [number for number in range(20) if beats.write({"n": number})]
    assert 3 <= len(written) < 20
    assert [message["n"] for message in beats.read()] == written
    beats.close()
    beats = Beats(b"secret!!", size=4096)
    for number in range(3):
        assert beats.write({"n": number})
    at = beats._map.find(b"1}")
    beats._map[at : at + 1] = b"7"  # wild native code
    assert [message["n"] for message in beats.read()] == [0, 2]
    beats._map[:4] = b"\xff\xff\xff\xff"
    assert beats.read() == []
    beats.close()
