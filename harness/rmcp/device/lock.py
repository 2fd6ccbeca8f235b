"""One case at a time per device: a flock that xdist workers and other runs of this user share.

A GPU reset is delivered to every process on the GPU, so a second run next door both causes and suffers
failures that are not its own. The kernel frees the lock when its holder dies, however it dies; the text in
the lock file (who holds it) is only for people and may be stale while the lock is free.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from rmcp.errors import UserError

LOCK_DIRECTORY_VARIABLE = "RMCP_LOCK_DIR"
CPU = "cpu"  # the CPU is never locked: cases on it do not reset each other
_POLL_S = 0.1  # flock has no timed form; ten tries a second cost nothing and delay a case unnoticeably
_OWNER_BYTES = 4096  # an owner line is about 150 bytes; more is not ours


class DeviceBusy(UserError):
    """The device stayed locked until the deadline; the message names the holder as far as it is known."""


@dataclass(frozen=True)
class Owner:
    """Who holds a lock. ``since`` is wall-clock seconds (time.time())."""

    pid: int
    run: str
    since: float


def lock_directory(environ: dict[str, str] | None = None) -> Path:
    """The per-user folder of lock files; made, private (0700) and checked to be ours.

    The system's /tmp comes before XDG_RUNTIME_DIR and TMPDIR on purpose: a login shell, cron and a batch
    job of the same user have different values of those, and locks in different folders lock nothing.
    Raises UserError when no candidate can be used.
    """
    env = os.environ if environ is None else environ
    chosen = env.get(LOCK_DIRECTORY_VARIABLE)
    if chosen:
        candidates = [Path(chosen)]
    else:
        bases = [Path("/tmp"), env.get("XDG_RUNTIME_DIR"), tempfile.gettempdir()]
        candidates = [Path(base) / f"rmcp-{os.getuid()}" / "locks" for base in bases if base]
    tried: list[str] = []
    for path in candidates:
        problem = _make_private(path)
        if problem is None:
            return path
        tried.append(f"{path}: {problem}")
    raise UserError(
        "no folder for device locks; tried "
        + "; ".join(tried)
        + f". Set {LOCK_DIRECTORY_VARIABLE} to a folder of yours."
    )


def _make_private(path: Path) -> str | None:
    """Make the folder; the reason why it cannot be trusted or used, else None."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (path.parent, path):
            info = folder.lstat()
            if folder is path or folder.name.startswith("rmcp-"):
                if not stat.S_ISDIR(info.st_mode):
                    return f"{folder} is not a folder"
                if info.st_uid != os.getuid():
                    return f"{folder} belongs to user {info.st_uid}, not to {os.getuid()}"
        if not os.access(path, os.W_OK | os.X_OK):
            return "not writable"
    except OSError as error:
        return error.strerror or str(error)
    return None


class DeviceLock:
    """Exclusive use of one device, named by PCI address (``0000:03:00.0``) or any other name.

    Not re-entrant; use it from one thread. The descriptor is close-on-exec, so children that are exec'd do
    not keep the lock; a plain os.fork() without exec would, so do not fork while holding it.
    """

    def __init__(self, device: str, *, run: str = "", directory: Path | None = None) -> None:
        self.device = device
        self.run = run
        self._directory = directory
        self._fd: int | None = None
        self._held = False

    @property
    def path(self) -> Path:
        """The lock file of this device."""
        directory = self._directory if self._directory is not None else lock_directory()
        return directory / (re.sub(r"[^A-Za-z0-9._-]+", "-", self.device) + ".lock")

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._held

    def try_acquire(self) -> bool:
        """Take the lock if it is free now. Raises UserError when the lock file cannot be used."""
        if self._held:
            raise RuntimeError(f"the lock of {self.device} is already held by this object")
        if self.device == CPU:
            self._held = True
            return True
        path = self.path
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UserError(f"cannot open the device lock {path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(fd)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                return False
            raise UserError(
                f"cannot lock {path}: {error.strerror}. "
                f"Set {LOCK_DIRECTORY_VARIABLE} to a folder on a local disk."
            ) from error
        if not _is_same_file(
            fd, path
        ):  # a cleaner removed it between open and flock: that lock locks nothing
            os.close(fd)
            return False
        self._fd, self._held = fd, True
        owner = json.dumps(asdict(Owner(pid=os.getpid(), run=self.run, since=time.time())))
        os.ftruncate(fd, 0)
        os.pwrite(fd, owner.encode() + b"\n", 0)
        return True

    def acquire(
        self,
        deadline_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Take the lock within ``deadline_s`` seconds, else raise DeviceBusy (a UserError)."""
        end = clock() + deadline_s
        while not self.try_acquire():
            left = end - clock()
            if left <= 0:
                raise DeviceBusy(self._busy_message(deadline_s))
            sleep(min(_POLL_S, left))

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        fd, self._fd, self._held = self._fd, None, False
        if fd is not None:
            # The file stays: removing it would let two runs lock two different files of the same name.
            os.ftruncate(fd, 0)
            # Explicitly, and not by close alone: a child between fork and exec still has a copy of the
            # descriptor.
            fcntl.flock(fd, fcntl.LOCK_UN)
            os.close(fd)

    def owner(self) -> Owner | None:
        """What the lock file says about its holder; None when it says nothing readable."""
        try:
            with self.path.open("rb") as file:
                raw = json.loads(file.read(_OWNER_BYTES).decode("utf-8", "replace"))
            return Owner(pid=int(raw["pid"]), run=str(raw["run"]), since=float(raw["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _busy_message(self, deadline_s: float) -> str:
        owner = self.owner()
        who = (
            "another process"
            if owner is None
            else f"process {owner.pid}" + (f" (run {owner.run})" if owner.run else "")
        )
        since = "" if owner is None else f" since {time.strftime('%H:%M:%S', time.localtime(owner.since))}"
        return (
            f"device {self.device} is in use by {who}{since}; waited {deadline_s:g} s for {self.path}. "
            "Wait for that run, stop it, or choose another device with --rmcp-device."
        )

    def __enter__(self) -> DeviceLock:
        if not self._held:
            raise RuntimeError("acquire the lock (with its deadline) before entering it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _is_same_file(fd: int, path: Path) -> bool:
    try:
        here, there = os.fstat(fd), path.lstat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
