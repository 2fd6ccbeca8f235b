"""Runs -> sides: one column per run, or one per value of an axis."""

from __future__ import annotations

import hashlib
import sys
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rmcp.compare.drift import facts_of
from rmcp.compare.model import Cell, Side
from rmcp.errors import UserError
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.stats.rates import Rate
from rmcp.words import Outcome, OutcomeClass, class_of

_MOST_SAMPLES = 64  # per row and side; what workloads record at most
_KEY = 20  # hex digits of a row's key that are kept: 80 bits, in a third of the memory
_GOOD = (Outcome.PASS, Outcome.WARN)


def matrix_facts(run: Run) -> Mapping[str, Any]:
    """What the manifest says of the matrix: name, path, digest, axis_types ...; empty when nothing."""
    found = run.manifest.get("matrix")
    return found if isinstance(found, Mapping) else {}


def cell_of(case: CaseRecord) -> Cell:
    """What a comparison needs of a case; texts are interned because most of them are equal."""
    # Words are strings, and the deciding attempt is asked for once: this runs for every case of every run.
    last = case.last
    if last is None:
        return Cell(case.outcome, case.cause, case.signal, case.signature, message=case.reason, case=case.id)
    return Cell(
        case.outcome,
        case.cause,
        case.signal,
        sys.intern(case.signature),
        last.rule,
        last.device,
        sys.intern(case.stability),
        sys.intern(last.message or case.reason),
        _seconds(last.metrics.get("median_s"), last.duration_s),
        _samples(case) if len(case.attempts) > 1 or "samples_s" in last.metrics else (),
        case.id,
        rate_of(case) if len(case.attempts) > 1 else None,
    )


def rate_of(case: CaseRecord) -> Rate | None:
    """Failing attempts of a case out of those with a verdict; None when fewer than two have one."""
    classes = [class_of(attempt.outcome, attempt.signal) for attempt in case.attempts]
    told = [klass for klass in classes if klass not in (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)]
    return Rate(sum(klass is not OutcomeClass.PASSED for klass in told), len(told)) if len(told) > 1 else None


def _seconds(*values: Any) -> float:
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9:
            return float(value)
    return 0.0


def _samples(case: CaseRecord) -> Sequence[float]:
    """Repeated times: the workload's own list (`samples_s`, one per iteration), else one per attempt that passed.
    Single precision: a comparison may hold millions of them."""
    listed = case.metrics.get("samples_s")
    if isinstance(listed, (list, tuple)):
        times = [_seconds(value) for value in listed[:_MOST_SAMPLES]]
    else:
        times = [_attempt_seconds(attempt) for attempt in case.attempts if attempt.outcome in _GOOD]
        times = times if len(case.attempts) > 1 else []
    return array("f", filter(None, times)) if times else ()


def _attempt_seconds(attempt: AttemptRecord) -> float:
    return _seconds(attempt.metrics.get("median_s"))


def side_of_run(run: Run, name: str, identity: str = "key") -> Side:
    """The whole run as one side; rows are matched by `key` or by `row` (the key without compare axes)."""
    shown = [axis for axis in _axes(run) if identity == "key" or axis not in run.compare_axes]
    only = run.cases[0].axes if run.cases and identity == "row" else {}
    part = [(axis, only[axis]) for axis in run.compare_axes if axis in only]
    return _side(run, run.cases, name, shown, lambda case: case.key if identity == "key" else case.row, part)


def sides_by(run: Run, axis: str, prefix: str = "") -> list[Side]:
    """One side per value of ``axis`` inside the run, in matrix order. Raises UserError for no such axis."""
    axes = _axes(run)
    if axis not in axes:
        raise UserError(f"run {run.id} has no axis {axis!r}; it has {', '.join(axes) or 'none'}. Name one with --by")
    groups: dict[str, list[CaseRecord]] = {}
    for case in run.cases:
        groups.setdefault(case.axes.get(axis, ""), []).append(case)
    only = run.compare_axes == (axis,)
    shown = [name for name in axes if name != axis]

    def identity(case: CaseRecord) -> str:
        return case.row if only else _identity(case, axis)

    return [_side(run, cases, prefix + value, shown, identity, [(axis, value)]) for value, cases in groups.items()]


def _axes(run: Run) -> list[str]:
    return list(dict.fromkeys(axis for case in run.cases for axis in case.axes))


def _identity(case: CaseRecord, without: str) -> str:
    words = [f"{a}={v}" for a, v in sorted(case.axes.items()) if a != without]
    return hashlib.sha256("\n".join([case.workload, *words]).encode("utf-8", "replace")).hexdigest()


def _side(
    run: Run,
    cases: Iterable[CaseRecord],
    name: str,
    axes: Sequence[str],
    identity: Any,
    part: Sequence[tuple[str, str]],
) -> Side:
    cells: dict[str, Cell] = {}
    rows: dict[str, tuple[str, ...]] = {}
    runtimes: dict[Any, None] = {}
    for case in cases:
        key = identity(case)[:_KEY]
        cells[key] = cell_of(case)
        value_of = case.axes.get
        rows[key] = tuple([value_of(axis, "") for axis in axes])
        runtimes[case.runtime.get("name", "this")] = None
    created = run.manifest.get("created")
    matrix = matrix_facts(run)
    return Side(
        name=name,
        run=run.id,
        title=str(matrix.get("name") or run.id),
        axes=tuple(axes),
        cells=cells,
        rows=rows,
        facts=facts_of(run, tuple(map(str, runtimes)), part),
        started=float(created) if isinstance(created, (int, float)) else 0.0,
        matrix=str(matrix.get("path") or "MATRIX"),
    )


def identity_of(runs: Sequence[Run]) -> str:
    """`row` when every run has one combination of compare values (then those are the runs' names for the same
    thing), else `key`."""
    for run in runs:
        first: Mapping[str, str] | None = None
        for case in run.cases:
            values = {axis: case.axes.get(axis, "") for axis in run.compare_axes}
            if first is None:
                first = values
            elif values != first:
                return "key"
    return "row"


def sides_of(runs: Sequence[Run], by: str | None = None) -> list[Side]:
    """Sides of one or several runs.

    Several runs without ``by``: one side a run. With ``by``, or with a single run (by its first compare axis
    that has several values): one side per value. Raises UserError when there is nothing to compare.
    """
    if not runs:
        raise UserError("name at least one run to compare")
    if by is None and len(runs) == 1:
        by = _first_varied(runs[0])
    if by is None:
        identity = identity_of(runs)
        return [side_of_run(run, name, identity) for run, name in zip(runs, _names(runs), strict=True)]
    if len(runs) == 1:
        return sides_by(runs[0], by)
    names = _names(runs)
    return [side for run, name in zip(runs, names, strict=True) for side in sides_by(run, by, f"{name}:")]


def _first_varied(run: Run) -> str:
    for axis in run.compare_axes:
        if len({case.axes.get(axis) for case in run.cases}) > 1:
            return axis
    raise UserError(
        f"run {run.id} has one value of {', '.join(run.compare_axes) or 'every compare axis'}:"
        " nothing to compare. Name a second run, or an axis with --by"
    )


def name_of(run: Run) -> str:
    """The run's only combination of compare values, `6.2`; empty when it has several or none."""
    values = {tuple(case.axes.get(axis, "") for axis in run.compare_axes) for case in run.cases}
    return "/".join(next(iter(values))) if len(values) == 1 and run.compare_axes else ""


def _names(runs: Sequence[Run]) -> list[str]:
    """Short names: the compare value when each run has one of its own, else the run's id."""
    found = [name_of(run) for run in runs]
    return found if all(found) and len(set(found)) == len(found) else unique([run.id for run in runs])


def unique(names: Sequence[str]) -> list[str]:
    """The names, numbered where one occurs twice (the same run named two times)."""
    return [f"{name} #{i}" if names.count(name) > 1 else name for i, name in enumerate(names, 1)]
