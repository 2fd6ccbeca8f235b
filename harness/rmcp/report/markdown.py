"""The Markdown summary: degrades by steps until it fits into what GitHub takes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from rmcp.report.coverage import RunCoverage, coverage_of
from rmcp.report.facts import started_of, title_of
from rmcp.report.files import write_atomically
from rmcp.report.plain import one_line
from rmcp.report.repro import rmcp_command
from rmcp.report.tally import Tally, is_bad, is_known, tally
from rmcp.runs.model import CaseRecord, Run
from rmcp.words import OUTCOMES

SIZE_LIMIT = 1_000_000  # bytes; GitHub refuses a step summary above 1 MiB
_SIGNS = {"ok": "✅", "bad": "❌", "open": "❔"}
# (bad cases listed, clusters listed, known failures listed, message characters); tried from left to right.
_STEPS = (
    (2000, 200, 500, 200),
    (500, 100, 100, 160),
    (100, 50, 0, 120),
    (25, 20, 0, 80),
    (0, 5, 0, 40),
    (0, 0, 0, 0),
)


_INERT = {ord(char): f"&#{ord(char)};" for char in "\\`*[]#|<>~&@$"}


def cell(text: object, limit: int = 200) -> str:
    """Text that stays inside one table cell: no markup, no pipe, no line break, no mention, no HTML."""
    out = one_line(text, limit).translate(_INERT)
    # GitHub turns bare addresses and `#1` into links; a joiner after the colon keeps them text.
    return out.replace("://", "&#58;//").replace("www.", "www&#46;")


def code(text: object, limit: int = 400) -> str:
    """Text as inline code that also survives inside a table."""
    return f"<code>{cell(text, limit)}</code>"


def _cases(cases: list[CaseRecord], limit: int, message: int) -> Iterator[str]:
    yield "| case | outcome | cause | message |"
    yield "|---|---|---|---|"
    for case in cases[:limit]:
        said = (case.last.message if case.last else "") or case.reason
        cause = "" if str(case.cause) == "none" else cell(case.cause)
        yield f"| {code(case.id)} | {cell(case.outcome)} | {cause} | {cell(said, message)} |"
    if len(cases) > limit:
        yield ""
        yield f"and {len(cases) - limit:,} more"


def _lines(
    run: Run, counted: Tally, covered: RunCoverage | None, step: tuple[int, int, int, int]
) -> Iterator[str]:
    bad_limit, cluster_limit, known_limit, message = step
    yield f"## {_SIGNS.get(counted.mark, '❔')} {cell(title_of(run))}: {cell(counted.sentence, 600)}"
    yield ""
    about = [f"run {code(run.id)}", started_of(run), "1 case" if counted.total == 1 else f"{counted.total:,} cases"]
    yield " · ".join(word for word in about if word)
    yield ""
    yield "| outcome | cases | class |"
    yield "|---|---:|---|"
    for outcome, count in counted.outcomes.items():
        yield f"| {outcome} | {count:,} | {OUTCOMES[outcome].klass} |"
    if covered is not None:
        yield from ("", cell(covered.sentence, 400))
        if covered.product.nearest and bad_limit:
            yield from ("", "<details><summary>Untested cases nearest to the failures</summary>", "")
            for near in covered.product.nearest:
                axes = "axis" if near.distance == 1 else "axes"
                failures = "1 failure" if near.failures == 1 else f"{near.failures:,} failures"
                yield f"- {code(near.id)} differs in {near.distance} {axes} from {failures}"
            yield from ("", "</details>")
    if counted.clusters and cluster_limit:
        yield from (
            "",
            "### What failed",
            "",
            "| cases | outcome | cause | shared | message |",
            "|---:|---|---|---|---|",
        )
        for cluster in counted.clusters[:cluster_limit]:
            shared = " ".join(code(f"{axis}={value}") for axis, value in cluster.shared.items())
            known = f" ({cluster.known:,} expected)" if cluster.known else ""
            yield (
                f"| {cluster.count:,}{known} | {cluster.outcome} | {cell(cluster.cause)} | {shared} |"
                f" {cell(cluster.message, message)} |"
            )
        if len(counted.clusters) > cluster_limit:
            yield from ("", f"and {len(counted.clusters) - cluster_limit:,} more signatures")
    bad: list[CaseRecord] = [case for case in run.cases if is_bad(case)]
    if bad and bad_limit:
        yield from ("", f"### Needs attention: {len(bad):,}", "")
        yield from _cases(bad, bad_limit, message)
        yield from (
            "",
            "Run the first again:",
            "",
            *fenced(rmcp_command(run, bad[0])),
        )
    expected = [case for case in run.cases if is_known(case)]
    if expected and known_limit:
        yield from ("", f"<details><summary>Failed as expected: {len(expected):,}</summary>", "")
        yield from _cases(expected, known_limit, message)
        yield from ("", "</details>")
    if run.problems and message:
        yield from ("", f"### Problems: {len(run.problems):,}", "")
        yield from (f"- {code(p.where)}: {cell(p.what)}" for p in run.problems[:20])


def fenced(text: str) -> tuple[str, str, str]:
    """A code block that the text cannot leave."""
    line = one_line(text, 2000)
    fence = "```"
    while fence in line:
        fence += "`"
    return fence + "sh", line, fence


def render_markdown(run: Run, counted: Tally | None = None, limit: int = SIZE_LIMIT) -> str:
    """The summary, at most ``limit`` bytes of UTF-8: the fullest step that fits."""
    counted = counted or tally(run)
    covered = coverage_of(run)
    text = ""
    for step in _STEPS:
        text = "\n".join(_lines(run, counted, covered, step)) + "\n"
        if len(text.encode("utf-8", "replace")) <= limit:
            return text
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def write_markdown(run: Run, path: Path, counted: Tally | None = None) -> None:
    """Write the summary atomically."""
    write_atomically(path, [render_markdown(run, counted).encode("utf-8", "backslashreplace")])


def append_step_summary(text: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Append to the file that GITHUB_STEP_SUMMARY names; False when there is none or no room.

    Several steps of one job may write; what is there already counts against GitHub's limit of 1 MiB a step.
    """
    name = environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return False
    try:
        size = os.path.getsize(name) if os.path.exists(name) else 0
        data = text.encode("utf-8", "backslashreplace")
        if size + len(data) > SIZE_LIMIT:
            return False
        with open(name, "ab") as file:
            file.write(data)
    except OSError:
        return False
    return True
