"""Faults that do not end: hangs with and without the GIL, ignored signals, stops, and slow but honest work."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Dict

_FOR_EVER_S = 3600.0  # longer than any budget; a bound all the same, so that nothing outlives a bug of ours

_CLONE_VFORK = 0x4000
_NR_CLONE = {"x86_64": 56, "aarch64": 220}


def sleep(ctx: Any, phase: str = "launch") -> None:
    """Sleep in Python without a heartbeat."""
    ctx.phase(phase)
    time.sleep(_FOR_EVER_S)


def native_hang(ctx: Any, gil: bool = False) -> None:
    """Sleep in native code; with ``gil`` the interpreter stays locked and no Python handler can run."""
    ctx.phase("sync")
    library = ctypes.PyDLL(None) if _true(gil) else ctypes.CDLL(None)
    library.sleep(int(_FOR_EVER_S))


def spin(ctx: Any) -> None:
    """Burn CPU without a heartbeat: busy is not the same as progress."""
    ctx.phase("sync")
    end = time.monotonic() + _FOR_EVER_S
    while time.monotonic() < end:
        pass


def stubborn(ctx: Any) -> None:
    """Ignore every signal that can be ignored, and hang."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    time.sleep(_FOR_EVER_S)


def stop_self(ctx: Any) -> None:
    """Stop by SIGSTOP: alive for the kernel, deaf to everything but SIGKILL and SIGCONT."""
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(_FOR_EVER_S)


def deadlock(ctx: Any) -> None:
    """Take a lock twice."""
    lock = threading.Lock()
    lock.acquire()
    lock.acquire(timeout=_FOR_EVER_S)


def hang_with_grandchild(ctx: Any) -> None:
    """Hang while a grandchild holds stdout and stderr open: the end of the pipes never comes by itself."""
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(%f)" % _FOR_EVER_S])
    time.sleep(_FOR_EVER_S)


def slow(ctx: Any, seconds: float = _FOR_EVER_S, beat: float = 0.2) -> None:
    """Progress, with heartbeats, for longer than the budget: a timeout and no hang."""
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        ctx.phase("launch")
        time.sleep(float(beat))


def uninterruptible(ctx: Any) -> None:
    """Wait in the kernel in state D, by the vfork rule: SIGTERM has no effect, only SIGKILL has.

    A clone with CLONE_VFORK but without CLONE_VM suspends the caller until the new process ends, and shares
    no memory with it, so both may go on in Python. Elsewhere than on these architectures: a native hang.
    """
    ctx.phase("sync")
    number = _NR_CLONE.get(os.uname().machine)
    if number is None:
        native_hang(ctx, gil=True)
        return
    pid = ctypes.PyDLL(None).syscall(number, _CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        time.sleep(_FOR_EVER_S)
        os._exit(0)


def stdout_full(ctx: Any, size: int = 8 * 1024 * 1024) -> None:
    """Print without an end of line, and hang."""
    view = memoryview(b"." * int(size))
    while view:
        view = view[os.write(1, view) :]
    time.sleep(_FOR_EVER_S)


def deadlock_at_exit(ctx: Any) -> None:
    """Return a result, then hang in an exit handler: the result is there, the process is not done."""
    import atexit

    atexit.register(time.sleep, _FOR_EVER_S)


def endless_thread(ctx: Any) -> None:
    """Return a result and leave a non-daemon thread that never ends, for which an interpreter waits at exit."""
    threading.Thread(target=time.sleep, args=(_FOR_EVER_S,), name="rmcp-endless").start()


def _true(value: Any) -> bool:
    return str(value).lower() in ("1", "true", "yes", "on")


KINDS: Dict[str, Callable[..., Any]] = {
    "sleep": sleep,
    "native-hang": native_hang,
    "spin": spin,
    "stubborn": stubborn,
    "stop-self": stop_self,
    "deadlock": deadlock,
    "hang-with-grandchild": hang_with_grandchild,
    "slow": slow,
    "uninterruptible": uninterruptible,
    "stdout-full": stdout_full,
    "deadlock-at-exit": deadlock_at_exit,
    "endless-thread": endless_thread,
}
