"""`rmcp repro RUN CASE`: the script that reproduces a case, as it is."""

from __future__ import annotations

import argparse
from pathlib import Path

from rmcp.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp repro`."""
    from rmcp.commands._cases import configure_case

    configure_case(parser, searches=False)
    parser.add_argument("--out", "-o", type=Path, metavar="FILE", help="write there instead of to standard output")


def run(args: argparse.Namespace) -> int:
    """Print (or write) the reproducer of one case."""
    from rmcp.commands._cases import find_case
    from rmcp.report.repro import reproducer

    found = find_case(args.case, args.matrix, args.reports)
    text = reproducer(found.record if found.record is not None else found.case)
    if args.out is None:
        print(text, end="")
        return 0
    try:
        args.out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {args.out}: {error}") from error
    return 0
