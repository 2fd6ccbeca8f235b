"""Real processes and real faults through the lane: what the selftest matrix claims, and what it cannot show."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rmcp.attempt import Attempt
from rmcp.isolation.lane import Lane, LaneOptions
from rmcp.isolation.pool import Live, PoolStep, plan_pool
from rmcp.isolation.start_failures import RuntimeFailed
from rmcp.matrix.model import Case, RuntimeSpec, Timeouts
from rmcp_torch import forking, guard, ladder, linux

pytestmark = pytest.mark.usefixtures("no_process_left")


def case(kind: str, *, case_s: float = 20.0, silent_s: float = 10.0, **args: object) -> Case:
    """A case of the faults workload."""
    more = {"env": args.pop("env", {})}
    return Case(
        id=f"x[{kind}]", key=kind, row=kind, workload="faults", axes={"kind": kind}, args={"kind": kind, **args},
        device="cpu", timeout=Timeouts(30.0, case_s, silent_s), **more,
    )  # fmt: skip


@pytest.fixture
def lane():
    made = Lane(LaneOptions(base_env=dict(os.environ), kill_grace=3.0))
    yield made
    made.close()


def test_the_selftest_is_as_expected(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "pytest", "--rmcp-matrix=selftest", "-q", "-p", "no:cacheprovider"]
    words += ["--rmcp-select", "not fault in [numbers-*]"]  # the rest needs no torch
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_what_the_environment_was_and_what_hides_evidence_is_gone(tmp_path: Path) -> None:
    script = tmp_path / "w.py"
    script.write_text("import os\ndef run(ctx): return {'env': dict(os.environ), 'cwd': os.getcwd()}\n")
    base = {**os.environ, "HSA_ENABLE_VM_FAULT_MESSAGE": "0", "AMD_LOG_LEVEL_FILE": "/tmp/x", "KEPT": "1"}
    lane = Lane(LaneOptions(base_env=base))
    try:
        seen = lane.attempt(
            Case("e", "e", "e", f"{script}:run", {}, env={"MINE": "yes", "HOME": None}, device="cpu"),
            1,
        )
    finally:
        lane.close()
    if seen.error is not None and "torch" in seen.error.message:
        pytest.skip("torch is not installed here")
    env = seen.metrics["env"]
    assert (env["MINE"], env["KEPT"]) == ("yes", "1")
    assert not {"HOME", "HSA_ENABLE_VM_FAULT_MESSAGE", "AMD_LOG_LEVEL_FILE"} & set(env)
    assert "rmcp-" in seen.metrics["cwd"]
    assert not os.path.exists(seen.metrics["cwd"])


@pytest.mark.parametrize("level", ["fork", "batch"])
def test_every_case_begins_in_an_empty_folder(tmp_path: Path, level: str) -> None:
    """An untouched scratch folder is used again; one with anything in it, or without its rights, is not."""
    script = tmp_path / "w.py"
    script.write_text(
        "import os, shutil\n"
        "def run(ctx, act=''):\n"
        "    seen = {'cwd': os.getcwd(), 'names': os.listdir('.'), 'mode': os.stat('.').st_mode & 0o777}\n"
        "    if act == 'file': open('left', 'w').close()\n"
        "    if act == 'come and go': open('left', 'w').close(); os.remove('left')\n"
        "    if act == 'close': os.chmod('.', 0o500)\n"
        "    if act == 'remove': os.rmdir(os.getcwd())\n"
        "    if act == 'replace': os.rmdir(os.getcwd()); os.symlink('/', seen['cwd'])\n"
        "    return seen\n"
    )
    lane = Lane(LaneOptions(base_env=dict(os.environ), level=level))
    acts = ["", "come and go", "file", "", "close", "", "remove", "", "replace", "", ""]
    runtime = RuntimeSpec("this")
    cases = [
        Case(f"e{i}", f"e{i}", f"e{i}", f"{script}:run", {}, args={"act": act}, runtime=runtime, device="cpu")
        for i, act in enumerate(acts)
    ]
    try:
        seen = [lane.attempt(each, 1, cases[i + 1 :]) for i, each in enumerate(cases)]
        if seen[0].error is not None and "torch" in seen[0].error.message:
            pytest.skip("torch is not installed here")
        mode = seen[0].metrics["mode"]
        assert [dict(one.metrics, cwd="") for one in seen] == [{"cwd": "", "names": [], "mode": mode}] * len(acts)
        cwds = [one.metrics["cwd"] for one in seen]
        assert len(set(cwds)) == 1 + sum(act not in ("", "come and go") for act in acts)
        give_up = time.monotonic() + 5.0  # the last folder is dealt with after the answer
        while len(os.listdir(os.path.dirname(cwds[0]))) > 1 and time.monotonic() < give_up:
            time.sleep(0.01)
        assert len(os.listdir(os.path.dirname(cwds[0]))) == 1
    finally:
        lane.close()
    assert not os.path.exists(os.path.dirname(cwds[0]))


def test_a_death_says_how_and_what_it_printed_last(lane: Lane) -> None:
    seen = lane.attempt(case("abort", text="aperture-6"), 1)
    assert (seen.signal, seen.exit_code, seen.result) == ("SIGABRT", None, False)
    assert b"HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION" in seen.stderr.data()
    assert "faults" in seen.stacks


def test_a_flood_is_bounded(lane: Lane) -> None:
    seen = lane.attempt(case("flood", size=300_000_000), 1)
    assert seen.result
    streams = (seen.stdout, seen.stderr)
    assert sum(stream.dropped for stream in streams) > 290_000_000
    assert all(len(stream.head) + len(stream.tail) <= 96 * 1024 for stream in streams)


def test_a_hang_is_dumped_and_killed_within_its_deadline(lane: Lane) -> None:
    lane.attempt(case("none"), 1)  # starts the zygote
    seen = lane.attempt(case("stubborn", case_s=2.0, silent_s=1.0), 1)
    assert [entry.signal for entry in seen.sent] == ["SIGQUIT", "SIGTERM", "SIGKILL"]
    assert seen.deadline is not None
    assert seen.deadline.kind == "silent"
    assert seen.sent[0].at >= 1.0
    assert seen.tasks
    asleep = lane.attempt(case("sleep", case_s=2.0, silent_s=0.5), 1)
    assert [entry.signal for entry in asleep.sent] == ["SIGQUIT", "SIGTERM"]
    assert "in sleep" in asleep.stacks


def test_grandchildren_are_found_and_named(lane: Lane) -> None:
    seen = lane.attempt(case("daemon"), 1)
    assert seen.result
    assert seen.leaked
    assert all(not os.path.exists(f"/proc/{process.pid}") for process in seen.leaked)


def test_the_next_case_is_not_touched_by_a_late_death(lane: Lane) -> None:
    late = lane.attempt(case("die-late"), 1)
    after = lane.attempt(case("none"), 1)
    assert late.result
    assert late.signal == "SIGABRT"
    assert (after.exit_code, after.result, after.stderr.data()) == (0, True, b"")


def test_a_zygote_that_is_killed_is_replaced(lane: Lane) -> None:
    lane.attempt(case("none"), 1)
    (seat,) = lane._seats.values()
    os.kill(seat.process.pid, signal.SIGKILL)
    time.sleep(0.2)
    broken = lane.attempt(case("none"), 2)
    assert broken.harness is not None
    assert "SIGKILL" in broken.harness
    assert lane.attempt(case("none"), 3).result


def test_a_python_that_dies_at_its_start(lane: Lane, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'symbol lookup error: libamdhip64.so.6' >&2\nkill -SEGV $$\n")
    fake.chmod(0o755)
    broken = Case(
        id="b", key="b", row="b", workload="faults", axes={}, args={"kind": "none"}, device="cpu",
        runtime=RuntimeSpec("broken", python=str(fake)),
    )  # fmt: skip
    seen = lane.attempt(broken, 1)
    assert (seen.signal, seen.phase) == ("SIGSEGV", "import")
    assert b"symbol lookup error" in seen.stderr.data()


def test_a_start_that_hangs_is_killed(lane: Lane, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nsleep 1000\n")
    fake.chmod(0o755)
    hanging = Case(
        id="b", key="b", row="b", workload="faults", axes={}, device="cpu",
        runtime=RuntimeSpec("hanging", python=str(fake)), timeout=Timeouts(0.5, 5, 5),
    )  # fmt: skip
    seen = lane.attempt(hanging, 1)
    assert (seen.deadline and seen.deadline.phase, seen.signal) == ("import", "SIGKILL")


def test_a_zygote_that_waited_longer_than_its_start_budget_is_well(lane: Lane) -> None:
    """It was warmed up while the case before it hung: its greeting came in time and lies unread."""
    slow = case("sleep", case_s=20.0, silent_s=2.5)
    warmed = replace(case("none", env={"OTHER": "1"}), timeout=Timeouts(2.0, 20.0, 10.0))
    assert lane.attempt(slow, 1, [warmed]).deadline is not None
    (seat,) = [seat for seat in lane._seats.values() if seat.process.hello is None]
    assert time.monotonic() - seat.process.started > 2.0
    assert lane.attempt(warmed, 1).result
    assert lane.facts_of(warmed)["python"]


def runtime_case(name: str, python: object) -> Case:
    return Case(
        id=name, key=name, row=name, workload="faults", axes={}, args={"kind": "none"}, device="cpu",
        runtime=RuntimeSpec(name, python=str(python)), timeout=Timeouts(0.5, 5, 5),
    )  # fmt: skip


def test_facts_of_a_runtime_that_is_missing_and_of_one_that_fails(lane: Lane, tmp_path: Path) -> None:
    absent = runtime_case("absent", tmp_path / "none")
    assert lane.facts_of(absent) == lane.facts_of(absent) == {}
    fake = tmp_path / "python"
    fake.write_text(f"#!/bin/sh\necho x >> {tmp_path}/starts\nkill -SEGV $$\n")
    fake.chmod(0o755)
    broken = runtime_case("broken", fake)
    for _ in range(2):
        with pytest.raises(RuntimeFailed) as failed:
            lane.facts_of(broken)
        assert failed.value.attempt.signal == "SIGSEGV"
    assert lane.attempt(broken, 1).signal == "SIGSEGV"
    assert (tmp_path / "starts").read_text() == "x\nx\n", "a runtime is started at most twice"


NEEDS = """
rmcp: 1
name: needs
defaults: {workload: noop, device: cpu, timeout: {start: 30s, case: 10s}}
axes:
  runtime:
    role: compare
    values: {absent: {runtime: {python: ./none}}, broken: {runtime: {python: ./python}}}
requires: [{needs: "torch >= 1", reason: "no torch there"}]
"""


def test_a_runtime_that_dies_at_its_start_is_not_called_unsupported(tmp_path: Path) -> None:
    matrix = tmp_path / "m.yaml"
    matrix.write_text(NEEDS)
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\nkill -SEGV $$\n")
    fake.chmod(0o755)
    words = [sys.executable, "-m", "pytest", f"--rmcp-matrix={matrix}", "-q", "-rA", "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1, done.stdout
    assert "1 crash" in done.stdout and "1 unsupported" in done.stdout, done.stdout


def test_one_zygote_per_environment_and_a_bounded_number(lane: Lane) -> None:
    cases = [case("none", env={"NUMBER": str(number)}) for number in range(5)]
    for index, each in enumerate(cases):
        assert lane.attempt(each, 1, cases[index + 1 :]).result
        assert len(lane._seats) <= 3


def test_batch_names_the_case_in_flight_and_its_predecessors() -> None:
    lane = Lane(LaneOptions(level="batch"))
    try:
        first, second = lane.attempt(case("none"), 1), lane.attempt(case("remark"), 1)
        died = lane.attempt(case("segfault"), 1)
        after = lane.attempt(case("none"), 1)
    finally:
        lane.close()
    assert first.pid == second.pid == died.pid != after.pid
    assert (died.signal, died.predecessors) == ("SIGSEGV", ("x[none]", "x[remark]"))
    assert after.predecessors == ()


def test_exec_is_a_fresh_interpreter() -> None:
    lane = Lane(LaneOptions(level="exec"))
    try:
        seen = [lane.attempt(case("none"), 1) for _ in range(2)]
        died = lane.attempt(case("segfault"), 1)
    finally:
        lane.close()
    assert seen[0].pid != seen[1].pid
    assert all(attempt.result and attempt.exit_code == 0 for attempt in seen)
    assert died.signal == "SIGSEGV"


def test_memory_without_bound_ends_in_the_case_alone() -> None:
    lane = Lane(LaneOptions(memory=512 * 1024**2))
    try:
        seen = lane.attempt(case("balloon"), 1)
    finally:
        lane.close()
    assert seen.error is not None
    assert seen.error.type == "MemoryError"


def test_a_stuck_child_is_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task can be made unkillable without a driver, so the reaper is made blind: the guard must still return."""

    def entry(ends: forking.ChildEnds) -> None:
        time.sleep(60)
        os._exit(0)

    child = forking.fork_child(entry)  # type: ignore[arg-type]
    budgets = ladder.Budgets(case=0.3, silent=0.3, dump_grace=0.05, term_grace=0.05, kill_grace=0.2)
    watch = guard.Watch(child, budgets, set())
    monkeypatch.setattr(watch, "_over", lambda: False)
    started = time.monotonic()
    evidence = watch.run()
    assert time.monotonic() - started < 10
    assert not evidence["reaped"]
    assert [name for name, _ in evidence["sent"]] == ["SIGQUIT", "SIGTERM", "SIGKILL"]
    os.waitpid(child.pid, os.WNOHANG)
    child.close()


def test_the_zygote_refuses_when_it_has_threads(tmp_path: Path) -> None:
    """A thread pool in the zygote deadlocks its children; it must say so instead of forking."""
    module = tmp_path / "poisoned.py"
    module.write_text(
        "import threading, time\n"
        "def later():\n"
        "    time.sleep(0.3)\n"
        "    for _ in range(2):\n"
        "        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
        "    time.sleep(60)\n"
        "threading.Thread(target=later, daemon=True).start()\n"
    )
    from rmcp.isolation.lane import PACKAGE_DIR
    from rmcp.isolation.zygote_process import ZygoteProcess

    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    zygote = ZygoteProcess([sys.executable, str(PACKAGE_DIR / "__main__.py")], env, options=["--import", "poisoned"])
    try:
        hello = zygote.receive(time.monotonic() + 30)
        assert hello is not None
        time.sleep(1.5)
        budgets = {"case": 5.0, "silent": 5.0}
        job = {"t": "run", "job": 1, "keep": False, "more": False, "budgets": budgets}
        zygote.send({**job, "case": {"workload": "noop"}})
        answer = zygote.receive(time.monotonic() + 30)
    finally:
        zygote.kill()
    assert answer is not None
    assert hello["threads"] == 2
    assert answer["t"] == "refused"
    assert "thread" in answer["reason"]


@pytest.mark.parametrize(
    ("live", "wanted", "upcoming", "step"),
    [
        ([], "a", ["a", "a"], PoolStep(("a",))),
        ([], "a", ["a", "b", "c"], PoolStep(("a", "b"))),
        ([Live("a", 1.0)], "a", ["b"], PoolStep(("b",))),
        ([Live("a", 1.0), Live("b", 2.0)], "b", ["c"], PoolStep(("c",), ("a",))),
        ([Live("a", 1.0), Live("b", 2.0), Live("c", 3.0)], "c", ["d", "a", "b"], PoolStep(("d",), ("a",))),
        ([Live("a", 1.0), Live("b", 2.0), Live("c", 3.0)], "d", ["d"], PoolStep(("d",), ("a", "b", "c"))),
        ([Live("a", 1.0), Live("b", 2.0), Live("c", 3.0)], "b", ["a", "c"], PoolStep()),
    ],
)
def test_pool(live: list[Live], wanted: str, upcoming: list[str], step: PoolStep) -> None:
    assert plan_pool(live, wanted, upcoming, limit=3) == step


def test_state_d_is_seen() -> None:
    """A parent in vfork waits in state D until its child execs or ends; root is not needed for that."""
    code = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\n"
        "if libc.vfork() == 0:\n    libc.pause()\n    libc._exit(0)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        give_up = time.monotonic() + 20
        while linux.state_of(child.pid) != "D" and time.monotonic() < give_up:
            time.sleep(0.02)
        tasks = linux.tasks_of(child.pid)
        assert tasks[0]["state"] == "D"
    finally:
        linux.kill_tree(child.pid, signal.SIGKILL)
        child.wait(20)


def test_attempts_are_values() -> None:
    assert Attempt() == Attempt()
