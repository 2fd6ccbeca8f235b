"""A runner that is told to stop, or dies, leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

_END_S = 20.0  # 0.5 s on an idle machine; a shared one may be ten times slower, and xdist itself would wait for 10 s
_GONE_S = 2.0  # for everything below a runner that was killed
_BEGIN_S = 60.0

TEST = """
import os, signal, time
def test_first(): pass
def test_stubborn():
    if os.fork() == 0:
        os.setsid()
        time.sleep(300)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    open("begun", "w").close()
    while True: time.sleep(300)
def test_never(): pass
"""


def living(token: str) -> list[str]:
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and token.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                state = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[0]
                if state not in "ZX":
                    found.append(entry)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stop(tmp_path: Path, number: signal.Signals, workers: tuple[str, ...]) -> None:
    if workers:
        pytest.importorskip("xdist")
    (tmp_path / "test_stop.py").write_text(TEST)
    token = f"rmcp-stop-{time.time_ns()}"
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rmcp-isolate", "-c", os.devnull]
    argv += ["--rootdir", ".", "--junitxml=j.xml", *workers, "test_stop.py"]
    environment = {**os.environ, "RMCP_TEST_TOKEN": token}
    quiet = subprocess.DEVNULL
    runner = subprocess.Popen(argv, cwd=tmp_path, env=environment, stdout=quiet, stderr=quiet)
    try:
        give_up = time.monotonic() + _BEGIN_S
        while not (tmp_path / "begun").exists() and time.monotonic() < give_up:
            time.sleep(0.05)
        assert (tmp_path / "begun").exists()
        runner.send_signal(number)
        runner.wait(timeout=_END_S)
        give_up = time.monotonic() + _GONE_S
        while living(token) and time.monotonic() < give_up:
            time.sleep(0.05)
        assert living(token) == []
    finally:
        for pid in living(token):
            os.kill(int(pid), signal.SIGKILL)
    if number != signal.SIGKILL:
        assert runner.returncode == pytest.ExitCode.INTERRUPTED
        # With workers the first test may not have been reported yet when the second has begun.
        names = [case.get("name") for case in ElementTree.parse(tmp_path / "j.xml").iter("testcase")]
        assert "test_first" in names or workers
