"""Watch over a test's child: the guard of rmcp_torch, plus output cut by phase and the reports of the phases."""

from __future__ import annotations

import os
import time
from typing import Any

from rmcp_torch import ladder
from rmcp_torch.cgroup import Pen
from rmcp_torch.forking import Child
from rmcp_torch.guard import Watch
from rmcp_torch.ring import Ring

_CUT_BYTES = 1024 * 1024  # a pipe never holds more than this
_READ_BYTES = 256 * 1024
_MANY = 2_000  # warnings or side reports of one test that are kept


class TeeRing(Ring):
    """A ring that also shows what it is fed (`-s`): on the descriptor of the same number in this process."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def feed(self, data: bytes) -> None:
        """Keep and show."""
        super().feed(data)
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            pass


class TestWatch(Watch):
    """One test in one child. ``outputs`` maps each finished phase to what was written in it."""

    __test__ = False  # not a test class

    def __init__(
        self, child: Child, budgets: ladder.Budgets, bystanders: set[int], keep: bool = False, tee: bool = False,
        pen: Pen | None = None,
    ) -> None:  # fmt: skip
        super().__init__(child, budgets, bystanders, keep, pen)
        self.tee = tee
        self.outputs: dict[str, dict[str, Any]] = {}
        self.reports: list[dict[str, Any]] = []
        self.extras: list[dict[str, Any]] = []
        self.warnings: list[dict[str, Any]] = []
        self.xfail: dict[str, Any] = {}
        if tee:
            self._new_rings()

    def _new_rings(self) -> None:
        self.stdout, self.stderr = (TeeRing(1), TeeRing(2)) if self.tee else (Ring(), Ring())
        self._rings = {self.child.stdout_r: self.stdout, self.child.stderr_r: self.stderr}

    def heard(self, message: dict[str, Any]) -> None:
        """Frames that a pytest child sends besides phase, result and bye."""
        kind = message.get("t")
        if kind == "report":
            self._cut(str(message.get("when")))
            self.reports.append(message["report"])
            self.child.command({"t": "go"})
        elif kind == "cut":
            self._cut(str(message.get("when")))
            self.child.command({"t": "go"})
        elif kind == "extra" and len(self.extras) < _MANY:
            self.extras.append(message["report"])
        elif kind == "warning" and len(self.warnings) < _MANY:
            self.warnings.append(message["warning"])
        elif kind == "xfail":
            self.xfail = {name: value for name, value in message.items() if name != "t"}
        elif kind == "deadline":
            passed = time.monotonic() - self.started
            seconds = float(message["seconds"])
            self.budgets = self.budgets._replace(case=passed + seconds, silent=passed + seconds)

    def _cut(self, when: str) -> None:
        """The child waits: all that it wrote so far is in the pipes, and belongs to the phase that ended."""
        for fd in (self.child.stdout_r, self.child.stderr_r):
            taken = 0
            while taken < _CUT_BYTES:
                try:
                    data = os.read(fd, _READ_BYTES)
                except OSError:
                    break
                if not data:
                    break
                taken += len(data)
                self._rings[fd].feed(data)
        self.outputs[when] = {"stdout": self.stdout.as_message(), "stderr": self.stderr.as_message()}
        self._new_rings()

    def _frames(self, data: bytes) -> None:
        before = self.result
        super()._frames(data)
        if before is None and self.result is not None and not self.keep:
            self.child.command({"t": "go"})

    def found(self) -> dict[str, Any]:
        """What was collected, as JSON."""
        return {
            "outputs": self.outputs,
            "reports": self.reports,
            "extras": self.extras,
            "warnings": self.warnings,
            "xfail": self.xfail,
        }
