"""`rmcp report RUN`: make report.html, junit.xml and summary.md again."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rmcp.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp report`."""
    parser.add_argument(
        "run", nargs="?", default="latest", metavar="RUN", help="run directory, run id, or latest (default)"
    )
    parser.add_argument("--out", "-o", type=Path, metavar="DIR", help="folder for the files (default: the run's)")
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="where run ids are looked up"
    )
    parser.add_argument(
        "--junit-retries",
        action="store_true",
        help="failed attempts as flakyFailure and rerunFailure (Surefire)",
    )
    parser.add_argument("--open", action="store_true", help="open the page in a browser")


def run(args: argparse.Namespace) -> int:
    """Write the reports and say where they are; 3 when one of them could not be made."""
    from rmcp.report import write_reports
    from rmcp.report.annotations import render_annotations
    from rmcp.report.coverage import coverage_of
    from rmcp.report.markdown import append_step_summary, render_markdown
    from rmcp.report.tally import tally
    from rmcp.runs import load_run

    found = load_run(args.run, args.reports)
    folder = args.out or found.path
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the folder {folder}: {error}; choose another with --out") from error
    written = write_reports(found, folder, retries=args.junit_retries)
    print(tally(found).sentence)
    covered = coverage_of(found)
    if covered is not None:
        print(covered.sentence)
    for path in written.values():
        print(path)
    if append_step_summary(render_markdown(found)):
        print("appended to the step summary")
    sys.stdout.writelines(render_annotations(found))
    if args.open and "html" in written:
        import webbrowser

        webbrowser.open(written["html"].resolve().as_uri())
    broken = len(written) < 3 or any(path.name.endswith(".error.txt") for path in written.values())
    return 3 if broken else 0
