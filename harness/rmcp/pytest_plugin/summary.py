"""The final table: outcomes per axis value, the signatures that failed, and where the reports are. Pure text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmcp.words import OUTCOMES, Outcome, OutcomeClass, Verdict

_MAX_VALUES = 12  # values of an axis that are listed; the report has them all
_MAX_SIGNATURES = 12
_WIDTH = 200  # characters of a line of the summary
_UNEXPECTED = frozenset({Verdict.UNEXPECTED.value, Verdict.LATERAL.value, Verdict.NEW.value})


@dataclass(frozen=True, slots=True)
class Line:
    """One finished case, as the summary needs it."""

    id: str
    axes: Mapping[str, str]
    outcome: str
    verdict: str
    signature: str
    message: str


def outcome_counts(lines: Iterable[Line]) -> list[tuple[Outcome, int]]:
    """Counts in the order of the outcome table."""
    counts = Counter(line.outcome for line in lines)
    return [(outcome, counts[outcome.value]) for outcome in OUTCOMES if counts[outcome.value]]


def axis_table(lines: Sequence[Line]) -> list[str]:
    """One row per axis value that tells something: its counts per outcome. Axes with one value are left out."""
    columns = [outcome for outcome, _ in outcome_counts(lines)]
    if len(columns) < 2:
        return []
    axes: dict[str, dict[str, Counter[str]]] = {}
    for line in lines:
        for axis, value in line.axes.items():
            axes.setdefault(axis, {}).setdefault(value, Counter())[line.outcome] += 1
    rows = [["axis", "value", *[column.value for column in columns]]]
    for axis, values in axes.items():
        if len(values) < 2 or all(counts.total() == 1 for counts in values.values()):
            continue
        # The values with the most trouble first: that is what one looks for.
        ran = {value: counts for value, counts in values.items() if set(counts) != {Outcome.UNSUPPORTED.value}}
        ranked = sorted(ran.items(), key=lambda item: -_bad_share(item[1]))
        for value, counts in ranked[:_MAX_VALUES]:
            rows.append([axis, value, *[str(counts[column.value] or ".") for column in columns]])
        if len(ranked) > _MAX_VALUES:
            rows.append([axis, f"({len(ranked) - _MAX_VALUES} more)", *["" for _ in columns]])
        if ran and len(ran) < len(values):
            rows.append([axis, f"({len(values) - len(ran)} unsupported here)", *["" for _ in columns]])
    return _aligned(rows) if len(rows) > 1 else []


def _bad_share(counts: Counter[str]) -> float:
    good = sum(number for word, number in counts.items() if OUTCOMES[Outcome(word)].klass in _QUIET)
    return 1.0 - good / max(1, counts.total())


_QUIET = (OutcomeClass.PASSED, OutcomeClass.NOT_RUN)


def signature_lines(lines: Iterable[Line]) -> list[str]:
    """What failed unexpectedly, grouped by signature, most frequent first, with one case as example; behind it
    the warnings, and what got no verdict, grouped by its reason."""
    groups: dict[tuple[int, str], list[Line]] = {}
    for line in lines:
        if line.verdict in _UNEXPECTED:
            groups.setdefault((0, line.signature or line.outcome), []).append(line)
        elif line.outcome == Outcome.WARN.value and line.message:
            groups.setdefault((1, "warn: passed, but"), []).append(line)
        elif line.verdict == Verdict.NO_VERDICT.value:
            groups.setdefault((2, f"{line.outcome}: {line.message}"), []).append(line)
    ranked = sorted(groups.items(), key=lambda item: (item[0][0], -len(item[1]), item[0][1]))
    out = []
    for (rank, title), members in ranked[:_MAX_SIGNATURES]:
        out.append(f"{len(members):5} x {title}"[:_WIDTH])
        if rank < 2:
            out.append(f"        {members[0].id}: {members[0].message}"[:_WIDTH])
    if len(ranked) > _MAX_SIGNATURES:
        out.append(f"        and {len(ranked) - _MAX_SIGNATURES} more; the report has them all")
    return out


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        names = [cell.ljust(width) for cell, width in zip(row[:2], widths[:2], strict=True)]
        counts = [cell.rjust(width) for cell, width in zip(row[2:], widths[2:], strict=True)]
        lines.append("  ".join([*names, *counts]).rstrip())
    return lines
