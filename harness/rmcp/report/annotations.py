"""GitHub annotations: at most ten, one per signature, at the line of the matrix that they belong to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from rmcp.compare.sides import matrix_facts
from rmcp.report.facts import matrix_path
from rmcp.report.plain import one_line
from rmcp.report.tally import Cluster, is_bad, tally
from rmcp.runs.model import CaseRecord, Run

MOST = 10  # GitHub shows no more errors, warnings or notices of one step
_BIGGEST = 4 * 1024 * 1024  # characters of a matrix that are searched


@dataclass(frozen=True)
class Annotation:
    """One remark beside a line of a file. ``level`` is `error`, `warning` or `notice`."""

    level: str
    title: str
    message: str
    file: str
    line: int

    def command(self) -> str:
        """The workflow command; no text can end it early or begin another."""
        where = f"file={_property(self.file)},line={self.line},title={_property(self.title)}"
        return f"::{self.level} {where}::{_data(self.message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def line_of(text: str, case: CaseRecord, shared: Mapping[str, str]) -> int:
    """The line (from 1) of the matrix that stands behind a result: the rule whose reason was given, else the
    value that only the failing cases share, else `expect:`, else 1."""
    lines = text[:_BIGGEST].split("\n")
    reason = case.reason.strip()
    if len(reason) > 8:
        for index, line in enumerate(lines):
            if "reason" in line and reason in line:
                return index + 1
    # The last axis varies fastest and is the most specific one: begin there.
    for value in reversed(list(shared.values() or case.axes.values())):
        name = re.compile(rf"""^\s+["']?{re.escape(value)}["']?\s*:|[\[,]\s*["']?{re.escape(value)}["']?\s*[\],]""")
        for index, line in enumerate(lines):
            if name.search(line):
                return index + 1
    return next((i + 1 for i, line in enumerate(lines) if line.startswith("expect:")), 1)


def _file(run: Run, environ: Mapping[str, str]) -> str:
    path = Path(matrix_path(run))
    root = environ.get("GITHUB_WORKSPACE")
    if root and path.is_absolute() and path.is_relative_to(root):
        return str(path.relative_to(root))
    return str(path)


def annotations_of(run: Run, environ: Mapping[str, str] = os.environ) -> list[Annotation]:
    """Errors for unexpected failures by signature, then notices for what passes unexpectedly."""
    text = str(matrix_facts(run).get("text") or "")
    file = _file(run, environ)
    bad: dict[str, list[CaseRecord]] = {}
    for case in run.cases:
        if is_bad(case):
            bad.setdefault(case.signature or f"{case.outcome}|{case.cause}", []).append(case)
    clusters: dict[str, Cluster] = {cluster.signature: cluster for cluster in tally(run).clusters}
    found = []
    for signature, cases in sorted(bad.items(), key=lambda item: -len(item[1])):
        first = cases[0]
        cluster = clusters.get(signature)
        shared = cluster.shared if cluster else {}
        cause = "" if str(first.cause) == "none" else f" ({first.cause})"
        title = f"{len(cases)} x {first.outcome}{cause}"
        said = one_line(first.last.message if first.last else first.reason, 300)
        common = ", ".join(f"{axis}={value}" for axis, value in shared.items())
        message = "\n".join(
            filter(None, (said, f"all with {common}" if common else "", f"first: {one_line(first.id)}"))
        )
        found.append(Annotation("error", title, message, file, line_of(text, first, shared)))
    improved = [case for case in run.cases if str(case.verdict) == "improved"]
    if improved:
        first = improved[0]
        message = f"record it with `rmcp expect update`; first: {one_line(first.id)}"
        found.append(
            Annotation("notice", f"{len(improved)} x passes now", message, file, line_of(text, first, first.axes))
        )
    if len(found) > MOST:
        rest = len(found) - MOST + 1
        more = Annotation("warning", f"{rest} more signatures", "See the step summary.", file, 1)
        found = [*found[: MOST - 1], more]
    return found


def render_annotations(run: Run, environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Workflow commands, one a line; nothing outside GitHub Actions."""
    if environ.get("GITHUB_ACTIONS") != "true":
        return
    for annotation in annotations_of(run, environ):
        yield annotation.command() + "\n"
