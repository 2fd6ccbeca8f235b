"""A comparison as Markdown and as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from rmcp.compare import CHANGES, Change, Comparison, Row, Speed, groups_of, times_of
from rmcp.report.comparison import changed_rows, group_text, mark_of, sentence_of, told_side, warning_of
from rmcp.report.markdown import SIZE_LIMIT, cell, code
from rmcp.report.plain import one_line
from rmcp.stats.medians import Interval

_GROUPS = 8  # groups of changes that are listed
_TIMES = 20  # rows in another time that are listed, the largest differences first
_SIGNS = {"ok": "✅", "bad": "❌", "open": "❔"}
# (rows listed, facts listed, message characters); tried until the text fits.
_STEPS = ((2000, 200, 160), (500, 100, 120), (100, 50, 80), (20, 20, 60), (0, 5, 40), (0, 0, 0))


def speed_text(speed: Speed | None) -> str:
    """`1.02x (0.99 to 1.05)`; above 1 is slower than the baseline."""
    if speed is None:
        return ""
    word = "" if not speed.differs else " slower" if speed.ratio > 1 else " faster"
    return f"{speed.ratio:.2f}x{word} ({speed.low:.2f} to {speed.high:.2f})"


def time_text(time: Interval | None) -> str:
    """`3.01x slower (2.90 to 3.10)`; empty for None."""
    if time is None:
        return ""
    return f"{time.ratio:.2f}x {'slower' if time.ratio > 1 else 'faster'} ({time.low:.2f} to {time.high:.2f})"


def _other_times(comparison: Comparison, most: int) -> tuple[list[tuple[Row, tuple[Interval | None, ...]]], int]:
    """The ``most`` rows whose time changed most with their intervals, and how many rows there are in all."""
    rows = [row for row in comparison.rows if Change.PERF in row.changes]

    def distance(row: Row) -> float:
        base = row.cells[comparison.baseline]
        old = base.seconds if base else 0.0
        ratios = [cell.seconds / old for cell in row.cells if cell and old > 0 and cell.seconds > 0]
        return max((abs(math.log(ratio)) for ratio in ratios), default=0.0)

    largest = sorted(rows, key=distance, reverse=True)[:most]
    return [(row, times_of(row, comparison.baseline)) for row in largest], len(rows)


def _largest(comparison: Comparison) -> list[str]:
    """Groups of two rows or more, as lines."""
    groups = [group for group in groups_of(comparison, told_side(comparison)) if group.count > 1]
    return [group_text(group) for group in groups[:_GROUPS]]


def _said(row: Row) -> str:
    """What the exact test said, or the message of the side where the row's change shows first."""
    doubt = next((doubt for doubt in row.doubts if doubt is not None), None)
    if doubt is not None:
        return doubt.text()
    for item, change in zip(row.cells, row.changes, strict=True):
        if change is row.change and item is not None and item.message:
            return item.message
    return next((item.message for item in row.cells if item is not None and item.message), "")


def _markdown(comparison: Comparison, step: tuple[int, int, int]) -> Iterator[str]:
    rows_limit, facts_limit, message = step
    names = [cell(side.name, 80) for side in comparison.sides]
    yield f"## {_SIGNS[mark_of(comparison)]} {cell(sentence_of(comparison), 1000)}"
    yield ""
    warning = warning_of(comparison)
    if warning:
        yield from (f"> ⚠️ {cell(warning, 600)}", "")
    shown = [change for change in CHANGES if any(change in counts for counts in comparison.by_side)]
    yield f"| | {' | '.join(names)} |"
    yield f"|---|{'---:|' * len(names)}"
    for change in shown:
        counts = (
            "baseline" if i == comparison.baseline else f"{counts.get(change, 0):,}"
            for i, counts in enumerate(comparison.by_side)
        )
        yield f"| {change} | {' | '.join(counts)} |"
    if any(comparison.speed):
        yield f"| time | {' | '.join(speed_text(speed) for speed in comparison.speed)} |"
    groups = _largest(comparison)
    if groups and rows_limit:
        yield from ("", "### What changed most", "")
        yield from (f"- {cell(text, 600)}" for text in groups)
    changed = changed_rows(comparison)
    if changed and rows_limit:
        yield from ("", f"### Changed rows: {len(changed):,}", "")
        yield f"| change | row | {' | '.join(names)} | message |"
        yield f"|---|---|{'---|' * len(names)}---|"
        for row in changed[:rows_limit]:
            outcomes = " | ".join("–" if item is None else str(item.outcome) for item in row.cells)
            yield f"| {row.change} | {code(row.label)} | {outcomes} | {cell(_said(row), message)} |"
        if len(changed) > rows_limit:
            yield from ("", f"and {len(changed) - rows_limit:,} more")
    slower, count = _other_times(comparison, min(rows_limit, _TIMES))
    if slower:
        yield from ("", f"### Rows in another time: {count:,}", "")
        yield "Ratio of the medians to the baseline with its 95 % bootstrap interval; never a regression by itself."
        yield from ("", f"| row | {' | '.join(names)} |", f"|---|{'---:|' * len(names)}")
        for row, times in slower:
            yield f"| {code(row.label)} | {' | '.join(time_text(time) for time in times)} |"
        if count > len(slower):
            yield from ("", f"and {count - len(slower):,} more")
    if comparison.drift and facts_limit:
        yield from ("", f"<details><summary>Facts that differ: {len(comparison.drift)}</summary>", "")
        yield from (f"| fact | {' | '.join(names)} |", f"|---|{'---|' * len(names)}")
        for drift in comparison.drift[:facts_limit]:
            values = " | ".join("–" if value is None else code(value, 120) for value in drift.values)
            yield f"| {cell(drift.name, 80)}{' (compared)' if drift.compared else ''} | {values} |"
        yield from ("", "</details>")


def comparison_markdown(comparison: Comparison, limit: int = SIZE_LIMIT) -> str:
    """The comparison as Markdown, at most ``limit`` bytes of UTF-8."""
    text = ""
    for step in _STEPS:
        text = "\n".join(_markdown(comparison, step)) + "\n"
        if len(text.encode("utf-8", "replace")) <= limit:
            return text
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def comparison_text(comparison: Comparison, limit: int = 50) -> str:
    """The comparison for a terminal; ``limit`` changed rows are listed."""
    names = [one_line(side.name, 30) for side in comparison.sides]
    out = [sentence_of(comparison)]
    warning = warning_of(comparison)
    if warning:
        out.append(warning)
    shown = [change for change in CHANGES if any(change in counts for counts in comparison.by_side)]
    head = ["", *(f"{name} (base)" if i == comparison.baseline else name for i, name in enumerate(names))]
    counts = [
        [
            str(change),
            *("-" if i == comparison.baseline else f"{by.get(change, 0):,}" for i, by in enumerate(comparison.by_side)),
        ]
        for change in shown
    ]
    times = [["time", *("-" if speed is None else speed_text(speed) for speed in comparison.speed)]]
    out += ["", *_columns([head, *counts, *(times if any(comparison.speed) else [])])]
    groups = _largest(comparison)
    if groups:
        out += ["", "what changed most:", *_indented(groups)]
    changed = changed_rows(comparison)
    if changed:
        rows = [
            [
                str(row.change),
                *("-" if item is None else str(item.outcome) for item in row.cells),
                one_line(row.label, 160),
            ]
            for row in changed[:limit]
        ]
        out += [
            "",
            f"changed rows: {len(changed):,}",
            *_indented(_columns([["change", *names, "row"], *rows])),
        ]
        if len(changed) > limit:
            out.append(f"  and {len(changed) - limit:,} more")
    doubts = [row for row in changed if any(row.doubts)][:limit]
    if doubts:
        rows = [[str(row.change), _said(row), one_line(row.label, 160)] for row in doubts]
        out += ["", "decided by the exact test of their attempts (5 % in all, Holm's correction):"]
        out += _indented(_columns(rows))
    slower, count = _other_times(comparison, min(limit, _TIMES))
    if slower:
        rows = [[*(time_text(time) or "-" for time in times), one_line(row.label, 160)] for row, times in slower]
        out += ["", f"rows in another time, never a regression by itself: {count:,}"]
        out += _indented(_columns([[*names, "row"], *rows]))
    facts = [drift for drift in comparison.drift if not drift.compared]
    if facts:
        rows = [
            [one_line(d.name, 40), *("-" if v is None else one_line(v, 40) for v in d.values)] for d in facts[:limit]
        ]
        out += [
            "",
            "facts that differ besides what is compared:",
            *_indented(_columns([["fact", *names], *rows])),
        ]
    return "\n".join(out) + "\n"


def counted(comparison: Comparison, wanted: Iterable[Change]) -> int:
    """Rows that show one of ``wanted`` on some side, against the baseline."""
    sought = set(wanted)
    return sum(not sought.isdisjoint(row.changes) for row in comparison.rows)
