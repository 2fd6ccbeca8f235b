"""An open run: run directory, journal, lane, gate and case runner put together; used by pytest and by the probes."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rmcp import __version__
from rmcp.device.facts import HostFacts, host_facts
from rmcp.device.health import Policy
from rmcp.device.kernel_log import KernelLog
from rmcp.isolation.lane import Lane, LaneOptions
from rmcp.matrix.model import Case
from rmcp.runs.writer import RunDirectory, create_run, open_run
from rmcp.session.facts import Facts
from rmcp.session.gate import Gate
from rmcp.session.options import RunOptions
from rmcp.session.pinning import Pinning
from rmcp.session.prepare import Prepared
from rmcp.session.runner import CaseResult, CaseRunner

_FACTS_S = 5.0  # reading /sys and /proc takes milliseconds; a wedged driver can make it endless


def create(prepared: Prepared, cases: Sequence[Case], options: RunOptions) -> RunDirectory:
    """The run directory: a new one with manifest and plan, or the one that is resumed."""
    if prepared.resumed is not None:
        return open_run(prepared.resumed.path)
    return create_run(options.out, cases, manifest(prepared, options))


def manifest(prepared: Prepared, options: RunOptions) -> dict[str, Any]:
    """What run.json says besides what the writer adds (id, boot, plan digest)."""
    matrix = prepared.matrix
    return {
        "rmcp": __version__,
        "python": platform.python_version(),
        "executable": sys.executable,
        "matrix": {
            "name": matrix.name,
            "doc": matrix.doc,
            "path": str(matrix.path.resolve()),
            "digest": matrix.digest,
            "text": matrix.text,
            "compare_axes": list(matrix.compare_axes),
            "axis_types": dict(matrix.axis_types),
            "runtimes": list(matrix.runtimes),
        },
        "compare_axes": list(matrix.compare_axes),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()},
        "facts": host_facts(deadline_s=_FACTS_S).as_dict(),
        "command": sys.argv,
    }


class ActiveRun:
    """Everything that is open while cases of one run are run by this process, as journal ``writer``."""

    def __init__(
        self,
        prepared: Prepared,
        run: RunDirectory,
        options: RunOptions,
        writer: str,
        *,
        tick: Callable[[], None] = lambda: None,
        reset_command: Sequence[str] = (),
        host: HostFacts | None = None,
    ) -> None:
        self.run = run
        self.journal = run.journal(writer)
        lane_options = LaneOptions(
            level=options.isolation,
            memory=options.memory,
            miopen_root=run.path / "miopen" if os.path.exists("/dev/kfd") else None,
            mounts=(prepared.matrix.directory,),
        )
        self.lane = Lane(lane_options, on_runtime=self._runtime, tick=tick)
        known = host or host_facts(deadline_s=_FACTS_S)
        self.facts = Facts(known, self.lane.facts_of)
        pinning = Pinning(known, self.facts, os.environ)
        self.gate = Gate(
            run.id,
            Policy(reset_command=tuple(reset_command)),
            lambda case: self.lane.attempt(pinning.place(case).case, 1, level="fork"),
            self.journal.event,
            KernelLog.open(),
        )
        self.runner = CaseRunner(
            prepared.matrix, run, self.journal, self.lane, self.gate, self.facts, pinning, options, prepared.attempts
        )
        self._told: dict[str, Mapping[str, Any]] = {}

    def _runtime(self, name: str, facts: dict[str, Any]) -> None:
        """Journal a runtime's facts once: every zygote of it reports the same but its own timing."""
        stable = {key: value for key, value in facts.items() if key != "import_s"}
        if self._told.get(name) != stable:
            self._told[name] = stable
            self.journal.event("runtime", name=name, facts=facts)

    def case(self, case: Case, upcoming: Sequence[Case] = ()) -> CaseResult:
        """Run one case."""
        return self.runner.run(case, upcoming)

    def abort(self) -> None:
        """Kill everything below this run, now."""
        self.lane.abort()

    def close(self, finished: bool = True) -> None:
        """Let the zygotes go and close the journal; ``finished``: this writer has the last word."""
        self.lane.close()
        if finished:
            self.journal.finish()
        self.journal.close()
