"""`rmcp runs`: the runs on disk with their counts, newest first."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmcp.runs.model import Run
from rmcp.words import OUTCOMES, Outcome, OutcomeClass, Verdict, class_of

_COLUMNS = (
    ("RUN", "run"),
    ("AGE", "age"),
    ("MATRIX", "matrix"),
    ("DEVICE", "device"),
    ("STATE", "state"),
    ("CASES", "cases"),
    ("PASSED", "passed"),
    ("WRONG", "wrong"),
    ("FAILED", "failed"),
    ("DIED", "died"),
    ("OTHER", "other"),
    ("TODO", "outstanding"),
    ("UNEXPECTED", "unexpected"),
)
_RIGHT = frozenset(
    {"age", "cases", "passed", "wrong", "failed", "died", "other", "outstanding", "unexpected"}
)
_CLASS_COLUMN = {
    OutcomeClass.PASSED: "passed",
    OutcomeClass.FAILED_SILENTLY: "wrong",
    OutcomeClass.FAILED: "failed",
    OutcomeClass.DIED: "died",
    OutcomeClass.NO_VERDICT: "other",
    OutcomeClass.NOT_RUN: "other",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp runs`."""
    parser.add_argument(
        "reports", nargs="?", type=Path, default=Path("reports"), metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "-n",
        "--last",
        type=int,
        default=20,
        metavar="N",
        help="only the newest N, 0: all (default: %(default)s)",
    )
    parser.add_argument("--format", choices=("table", "json"), default="table", help="default: %(default)s")


def run(args: argparse.Namespace) -> int:
    """Print the list; no runs is an answer, not an error."""
    from rmcp.runs.reader import list_runs, run_directories

    everything = run_directories(args.reports)
    shown = everything if args.last <= 0 else everything[-args.last :]
    rows = [summary(found, time.time()) for found in reversed(list_runs(args.reports, shown))]
    if args.format == "json":
        json.dump(rows, sys.stdout, indent=1)
        print()
        return 0
    if not rows:
        print(f"no runs in {args.reports}/; `pytest --rmcp-matrix` makes one")
        return 0
    print(table(rows, shutil.get_terminal_size((160, 24)).columns if sys.stdout.isatty() else 0))
    if len(everything) > len(shown):
        print(f"({len(everything) - len(shown)} older ones: rmcp runs --last 0)")
    for row in rows:
        for problem in row["problems"]:
            print(f"{row['run']}: {problem}", file=sys.stderr)
    return 0


def summary(found: Run, now: float) -> dict[str, Any]:
    """One run as a row: what it is, its state, counts per class and what is still to do."""
    counts = Counter(_CLASS_COLUMN[class_of(case.outcome, case.signal)] for case in found.cases)
    todo = sum(OUTCOMES[case.outcome].outstanding for case in found.cases)
    created = found.manifest.get("created")
    age = now - created if isinstance(created, (int, float)) else None
    row: dict[str, Any] = {
        "run": found.id,
        "path": str(found.path),
        "created": created,
        "age": age_text(age),
        "matrix": str(_matrix(found).get("name", "")),
        "device": _devices(found),
        "state": state(found, todo),
        "cases": len(found.cases),
        **{name: counts.get(name, 0) for name in ("passed", "wrong", "failed", "died", "other")},
        "outstanding": todo,
        "unexpected": sum(case.verdict is Verdict.UNEXPECTED for case in found.cases),
        "outcomes": dict(Counter(case.outcome.value for case in found.cases)),
        "problems": [f"{problem.where}: {problem.what}" for problem in found.problems],
    }
    return row


def state(found: Run, todo: int) -> str:
    """`running`, `complete`, `outstanding` (ended in order, something is to do), `died`, or `unreadable`."""
    if not found.manifest:
        return "unreadable"
    if found.live:
        return "running"
    if not found.finished and any(case.outcome is not Outcome.NOT_RUN for case in found.cases):
        return "died" if todo else "complete"
    return "outstanding" if todo else "complete"


def age_text(seconds: float | None) -> str:
    """Age in its largest unit: 40 s, 12 min, 5 h, 3 d."""
    if seconds is None:
        return ""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{max(0, int(seconds))} s"


def table(rows: Sequence[dict[str, Any]], width: int = 0) -> str:
    """The rows as aligned text; columns that say nothing in any row are left out. ``width`` 0: no limit."""
    columns = [
        (head, name) for head, name in _COLUMNS if name in ("run", "cases") or any(row[name] for row in rows)
    ]
    widths = [max(len(head), *(len(str(row[name])) for row in rows)) for head, name in columns]
    lines = ["  ".join(_cell(head, name, w) for (head, name), w in zip(columns, widths, strict=True))]
    for row in rows:
        cells = (_cell(str(row[name]), name, w) for (_, name), w in zip(columns, widths, strict=True))
        lines.append("  ".join(cells))
    return os.linesep.join(line[:width].rstrip() if width else line.rstrip() for line in lines)


def _cell(text: str, name: str, width: int) -> str:
    return text.rjust(width) if name in _RIGHT else text.ljust(width)


def _matrix(found: Run) -> dict[str, Any]:
    matrix = found.manifest.get("matrix")
    return matrix if isinstance(matrix, dict) else {}


def _devices(found: Run) -> str:
    """The distinct devices that the runtimes reported, with their torch versions."""
    seen: dict[str, None] = {}
    for facts in found.runtimes.values():
        device = facts.get("device_name") or facts.get("device") or ""
        seen[" ".join(str(part) for part in (device, facts.get("torch")) if part)] = None
    text = ", ".join(name for name in seen if name)
    return text if len(text) <= 48 else text[:47] + "…"
