"""CTRF JSON (Common Test Report Format), for the tools that read it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from rmcp import __version__
from rmcp.report.junit import kind_of, message_of
from rmcp.report.plain import number, one_line, plain
from rmcp.runs.model import CaseRecord, Run

_STATUS = {"": "passed", "failure": "failed", "error": "failed", "skipped": "skipped"}
_PENDING = frozenset(("blocked", "not-run"))
_OTHER = frozenset(("lost", "collateral", "harness-error"))


def status_of(case: CaseRecord) -> str:
    """passed, failed, skipped, pending (still has to run) or other (no verdict)."""
    if str(case.outcome) in _PENDING:
        return "pending"
    if str(case.outcome) in _OTHER:
        return "other"
    return _STATUS[kind_of(case)]


def _test(case: CaseRecord) -> dict[str, Any]:
    status = status_of(case)
    last = case.last
    test: dict[str, Any] = {
        "name": one_line(case.id, 2_000),
        "status": status,
        "duration": round(1000 * number(case.duration_s)),
        "suite": [one_line(case.workload), one_line(case.runtime.get("name", "this"))],
        "rawStatus": str(case.outcome),
        "type": "matrix",
        "flaky": case.stability.startswith("flaky"),
        "retries": max(0, len(case.attempts) - 1),
    }
    if last and number(last.wall_start) > 0:
        test["start"] = round(1000 * number(last.wall_start))
        test["stop"] = round(1000 * (number(last.wall_start) + number(last.duration_s)))
    if status != "passed":
        test["message"] = message_of(case)
    extra = {
        "axes": dict(case.axes),
        "cause": str(case.cause),
        "signal": case.signal,
        "signature": case.signature,
        "verdict": str(case.verdict),
        "key": case.key,
    }
    return {**test, "extra": plain(extra)}


def render_ctrf(run: Run) -> Iterator[str]:
    """The document in pieces."""
    tests = [_test(case) for case in run.cases]
    statuses = [test["status"] for test in tests]
    starts = [test["start"] for test in tests if "start" in test]
    stops = [test["stop"] for test in tests if "stop" in test]
    document = {
        "reportFormat": "CTRF",
        "specVersion": "0.0.0",
        "generatedBy": f"rmcp {__version__}",
        "results": {
            "tool": {"name": "rmcp", "version": __version__},
            "summary": {
                "tests": len(tests),
                **{name: statuses.count(name) for name in ("passed", "failed", "skipped", "pending", "other")},
                "flaky": sum(test["flaky"] for test in tests),
                "start": min(starts, default=0),
                "stop": max(stops, default=0),
            },
            "environment": {"extra": plain({"run": run.id, "facts": run.facts, "runtimes": run.runtimes})},
            "tests": tests,
        },
    }
    yield from json.JSONEncoder(allow_nan=False).iterencode(document)
    yield "\n"
