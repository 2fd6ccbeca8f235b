"""Faults that leave something behind: processes, threads, files, deaths after the result, a spoiled environment."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict

_LEFT_S = 60.0  # a leftover ends by itself after this, should the harness under test fail to find it
_GRANDCHILD_S = 5.0  # a forked copy of the case gets this long to end


def leak_process(ctx: Any) -> None:
    """Return a result and leave a child process running."""
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(%f)" % _LEFT_S])


def daemon(ctx: Any) -> None:
    """Return a result and leave a daemon: double fork, own session, other working folder."""
    pid = os.fork()
    if pid == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.chdir("/")
        for fd in (0, 1, 2):
            os.close(fd)
        time.sleep(_LEFT_S)
        os._exit(0)
    os.waitpid(pid, 0)  # the middle process leaves at once


def die_at_exit(ctx: Any) -> None:
    """Return a right result, then abort in an exit handler."""
    atexit.register(os.abort)


def segfault_at_exit(ctx: Any) -> None:
    """Return a right result, then die by SIGSEGV in an exit handler, as a driver's destructor does."""
    import ctypes

    atexit.register(ctypes.string_at, 0)


def die_late(ctx: Any, seconds: float = 0.3) -> None:
    """Return a right result; abort asynchronously ``seconds`` later, while the process is leaving."""
    pid = os.getpid()

    def shoot() -> None:
        time.sleep(float(seconds))
        os.kill(pid, signal.SIGABRT)

    threading.Thread(target=shoot, daemon=True).start()
    atexit.register(time.sleep, float(seconds) + 1.0)


def fill_scratch(ctx: Any, size: int = 32 * 1024 * 1024) -> None:
    """Fill the working folder with files; the harness removes them."""
    block = b"\0" * (1024 * 1024)
    os.makedirs("deep/er", exist_ok=True)
    for number in range(max(1, int(size) // len(block))):
        with open("deep/er/%d" % number, "wb") as file:
            file.write(block)
    os.chmod("deep", 0o500)


def delete_folder(ctx: Any) -> None:
    """Delete the own working folder and clear the environment, then return a result."""
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    os.environ.clear()


def fork_returns(ctx: Any) -> None:
    """Fork, and let both return: two processes carry on as the same case."""
    pid = os.fork()
    if pid:
        end = time.monotonic() + _GRANDCHILD_S
        while time.monotonic() < end:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.01)


def close_everything(ctx: Any) -> None:
    """Close every descriptor and return: the result cannot be sent."""
    os.closerange(0, 4096)


def flood(ctx: Any, size: int = 64 * 1024 * 1024) -> None:
    """Write ``size`` bytes to stdout and stderr, then return a result."""
    block = b"y" * 65535 + b"\n"
    for number in range(int(size) // len(block)):
        view = memoryview(block)
        while view:
            view = view[os.write(1 + number % 2, view) :]


def exit_code_at_exit(ctx: Any, code: int = 3) -> None:
    """Return a right result and end with another exit code than 0."""
    atexit.register(os._exit, int(code))


KINDS: Dict[str, Callable[..., Any]] = {
    "leak-process": leak_process,
    "daemon": daemon,
    "die-at-exit": die_at_exit,
    "segfault-at-exit": segfault_at_exit,
    "die-late": die_late,
    "fill-scratch": fill_scratch,
    "delete-folder": delete_folder,
    "fork-returns": fork_returns,
    "close-everything": close_everything,
    "flood": flood,
    "exit-code": exit_code_at_exit,
}
