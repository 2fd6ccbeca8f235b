"""Hooks that users may implement in a conftest.py or a plugin of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from rmcp.matrix.model import Case
    from rmcp.runs.model import Run
    from rmcp.session.runner import CaseResult


def pytest_rmcp_modify_cases(config: pytest.Config, cases: list[Case]) -> None:
    """Reorder, drop or replace the planned cases in place, before the run is written."""


def pytest_rmcp_case_finished(config: pytest.Config, result: CaseResult) -> None:
    """Called in the process that ran the case, after its record is on disk."""


def pytest_rmcp_run_finished(config: pytest.Config, run: Run, reports: dict[str, Path]) -> None:
    """Called once, in the controlling process, after the reports are written."""


@pytest.hookspec(firstresult=True)
def pytest_rmcp_reset_command(config: pytest.Config, device: str) -> Sequence[str] | None:
    """Command that resets a device, if you want rmcp to use one. There is none by default: a reset kills the
    work of every process on the device."""


__all__: list[Any] = [
    "pytest_rmcp_case_finished",
    "pytest_rmcp_modify_cases",
    "pytest_rmcp_reset_command",
    "pytest_rmcp_run_finished",
]
