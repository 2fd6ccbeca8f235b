"""Pens: what forks faster than a list can be read, what outlives a zygote that was shot, what a dead runner left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmcp.isolation.lane import PACKAGE_DIR, Lane, LaneOptions
from rmcp.isolation.zygote_process import ZygoteProcess
from rmcp.matrix.model import Case, Timeouts
from rmcp.outcome.judge import judge
from rmcp.words import Outcome
from rmcp_torch import cgroup, linux

BASE = cgroup.base(os.environ)

# The only process that lives is always a new one; it dies of itself after a while, should nobody catch it.
HOPPER = """
import os, time
def run(ctx, mark, seconds):
    if os.fork() == 0:
        os.setsid()
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if os.fork():
                os._exit(0)
            with open(mark, "w") as file:
                file.write(str(os.getpid()))
        os._exit(0)
    while not os.path.exists(mark):
        time.sleep(0.01)
"""

pytestmark = pytest.mark.usefixtures("no_process_left")
needs_groups = pytest.mark.skipif(BASE is None, reason="no writable control group (version 2) here")


def case(workload: str, **args: object) -> Case:
    return Case(
        id=f"x[{workload}]", key="k", row="k", workload=workload, axes={}, args=args, device="cpu",
        timeout=Timeouts(30.0, 20.0, 20.0),
    )  # fmt: skip


def pens() -> list[str]:
    """The pens that this process made."""
    assert BASE is not None
    return [name for name in os.listdir(BASE) if f"-{os.getpid()}-" in name and cgroup.owner_alive(name)]


def moves(mark: Path) -> bool:
    before = mark.read_text()
    time.sleep(0.3)
    return mark.read_text() != before


@needs_groups
def test_a_process_that_is_never_the_same_one_is_killed(tmp_path: Path) -> None:
    script, mark = tmp_path / "w.py", tmp_path / "mark"
    script.write_text(HOPPER)
    lane = Lane(LaneOptions(base_env=dict(os.environ)))
    try:
        seen = lane.attempt(case(f"{script}:run", mark=str(mark), seconds=20), 1)
        if seen.error is not None and "torch" in seen.error.message:
            pytest.skip("torch is not installed here")
        assert seen.result
        assert not moves(mark)
        assert len(pens()) == 1
    finally:
        lane.close()
    assert pens() == []


@needs_groups
def test_what_outlives_a_zygote_that_was_shot(tmp_path: Path) -> None:
    """A daemon of the case has no parent of ours any more when the zygote is gone; its group still has it."""
    script, mark = tmp_path / "w.py", tmp_path / "daemon"
    script.write_text(
        "import os, subprocess\n"
        "def run(ctx, mark):\n"
        "    done = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "    open(mark + '.new', 'w').write(str(done.pid))\n"
        "    os.rename(mark + '.new', mark)\n"
        "    os.kill(os.getppid(), 9)\n"
        "    os.pause() if hasattr(os, 'pause') else __import__('signal').pause()\n"
    )
    lane = Lane(LaneOptions(base_env=dict(os.environ)))
    try:
        seen = lane.attempt(case(f"{script}:run", mark=str(mark)), 1)
        if seen.error is not None and "torch" in seen.error.message:
            pytest.skip("torch is not installed here")
        assert seen.harness is not None and "zygote died" in seen.harness
        assert linux.state_of(int(mark.read_text())) in ("", "Z", "X")
    finally:
        lane.close()
    assert pens() == []


@needs_groups
def test_what_a_dead_runner_left_is_swept(tmp_path: Path) -> None:
    assert BASE is not None
    code = (
        "import os, subprocess, sys\n"
        "from rmcp_torch.cgroup import Pen\n"
        "pen = Pen.make(sys.argv[1])\n"
        "os.mkdir(pen.path + '/case/made-by-the-case')\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    pen.enter()\n"
        "    os.execvp('sleep', ['sleep', '60'])\n"
        "while pid not in pen.members(): pass\n"
        "print(pid, os.path.basename(pen.path), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE_DIR.parent)}
    words = [sys.executable, "-c", code, BASE]
    with (tmp_path / "out").open("w") as out:  # no pipe: what is left behind would hold it open
        subprocess.run(words, stdout=out, env=environment, timeout=60, check=False)
    pid, name = (tmp_path / "out").read_text().split()
    try:
        assert linux.state_of(int(pid)) == "S"
        assert cgroup.owner_alive(name) is False
        own = cgroup.Pen.make(BASE)
        assert own is not None
        assert name in cgroup.sweep(BASE)
        assert os.path.isdir(own.path)  # its runner, this process, lives
        assert own.remove()
        assert not os.path.exists(f"{BASE}/{name}")
        assert linux.state_of(int(pid)) in ("", "Z", "X")
    finally:
        linux.kill_quietly(int(pid), signal.SIGKILL)


@needs_groups
def test_without_the_runner_the_zygote_removes_its_pen(tmp_path: Path) -> None:
    assert BASE is not None
    (tmp_path / "m.yaml").write_text(
        "rmcp: 1\nname: m\ndefaults: {workload: faults, device: cpu, args: {kind: stubborn}}\n"
        "axes: {i: {values: {a: {}}}}\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rmcp-matrix=m.yaml"]
    quiet = subprocess.DEVNULL
    runner = subprocess.Popen(words, cwd=tmp_path, stdout=quiet, stderr=quiet)

    def mine() -> list[str]:
        return [name for name in os.listdir(BASE) if f"-{runner.pid}-" in name]

    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        if mine() and len(cgroup.Pen(f"{BASE}/{mine()[0]}").members()) >= 2:
            break
        time.sleep(0.05)
    else:
        pytest.fail("no case began in a pen")
    runner.send_signal(signal.SIGKILL)
    runner.wait(10)
    give_up = time.monotonic() + 5
    while mine() and time.monotonic() < give_up:
        time.sleep(0.02)
    assert mine() == []


def test_the_kernels_word_makes_it_out_of_memory(tmp_path: Path) -> None:
    """A group whose files are plain ones: the memory controller is not delegated everywhere, its words are known."""
    pen = tmp_path / "pen"
    for folder in ("case", "aside"):
        (pen / folder).mkdir(parents=True)
        (pen / folder / "cgroup.procs").write_text("")
    (pen / "memory.events").write_text("low 0\nhigh 0\nmax 12\noom 3\noom_kill 2\noom_group_kill 0\n")
    (pen / "memory.current").write_text("1000\n")
    (pen / "memory.max").write_text("max\n")
    (pen / "cgroup.kill").write_text("")
    script = tmp_path / "w.py"
    script.write_text(
        "import os\n"
        "def run(ctx, events):\n"
        "    text = open(events).read()\n"
        "    open(events, 'w').write(text.replace('oom_kill 2', 'oom_kill 3'))\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    # No group is joined by writing to a plain file, so what is started is not in it, and nothing is killed by it.
    words = [sys.executable, str(PACKAGE_DIR / "__main__.py")]
    zygote = ZygoteProcess(words, os.environ, options=["--import", "", "--cgroup", str(pen)])
    try:
        hello = zygote.receive(time.monotonic() + 30)
        assert hello is not None and hello["error"] is None
        message = {"workload": f"{script}:run", "args": {"events": str(pen / "memory.events")}, "device": "cpu"}
        budgets = {"case": 20.0, "silent": 20.0}
        attempts = []
        for job, command in enumerate((message, {"workload": "noop", "device": "cpu"}), 1):
            zygote.send({"t": "run", "job": job, "keep": False, "more": False, "budgets": budgets, "case": command})
            answer = zygote.receive(time.monotonic() + 30)
            assert answer is not None
            from rmcp.isolation.evidence import attempt_from

            attempts.append(attempt_from(answer["evidence"], number=1))
    finally:
        zygote.kill()
    died, after = attempts
    assert (died.memory_limited, died.signal) == (True, "SIGKILL")
    judged = judge(died, silent_s=20.0)
    assert judged.outcome is Outcome.OOM
    assert "memory limit" in judged.message
    assert (after.memory_limited, after.result) == (False, True)
    assert cgroup.Pen(str(pen)).limit(500)
    assert (pen / "memory.max").read_text().startswith("1500")


@needs_groups
def test_an_isolated_test_and_its_neighbours(tmp_path: Path) -> None:
    """A test that leaves the hopper behind costs itself a warning; the server of a wider fixture lives on."""
    assert BASE is not None
    (tmp_path / "hopper.py").write_text(HOPPER)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_it.py").write_text(
        "import os, subprocess, sys, time\n"
        "import pytest\n"
        "sys.path.insert(0, os.path.dirname(__file__))\n"
        "import hopper\n"
        "@pytest.fixture(scope='session')\n"
        "def server(tmp_path_factory):\n"
        "    place = tmp_path_factory.mktemp('server') / 'pid'\n"
        "    script = f'sleep 60 & echo $! > {place}.new; mv {place}.new {place}; wait'\n"
        "    shell = subprocess.Popen(['sh', '-c', script])\n"
        "    while not place.exists(): time.sleep(0.01)\n"
        "    yield int(place.read_text())\n"
        "    shell.kill()\n"
        "def test_before(server): os.kill(server, 0)\n"
        "def test_hops(server, tmp_path): hopper.run(None, os.environ['MARK'], 20)\n"
        "@pytest.mark.rmcp_isolated(timeout=1)\n"
        "def test_hangs(server): time.sleep(60)\n"
        "def test_after(server): os.kill(server, 0)\n"
    )
    mark = tmp_path / "mark"
    words = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "--rmcp-isolate", "test_it.py"]
    environment = {**os.environ, "MARK": str(mark)}
    runner = subprocess.Popen(words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    out, _ = runner.communicate(timeout=120)
    found = dict(line.split()[1::-1] for line in out.splitlines() if line.startswith(("PASSED ", "FAILED ")))
    short = {name.partition("::")[2]: word for name, word in found.items()}
    assert short == {
        "test_before": "PASSED", "test_hops": "PASSED", "test_hangs": "FAILED", "test_after": "PASSED",
    }, out  # fmt: skip
    assert not moves(mark)
    assert [name for name in os.listdir(BASE) if f"-{runner.pid}-" in name] == []
