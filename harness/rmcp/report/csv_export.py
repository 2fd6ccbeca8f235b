"""CSV: one line per case, one column per axis; safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

from rmcp.report.plain import number, one_line
from rmcp.runs.model import Run

_FIELDS = ("id", "key", "row", "workload", "outcome", "cause", "signal", "verdict", "stability", "signature")
_LATE = ("message", "reason", "attempts", "duration_s", "maxrss_kb", "phase", "device_event", "metrics")


def safe(text: object) -> str:
    """One line that no spreadsheet takes for a formula (a leading = + - @ gets an apostrophe)."""
    shown = one_line(text, 2_000)
    return f"'{shown}" if shown[:1] in ("=", "+", "-", "@") else shown


def header(run: Run) -> list[str]:
    """Column names: fixed ones, then `axis.<name>`, then what belongs to the deciding attempt."""
    axes = dict.fromkeys(axis for case in run.cases for axis in case.axes)
    return [*_FIELDS, *(f"axis.{axis}" for axis in axes), *_LATE]


def rows(run: Run) -> Iterator[list[str]]:
    """One list per case, in the order of ``header``."""
    axes = list(dict.fromkeys(axis for case in run.cases for axis in case.axes))
    for case in run.cases:
        last = case.last
        yield [
            *(safe(getattr(case, name) or "") for name in _FIELDS),
            *(safe(case.axes.get(axis, "")) for axis in axes),
            safe(last.message if last else ""),
            safe(case.reason),
            str(len(case.attempts)),
            f"{number(case.duration_s):.3f}",
            f"{number(last.maxrss_kb):.0f}" if last else "",
            safe(last.phase if last else ""),
            safe(last.device if last else ""),
            safe(json.dumps(case.metrics, default=repr)) if case.metrics else "",
        ]


def render_csv(run: Run) -> Iterator[str]:
    """The file in pieces, RFC 4180 with line feeds."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header(run))
    for row in rows(run):
        writer.writerow(row)
        if buffer.tell() > 1 << 16:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
