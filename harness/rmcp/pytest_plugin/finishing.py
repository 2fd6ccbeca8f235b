"""The end of a run: fold it, write the reports, say in one sentence how it went. Large runs do so in a process of
their own, so that pytest's does not have to hold every record at once."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.document import Matrix
from rmcp.runs.model import CaseRecord, Run
from rmcp.runs.reader import load_run
from rmcp.runs.writer import RunDirectory
from rmcp.words import OUTCOMES, Outcome, Verdict

_APART_FROM = 3_000  # cases; folding one takes about 10 kB, a process of its own half a second
_APART_S = 600.0  # 100,000 cases fold and render in well under a minute
_UNEXPECTED = (Verdict.UNEXPECTED, Verdict.LATERAL, Verdict.NEW)


@dataclass(frozen=True)
class Finished:
    """How a run went. ``unexpected`` and ``outstanding`` decide the exit code; ``again`` runs the first case that
    needs attention; ``run`` is None when it was folded in another process."""

    name: str
    sentence: str
    unexpected: bool
    outstanding: bool
    reports: dict[str, Path] = field(default_factory=dict)
    troubles: tuple[str, ...] = ()
    annotations: tuple[str, ...] = ()
    again: str = ""
    run: Run | None = None


def finish_run(directory: RunDirectory, wanted: bool) -> Finished:
    """Fold and report. ``wanted``: somebody needs the folded run here, whatever its size."""
    if wanted or directory.manifest["plan"]["cases"] < _APART_FROM:
        return finish_here(directory.path)
    words = [sys.executable, "-c", "from rmcp.pytest_plugin.finishing import main; main()", str(directory.path)]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_APART_S, check=True)
        told: dict[str, Any] = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        text = f"the reports could not be made: {error}; try `rmcp report {directory.id}`"
        return Finished(directory.id, "see the journal", unexpected=True, outstanding=False, troubles=(text,))
    told["reports"] = {kind: Path(path) for kind, path in told["reports"].items()}
    return Finished(**{**told, "troubles": tuple(told["troubles"]), "annotations": tuple(told["annotations"])})


def finish_here(path: Path) -> Finished:
    """Fold and report in this process."""
    from rmcp.report import write_reports
    from rmcp.report.annotations import render_annotations
    from rmcp.report.markdown import append_step_summary, render_markdown
    from rmcp.report.repro import rmcp_command
    from rmcp.report.tally import is_bad

    run = load_run(path)
    first_bad = next((case for case in run.cases if is_bad(case)), None)
    troubles = [f"{problem.where}: {problem.what}" for problem in run.problems]
    try:
        reports = write_reports(run, path)
    except Exception as error:  # the run is on disk whatever a report writer meets
        reports = {}
        troubles.append(f"the reports could not be made: {type(error).__name__}: {error}; try `rmcp report {run.id}`")
    annotations: tuple[str, ...] = ()
    if os.environ.get("GITHUB_ACTIONS") == "true":
        append_step_summary(render_markdown(run))
        annotations = tuple(line.rstrip("\n") for line in render_annotations(run))
    verdicts = Counter(case.verdict for case in run.cases)
    bad = sum(verdicts[word] for word in _UNEXPECTED)
    waiting = sum(is_outstanding(case) for case in run.cases)
    return Finished(
        name=str((run.manifest.get("matrix") or {}).get("name", run.id)),
        sentence=sentence_of(run.cases),
        unexpected=bool(bad or verdicts[Verdict.IMPROVED]),
        outstanding=waiting > 0,
        reports=reports,
        troubles=tuple(troubles),
        annotations=annotations,
        again=rmcp_command(run, first_bad) if first_bad is not None else "",
        run=run,
    )


def is_outstanding(case: CaseRecord) -> bool:
    """Still has to run: resume would take it up."""
    return OUTCOMES[case.outcome].outstanding and case.verdict is not Verdict.EXPECTED


def sentence_of(cases: Iterable[CaseRecord]) -> str:
    """How many as expected, how many not, how many still to run."""
    cases = tuple(cases)
    verdicts = Counter(case.verdict for case in cases)
    unexpected = sum(verdicts[word] for word in _UNEXPECTED)
    unsupported = sum(case.outcome is Outcome.UNSUPPORTED and case.verdict is Verdict.NO_VERDICT for case in cases)
    outstanding = sum(is_outstanding(case) for case in cases)
    words = [f"{verdicts[Verdict.EXPECTED]} of {len(cases)} as expected"]
    if unexpected:
        words.append(f"{unexpected} not")
    if verdicts[Verdict.IMPROVED]:
        words.append(f"{verdicts[Verdict.IMPROVED]} better than expected")
    if unsupported:
        words.append(f"{unsupported} unsupported here")
    if outstanding:
        words.append(f"{outstanding} outstanding (go on with --rmcp-resume)")
    return ", ".join(words)


def update_expectations(path: Path, matrix: Matrix) -> list[str]:
    """`--rmcp-update-expectations`: write the narrowest rules that explain the run; lines for the terminal."""
    from rmcp.expect.apply import bring_up_to_date

    try:
        return list(bring_up_to_date(load_run(path), matrix, datetime.date.today()).lines)
    except UserError as error:
        return [f"expectations not updated: {error}"]


def main() -> None:
    """``python -c ... RUN-DIRECTORY``: finish and print the result as JSON."""
    finished = finish_here(Path(sys.argv[1]))
    told = {
        "name": finished.name,
        "sentence": finished.sentence,
        "unexpected": finished.unexpected,
        "outstanding": finished.outstanding,
        "reports": {kind: str(file) for kind, file in finished.reports.items()},
        "troubles": finished.troubles,
        "annotations": finished.annotations,
        "again": finished.again,
    }
    print(json.dumps(told))
