"""A pen: a control group (v2) of one zygote and everything below it, so that one write kills a whole tree at once.

    BASE/rmcp-NAMESPACE-PID-START-NUMBER/     the pen; its limits hold for all of it
        case/                                 zygote, children, and whatever they start, daemons included
        aside/                                where those go that shall survive `kill_others`

One pen per zygote and not per case: moving a process into a group waits for a grace period of the kernel, 3 to 14 ms.
The name says whose it is, so that the pens of a runner that was killed are found and emptied by the next one.
Everything here is best effort: where no group can be made, process trees are found through /proc as before.
"""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
import time
from typing import Iterable, List, Mapping, Optional, Set

from rmcp_torch import linux

VARIABLE = "RMCP_CGROUP"  # a folder in which groups may be made; empty: none are made
_NAME = re.compile(r"rmcp-(\d+)-(\d+)-(\d+)-\d+\Z")
_KILL_S = 1.0  # for a kernel without cgroup.kill (before 5.14): rounds of signals until the group is empty
_REMOVE_S = 1.0  # a group can be removed when its last process is gone, some milliseconds after the kill
_ROUND_S = 0.002
_numbers = itertools.count(1)
_swept: Set[str] = set()  # places that this process has looked through


def find_base(mounts: str, groups: str) -> Optional[str]:
    """The folder of the own version 2 group. ``mounts``: /proc/self/mountinfo, ``groups``: /proc/self/cgroup."""
    own = next((line[3:] for line in groups.splitlines() if line.startswith("0::/")), None)
    if own is None:
        return None
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        words = before.split()
        if len(words) < 5 or after.split(" ")[0] != "cgroup2":
            continue
        root, place = (re.sub(r"\\([0-7]{3})", lambda found: chr(int(found.group(1), 8)), word) for word in words[3:5])
        if root == "/":
            return place + own.rstrip("/")
        if own == root or own.startswith(root + "/"):
            return place + own[len(root) :].rstrip("/")
    return None


def base(environ: Mapping[str, str]) -> Optional[str]:
    """Where groups can be made here, or None."""
    if VARIABLE in environ:
        place = environ[VARIABLE] or None
    else:
        place = find_base(linux.read("/proc/self/mountinfo"), linux.read("/proc/self/cgroup"))
    usable = place is not None and os.access(place, os.W_OK) and os.access(place + "/cgroup.procs", os.W_OK)
    return place if usable else None


def new_pen(environ: Mapping[str, str]) -> Optional[Pen]:
    """A pen where one can be made here, else None. The first call in a process sweeps."""
    place = base(environ)
    if place is None:
        return None
    if place not in _swept:
        _swept.add(place)
        sweep(place)
    return Pen.make(place)


def owner_alive(name: str) -> Optional[bool]:
    """Whether the process that made the pen ``name`` lives; None where that cannot be told from here."""
    found = _NAME.match(name)
    if found is None or found.group(1) != _namespace():
        return None
    return found.group(3) == _started(int(found.group(2)))


def sweep(place: str) -> List[str]:
    """Kill and remove what runners that are dead left in ``place``; the names of the pens that were found."""
    try:
        names = os.listdir(place)
    except OSError:
        return []
    stale = sorted(name for name in names if owner_alive(name) is False)
    for name in stale:
        pen = Pen(os.path.join(place, name))
        pen.kill()
        pen.remove()
    return stale


class Pen:
    """One pen, seen from the runner that made it or from the zygote that lives in it."""

    def __init__(self, path: str) -> None:
        self.path = path

    @classmethod
    def make(cls, place: str) -> Optional[Pen]:
        """A new, empty one; None when the kernel refuses."""
        name = "rmcp-%s-%d-%s-%d" % (_namespace(), os.getpid(), _started(os.getpid()), next(_numbers))
        pen = cls(os.path.join(place, name))
        try:
            for folder in (pen.path, pen.path + "/case", pen.path + "/aside"):
                os.mkdir(folder)
        except OSError:
            pen.remove()
            return None
        return pen

    def enter(self) -> bool:
        """Move this process in; what it starts from now on is born inside."""
        return _write(self.path + "/case/cgroup.procs", "0") is None

    def leave(self) -> bool:
        """Move this process out again, to where the pen stands."""
        return _write(os.path.dirname(self.path) + "/cgroup.procs", "0") is None

    def members(self) -> List[int]:
        """Processes in the pen, also in groups that a case made below it."""
        found: List[int] = []
        for folder, _folders, _files in os.walk(self.path):
            found.extend(int(word) for word in linux.read(folder + "/cgroup.procs").split())
        return [pid for pid in found if pid > 0]  # 0 stands for one of another namespace

    def kill(self) -> None:
        """SIGKILL to everything in it at one instant: what forks faster than a list can be read dies as well."""
        _kill(self.path)

    def kill_others(self, keep: Iterable[int]) -> bool:
        """``kill`` for all but ``keep`` and this process; False when they could not be told apart."""
        spared: Set[int] = {os.getpid(), *keep}
        for pid in sorted(spared):
            trouble = _write(self.path + "/aside/cgroup.procs", str(pid))
            if trouble not in (None, errno.ESRCH):
                self._return(spared)
                return False
        _kill(self.path + "/case")
        self._return(spared)
        return True

    def _return(self, pids: Iterable[int]) -> None:
        for pid in pids:
            _write(self.path + "/case/cgroup.procs", str(pid))

    def limit(self, more: int) -> bool:
        """Let the pen use ``more`` bytes of memory than now; False where the memory controller is not delegated."""
        now = linux.read(self.path + "/memory.current").strip()
        return bool(now) and _write(self.path + "/memory.max", str(int(now) + more)) is None

    def oom_kills(self) -> int:
        """How many processes in it the kernel has killed for want of memory; 0 where it does not say."""
        for line in linux.read(self.path + "/memory.events").splitlines():
            word, _, count = line.partition(" ")
            if word == "oom_kill":
                return int(count)
        return 0

    def remove(self, deadline_s: float = _REMOVE_S) -> bool:
        """Remove it with whatever groups a case made in it; False when a process that cannot die is left."""
        give_up = time.monotonic() + deadline_s
        while True:
            for folder, _folders, _files in os.walk(self.path, topdown=False):
                try:
                    os.rmdir(folder)
                except OSError:
                    pass
            if not os.path.isdir(self.path):
                return True
            if time.monotonic() >= give_up:
                return False
            time.sleep(_ROUND_S)


def _write(path: str, text: str) -> Optional[int]:
    """None, or the errno of why it could not be written. Never makes a file."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, text.encode("ascii"))
        finally:
            os.close(fd)
    except OSError as error:
        return error.errno or errno.EIO
    return None


def _kill(path: str) -> None:
    if _write(path + "/cgroup.kill", "1") is None:
        return
    give_up = time.monotonic() + _KILL_S
    while time.monotonic() < give_up:
        pids = [pid for pid in Pen(path).members() if linux.state_of(pid) not in ("Z", "X", "")]
        if not pids:
            return
        for pid in pids:
            linux.kill_quietly(pid, signal.SIGKILL)
        time.sleep(_ROUND_S)


def _namespace() -> str:
    try:
        return re.sub(r"\D", "", os.readlink("/proc/self/ns/pid")) or "0"
    except OSError:
        return "0"


def _started(pid: int) -> str:
    """Start of a process in clock ticks since boot, "" when there is none; with the pid it names one process."""
    stat = linux.read("/proc/%d/stat" % pid)
    words = stat[stat.rfind(")") + 2 :].split()
    return words[19] if len(words) > 19 and words[0] not in ("Z", "X") else ""
