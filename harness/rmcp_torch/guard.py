"""Guard one child: own its descriptors, hear its heartbeats, keep its deadline, kill its tree, reap it, tell all.

The loop is thin: when to do what is decided by :mod:`rmcp_torch.ladder`. The evidence is a JSON-able dict.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from rmcp_torch import ladder, linux
from rmcp_torch.cgroup import Pen
from rmcp_torch.forking import Child
from rmcp_torch.ring import Ring

_READ_BYTES = 1024 * 1024  # one read of a pipe; the pipe itself is grown to this on the first full read
_PIPE_BYTES = 64 * 1024  # default capacity of a Linux pipe
_DRAIN_BYTES = 4 * 1024 * 1024  # read at most this much after the death: a grandchild may write for ever
_LEAK_GRACE_S = 0.15  # a helper process that is on its way out is no leak
_LEAK_KILL_S = 2.0  # kill rounds for leaked trees; a task in state D is left behind and named
_POLL_MAX_S = 1.0  # look at the clock at least this often, whatever the kernel says
_STACK_BYTES = 256 * 1024  # of a faulthandler dump


class Watch:
    """One case in one child, from its start to the reaping (or, with ``keep``, to the end of the case)."""

    def __init__(
        self,
        child: Child,
        budgets: ladder.Budgets,
        bystanders: Set[int],
        keep: bool = False,
        pen: Optional[Pen] = None,
    ) -> None:
        self.child = child
        self.pen = pen  # ours and our children's, where there are control groups
        self.budgets = budgets
        self.keep = keep
        self.bystanders = bystanders  # other children of ours, not part of this case
        self.started = time.monotonic()
        self.wall_start = time.time()
        self.last_beat = self.started
        self.phases: List[Tuple[str, float]] = []
        self.rung: Optional[Tuple[str, float]] = None
        self.abort = False
        self.deadline: Optional[Dict[str, Any]] = None
        self.sent: List[Tuple[str, float]] = []
        self.result: Optional[Dict[str, Any]] = None
        self.result_at: Optional[float] = None
        self.farewell = False
        self.threads_left: List[str] = []
        self.status: Optional[int] = None
        self.usage: Any = None
        self.abandoned = False
        self.tasks: List[Dict[str, Any]] = []
        self.leaked: List[Tuple[int, str]] = []
        self.stdout, self.stderr = Ring(), Ring()
        self._rings = {child.stdout_r: self.stdout, child.stderr_r: self.stderr}
        self._open = {child.result_r, child.stdout_r, child.stderr_r}

    # -- the loop ---------------------------------------------------------------------------------

    def run(self, control_fd: int = -1, on_control: Optional[Callable[[], bool]] = None) -> Dict[str, Any]:
        """Guard until the end; ``on_control`` is called when ``control_fd`` has news, True means abort."""
        poller = select.poll()
        for fd in self._open:
            poller.register(fd, select.POLLIN)
        if self.child.pidfd >= 0:
            poller.register(self.child.pidfd, select.POLLIN)
        if control_fd >= 0:
            poller.register(control_fd, select.POLLIN)
        while not self._over():
            now = time.monotonic()
            self._look(now)
            decision = ladder.decide(self._snapshot(), now, self.budgets)
            if decision.action != ladder.WAIT:
                self._act(decision, now)
                if self.abandoned:
                    break
                continue
            limit = _POLL_MAX_S if self.child.pidfd >= 0 else 0.01
            timeout = max(0.0, min(limit, decision.wake - now))
            for fd, _event in poller.poll(timeout * 1000 + 0.5):
                if fd == control_fd:
                    if on_control is not None and on_control():
                        self.abort = True
                        poller.unregister(control_fd)
                        control_fd = -1
                elif fd in self._open and not self._read(fd):
                    poller.unregister(fd)
                    self._open.discard(fd)
        return self._finish()

    def _over(self) -> bool:
        if self.keep and self.result is not None and self.rung is None:
            return True
        if self.status is None:
            pid, status, usage = os.wait4(self.child.pid, os.WNOHANG)
            if pid:
                self.status, self.usage = status, usage
        return self.status is not None

    def _snapshot(self) -> ladder.Snapshot:
        phase = self.phases[-1][0] if self.phases else "start"
        dumped = False
        if self.rung is not None and self.rung[0] == ladder.DUMP:
            dumped = os.fstat(self.child.stacks_fd).st_size > 0 and time.monotonic() - self.rung[1] > 0.05
        return ladder.Snapshot(self.started, self.last_beat, phase, self.rung, self.abort, dumped)

    def _act(self, decision: ladder.Decision, now: float) -> None:
        since = now - self.started
        if self.rung is None and decision.why != "abort":
            phase = self.phases[-1][0] if self.phases else "start"
            budget = self.budgets.case
            if decision.why == "silent":
                budget = min(budget, self.budgets.phases.get(phase, self.budgets.silent))
            self.deadline = {"kind": decision.why, "phase": phase, "at": since, "budget_s": budget}
        self.rung = (decision.action, now)
        pid = self.child.pid
        if decision.action == ladder.DUMP:
            self.tasks = linux.tasks_of(pid)
            for other in linux.descendants(pid)[:8]:
                self.tasks.extend(linux.tasks_of(other))
            self._send(signal.SIGQUIT, since)
        elif decision.action == ladder.TERM:
            self._send(signal.SIGTERM, since)
        elif decision.action == ladder.KILL:
            linux.kill_tree(pid, signal.SIGKILL)
            self._kill_pen()
            self.sent.append(("SIGKILL", since))
        elif decision.action == ladder.ABANDON:
            self.tasks = linux.tasks_of(pid)
            self.abandoned = True

    def _kill_pen(self) -> None:
        """Everything in the pen but ourselves, other children of ours, and what those have started."""
        if self.pen is not None:
            spared = set(self.bystanders)
            for pid in self.bystanders:
                spared.update(linux.descendants(pid))
            self.pen.kill_others(spared)

    def _send(self, signum: int, since: float) -> None:
        self.sent.append((linux.signal_name(signum), since))
        if signum == signal.SIGQUIT:
            # Only the case's own process has the stack dumper; a helper would just die of it.
            linux.kill_quietly(self.child.pid, signum)
            return
        try:
            os.killpg(self.child.pid, signum)
        except (ProcessLookupError, PermissionError):
            linux.kill_quietly(self.child.pid, signum)

    # -- reading ----------------------------------------------------------------------------------

    def _read(self, fd: int) -> bool:
        """Read what is there; False at the end of the stream."""
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        if fd == self.child.result_r:
            self._frames(data)
        else:
            self._rings[fd].feed(data)
            if len(data) == _PIPE_BYTES:
                _grow(fd)
        return True

    def _look(self, now: float) -> None:
        """Phases that the child noted; its clock is ours."""
        if self.child.beats is not None:
            for message in self.child.beats.read():
                at = message.get("at")
                at = min(max(at, self.started), now) if isinstance(at, float) else now
                self.last_beat = max(self.last_beat, at)
                self.phases.append((str(message.get("name", "")), at - self.started))

    def _frames(self, data: bytes) -> None:
        now = time.monotonic()
        self._look(now)
        for message in self.child.decoder.feed(data):
            self.last_beat = now
            kind = message.get("t")
            if kind == "phase":
                self.phases.append((str(message.get("name", "")), max(0.0, now - self.started)))
            elif kind == "result" and self.result is None:
                self.result, self.result_at = message, now - self.started
                # A child whose device is broken for it serves no further case: guard it to its end.
                self.keep = self.keep and not message.get("spent")
            elif kind == "bye":
                self.farewell = True
                self.threads_left = [str(name) for name in message.get("threads") or ()]
            else:
                self.heard(message)

    def heard(self, message: Dict[str, Any]) -> None:
        """Any other frame; there is none for a matrix case."""

    def _drain(self) -> None:
        for fd in sorted(self._open):
            taken = 0
            while taken < _DRAIN_BYTES:
                try:
                    data = os.read(fd, _READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                taken += len(data)
                if fd == self.child.result_r:
                    self._frames(data)
                else:
                    self._rings[fd].feed(data)
        self._look(time.monotonic())

    # -- the end ----------------------------------------------------------------------------------

    def _finish(self) -> Dict[str, Any]:
        ended = time.monotonic()
        if self.status is not None or self.abandoned:
            if self.status is not None:
                self._end_leaks()
            self._drain()
        else:
            self._drain()  # kept child: what it wrote up to its result
        return self._evidence(ended - self.started)

    def _end_leaks(self) -> None:
        """Kill what outlived the child. As subreaper we are the parent of every orphan below it."""
        mine = os.getpid()
        rest = self._strangers(mine)
        give_up = time.monotonic() + _LEAK_GRACE_S
        while rest and not self.sent and time.monotonic() < give_up:
            time.sleep(0.005)
            rest = self._strangers(mine)
        for pid in rest:
            for each in [pid, *linux.descendants(pid)]:
                self.leaked.append((each, linux.command_of(each)))
        give_up = time.monotonic() + _LEAK_KILL_S
        while rest and time.monotonic() < give_up:
            for pid in rest:
                linux.kill_tree(pid, signal.SIGKILL)
            self._kill_pen()
            time.sleep(0.002)
            rest = self._strangers(mine)
        # Those that even SIGKILL does not end (state D) stay ours; do not meet them again at the next case.
        self.bystanders.update(rest)

    def _strangers(self, mine: int) -> List[int]:
        found = []
        for pid in linux.children(mine):
            if pid in self.bystanders or pid == self.child.pid:
                continue
            if linux.state_of(pid) in ("Z", "X", ""):
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            else:
                found.append(pid)
        return found

    def _evidence(self, duration: float) -> Dict[str, Any]:
        exit_code = signal_text = None
        if self.status is not None:
            if os.WIFSIGNALED(self.status):
                signal_text = linux.signal_name(os.WTERMSIG(self.status))
            else:
                exit_code = os.WEXITSTATUS(self.status)
        protocol = []
        if self.child.decoder.noise:
            protocol.append("%d bytes on the result pipe belonged to no frame" % self.child.decoder.noise)
            self.child.decoder.noise = 0
        if self.status is not None and self.child.decoder.pending:
            protocol.append("the last frame was torn after %d bytes" % self.child.decoder.pending)
        stacks = b""
        if os.fstat(self.child.stacks_fd).st_size:
            stacks = os.pread(self.child.stacks_fd, _STACK_BYTES, 0)
        return {
            "pid": self.child.pid,
            "exit_code": exit_code,
            "signal": signal_text,
            "reaped": self.status is not None or not self.abandoned,
            "alive": self.status is None and not self.abandoned,
            "result": self.result,
            "result_at": self.result_at,
            "farewell": self.farewell,
            "threads_left": self.threads_left,
            "phases": self.phases,
            "sent": self.sent,
            "aborted": self.abort,
            "deadline": self.deadline,
            "stdout": self.stdout.as_message(),
            "stderr": self.stderr.as_message(),
            "stacks": stacks.decode("utf-8", "backslashreplace"),
            "tasks": self.tasks,
            "leaked": self.leaked,
            "protocol": protocol,
            "duration_s": duration,
            "wall_start": self.wall_start,
            "maxrss_kb": self.usage.ru_maxrss if self.usage is not None else 0,
            "cpu_s": self.usage.ru_utime + self.usage.ru_stime if self.usage is not None else 0.0,
        }


def _grow(fd: int) -> None:
    """Give a busy pipe a larger buffer, so that a flood costs fewer wake-ups."""
    try:
        fcntl.fcntl(fd, getattr(fcntl, "F_SETPIPE_SZ", 1031), _READ_BYTES)
    except OSError:
        pass
