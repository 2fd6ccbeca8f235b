"""The Linux calls that isolation needs and Python lacks: prctl, process trees and task states from /proc.

Every /proc read is small and best effort: the process may be gone between two lines.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import Any, Dict, Iterable, List, Optional, Set

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_READ_LIMIT = 64 * 1024  # bytes; kernel stacks and command lines are far shorter
_MAX_TASKS = 64  # tasks described per process: enough to see a pattern, bounded for a thread storm

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(signum: int = signal.SIGKILL) -> None:
    """Ask the kernel to send ``signum`` to this process when its parent dies (0 takes it back)."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signum), 0, 0, 0)


def become_subreaper(wanted: bool = True) -> None:
    """Let orphans below this process be reparented to it, so that a daemonised grandchild is found."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted), 0, 0, 0)


def read(path: str) -> str:
    """A small /proc or /sys file as text, empty when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_READ_LIMIT).decode("utf-8", "backslashreplace")
    except OSError:
        return ""


def thread_count() -> int:
    """Number of tasks of this process."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def children(pid: int) -> List[int]:
    """Direct children of a process, zombies included; [] where the kernel does not tell."""
    found: List[int] = []
    try:
        tasks = os.listdir("/proc/%d/task" % pid)
    except OSError:
        return found
    for task in tasks:
        found.extend(int(word) for word in read("/proc/%d/task/%s/children" % (pid, task)).split())
    return found


def descendants(pid: int) -> List[int]:
    """All processes below ``pid``, parents before children."""
    found: List[int] = []
    seen: Set[int] = {pid}
    frontier = [pid]
    while frontier:
        for child in children(frontier.pop()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                frontier.append(child)
    return found


def state_of(pid: int) -> str:
    """The state letter of a process (R, S, D, T, Z ...), empty when it is gone."""
    stat = read("/proc/%d/stat" % pid)
    return stat[stat.rfind(")") + 2 :][:1] if ")" in stat else ""


def command_of(pid: int) -> str:
    """Command line of a process, or its name in brackets, at most 200 characters."""
    words = read("/proc/%d/cmdline" % pid).replace("\0", " ").strip()
    return (words or "[%s]" % read("/proc/%d/comm" % pid).strip())[:200]


def tasks_of(pid: int) -> List[Dict[str, Any]]:
    """Name, state, wchan and kernel stack (root only) of every task of a process."""
    found: List[Dict[str, Any]] = []
    try:
        tids = sorted(os.listdir("/proc/%d/task" % pid), key=int)[:_MAX_TASKS]
    except OSError:
        return found
    for tid in tids:
        base = "/proc/%d/task/%s/" % (pid, tid)
        stat = read(base + "stat")
        found.append(
            {
                "pid": pid,
                "tid": int(tid),
                "name": read(base + "comm").strip(),
                "state": stat[stat.rfind(")") + 2 :][:1] if ")" in stat else "",
                "wchan": read(base + "wchan").strip("0\n"),
                "stack": read(base + "stack"),
            }
        )
    return found


def kill_quietly(pid: int, signum: int) -> bool:
    """Send a signal to one process; False when it is gone or not ours."""
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def kill_tree(pid: int, signum: int) -> None:
    """Signal the process group that ``pid`` leads and every descendant, whatever session it moved to."""
    below = descendants(pid)
    try:
        os.killpg(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass
    for each in [pid, *below]:
        kill_quietly(each, signum)


def signal_name(number: int) -> str:
    """"SIGSEGV" for 11; real-time signals as "SIGRTMIN+n"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIGRTMIN+%d" % (number - signal.SIGRTMIN) if number > signal.SIGRTMIN else "signal %d" % number


def mapped_libraries(names: Iterable[str]) -> List[str]:
    """Paths in /proc/self/maps whose file name starts with one of ``names``."""
    wanted = tuple(names)
    found: Set[str] = set()
    try:
        with open("/proc/self/maps", "rb") as file:
            for line in file:
                start = line.find(b"/")
                if start >= 0:
                    path = line[start:].rstrip(b"\n").decode("utf-8", "backslashreplace")
                    if os.path.basename(path).startswith(wanted):
                        found.add(path)
    except OSError:
        return []
    return sorted(found)


def memory_total() -> Optional[int]:
    """Bytes of memory of this machine."""
    for line in read("/proc/meminfo").splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    return None
