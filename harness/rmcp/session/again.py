"""Whether a case is run once more, and at which level. Pure; every attempt keeps its truth."""

from __future__ import annotations

from collections.abc import Sequence

from rmcp.runs.model import AttemptRecord
from rmcp.words import Outcome, OutcomeClass, class_of

_NO_VERDICT_TRIES = 2  # a collateral death or a zygote that died gets one more chance by itself


def next_level(done: Sequence[AttemptRecord], level: str, repeat: int, retries: int) -> str | None:
    """The isolation level of the next attempt of this session, or None when the case has had enough.

    A case that failed in a batch with predecessors is always confirmed alone; retries run alone as well.
    """
    if not done:
        return level
    last = done[-1]
    klass = class_of(last.outcome, last.signal)
    if last.outcome is Outcome.NOT_RUN:
        return None
    if klass is OutcomeClass.NO_VERDICT:
        same = sum(class_of(entry.outcome, entry.signal) is OutcomeClass.NO_VERDICT for entry in done)
        return "fork" if same < _NO_VERDICT_TRIES and level != "exec" else None
    judged = [entry for entry in done if class_of(entry.outcome, entry.signal) is not OutcomeClass.NO_VERDICT]
    failed = [entry for entry in judged if class_of(entry.outcome, entry.signal) is not OutcomeClass.PASSED]
    alone = "fork" if level == "batch" else level
    if klass is not OutcomeClass.PASSED and last.predecessors:
        return alone
    if len(judged) < repeat:
        return level
    if klass is not OutcomeClass.PASSED and len(failed) <= retries:
        return alone
    return None
