"""`rmcp shrink CASE`: the smallest case that still fails the same way, its script and the bug-report
bundle."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rmcp.errors import UserError

if TYPE_CHECKING:
    from rmcp.commands._cases import Found
    from rmcp.diagnose.probing import Oracle, ProbeResult
    from rmcp.matrix.model import Case
    from rmcp.runs.model import CaseRecord, Run

_CONFIRM = 3  # attempts of the smallest case that are told


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp shrink`."""
    from rmcp.commands._cases import configure_case

    configure_case(parser)
    add = parser.add_argument
    add("--out", "-o", type=Path, default=Path("."), metavar="DIR", help="where repro.py and the .zip go")


def run(args: argparse.Namespace) -> int:
    """Minimise, write repro.py and the bundle, say what was left out."""
    from rmcp.commands._cases import find_case, open_oracle
    from rmcp.diagnose.bundle import make_bundle
    from rmcp.diagnose.searching import begin, same_as, steady
    from rmcp.diagnose.shrink import shrink
    from rmcp.report.repro import reproducer, shell_command

    found = find_case(args.case, args.matrix, args.reports)
    with open_oracle(found, args) as oracle:
        began = begin(oracle, found.case, args.signature)
        same = same_as(began.signature)
        shrunk = steady(
            oracle,
            same,
            lambda: shrink(found.case, lambda case: oracle.ask(case, same)),
            lambda seen: [seen.case],
        )
        last = _again(oracle, shrunk.case)
        spent = oracle.spent
    steps = [f"{step.name}: {step.before} -> {_word(step.after)}" for step in shrunk.steps]
    name = "bug-report-" + shrunk.case.key[:8] + ".zip"
    run, record = _evidence(oracle.journal, shrunk.case, found)
    bundle = make_bundle(shrunk.case, record, run, dict(os.environ), steps)
    script = reproducer(shrunk.case)
    try:
        args.out.mkdir(parents=True, exist_ok=True)
        (args.out / "repro.py").write_text(script, encoding="utf-8")
        bundle.write(args.out / name)
    except OSError as error:
        raise UserError(f"cannot write into {args.out}: {error}; name another place with --out") from error
    print(began.text)
    for step in steps:
        print(f"  {step}")
    if not steps:
        print("  nothing could be left out")
    like = sum(1 for result in last if result.is_like(began.signature))
    print(f"smallest: {shrunk.case.id}, {like} of {len(last)} attempts fail the same way")
    print(f"{spent} attempts, {shrunk.questions} proposals")
    print(f"script  {args.out / 'repro.py'}   ({shell_command(shrunk.case)})")
    print(f"bundle  {args.out / name}")
    if not shrunk.complete:
        print("the budget ended the search: it may get smaller yet (--budget, --resume)")
    return 0 if shrunk.complete else 2


def _again(oracle: Oracle, case: Case) -> list[ProbeResult]:
    """Three attempts of the smallest case, or those there are when the budget is spent."""
    from rmcp.diagnose.probing import BudgetSpent
    from rmcp.diagnose.variants import experiment_key

    try:
        return oracle.attempts(case, _CONFIRM)
    except BudgetSpent:
        return oracle.log.get(experiment_key(case), [])


def _evidence(journal: Path | None, case: Case, found: Found) -> tuple[Run | None, CaseRecord | None]:
    """The probe run and its record of the smallest case; what the user named when it has none."""
    from rmcp.runs import load_run

    if journal is not None:
        run = load_run(journal)
        record = next((record for record in run.cases if record.key == case.key and record.attempts), None)
        if record is not None:
            return run, record
    return found.run, found.record


def _word(value: object) -> str:
    return "left out" if value is None else str(value)
