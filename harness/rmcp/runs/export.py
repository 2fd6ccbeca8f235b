"""One plain record per case, for other programs: the form that `rmcp export --format jsonl` prints."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import Word, class_of

_EXACT = 2**53  # integers beyond lose digits in every reader that holds numbers as doubles


def records(run: Run) -> Iterator[dict[str, Any]]:
    """The cases in plan order as dicts that strict JSON can hold.

    ``axes`` maps every axis to the name of its value, defaults included; ``signal`` is a name such as
    "SIGSEGV" or None; ``cause`` one of the cause words; ``attempts`` holds every attempt, none is left out.
    """
    for case in run.cases:
        yield record(case)


def lines(run: Run) -> Iterator[str]:
    """``records`` as JSON Lines, without newlines."""
    for one in records(run):
        yield json.dumps(one, separators=(",", ":"), allow_nan=False)


def record(case: CaseRecord) -> dict[str, Any]:
    """One case; see ``records``."""
    last = case.last
    out: dict[str, Any] = {
        "id": case.id,
        "key": case.key,
        "row": case.row,
        "axes": dict(case.axes),
        "outcome": case.outcome,
        "class": class_of(case.outcome, case.signal),
        "cause": case.cause,
        "signal": case.signal,
        "signature": case.signature,
        "verdict": case.verdict,
        "stability": case.stability,
        "reason": case.reason,
        "message": last.message if last else "",
        "duration_s": case.duration_s,
        "metrics": case.metrics,
        "checks": last.checks if last else (),
        "workload": case.workload,
        "args": case.args,
        "env": case.env,
        "runtime": case.runtime,
        "device": case.device,
        "seed": case.seed,
        "deciding": (case.deciding % len(case.attempts)) if case.attempts else None,
        "attempts": [_attempt(attempt) for attempt in case.attempts],
    }
    plain: dict[str, Any] = strict(out)
    return plain


def _attempt(attempt: AttemptRecord) -> dict[str, Any]:
    return {field.name: getattr(attempt, field.name) for field in dataclasses.fields(attempt)}


def strict(value: Any) -> Any:
    """``value`` as strict JSON: NaN and infinities as text, giant integers as text, lone surrogates
    escaped."""
    if isinstance(value, Word):
        return value.value
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, int):
        return value if abs(value) <= _EXACT else str(value)
    if isinstance(value, Mapping):
        return {strict(str(key)): strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [strict(item) for item in value]
    return str(value)
