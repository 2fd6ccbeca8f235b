"""The full product of a run's matrix: the cells that `reduce`, a selection or a shard left out."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path

from rmcp.errors import UserError
from rmcp.matrix.document import DEFAULT_PROFILE, Matrix
from rmcp.matrix.model import Case
from rmcp.runs.model import Run

_MOST = 20_000  # cells; beyond it the run's own cells are all that is looked at


def product_of(run: Run) -> tuple[Sequence[Case], str]:
    """All cases of the run's matrix without `reduce`, and a remark when they cannot be had."""
    from rmcp.matrix.expand import expand
    from rmcp.matrix.load import load_recorded

    matrix = run.manifest.get("matrix")
    path = matrix.get("path") if isinstance(matrix, dict) else None
    if not isinstance(matrix, dict) or not isinstance(matrix.get("text"), str) or not matrix["text"]:
        return (), "the run does not hold its matrix: only its own cells were looked at"
    try:
        loaded = load_recorded(matrix, "matrix")
        if path and loaded.directory != Path(str(path)).parent:
            loaded = dataclasses.replace(loaded, directory=Path(str(path)).parent)
        whole = _whole(loaded, run.manifest.get("options"))
        cases = expand(whole, use_lock=False).cases[:_MOST]
        return [_at_home(case, {record.workload for record in run.cases}) for case in cases], ""
    except UserError as error:
        first = str(error).splitlines()[0]
        return (
            (),
            f"the full product could not be expanded ({first}): only the run's own cells were looked at",
        )


def _whole(matrix: Matrix, options: object) -> Matrix:
    """The matrix without what narrows it; what the run's profile sets in its cases stays."""
    name = options.get("profile") if isinstance(options, dict) else None
    profile = matrix.profiles.get(str(name or DEFAULT_PROFILE))
    more = profile.set if profile is not None else ()
    return dataclasses.replace(
        matrix, reduce=None, profiles={}, set=(*matrix.set, *more), limit=max(matrix.limit, _MOST)
    )


def _at_home(case: Case, workloads: Collection[str]) -> Case:
    """The case with the workload as the run found it: a relative path means another file in another directory."""
    if case.workload in workloads:
        return case
    name = case.workload.rpartition("/")[2]
    same = [workload for workload in workloads if workload.rpartition("/")[2] == name]
    return dataclasses.replace(case, workload=same[0]) if len(same) == 1 else case
