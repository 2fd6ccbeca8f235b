"""From an Attempt and its Judgement to the AttemptRecord that is journalled. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from rmcp.attempt import Attempt, Check
from rmcp.outcome.judgement import Judgement
from rmcp.runs.model import AttemptRecord

_CHECK_FIELDS = tuple(field.name for field in fields(Check))
_TIME_DIGITS = 4  # a tenth of a millisecond: below the noise of any machine


def record_from(attempt: Attempt, judgement: Judgement, directory: str | None) -> AttemptRecord:
    """The record of one attempt; its bulky evidence lies in ``directory`` (relative to the run) or nowhere."""
    return AttemptRecord(
        number=attempt.number,
        outcome=judgement.outcome,
        cause=judgement.cause,
        signal=attempt.signal,
        exit_code=attempt.exit_code,
        signature=judgement.signature,
        titles=judgement.titles,
        rule=judgement.rule,
        device=judgement.device,
        source=judgement.source,
        message=judgement.message,
        notes=judgement.notes,
        fields=judgement.fields,
        phase=attempt.phase,
        phases=tuple((phase.name, round(phase.at, _TIME_DIGITS)) for phase in attempt.phases),
        checks=tuple(_check(check) for check in attempt.checks),
        metrics=attempt.metrics,
        observed=attempt.observed,
        duration_s=round(attempt.duration_s, _TIME_DIGITS),
        maxrss_kb=attempt.maxrss_kb,
        wall_start=round(attempt.wall_start, _TIME_DIGITS),
        directory=directory,
        level=attempt.level,
        predecessors=attempt.predecessors,
    )


def _check(check: Check) -> Mapping[str, Any]:
    # Not asdict, which copies every value deeply and cost more than journalling the record.
    return {name: value for name in _CHECK_FIELDS if (value := getattr(check, name)) not in (None, "", ())}
