"""`rmcp expect`: hold a run against the expectations of today, and make them explain it."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rmcp.errors import UserError
from rmcp.expect.apply import Wishes, bring_up_to_date, tell_unseen
from rmcp.expect.observed import Observed, observe
from rmcp.expect.verdict import judge, unused
from rmcp.matrix.document import Matrix
from rmcp.matrix.load import load_matrix
from rmcp.runs.model import Run
from rmcp.words import Verdict

EXIT_UNEXPECTED = 1
_SHOWN = 20  # cases listed per verdict


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp expect`."""
    commands = parser.add_subparsers(dest="expect_command", metavar="check|update", required=True)
    check = commands.add_parser("check", help="verdicts of a run under the expectations as they are now")
    update = commands.add_parser("update", help="write the narrowest rules that explain a run, drop what passes")
    for sub in (check, update):
        sub.add_argument("run", metavar="RUN", help="a run directory, a run id, or latest")
        sub.add_argument("--matrix", type=Path, metavar="FILE", help="the matrix, when it is no longer where it was")
        sub.add_argument("--out", type=Path, default=Path("reports"), metavar="DIR", help="folder of the runs")
    add = update.add_argument
    add("--dry-run", action="store_true", help="only say what would change")
    add("--reason", metavar="TEXT", help="reason of the new rules")
    add("--bug", metavar="URL", help="bug of the new rules")
    add("--until", metavar="DATE", help="last day of the new rules; also extends rules that are over")
    add("--anywhere", action="store_true", help="new rules do not name the device, GPU and ROCm of this run")


def run(args: argparse.Namespace) -> int:
    """Check or update."""
    from rmcp.runs.reader import load_run

    found = load_run(args.run, args.out)
    matrix = load_matrix(_matrix_path(found, args.matrix))
    today = datetime.date.today()
    if args.expect_command == "check":
        return _check(found, matrix, observe(found), today)
    wishes = Wishes(args.reason or "", args.bug or "", _day(args.until), args.anywhere, args.dry_run)
    applied = bring_up_to_date(found, matrix, today, wishes)
    print("\n".join(applied.lines))
    return EXIT_UNEXPECTED if applied.unexplained else 0


def _matrix_path(run: Run, given: Path | None) -> Path:
    if given is not None:
        return given
    path = Path(str((run.manifest.get("matrix") or {}).get("path") or ""))
    if not path.is_file():
        path = run.path.resolve().parents[1] / path  # relative to where pytest was started
    if not path.is_file():
        raise UserError(f"the matrix of run {run.id} is not at {path} any more; say where with --matrix FILE")
    return path


def _check(run: Run, matrix: Matrix, cases: Sequence[Observed], today: datetime.date) -> int:
    held = [
        judge(matrix.expect, c.facts, c.outcome, c.cause, today, signal=c.signal, signature=c.signature) for c in cases
    ]
    counts = Counter(result.verdict for result in held)
    print(f"run {run.id}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]))
    for verdict in (Verdict.UNEXPECTED, Verdict.LATERAL, Verdict.IMPROVED):
        told = [(case, result) for case, result in zip(cases, held, strict=True) if result.verdict is verdict]
        for case, result in told[:_SHOWN]:
            where = f" ({result.rule.position})" if result.rule is not None else ""
            print(f"  {verdict}: {case.id}: {case.outcome}: {result.reason}{where}")
        if len(told) > _SHOWN:
            print(f"  ... and {len(told) - _SHOWN} more that are {verdict}")
    for line in tell_unseen(unused(matrix.expect, {result.rule for result in held if result.rule is not None})):
        print(line)
    bad = counts[Verdict.UNEXPECTED] + counts[Verdict.LATERAL] + counts[Verdict.IMPROVED]
    return EXIT_UNEXPECTED if bad else 0


def _day(text: str | None) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--until takes a day such as 2027-06-30; found {text!r}") from None
