"""A child that may hang for good: runs it in its own session, reads boundedly, kills its whole tree at the
deadline.

Vendor tools (rocminfo, rocm-smi, nvidia-smi) and even `import torch` block in the kernel on a wedged GPU. A
process in uninterruptible sleep survives SIGKILL; such a one is reported as ``wedged`` and never waited for
again.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_READ = 65536  # bytes per read of a pipe
_REAP_S = 1.0  # between SIGKILL and giving up; a killable process is gone in milliseconds
_DRAIN_S = 0.2  # what the child wrote before it died is in the pipe already


@dataclass(frozen=True)
class Ended:
    """How a bounded child ended. ``returncode`` is negative for a signal and None when it never ended.

    ``missing``: there is no such program; ``timed_out``: killed at the deadline; ``wedged``: survived
    SIGKILL.
    """

    argv: tuple[str, ...]
    returncode: int | None = None
    stdout: str = ""
    stderr: str = ""
    timed_out: bool = False
    wedged: bool = False
    missing: str = ""
    seconds: float = 0.0
    truncated: bool = False

    @property
    def ok(self) -> bool:
        """Ended by itself with exit code 0."""
        return self.returncode == 0 and not self.timed_out


def run_bounded(
    argv: Sequence[str],
    deadline_s: float,
    *,
    env: Mapping[str, str] | None = None,
    max_bytes: int = 1024 * 1024,
) -> Ended:
    """Run ``argv`` for at most ``deadline_s`` seconds, then kill it and all its descendants. Never raises
    for the child.

    At most ``max_bytes`` of each stream are kept; the rest is read and dropped.
    """
    start = time.monotonic()
    try:
        process = start_bounded(argv, env=env)
    except OSError as error:
        return Ended(tuple(argv), missing=error.strerror or str(error))
    kept: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    truncated = timed_out = False
    end = start + deadline_s
    with selectors.DefaultSelector() as selector:
        for name, pipe in (("stdout", process.stdout), ("stderr", process.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                selector.register(pipe, selectors.EVENT_READ, name)
        while selector.get_map():
            exited = process.poll() is not None
            left = end - time.monotonic()
            if exited:  # a grandchild may hold the pipe open for good: take what is there and go
                end = min(end, time.monotonic() + _DRAIN_S)
                left = end - time.monotonic()
            if left <= 0:
                timed_out = not exited
                break
            for key, _ in selector.select(min(left, 0.1)):
                chunk = os.read(key.fd, _READ)
                if not chunk:
                    selector.unregister(key.fileobj)
                    continue
                buffer = kept[key.data]
                room = max_bytes - len(buffer)
                buffer += chunk[:room]
                truncated = truncated or len(chunk) > room
        else:  # both streams are closed; the process itself may still linger
            timed_out = not _ends_before(process, end)
    wedged = not kill_tree(process)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    return Ended(
        argv=tuple(argv),
        returncode=process.returncode,
        stdout=kept["stdout"].decode("utf-8", "backslashreplace"),
        stderr=kept["stderr"].decode("utf-8", "backslashreplace"),
        timed_out=timed_out,
        wedged=wedged,
        seconds=time.monotonic() - start,
        truncated=truncated,
    )


def start_bounded(argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a child in its own session with both streams piped. Raises OSError when it cannot be started."""
    return subprocess.Popen(
        list(argv),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=None if env is None else dict(env),
        start_new_session=True,
    )


def kill_tree(process: subprocess.Popen[bytes]) -> bool:
    """Kill what is left of a child's session and its descendants; whether the child itself is reaped.

    Descendants that left the session are found by their parents in /proc, which works while their parent
    lives.
    """
    strays = descendants(process.pid) if process.poll() is None else []
    if not _group_is_empty(process.pid):
        _kill(-process.pid)
    for pid in strays:
        _kill(pid)
    return _ends_before(process, time.monotonic() + _REAP_S)


def descendants(pid: int) -> list[int]:
    """All descendants of a process, from /proc; empty where /proc is not readable."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir() if Path("/proc").is_dir() else ():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    todo = [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _ends_before(process: subprocess.Popen[bytes], end: float) -> bool:
    try:
        process.wait(timeout=max(0.0, end - time.monotonic()))
    except subprocess.TimeoutExpired:
        return False
    return True


def _group_is_empty(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
