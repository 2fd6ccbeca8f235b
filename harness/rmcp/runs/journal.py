"""The journal of one writer: append-only JSON Lines. A START is on disk before its case is handed out, an END is
given to the kernel at once (a killed runner keeps it) and is on disk, at the latest, with the next START.

In a batch one sync serves several cases: an `ahead` line that names them is on disk before the first is handed
out, and their own lines follow with the next sync, which no case that begins ``_UNSYNCED_S`` later goes without.

No pydantic, no buffering layer: one line costs a few tens of microseconds, and the fsync what the disk asks.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmcp.runs.codec import attempt_text, dump
from rmcp.runs.identity import boot_id, host_tag
from rmcp.runs.model import RUN_FORMAT, AttemptRecord
from rmcp.words import Outcome, Verdict

_MAX_NAMES = 1000  # journals of one writer name in one run; more means that something loops
_UNSYNCED_S = 1.0  # no case of a batch begins later than this after a sync; a batch runs hundreds of cases in it
_COMMON = frozenset({"v", "seq", "writer", "mono", "wall", "kind"})


class Journal:
    """One writer's file, locked while it is open: a reader tells a live writer from a dead one by the lock.

    A resumed run opens the same file again: a line that the last writer left torn is closed with a newline,
    and a new `open` line begins a session of its own with sequence number 0. A second live writer of the same
    name gets a file of its own (`NAME-2.jsonl`).
    """

    def __init__(self, directory: Path, writer: str) -> None:
        self.writer, self.path, self._fd = _open_locked(directory, writer)
        self._seq = 0
        self._pid = os.getpid()
        self._unsynced = True
        self._synced_at = 0.0
        self._ahead: set[tuple[str, int]] = set()
        self._write(
            self._line(
                "open",
                {"boot": boot_id(), "host": host_tag(), "pid": self._pid, "session": secrets.token_hex(6)},
            )
        )
        self.sync()

    def start(self, key: str, attempt: int, **facts: Any) -> None:
        """Write-ahead: when this returns, the disk holds the START, or the ``ahead`` line that names it, and every
        END before that."""
        self._write(self._line("start", {"key": key, "attempt": attempt, **facts}))
        named = (key, attempt) in self._ahead
        self._ahead.discard((key, attempt))
        if not named or time.monotonic() - self._synced_at >= _UNSYNCED_S:
            self.sync()

    def ahead(self, entries: Sequence[tuple[str, int]]) -> None:
        """(key, attempt) of the next cases of a batch, on disk when this returns: should the machine die, each of
        them that has no END may have been the one, whatever became of its START."""
        self._write(self._line("ahead", {"entries": [list(entry) for entry in entries]}))
        self._ahead = set(entries)
        self.sync()

    def is_ahead(self, key: str, attempt: int) -> bool:
        """Whether the last ``ahead`` named it and it was not started yet."""
        return (key, attempt) in self._ahead

    def end(self, key: str, record: AttemptRecord) -> None:
        """The attempt's record, given to the kernel at once; durable with the next ``start`` or ``sync``."""
        self._write(self._head("end") + f',"key":{dump(key)},"record":' + attempt_text(record) + "}\n")

    def set_aside(self, key: str, outcome: Outcome, reason: str) -> None:
        """A case that is not started: `unsupported`, `blocked` or `not-run`, and why."""
        self._write(self._line("aside", {"key": key, "outcome": outcome.value, "reason": reason}))

    def verdict(self, key: str, verdict: Verdict, reason: str = "") -> None:
        """The outcome held against the expectation of the day; kept apart from the outcome itself."""
        self._write(self._line("verdict", {"key": key, "verdict": verdict.value, "reason": reason}))

    def event(self, kind: str, **data: Any) -> None:
        """A line that belongs to no attempt: `runtime` (name=, facts=), `device`, `batch`, `note` ..."""
        if kind in ("open", "ahead", "start", "end", "aside", "verdict", "base"):
            raise ValueError(f"{kind!r} is not an event; it has a method of its own")
        self._write(self._line(kind, data))

    def finish(self, **data: Any) -> None:
        """The runner's last word: the run ended in order (also when it was interrupted)."""
        self._write(self._line("finish", data))
        self.sync()

    def sync(self) -> None:
        """Everything written so far is on disk when this returns. Free when nothing was written."""
        if self._unsynced:
            os.fdatasync(self._fd)
            self._unsynced = False
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync and give the lock back; harmless when called twice."""
        if self._fd < 0 or os.getpid() != self._pid:
            return
        try:
            self.sync()
        finally:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _head(self, kind: str) -> str:
        head = (
            f'{{"v":{RUN_FORMAT},"seq":{self._seq},"writer":"{self.writer}",'
            f'"mono":{time.monotonic():.6f},"wall":{time.time():.6f},"kind":"{kind}"'
        )
        self._seq += 1
        return head

    def _line(self, kind: str, data: dict[str, Any]) -> str:
        if not _COMMON.isdisjoint(data):
            raise ValueError(f"journal data may not be named {sorted(_COMMON & data.keys())}")
        body = dump(data)
        return self._head(kind) + ("," + body[1:] if body != "{}" else "}") + "\n"

    def _write(self, text: str) -> None:
        if os.getpid() != self._pid:
            raise RuntimeError("a forked child must not write its parent's journal")
        data = text.encode("ascii")
        written = os.write(self._fd, data)
        while written < len(data):  # a full disk or a signal can cut a write short
            written += os.write(self._fd, data[written:])
        self._unsynced = True


def _open_locked(directory: Path, writer: str) -> tuple[str, Path, int]:
    """(name, path, descriptor) of the first journal of this name that no live process holds."""
    safe = re.sub(r"[^A-Za-z0-9._+-]", "-", writer).lstrip(".") or "main"
    for number in range(1, _MAX_NAMES):
        name = safe if number == 1 else f"{safe}-{number}"
        path = directory / f"{name}.jsonl"
        fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            continue
        except OSError:
            pass  # a file system without locks: then nobody can tell a live writer from a dead one
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            os.write(fd, b"\n")  # the torn line of a killed writer stays visible as a line of its own
        sync_directory(directory)
        return name, path, fd
    raise RuntimeError(f"{directory}: {_MAX_NAMES} journals of the writer {writer!r} are locked")


def is_live(path: Path) -> bool:
    """True while a living process holds the journal open."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks cannot tell; then nobody is taken for alive
    finally:
        os.close(fd)
    return False


def sync_directory(directory: Path) -> None:
    """Make new names in a folder durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError:
        pass  # some network file systems refuse to sync a folder; the files themselves are synced
    finally:
        os.close(fd)
