"""The expectations of one matrix, held against what its cases really did; remembers which rules matched."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from rmcp.expect.verdict import VerdictResult, judge, unused
from rmcp.matrix.facts import MACHINE_FACTS
from rmcp.matrix.document import Expectation, Matrix
from rmcp.matrix.model import Case
from rmcp.runs.model import AttemptRecord


class Expectations:
    """Thin state around the pure rules of :mod:`rmcp.expect`."""

    def __init__(self, matrix: Matrix, today: datetime.date) -> None:
        self._rules = matrix.expect
        self._today = today
        self._matched: set[Expectation] = set()

    def hold(self, case: Case, facts: Mapping[str, Any], record: AttemptRecord) -> VerdictResult:
        """The verdict on one attempt of ``case``."""
        held = judge(
            self._rules, facts, record.outcome, record.cause, self._today,
            signal=record.signal, signature=record.signature,
        )  # fmt: skip
        if held.rule is not None:
            self._matched.add(held.rule)
        return held

    def unused(self) -> list[str]:
        """Rules that matched no case, with their position: a typing mistake, or a fixed bug whose case is gone.

        A rule about facts of a machine (gfx, rocm ...) says nothing here when this is not that machine.
        """
        return [
            f"{rule.position}: this expectation matched no case of the run"
            for rule in unused(self._rules, self._matched)
            if rule.where is None or not MACHINE_FACTS.keys() & set(rule.where.names)
        ]
