"""Fork a child that owns its descriptors 0, 1 and 2 and leads its own session; the ends of it on both sides."""

from __future__ import annotations

import fcntl
import os
import signal
import traceback
from typing import Any, Callable, Dict, List, NoReturn, Optional, Set, Tuple

from rmcp_torch import linux
from rmcp_torch.beats import Beats
from rmcp_torch.frames import MARKER_BYTES, Decoder, encode

_HIGH_FD = 230  # private descriptors live up here, away from code that closes or scribbles on low ones
_NR_PIDFD_OPEN = 434
_CHILD_BROKEN = 71  # EX_OSERR: the child failed before the case; its text is on stderr


class ChildEnds:
    """Descriptors and secret that the child keeps: commands in, frames out, stack dumps, and where it notes phases."""

    def __init__(
        self, command_fd: int, result_fd: int, stacks_fd: int, marker: bytes, beats: Optional[Beats] = None
    ) -> None:
        self.command_fd = command_fd
        self.result_fd = result_fd
        self.stacks_fd = stacks_fd
        self.marker = marker
        self._beats = beats

    def send(self, message: Dict[str, Any]) -> None:
        """Write one frame to the guard, which wakes it."""
        view = memoryview(encode(self.marker, message))
        while view:
            view = view[os.write(self.result_fd, view) :]

    def note(self, message: Dict[str, Any]) -> None:
        """Leave one message where the guard looks before it decides; sent where there is no such place."""
        if self._beats is None or not self._beats.write(message):
            self.send(message)


class Child:
    """The guard's ends of one child process."""

    def __init__(self, pid: int, fds: Dict[str, int], marker: bytes, beats: Optional[Beats] = None) -> None:
        self.pid = pid
        self.beats = beats
        self.command_w = fds["command"]
        self.result_r = fds["result"]
        self.stdout_r = fds["stdout"]
        self.stderr_r = fds["stderr"]
        self.stacks_fd = fds["stacks"]
        self.pidfd = _pidfd_open(pid)
        self.marker = marker
        self.decoder = Decoder(marker)
        self.cases = 0  # how many cases it was given (batch: more than one)

    def command(self, message: Dict[str, Any]) -> bool:
        """Hand it a command; False when it is already dead."""
        try:
            os.write(self.command_w, encode(self.marker, message))
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give back every descriptor."""
        if self.beats is not None:
            self.beats.close()
        for fd in (self.command_w, self.result_r, self.stdout_r, self.stderr_r, self.stacks_fd, self.pidfd):
            if fd >= 0:
                try:
                    os.close(fd)
                except OSError:
                    pass


def _pidfd_open(pid: int) -> int:
    """A descriptor that becomes readable when the process ends; -1 before Linux 5.3."""
    opener = getattr(os, "pidfd_open", None)
    try:
        if opener is not None:
            return int(opener(pid))
        return int(linux._libc.syscall(_NR_PIDFD_OPEN, pid, 0))
    except OSError:
        return -1


def _high(fd: int) -> int:
    """Move a descriptor up, out of the way of code that closes or writes to every low number."""
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _HIGH_FD)
    os.close(fd)
    return moved


def fork_child(entry: Callable[[ChildEnds], NoReturn], close_inherited: bool = True, notes: bool = False) -> Child:
    """Fork a child that owns its descriptors 0, 1 and 2, leads its own session and dies with this process.

    ``entry`` runs in the child and never returns. ``close_inherited``: no other descriptor of this process stays
    open in the child; without it only the guard's own ends are closed, and ``entry`` sees to the rest. ``notes``:
    the child may note its phases in shared memory (which does not survive an exec).
    Raises OSError when there are no processes or descriptors left.
    """
    marker = os.urandom(MARKER_BYTES)
    pipes: List[int] = []

    def pipe() -> Tuple[int, int]:
        ends = os.pipe()
        pipes.extend(ends)
        return ends

    try:
        command_r, command_w = pipe()
        result_r, result_w = pipe()
        stdout_r, stdout_w = pipe()
        stderr_r, stderr_w = pipe()
        stacks = os.memfd_create("rmcp-stacks", os.MFD_CLOEXEC)
        pipes.append(stacks)
        beats = Beats(marker) if notes else None
        parent = os.getpid()
        pid = os.fork()
    except OSError:
        for fd in pipes:
            os.close(fd)
        raise
    if pid == 0:
        try:
            linux.die_with_parent(signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(_CHILD_BROKEN)
            os.setsid()
            null = os.open(os.devnull, os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(stdout_w, 1)
            os.dup2(stderr_w, 2)
            ends = ChildEnds(_high(command_r), _high(result_w), _high(stacks), marker, beats)
            if close_inherited:
                _close_all_but({0, 1, 2, ends.command_fd, ends.result_fd, ends.stacks_fd})
            else:
                _close_each({*pipes, null} - {0, 1, 2})
            entry(ends)
        except BaseException as raised:
            os.write(2, ("rmcp: the child failed outside of a case: %r\n" % raised).encode("utf-8", "replace"))
            os.write(2, traceback.format_exc().encode("utf-8", "replace"))  # may itself raise, with no file to be had
        finally:
            os._exit(_CHILD_BROKEN)
    for fd in (command_r, result_w, stdout_w, stderr_w):
        os.close(fd)
    for fd in (result_r, stdout_r, stderr_r):
        os.set_blocking(fd, False)
    fds = {"command": command_w, "result": result_r, "stdout": stdout_r, "stderr": stderr_r, "stacks": stacks}
    return Child(pid, fds, marker, beats)


def _close_all_but(keep: Set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass


def _close_each(fds: Set[int]) -> None:
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass
