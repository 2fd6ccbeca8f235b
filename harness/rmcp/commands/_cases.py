"""What the commands on one case share: finding the case, opening the probe runner, saving the search."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rmcp.errors import UserError

if TYPE_CHECKING:
    from rmcp.diagnose.probing import Oracle
    from rmcp.matrix.model import Case
    from rmcp.runs.model import CaseRecord, Run
    from rmcp.session.probe import ProbeRunner

_CLOSE = 3  # ids that are shown when none is the one asked for


@dataclass(frozen=True)
class Found:
    """The case, and the run and record it comes from (None when it comes from a matrix)."""

    case: Case
    run: Run | None = None
    record: CaseRecord | None = None
    siblings: Sequence[Case] = ()  # all cases of its run or matrix


def configure_case(parser: argparse.ArgumentParser, searches: bool = True) -> None:
    """The arguments that name a case, and the budget of a search."""
    add = parser.add_argument
    add("case", nargs="+", metavar="CASE", help="RUN CASE-ID, or a case id of the latest run or of a matrix")
    add("--matrix", metavar="NAME|FILE", help="take the case from this matrix and not from a run")
    add("--reports", type=Path, default=Path("reports"), metavar="DIR", help="where run ids are looked up")
    if searches:
        add(
            "--signature",
            default="",
            metavar="TEXT",
            help="the failure to follow (default: the most frequent)",
        )
        add("--budget", type=int, default=300, metavar="N", help="most attempts (default: %(default)s)")
        add("--seconds", type=float, default=float("inf"), metavar="S", help="most seconds of case time")
        add(
            "--resume",
            type=Path,
            metavar="FILE",
            help="save the attempts there and go on from them next time",
        )


def find_case(words: list[str], matrix: str | None, reports: Path) -> Found:
    """The case that the command line names. Raises UserError with the nearest ids when there is none."""
    if len(words) > 2:
        raise UserError(f"expected RUN CASE-ID or one case id, found {len(words)} words; quote ids for the shell")
    if matrix is not None:
        return _in_matrix(matrix, words[-1])
    from rmcp.runs import load_run

    if len(words) == 2:
        return _in_run(load_run(words[0], reports), words[1])
    try:
        latest = load_run("latest", reports)
    except UserError:
        latest = None
    if latest is not None and any(words[0] in (case.id, case.key) for case in latest.cases):
        return _in_run(latest, words[0])
    if "[" not in words[0]:
        where = f"run {latest.id}" if latest is not None else f"any run (there is none in {reports})"
        raise UserError(f"{words[0]!r} is no case of {where}; write RUN CASE-ID, or name a matrix with --matrix")
    return _in_matrix(words[0].split("[")[0], words[0])


def _in_run(run: Run, name: str) -> Found:
    from rmcp.diagnose.variants import case_of
    from rmcp.words import OutcomeClass, class_of

    for record in run.cases:
        if name in (record.id, record.key):
            ordered = sorted(run.cases, key=lambda other: class_of(other.outcome) is not OutcomeClass.PASSED)
            return Found(case_of(record), run, record, [case_of(other) for other in ordered])
    raise UserError(f"run {run.id} has no case {name!r}{_near(name, [record.id for record in run.cases])}")


def _in_matrix(name: str, case_id: str) -> Found:
    from rmcp.matrix.expand import expand
    from rmcp.matrix.find import find_matrix
    from rmcp.matrix.load import load_matrix

    cases = expand(load_matrix(find_matrix(name))).cases
    for case in cases:
        if case_id in (case.id, case.key):
            return Found(case, siblings=cases)
    raise UserError(f"matrix {name} has no case {case_id!r}{_near(case_id, [case.id for case in cases])}")


def _near(name: str, known: list[str]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, _CLOSE, 0.5) or known[:_CLOSE]
    return "; near are " + ", ".join(close) if close else "; it has no cases"


@contextmanager
def open_oracle(found: Found, args: argparse.Namespace) -> Iterator[Oracle]:
    """An oracle over the isolated probe runner; what it asked is saved when --resume names a file."""
    from rmcp.diagnose.probing import Oracle
    from rmcp.diagnose.records import probe_of
    from rmcp.diagnose.searching import load_state, save_state

    log = load_state(args.resume, found.case) if args.resume else None
    with open_runner(found.run, args.reports) as runner:
        oracle = Oracle(probe_of(runner, tell), args.budget, args.seconds, log)
        try:
            yield oracle
        finally:
            if runner.directory is not None:
                oracle.journal = runner.directory.path
            if args.resume:
                save_state(args.resume, found.case, oracle)


@contextmanager
def open_runner(run: Run | None, reports: Path) -> Iterator[ProbeRunner]:
    """The probe runner. Probes are runs of their own in a folder of their own: `latest` stays what it was."""
    from rmcp.session.probe import ProbeRunner

    with ProbeRunner(run, reports=reports / "probes") as runner:
        try:
            yield runner
        finally:
            if runner.directory is not None:
                tell(f"journal {runner.directory.path}")


def tell(line: str) -> None:
    """One line about a probe, as it ends; on stderr, so that stdout holds the answer alone."""
    print("probe", line, file=sys.stderr, flush=True)
