"""A comparison as a page, as JSON and in one sentence. Its page has the parts of the run page."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rmcp import __version__
from rmcp.compare import CHANGES, Change, Comparison, Group, Row, Side, groups_of, times_of
from rmcp.report.bundle import page, table, top
from rmcp.report.columns import index_blocks
from rmcp.report.comparison_index import comparison_columns, comparison_head
from rmcp.report.files import without_collection, write_atomically
from rmcp.report.plain import one_line
from rmcp.stats.medians import Interval
from rmcp.words import Outcome

_GROUPS = 100  # groups in page and JSON
_NAMED = 6  # change classes that the sentence names, the most important first; tables name all
_STATIC_ROWS = 100  # changed rows listed for readers without JavaScript
_NOUNS = {
    Change.REGRESSION: ("regression", "regressions"),
    Change.LATERAL: ("failing in another way", "failing in another way"),
    Change.FIX: ("fix", "fixes"),
    Change.SIGNATURE: ("with another signature", "with another signature"),
    Change.FLAKY: ("probably flaky", "probably flaky"),
    Change.NO_VERDICT: ("without a verdict", "without a verdict"),
    Change.PERF: ("in another time", "in another time"),
}
_COUNTED = (Change.REGRESSION, Change.FIX)  # changes that are nouns


def _named(count: int, change: Change) -> str:
    one, many = _NOUNS.get(change, (str(change), str(change)))
    return f"{count:,} {one if count == 1 else many}"


def changes_in_words(counts: Mapping[Change, int]) -> str:
    """`2 regressions, 1 fix, 95 unchanged`; what is beyond six classes as one number."""
    changed = [change for change in CHANGES if counts.get(change, 0) and change is not Change.UNCHANGED]
    named = changed if len(changed) <= _NAMED + 1 else changed[:_NAMED]
    parts = [_named(counts[change], change) for change in named]
    rest = sum(counts[change] for change in changed[len(named) :])
    if rest:
        parts.append(f"{rest:,} changed otherwise")
    if counts.get(Change.UNCHANGED, 0):
        parts.append(_named(counts[Change.UNCHANGED], Change.UNCHANGED))
    return ", ".join(parts) or "nothing in common"


def sentence_of(comparison: Comparison) -> str:
    """What changed, for a person who reads nothing else."""
    base = one_line(comparison.sides[comparison.baseline].name, 60)
    last = told_side(comparison)
    after = one_line(comparison.sides[last].name, 60)
    head = f"{after} against {base}: {changes_in_words(comparison.by_side[last])}."
    if len(comparison.sides) == 2:
        return head
    anywhere = [(comparison.count(change), change) for change in (Change.REGRESSION, Change.FIX)]
    said = ", ".join(f"{_named(count, change)}" for count, change in anywhere if count) or "no regression and no fix"
    return f"{head} Over all {len(comparison.sides)} sides: {said}."


def told_side(comparison: Comparison) -> int:
    """The side that the sentence and the groups speak of: the last that is not the baseline."""
    return max(i for i in range(len(comparison.sides)) if i != comparison.baseline)


def group_title(group: Group) -> str:
    """`45 regressions: pass → crash (aperture_violation)`."""
    cause = "" if group.cause in ("none", "") else f" ({group.cause})"
    word = _NOUNS.get(group.change, ("", ""))[group.count > 1] if group.change in _COUNTED else str(group.change)
    return f"{group.count:,} {word}: {group.before} → {group.after}{cause}"


def group_text(group: Group) -> str:
    """The title with the axis values that the rows share and how many others have them too."""
    if not group.shared:
        return group_title(group)
    shared = ", ".join(f"{one_line(axis, 60)} = {one_line(value, 80)}" for axis, value in group.shared.items())
    others = f"{group.outside:,} other row{'' if group.outside == 1 else 's'} with these did not"
    return f"{group_title(group)}, all with {shared}; {others if group.outside else 'no other row has these'}"


def groups_payload(comparison: Comparison) -> list[dict[str, Any]]:
    """The groups of the told side as JSON-able values."""
    return [
        {
            "title": group_title(group),
            "side": group.side,
            "change": str(group.change),
            "before": group.before,
            "after": group.after,
            "cause": group.cause,
            "message": one_line(group.message, 300),
            "count": group.count,
            "shared": {one_line(axis, 200): one_line(value, 500) for axis, value in group.shared.items()},
            "outside": group.outside,
        }
        for group in groups_of(comparison, told_side(comparison))[:_GROUPS]
    ]


def mark_of(comparison: Comparison) -> str:
    """`bad` when something regressed or got worse, `open` when nothing can be said of some row, else `ok`."""
    if comparison.count(Change.REGRESSION) or comparison.count(Change.WORSE):
        return "bad"
    silent = Change.NO_VERDICT, Change.LATERAL, Change.FLAKY
    return "open" if any(comparison.count(change) for change in silent) else "ok"


def warning_of(comparison: Comparison) -> str:
    """What else differs besides what is compared, empty when nothing does."""
    other = [drift for drift in comparison.drift if not drift.compared and drift.group != "rmcp"]
    if not other:
        return ""
    named = ", ".join(one_line(drift.name, 60) for drift in other[:5])
    more = f" and {len(other) - 5} more" if len(other) > 5 else ""
    return f"Other facts differ too ({named}{more}): a change may come from them."


def _started(side: Side) -> str:
    if not side.started:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(side.started, datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return ""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def sides_payload(comparison: Comparison) -> list[dict[str, Any]]:
    """The sides with their counts, also for JSON."""
    found = []
    for i, side in enumerate(comparison.sides):
        counted = Counter(cell.outcome for cell in side.cells.values())
        outcomes = {str(outcome): counted[outcome] for outcome in Outcome if counted[outcome]}
        speed = comparison.speed[i]
        found.append(
            {
                "name": one_line(side.name, 200),
                "run": one_line(side.run, 200),
                "title": one_line(side.title, 200),
                "matrix": one_line(side.matrix, 400),
                "started": _started(side),
                "baseline": i == comparison.baseline,
                "rows": len(side.cells),
                "passed": counted[Outcome.PASS] + counted[Outcome.WARN],
                "outcomes": outcomes,
                "changes": {str(change): n for change, n in comparison.by_side[i].items()},
                "steps": {str(change): n for change, n in comparison.by_step[i].items()},
                "speed": None
                if speed is None
                else {
                    "ratio": round(speed.ratio, 4),
                    "low": round(speed.low, 4),
                    "high": round(speed.high, 4),
                    "rows": speed.rows,
                },
                "about": {name: one_line(value) for (group, name), value in side.facts.items() if group == "runtime"},
            }
        )
    return found


def drift_payload(comparison: Comparison) -> list[dict[str, Any]]:
    """The drift table."""
    return [
        {
            "group": drift.group,
            "name": one_line(drift.name, 200),
            "values": [None if value is None else one_line(value) for value in drift.values],
            "compared": drift.compared,
        }
        for drift in comparison.drift
    ]


def comparison_index(comparison: Comparison) -> dict[str, Any]:
    """The page's index."""
    return {
        **comparison_head(comparison),
        "title": one_line(comparison.sides[comparison.baseline].title),
        "mark": mark_of(comparison),
        "sentence": one_line(sentence_of(comparison), 1000),
        "warning": warning_of(comparison),
        "sides": sides_payload(comparison),
        "groups": groups_payload(comparison),
        **comparison_columns(comparison),
        "drift": drift_payload(comparison),
    }


def _outcomes(row: Row) -> list[str]:
    return ["–" if cell is None else str(cell.outcome) for cell in row.cells]


def changed_rows(comparison: Comparison) -> list[Row]:
    """Rows with any change but none and time, most important first."""
    order = list(CHANGES)
    found = [row for row in comparison.rows if row.change not in (Change.UNCHANGED, Change.PERF)]
    return sorted(found, key=lambda row: order.index(row.change))


def _static(comparison: Comparison) -> str:
    names = [one_line(side.name, 80) for side in comparison.sides]
    counts = table(
        ("Change", *names),
        ((str(change), *(by.get(change, 0) for by in comparison.by_side)) for change in CHANGES),
    )
    changed = changed_rows(comparison)
    rows = table(
        ("Change", "Row", *names),
        ((str(row.change), one_line(row.label), *_outcomes(row)) for row in changed[:_STATIC_ROWS]),
    )
    drift = table(
        ("Fact", *names),
        ((one_line(d.name), *("" if v is None else one_line(v) for v in d.values)) for d in comparison.drift[:200]),
    )
    more = f"<p>and {len(changed) - _STATIC_ROWS:,} more</p>" if len(changed) > _STATIC_ROWS else ""
    return counts + rows + more + drift


def render_comparison(comparison: Comparison) -> Iterator[bytes]:
    """The comparison page in pieces."""
    sides = [one_line(side.name, 80) for side in comparison.sides]
    head = top(
        mark_of(comparison),
        one_line(sentence_of(comparison), 1000),
        (
            one_line(comparison.sides[comparison.baseline].title),
            f"{len(comparison.rows):,} rows",
            f"{len(sides)} sides by {one_line(comparison.by, 60)}: {', '.join(sides)}",
        ),
    )
    title = f"{' / '.join(sides)[:80]} – rmcp compare"
    return page(title, head, _static(comparison), index_blocks(comparison_index(comparison)))


def write_comparison(comparison: Comparison, path: Path) -> None:
    """Write the comparison page atomically."""
    with without_collection():
        write_atomically(path, render_comparison(comparison))


def comparison_json(comparison: Comparison, every: bool = False) -> str:
    """The comparison as JSON text: sides, counts, drift, and the rows that changed (``every``: all rows)."""
    rows = list(comparison.rows) if every else [row for row in comparison.rows if row.change is not Change.UNCHANGED]
    value = {
        "format": 1,
        "rmcp": __version__,
        "by": comparison.by,
        "baseline": comparison.sides[comparison.baseline].name,
        "sentence": sentence_of(comparison),
        "counts": {str(change): n for change, n in comparison.counts.items()},
        "sides": sides_payload(comparison),
        "groups": groups_payload(comparison),
        "drift": drift_payload(comparison),
        "rows": [_row_json(comparison, row) for row in rows],
    }
    return json.dumps(value, indent=1, allow_nan=False) + "\n"


def _evidence(row: Row, side: int, time: Interval | None) -> dict[str, Any]:
    """What decided the change, where that is more than two outcomes."""
    cell = row.cells[side]
    said: dict[str, Any] = {}
    if cell is not None and cell.rate is not None:
        said["attempts"] = {"failed": cell.rate.failed, "of": cell.rate.n}
    doubt = row.doubts[side] if row.doubts else None
    if doubt is not None:
        said["exact_test"] = {"p": doubt.p, "adjusted": doubt.adjusted, "says": doubt.change.value}
    if time is not None:
        said["time"] = {"ratio": round(time.ratio, 4), "low": round(time.low, 4), "high": round(time.high, 4)}
    return said


def _row_json(comparison: Comparison, row: Row) -> dict[str, Any]:
    cells: dict[str, Any] = {}
    times = times_of(row, comparison.baseline)
    for i, (side, cell) in enumerate(zip(comparison.sides, row.cells, strict=True)):
        change, step = row.changes[i], row.steps[i]
        cells[side.name] = (
            None
            if cell is None
            else {
                "case": cell.case,
                "outcome": str(cell.outcome),
                "cause": cell.cause,
                "signal": cell.signal,
                "signature": one_line(cell.signature, 1000),
                "message": one_line(cell.message, 1000),
                "stability": cell.stability,
                "seconds": cell.seconds,
                "change": None if change is None else str(change),
                "step": None if step is None else str(step),
                **_evidence(row, i, times[i]),
            }
        )
    axes = {axis: value for axis, value in zip(comparison.axes, row.values, strict=True) if value}
    return {"row": row.key, "label": row.label, "axes": axes, "change": str(row.change), "cells": cells}
