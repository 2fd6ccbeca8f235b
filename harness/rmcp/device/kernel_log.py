"""The kernel log as windows: what the kernel said while a case ran, and for a while after a killed hang.

/dev/kmsg by sequence number where it is readable; else dmesg or journalctl in bounded children; else a log
that says why it sees nothing. Reading never blocks.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rmcp.device.bounded import Ended, run_bounded
from rmcp.device.kernel_events import Attribution, KernelEvent, attribute, parse, strip_prefix
from rmcp.device.numbers import whole

__all__ = ["Attribution", "KernelEvent", "KernelLog", "Mark", "Watch", "attribute", "parse"]

_RECORD = 8192  # bytes; the longest record that /dev/kmsg gives (CONSOLE_EXT_LOG_MAX)
_KEPT = 10_000  # lines kept in memory; a fault storm writes a few hundred per second and is rate-limited
_PER_DRAIN = 5_000  # records read at once, so that a flood cannot hold the caller
_CHILD_S = 5.0  # dmesg takes 10 ms, journalctl up to a second on a big journal
_CHILD_EVERY_S = 2.0  # a watch without /dev/kmsg starts a child at most this often
WATCH_S = 70.0  # amdgpu's compute timeout is 60 s by default; its report comes after we killed the hung case

Run = Callable[[Sequence[str], float], Ended]


@dataclass(frozen=True)
class Mark:
    """A place in the log. Only for `KernelLog.window`, of the same log."""

    sequence: int = -1
    kernel_s: float = -1.0
    wall_s: float = 0.0


@dataclass
class KernelLog:
    """One reader. ``source`` is kmsg, dmesg, journal or none; ``reason`` says why it is none (or not
    kmsg)."""

    source: str
    reason: str = ""
    lost: int = 0  # records that were overwritten before they were read
    _fd: int | None = None
    _path: str | None = None
    _run: Run = run_bounded
    _lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=_KEPT))
    _sequence: int = -1

    @classmethod
    def open(cls, *, path: str = "/dev/kmsg", run: Run = run_bounded) -> KernelLog:
        """The best source that this user may read. Never raises: without any, ``source`` is ``none``."""
        try:
            fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            reason = f"{path}: {error.strerror}"
        else:
            log = cls.from_descriptor(fd)
            log._path = path
            if not log.reason:
                return log
            reason = f"{path}: {log.reason}"
            log.close()
        for source, argv in (("dmesg", _dmesg()), ("journal", _journal(time.time()))):
            if shutil.which(argv[0]) is None:
                reason += f"; {argv[0]}: not installed"
                continue
            ended = run(argv, _CHILD_S)
            # journalctl exits 0 for a user who sees nothing, and says so on stderr.
            if (
                ended.ok
                and "not seeing messages" not in ended.stderr
                and "No journal files" not in ended.stderr
            ):
                return cls(source, reason, _run=run)
            said = ended.stderr.strip().splitlines()
            reason += f"; {argv[0]}: {said[0].rstrip('.') if said else 'failed'}"
        return cls("none", reason + ". Add yourself to the group `adm` or `systemd-journal`, or run as root")

    @classmethod
    def from_descriptor(cls, fd: int) -> KernelLog:
        """A reader of /dev/kmsg records from a non-blocking descriptor, from its end on; it is closed by
        `close`."""
        try:
            os.lseek(fd, 0, os.SEEK_END)
        except OSError:
            pass  # a pipe, in tests
        log = cls("kmsg", _fd=fd)
        log._drain()
        return log

    def fileno(self) -> int:
        """Readable when there is something new; -1 when the source cannot be polled (use time then)."""
        return -1 if self._fd is None else self._fd

    def mark(self) -> Mark:
        """Here and now. Costs microseconds with /dev/kmsg and journalctl, one short child with dmesg."""
        if self.source == "kmsg":
            self._drain()
            return Mark(sequence=self._sequence, wall_s=time.time())
        if self.source == "dmesg":
            stamps = [
                at for at in (strip_prefix(line)[0] for line in self._child(_dmesg())) if at is not None
            ]
            return Mark(kernel_s=max(stamps, default=-1.0), wall_s=time.time())
        return Mark(wall_s=time.time())

    def window(self, mark: Mark) -> list[str]:
        """All lines since ``mark``, oldest first, as the source prints them. Empty when the source is
        ``none``."""
        if self.source == "kmsg":
            self._drain()
            return [line for sequence, line in self._lines if sequence > mark.sequence]
        if self.source == "dmesg":
            lines = self._child(_dmesg())
            return [line for line in lines if (strip_prefix(line)[0] or 0.0) > mark.kernel_s]
        if self.source == "journal":
            return [line for line in self._child(_journal(mark.wall_s)) if _unix_s(line) >= mark.wall_s]
        return []

    def since_boot(self) -> list[str]:
        """All that the log still holds of this boot, oldest first; the next marks and windows are not
        touched."""
        if self.source == "dmesg":
            return self._child(_dmesg())
        if self.source == "journal":
            return self._child((*_journal(0.0), "--boot"))
        if self._fd is None or self._path is None:
            return []
        past = KernelLog("kmsg", _fd=os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        past._drain()
        past.close()
        return [line for _, line in past._lines]

    def events(self, mark: Mark) -> list[KernelEvent]:
        """The events of a window."""
        return parse(self.window(mark))

    def watch(
        self, mark: Mark, seconds: float = WATCH_S, *, clock: Callable[[], float] = time.monotonic
    ) -> Watch:
        """A window that stays open for ``seconds`` from now and is asked, not waited for."""
        return Watch(self, mark, clock() + seconds, clock)

    def close(self) -> None:
        """Close /dev/kmsg; may be called twice."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)

    def _child(self, argv: Sequence[str]) -> list[str]:
        return self._run(argv, _CHILD_S).stdout.splitlines()

    def _drain(self) -> None:
        if self._fd is None:
            return
        for _ in range(_PER_DRAIN):
            try:
                record = os.read(self._fd, _RECORD)
            except BlockingIOError:
                return
            except OSError as error:
                if (
                    error.errno == errno.EPIPE
                ):  # the ring buffer went round; the next read goes on behind the gap
                    self.lost += 1
                    continue
                self.reason = error.strerror or str(error)
                return
            if not record:
                return
            self._keep(record)

    def _keep(self, record: bytes) -> None:
        head, _, rest = record.decode("utf-8", "backslashreplace").partition(";")
        fields = head.split(",")
        sequence = whole(fields[1]) if len(fields) > 2 else None
        microseconds = whole(fields[2]) if len(fields) > 2 else None
        if sequence is None or microseconds is None:
            return
        self._sequence = sequence
        message = rest.partition("\n")[0]  # the lines after it are KEY=value pairs of the device
        message = re.sub(r"\\x([0-9a-f]{2})", lambda found: chr(int(found[1], 16)), message)
        self._lines.append((self._sequence, f"[{microseconds / 1e6:12.6f}] {message}"))


@dataclass
class Watch:
    """A window with an end. Ask `poll` now and then, or when `fileno` is readable; it never blocks for
    long."""

    log: KernelLog
    mark: Mark
    until: float
    clock: Callable[[], float]
    _seen: list[KernelEvent] = field(default_factory=list)
    _asked: float = float("-inf")

    def fileno(self) -> int:
        """As `KernelLog.fileno`."""
        return self.log.fileno()

    @property
    def done(self) -> bool:
        """Whether its time is over."""
        return self.clock() >= self.until

    def poll(self) -> list[KernelEvent]:
        """Events that are new, or that later lines told more of (the pid of a page fault). Without
        /dev/kmsg the log is asked at most every two seconds."""
        now = self.clock()
        if self.log.source != "kmsg" and now - self._asked < _CHILD_EVERY_S and now < self.until:
            return []
        self._asked = now
        events = self.log.events(self.mark)
        known = len(self._seen)
        fresh = [one for index, one in enumerate(events) if index >= known or one != self._seen[index]]
        self._seen = events
        return fresh


def _dmesg() -> tuple[str, ...]:
    return ("dmesg", "--kernel")


def _journal(since_wall_s: float) -> tuple[str, ...]:
    # Without --quiet: journalctl says on stderr when this user may not see the kernel's messages.
    since = f"--since=@{int(since_wall_s)}"
    return ("journalctl", "--dmesg", "--no-pager", "--output=short-unix", since)


def _unix_s(line: str) -> float:
    stamp = re.match(r"(\d+\.\d+) ", line)
    return float(stamp[1]) if stamp else -1.0
