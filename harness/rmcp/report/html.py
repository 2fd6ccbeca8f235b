"""The run page: one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rmcp.report.bundle import page, table, top
from rmcp.report.columns import index_blocks, pack
from rmcp.report.facts import started_of, title_of
from rmcp.report.files import without_collection, write_atomically
from rmcp.report.payload import evidence_of, index_of
from rmcp.report.plain import one_line
from rmcp.report.tally import Tally, is_bad, tally
from rmcp.runs.model import Run

_STATIC_CASES = 100  # bad cases listed for readers without JavaScript


def seconds_text(seconds: float) -> str:
    """`3.2 s`, `4 min 10 s`, `2 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60)} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60)} min"


def _about(run: Run, counted: Tally, covered: Mapping[str, Any] | None) -> Iterator[str]:
    yield one_line(title_of(run))
    yield f"run {one_line(run.id)}"
    yield started_of(run)
    yield "1 case" if counted.total == 1 else f"{counted.total:,} cases"
    yield f"{seconds_text(counted.seconds)} in cases"
    share = covered and covered["full"] and covered["proven"] / covered["full"]
    if covered and share:
        yield f"{100 * share:.3g} % of the {covered['full']:,} cells of the full product proven"
    for name, facts in list(run.runtimes.items())[:4]:
        torch = f"torch {one_line(facts['torch'], 60)}" if facts.get("torch") else ""
        device = one_line(facts.get("device_name") or facts.get("device") or "", 80)
        said = ", ".join(word for word in (torch, device) if word)
        if said:
            yield f"{one_line(name, 60)}: {said}"


def _static(run: Run, counted: Tally) -> str:
    """Counts and the bad cases as plain tables."""
    counts = table(("Outcome", "Cases"), ((str(o), f"{n:,}") for o, n in counted.outcomes.items()))
    shared = [
        (c.title, ", ".join(f"{a} = {v}" for a, v in c.shared.items()), one_line(c.message, 200))
        for c in counted.clusters[:20]
    ]
    groups = table(("Signature", "Shared", "Message"), shared) if shared else ""
    bad = [case for case in run.cases if is_bad(case)]
    rows = [
        (
            one_line(case.id),
            str(case.outcome),
            str(case.cause),
            one_line(case.last.message if case.last else case.reason, 160),
        )
        for case in bad[:_STATIC_CASES]
    ]
    cases = table(("Case", "Outcome", "Cause", "Message"), rows) if rows else ""
    more = f"<p>and {len(bad) - len(rows):,} more</p>" if len(bad) > len(rows) else ""
    return counts + groups + cases + more


def render_html(run: Run, counted: Tally | None = None) -> Iterator[bytes]:
    """The page in pieces."""
    counted = counted or tally(run)
    index = index_of(run, counted)
    blocks = {**index_blocks(index), "evidence": pack(evidence_of(run))}
    head = top(counted.mark, one_line(counted.sentence, 600), _about(run, counted, index["coverage"]))
    return page(f"{one_line(title_of(run), 80)} – rmcp", head, _static(run, counted), blocks)


def write_html(run: Run, path: Path, counted: Tally | None = None) -> None:
    """Write the run page atomically."""
    with without_collection():
        write_atomically(path, render_html(run, counted))
