"""ProbeRunner: runs made-up cases through the same isolation, as a run of their own; for diagnose and its commands."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rmcp.matrix.document import MATRIX_FORMAT, Matrix, Patch
from rmcp.matrix.load import load_recorded
from rmcp.matrix.model import Case
from rmcp.runs.codec import runtime_to_dict
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.runs.reader import REPORTS
from rmcp.runs.writer import RunDirectory, create_run
from rmcp.session.active import ActiveRun, manifest
from rmcp.session.options import RunOptions
from rmcp.session.prepare import Prepared


class ProbeRunner:
    """Context manager. ``run(cases)`` runs each case once and returns one CaseRecord per case, in order.

    ``run`` is the run whose matrix the probes come from, None for cases that come from elsewhere. Zygotes stay
    warm between calls; the run directory is made with the first case, and its plan grows with every new one.
    """

    def __init__(self, run: Run | None = None, *, reports: Path = REPORTS, level: str = "fork") -> None:
        self._options = RunOptions(out=reports, isolation=level)
        self._prepared = Prepared(_matrix_of(run), ())
        self._active: ActiveRun | None = None
        self._planned: set[str] = set()
        self._attempts: dict[str, tuple[AttemptRecord, ...]] = {}

    def __enter__(self) -> ProbeRunner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def directory(self) -> RunDirectory | None:
        """The run directory of the probes, once there is one."""
        return self._active.run if self._active is not None else None

    def run(self, cases: Sequence[Case], /) -> list[CaseRecord]:
        """Run every case once more; each record ends with the attempt of this call."""
        fresh = [case for case in {case.key: case for case in cases}.values() if case.key not in self._planned]
        if self._active is None:
            made = create_run(self._options.out, fresh, {**manifest(self._prepared, self._options), "grows": True})
            self._active = ActiveRun(self._prepared, made, self._options, "probe")
        elif fresh:
            self._active.run.extend_plan(fresh)
        self._planned.update(case.key for case in fresh)
        return [self._one(self._active, case, cases[index + 1 :]) for index, case in enumerate(cases)]

    def _one(self, active: ActiveRun, case: Case, upcoming: Sequence[Case]) -> CaseRecord:
        result = active.case(case, upcoming)
        if result.record is not None:
            self._attempts[case.key] = (*self._attempts.get(case.key, ()), result.record)
        return CaseRecord(
            id=case.id,
            key=case.key,
            row=case.row,
            workload=case.workload,
            axes=case.axes,
            args=case.args,
            env=case.env,
            runtime=runtime_to_dict(case.runtime),
            device=case.device,
            seed=case.seed,
            outcome=result.outcome,
            cause=result.cause,
            signal=result.signal,
            signature=result.signature,
            verdict=result.verdict,
            stability=result.stability,
            reason=result.reason if result.record is None else "",
            attempts=self._attempts.get(case.key, ()),
        )

    def close(self) -> None:
        """Let the zygotes go and close the journal."""
        if self._active is not None:
            self._active.close()
            self._active = None


def _matrix_of(run: Run | None) -> Matrix:
    """The matrix that the run recorded, or an empty one, which expects every case to pass."""
    recorded: Mapping[str, Any] = (run.manifest.get("matrix") if run is not None else None) or {}
    if run is not None and "text" in recorded:
        return load_recorded(recorded, str(run.path / "matrix.yaml"), beside=True)
    text = f"rmcp: {MATRIX_FORMAT}\nname: probes\n"
    here = Path.cwd()
    return Matrix("probes", here / "probes.yaml", here, text, hashlib.sha256(text.encode()).hexdigest(), Patch(), ())
