"""Whether a process may still be forked: no GPU runtime, no thread pool that a child would wait for in vain."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from rmcp_torch import linux

_GPU_NODES = ("/dev/kfd", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/dxg")
_PROBE_S = 3.0  # the probe takes 10 ms; a machine under load is given more, a deadlock never ends
_PROBE_ELEMENTS = 1 << 17  # above the grain (32768) from which torch spreads an elementwise operation over threads
_POLL_S = 0.002


class Virginity:
    """Remembers up to how many threads a fork was seen to be safe; a loss is for ever."""

    def __init__(self, threads: int | None = None) -> None:
        self._safe = linux.thread_count() if threads is None else threads
        self._lost: str | None = None

    def lost(self) -> str | None:
        """Why no child of this process could work, or None. Cheap unless threads were added since the last time."""
        if self._lost is None:
            self._lost = self._look()
        return self._lost

    def _look(self) -> str | None:
        torch: Any = sys.modules.get("torch")
        for name in ("cuda", "xpu"):
            module = getattr(torch, name, None)
            if module is not None and getattr(module, "is_initialized", bool)():
                return f"torch.{name} is initialised in this process; a forked child cannot use the GPU"
        node = open_gpu_node()
        if node is not None:
            return f"{node} is open in this process: a GPU runtime is initialised; a forked child cannot use the GPU"
        threads = linux.thread_count()
        if threads <= self._safe:
            return None
        if torch is not None and getattr(torch, "ones", None) is not None and not fork_works(_parallel_operation):
            return (
                f"torch has run an operation on the CPU in this process ({threads - self._safe} more threads than at "
                "the start): its thread pool does not survive a fork, and a child would wait for it for ever"
            )
        self._safe = threads
        return None


def open_gpu_node() -> str | None:
    """A GPU device file that this process holds open, or None."""
    try:
        names = os.listdir("/proc/self/fd")
    except OSError:
        return None
    for name in names:
        try:
            target = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
        if target.startswith(_GPU_NODES):
            return target
    return None


def _parallel_operation() -> None:
    sys.modules["torch"].ones(_PROBE_ELEMENTS).add_(1)


def fork_works(operation: Callable[[], object], seconds: float = _PROBE_S) -> bool:
    """Try it: True when ``operation`` ends in a forked child within ``seconds``."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        try:
            linux.die_with_parent(signal.SIGKILL)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            operation()
        finally:
            os._exit(0)
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return True
        time.sleep(_POLL_S)
    linux.kill_quietly(pid, signal.SIGKILL)
    give_up = time.monotonic() + seconds
    while not os.waitpid(pid, os.WNOHANG)[0] and time.monotonic() < give_up:
        time.sleep(_POLL_S)
    return False
