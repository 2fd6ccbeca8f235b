"""Parquet (extra `parquet`): the CSV's columns with types, for data frames."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from rmcp.errors import UserError
from rmcp.report.plain import number, one_line, plain
from rmcp.runs.model import Run


def columns(run: Run) -> dict[str, list[Any]]:
    """Column name -> one value per case; numbers stay numbers, metrics are JSON."""
    axes = list(dict.fromkeys(axis for case in run.cases for axis in case.axes))
    names = (
        "id",
        "key",
        "row",
        "workload",
        "outcome",
        "cause",
        "signal",
        "verdict",
        "stability",
        "signature",
    )
    found: dict[str, list[Any]] = {
        name: [one_line(value, 2_000) if (value := getattr(case, name)) is not None else None for case in run.cases]
        for name in names
    }
    for axis in axes:
        found[f"axis.{axis}"] = [case.axes.get(axis) for case in run.cases]
    found["message"] = [one_line(case.last.message if case.last else "", 2_000) for case in run.cases]
    found["reason"] = [one_line(case.reason, 2_000) for case in run.cases]
    found["attempts"] = [len(case.attempts) for case in run.cases]
    found["duration_s"] = [number(case.duration_s) if case.last else None for case in run.cases]
    found["maxrss_kb"] = [number(case.last.maxrss_kb) if case.last else None for case in run.cases]
    found["metrics"] = [json.dumps(plain(case.metrics)) for case in run.cases]
    return found


def render_parquet(run: Run) -> Iterator[bytes]:
    """The file's bytes. Raises UserError when pyarrow is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise UserError("Parquet needs pyarrow: pip install 'pytest-rmcp[parquet]'") from error
    table = pyarrow.table(columns(run)).replace_schema_metadata({"rmcp.run": run.id})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer, compression="zstd")
    yield buffer.getvalue()
