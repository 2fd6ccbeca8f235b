"""The expectations of one matrix, held against what its cases really did."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from rmcp.expect.verdict import VerdictResult, judge
from rmcp.matrix.document import Matrix
from rmcp.matrix.model import Case
from rmcp.runs.model import AttemptRecord


class Expectations:
    """Thin state around the pure rules of :mod:`rmcp.expect`."""

    def __init__(self, matrix: Matrix, today: datetime.date) -> None:
        self._rules = matrix.expect
        self._today = today

    def hold(self, case: Case, facts: Mapping[str, Any], record: AttemptRecord) -> VerdictResult:
        """The verdict on one attempt of ``case``."""
        return judge(
            self._rules, facts, record.outcome, record.cause, self._today,
            signal=record.signal, signature=record.signature,
        )  # fmt: skip
