"""The fork server: imports torch once, never computes, forks and guards one child per case.

Commands come and evidence goes as frames on one control stream (a socket, or stdin/stdout in a container).
When the stream ends the runner is dead: everything below is killed and the zygote leaves.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import os
import platform
import select
import shutil
import signal
import sys
import tempfile
import time
from typing import Any, Dict, List, NoReturn, Optional, Set

from rmcp_torch import child as child_module
from rmcp_torch import ladder, linux
from rmcp_torch.cgroup import Pen
from rmcp_torch.forking import Child, ChildEnds, fork_child
from rmcp_torch.frames import Decoder, encode
from rmcp_torch.guard import Watch
from rmcp_torch.probe import build_of

CONTROL_MARKER = b"rmcp/1\r\n"
_CONTROL_BYTES = 1024 * 1024
_SPARE_EXIT_S = 2.0  # for a spare to notice that its command pipe was closed
_IOLBF = 1  # setvbuf: line buffered
_IDLE_POLL_MS = 60_000  # bounded wait for the next command; the stream's end wakes it at once


class Zygote:
    """State of the fork server: control stream, the spare child, what must not be touched."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        if options.control == "stdio":
            # The case's prints must not mix with the protocol: keep the stream, give 0 and 1 to others.
            self.read_fd, self.write_fd = os.dup(0), os.dup(1)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(2, 1)
        else:
            self.read_fd = self.write_fd = int(options.control)
        os.set_inheritable(self.read_fd, False)
        os.set_inheritable(self.write_fd, False)
        self.decoder = Decoder(CONTROL_MARKER)
        self.inbox: List[Dict[str, Any]] = []
        self.orphaned = False
        self.spare: Optional[Child] = None
        self.kept: Optional[Child] = None
        self.bystanders: Set[int] = set()
        self.baseline_threads = 1
        self.import_error: Optional[Dict[str, str]] = None
        self.scratch = ""
        self.pen: Optional[Pen] = Pen(options.cgroup) if options.cgroup else None
        self.clean = ""  # a scratch folder that the case before left as it found it

    # -- control stream ---------------------------------------------------------------------------

    def send(self, message: Dict[str, Any]) -> None:
        """Write one frame to the runner; a runner that is gone is noticed by the reading side."""
        view = memoryview(encode(CONTROL_MARKER, message))
        try:
            while view:
                view = view[os.write(self.write_fd, view) :]
        except (BrokenPipeError, ConnectionResetError):
            self.orphaned = True

    def receive(self) -> None:
        """Read what is there into the inbox; the end of the stream makes us an orphan."""
        try:
            data = os.read(self.read_fd, _CONTROL_BYTES)
        except (ConnectionResetError, BlockingIOError, InterruptedError):
            data = b""
        if not data:
            self.orphaned = True
            return
        self.inbox.extend(self.decoder.feed(data))

    def interrupted(self) -> bool:
        """News while a case runs: True when it must be stopped now."""
        self.receive()
        stop = any(message.get("t") in ("abort", "quit") for message in self.inbox)
        self.inbox = [message for message in self.inbox if message.get("t") != "abort"]
        return stop or self.orphaned

    # -- life -------------------------------------------------------------------------------------

    def run(self) -> int:
        """Hello, then one job after the other until the runner says quit or is gone."""
        linux.become_subreaper()
        if self.pen is not None and not self.pen.enter():
            self.pen = None
        started = time.monotonic()
        if not self.options.bare:
            # Dying with the runner covers the one time that we do not listen: a hanging import.
            linux.die_with_parent(signal.SIGKILL)
            self.import_error = self._import()
            linux.die_with_parent(0)
        gc.collect()
        gc.freeze()
        self.baseline_threads = linux.thread_count()
        self.scratch = tempfile.mkdtemp(prefix="rmcp-")
        self.send({"t": "hello", "import_s": time.monotonic() - started, **self.describe()})
        try:
            while not self.orphaned:
                if not self.inbox and not self._wait():
                    continue
                message = self.inbox.pop(0) if self.inbox else {}
                if message.get("t") == "quit":
                    break
                if message.get("t") == "run":
                    self.job(message)
        finally:
            self._close()
        return 0

    def _wait(self) -> bool:
        poller = select.poll()
        poller.register(self.read_fd, select.POLLIN)
        if poller.poll(_IDLE_POLL_MS):
            self.receive()
        return bool(self.inbox)

    def _import(self) -> Optional[Dict[str, str]]:
        try:
            if self.options.module:
                __import__(self.options.module)
            # What every child needs is imported here once.
            from rmcp_torch.workloads import registry

            for spec in self.options.warm:
                registry.warm(spec)
        except BaseException as raised:
            return child_module.describe(raised, "import")
        _line_buffer_native_stdout()
        return None

    def describe(self) -> Dict[str, Any]:
        """Facts of this runtime that need no device: versions of Python and torch, build, pid."""
        facts: Dict[str, Any] = {
            "pid": os.getpid(),
            "python": platform.python_version(),
            "executable": sys.executable,
            "threads": self.baseline_threads,
            "error": self.import_error,
        }
        torch = sys.modules.get("torch")
        if torch is not None and self.import_error is None:
            facts.update(build_of(torch))
        return facts

    def _close(self) -> None:
        for child in (self.spare, self.kept):
            if child is not None:
                linux.kill_tree(child.pid, signal.SIGKILL)
                _reap(child.pid, _SPARE_EXIT_S)
        for pid in linux.descendants(os.getpid()):
            linux.kill_quietly(pid, signal.SIGKILL)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        if self.pen is not None:
            self.pen.kill_others(())
            if self.pen.leave():  # the runner may be gone, or be killed before it comes to this
                self.pen.remove()

    # -- jobs -------------------------------------------------------------------------------------

    def virgin(self) -> Optional[str]:
        """Why no child may be forked from here, or None when all is well."""
        threads = linux.thread_count()
        if threads > self.baseline_threads:
            return (
                "the zygote has %d threads, %d more than after its import: a thread pool was started before the "
                "fork, and a child of it deadlocks" % (threads, threads - self.baseline_threads)
            )
        torch = sys.modules.get("torch")
        if torch is not None:
            cuda = getattr(torch, "cuda", None)
            if cuda is not None and cuda.is_initialized():
                return "the zygote has initialised the GPU; a forked child cannot use it"
        return None

    def fork(self) -> Child:
        """A new child: forked with torch in it, or (``--bare``) forked and exec'd as a fresh interpreter."""
        sys.stdout.flush()
        sys.stderr.flush()
        made = fork_child(self._fresh) if self.options.bare else fork_child(child_module.serve, notes=True)
        self.bystanders.add(made.pid)
        return made

    def _fresh(self, ends: ChildEnds) -> NoReturn:
        fds = [ends.command_fd, ends.result_fd, ends.stacks_fd]
        for fd in fds:
            os.set_inheritable(fd, True)
        words = [sys.executable, os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py"), "child"]
        os.execv(sys.executable, [*words, *map(str, fds), ends.marker.hex(), self.options.module or "none"])

    def _folder(self, name: str) -> str:
        """A scratch folder that nothing was ever left in. An untouched one is used again: making and removing one
        per case makes the file system wait for the journal's syncs."""
        folder, self.clean = self.clean, ""
        if not folder:
            folder = os.path.join(self.scratch, name)
            os.mkdir(folder)
        return folder

    def _keep_or_remove(self, folder: str, before: os.stat_result) -> None:
        try:
            now = os.lstat(folder)
            same = (now.st_ino, now.st_mode) == (before.st_ino, before.st_mode) and not os.listdir(folder)
        except OSError:
            same = False
        if same:
            self.clean = folder
        else:
            _remove(folder)

    def _idle_child(self) -> Optional[Child]:
        """The kept child of a batch, else the spare; one that died while idle is not used."""
        for idle in (self.kept, self.spare):
            if idle is not None:
                if idle is self.kept:
                    self.kept = None
                else:
                    self.spare = None
                self.bystanders.discard(idle.pid)
                if os.waitpid(idle.pid, os.WNOHANG)[0] == 0:
                    return idle
                idle.close()
        return None

    def job(self, message: Dict[str, Any]) -> None:
        """Run one case and send its evidence; refuse when the zygote is no longer fit to fork."""
        if self.import_error is not None:
            self.send({"t": "refused", "job": message["job"], "error": self.import_error})
            return
        child = self._idle_child()
        if child is None:
            reason = self.virgin()
            if reason is not None:
                self.send({"t": "refused", "job": message["job"], "reason": reason})
                return
            child = self.fork()
        keep = bool(message.get("keep"))
        self.bystanders.discard(child.pid)
        budgets = ladder.Budgets(**message["budgets"])
        cwd = self._folder(str(message["job"]))
        before = os.lstat(cwd)
        watch = Watch(child, budgets, self.bystanders, keep, self.pen)
        killed_before = self.pen.oom_kills() if self.pen is not None else 0
        child.cases += 1
        child.command({**message["case"], "cwd": cwd, "keep": keep})
        wanted = message.get("more") and not keep and self.spare is None and not self.options.bare
        if wanted and self.virgin() is None:
            # The next child is made while this case computes; it touches nothing until it gets a case.
            self.spare = self.fork()
        evidence = watch.run(self.read_fd, self.interrupted)
        if evidence["alive"]:
            self.kept = child
            self.bystanders.add(child.pid)
        else:
            child.close()
        if self.pen is not None:
            evidence["oom_kills"] = self.pen.oom_kills() - killed_before
        self.send({"t": "attempt", "job": message["job"], "evidence": evidence})
        if evidence["reaped"] and not evidence["leaked"]:
            self._keep_or_remove(cwd, before)
        else:
            _remove(cwd)  # somebody may still stand in it


def _remove(folder: str) -> None:
    """The scratch folder, or what the case put in its place."""
    try:
        os.unlink(folder)
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _reap(pid: int, deadline_s: float) -> None:
    give_up = time.monotonic() + deadline_s
    while time.monotonic() < give_up:
        try:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
        except ChildProcessError:
            return
        time.sleep(0.005)


def _line_buffer_native_stdout() -> None:
    """HIP 7.0 prints the guilty kernel with printf; in a full buffer it would die with the process."""
    try:
        libc = ctypes.CDLL(None)
        libc.setvbuf(ctypes.c_void_p.in_dll(libc, "stdout"), None, _IOLBF, 0)
    except (OSError, ValueError, AttributeError):
        pass


def main(argv: List[str]) -> int:
    """``zygote --control FD|stdio [--import MODULE] [--bare] [--warm WORKLOAD ...]``."""
    parser = argparse.ArgumentParser(prog="rmcp_torch zygote")
    parser.add_argument("--control", required=True, help="descriptor of the control socket, or stdio")
    parser.add_argument("--import", dest="module", default="torch", help="module to import before forking")
    parser.add_argument("--bare", action="store_true", help="import nothing; exec a fresh interpreter per case")
    parser.add_argument("--cgroup", default="", help="pen to live in, see rmcp_torch.cgroup")
    parser.add_argument("--warm", action="append", default=[], help="workload whose module is imported before forking")
    return Zygote(parser.parse_args(argv)).run()
