"""What a workload is given: where to run, and how to say what happened. No torch at import time."""

from __future__ import annotations

import time
from typing import Any, Callable, Dict, List

# The phases a workload may report, in their usual order; budgets are kept per phase.
PHASES = ("import", "setup", "reference", "launch", "sync", "compare")

_BEAT_S = 1.0  # a heartbeat is one small frame; the shortest useful silence budget is some seconds


class Context:
    """One case's side of the harness: ``run(ctx, **args)`` of a workload talks to it and to nothing else.

    ``device`` is a PyTorch device string such as "cpu" or "cuda:0"; ``seed`` an int; ``send`` takes one
    JSON-able dict (a frame to the zygote); ``clock`` returns seconds. Everything that a workload reports
    is collected in ``checks`` (dicts with the fields of one numeric comparison), ``metrics``, ``observed``
    (what really ran) and ``remarks`` (each makes a pass a `warn`).
    """

    def __init__(
        self,
        device: str,
        seed: int,
        send: Callable[[Dict[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.device = device
        self.seed = seed
        self.checks: List[Dict[str, Any]] = []
        self.metrics: Dict[str, Any] = {}
        self.observed: Dict[str, Any] = {}
        self.remarks: List[str] = []
        self._send = send
        self._clock = clock
        self._last = ("setup", clock())

    def phase(self, name: str) -> None:
        """Heartbeat: say that the phase ``name`` begins now; the silence budget starts anew."""
        self._last = (name, self._clock())
        self._send({"t": "phase", "name": name, "at": self._last[1]})

    def beat(self) -> None:
        """Heartbeat inside a long phase, for loops: sent at most once a second, so it may be called often."""
        if self._clock() - self._last[1] >= _BEAT_S:
            self.phase(self._last[0])

    def compare(self, name: str, actual: Any, reference: Any, bound: Any, **hints: Any) -> Dict[str, Any]:
        """Hold tensor ``actual`` (any device and dtype) against ``reference`` (same shape).

        ``bound`` is the largest error an honest computation may show: a number, or a tensor of the same
        shape (componentwise). ``hints`` are those of `numerics.compare` (dtype, guard, groups, halo ...).
        Returns the check, which is also kept; a difference does not raise.
        """
        from rmcp_torch.workloads import numerics

        check = numerics.compare(name, actual, reference, bound, **hints)
        self.checks.append(check)
        return check

    def metric(self, name: str, value: Any) -> None:
        """Keep a JSON-able measurement; times are in seconds and end in ``_s``, sizes in bytes in ``_bytes``."""
        self.metrics[name] = value

    def observe(self, name: str, value: Any) -> None:
        """Keep what really ran, for example the convolution backend that torch selected."""
        self.observed[name] = value

    def remark(self, text: str) -> None:
        """Say something that makes a pass a `warn`."""
        self.remarks.append(text)

    def synchronize(self) -> None:
        """Wait until the device has done all its work, so that its faults surface here. The CPU needs none."""
        kind = self.device.split(":", 1)[0]
        if kind == "cpu":
            return
        import torch

        module = getattr(torch, kind, None)
        if module is not None and hasattr(module, "synchronize"):
            module.synchronize()
