"""The runner's end of one zygote: start it, talk in frames, never wait without a deadline, end it with its tree."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any

from rmcp_torch import linux
from rmcp_torch.cgroup import Pen
from rmcp_torch.frames import Decoder, encode
from rmcp_torch.zygote import CONTROL_MARKER

_READ_BYTES = 1024 * 1024
_LOG_BYTES = 64 * 1024  # of the zygote's own output, from its end
_QUIT_S = 1.0  # an idle zygote leaves in milliseconds
_KILL_S = 5.0  # after SIGKILL; a zygote never touches the device, so nothing holds it in the kernel
_TICK_S = 0.25  # how often a waiting caller is asked whether it still wants to wait


class ZygoteGone(Exception):
    """The zygote died or closed its control stream; ``status`` is its return code if it was reaped."""

    def __init__(self, status: int | None, log: bytes) -> None:
        super().__init__(f"the zygote is gone (status {status})")
        self.status = status
        self.log = log


class ZygoteProcess:
    """One started zygote. ``argv`` ends before the zygote's own options; ``env`` is the case's whole environment."""

    def __init__(
        self,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        options: Sequence[str] = (),
        control: str = "fd",
        stop: Callable[[], None] | None = None,
        pen: Pen | None = None,
    ) -> None:
        self._ours, theirs = socket.socketpair()
        self._decoder = Decoder(CONTROL_MARKER)
        self._inbox: deque[dict[str, Any]] = deque()
        self._log: IO[bytes] = tempfile.TemporaryFile(prefix="rmcp-zygote-")
        self.pen = pen
        self._stop = stop  # ends what a signal to the process does not reach (a container)
        self.hello: dict[str, Any] | None = None
        self.started = time.monotonic()
        self.used = self.started
        word = "stdio" if control == "stdio" else str(theirs.fileno())
        if pen is not None:
            options = ["--cgroup", pen.path, *options]
        try:
            self._process = subprocess.Popen(
                [*argv, "zygote", "--control", word, *options],
                env=dict(env),
                stdin=theirs.fileno() if control == "stdio" else subprocess.DEVNULL,
                stdout=theirs.fileno() if control == "stdio" else self._log,
                stderr=self._log,
                pass_fds=() if control == "stdio" else (theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self._ours.close()
            self._log.close()
            if pen is not None:
                pen.remove()
            raise
        finally:
            theirs.close()
        self._ours.setblocking(False)

    @property
    def pid(self) -> int:
        """Process id on this machine (of the engine's client for a container)."""
        return self._process.pid

    def send(self, message: dict[str, Any], deadline_s: float = _KILL_S) -> None:
        """Write one frame. Raises ZygoteGone when nobody takes it within the deadline."""
        view = memoryview(encode(CONTROL_MARKER, message))
        give_up = time.monotonic() + deadline_s
        while view:
            try:
                view = view[self._ours.send(view) :]
            except BlockingIOError:
                if time.monotonic() > give_up:
                    raise self.gone() from None
                select.select([], [self._ours], [], _TICK_S)
            except OSError:
                raise self.gone() from None

    def receive(self, until: float, tick: Callable[[], None] | None = None) -> dict[str, Any] | None:
        """The next message, or None at the monotonic time ``until``. ``tick`` is called while waiting.

        What has come already is read even when ``until`` is over: a zygote that was warmed up while a case hung
        said hello in time, and nobody listened.
        """
        while not self._inbox:
            left = until - time.monotonic()
            poller = select.poll()
            poller.register(self._ours, select.POLLIN)
            if poller.poll(max(0.0, min(_TICK_S, left)) * 1000):
                self._read()
            elif left <= 0:
                return None
            elif tick is not None:
                tick()
        return self._inbox.popleft()

    def _read(self) -> None:
        try:
            data = self._ours.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            raise self.gone()
        self._inbox.extend(self._decoder.feed(data))

    def gone(self) -> ZygoteGone:
        """End what is left and say how it died."""
        give_up = time.monotonic() + _QUIT_S
        while self._process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.002)
        status = self._process.poll()
        log = self.log()
        self.kill()
        return ZygoteGone(status, log)

    def log(self) -> bytes:
        """The end of what the zygote itself printed: import warnings, loader errors."""
        if self._log.closed:
            return b""
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), _LOG_BYTES, max(0, size - _LOG_BYTES))

    def ask_to_leave(self) -> None:
        """Say quit without waiting for it."""
        try:
            self.send({"t": "quit"}, deadline_s=0.0)
        except ZygoteGone:
            pass

    def close(self) -> None:
        """Ask it to leave, then make it."""
        if self._process.poll() is None:
            self.ask_to_leave()
            give_up = time.monotonic() + _QUIT_S
            while self._process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.002)
        self.kill()

    def kill(self) -> None:
        """SIGKILL to the zygote and everything below it; bounded."""
        if self._stop is not None:
            self._stop()
        if self.pen is not None:
            self.pen.kill()  # also what outlived a zygote that was shot
        if self._process.poll() is None:
            linux.kill_tree(self._process.pid, signal.SIGKILL)
            give_up = time.monotonic() + _KILL_S
            while self._process.poll() is None and time.monotonic() < give_up:
                time.sleep(0.002)
        if self.pen is not None and self.pen.remove():
            self.pen = None
        self._ours.close()
        if not self._log.closed:
            self._log.close()
