"""`rmcp export RUN --format jsonl|csv|parquet|ctrf`: one record per case for other programs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from rmcp.errors import UserError
from rmcp.runs.model import Run

FORMATS = ("jsonl", "csv", "parquet", "ctrf")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp export`."""
    parser.add_argument("run", metavar="RUN", help="run directory, run id, a prefix of one, or latest")
    parser.add_argument("--format", choices=FORMATS, default="jsonl", help="default: %(default)s")
    parser.add_argument(
        "--out", "-o", type=Path, metavar="FILE", help="write there instead of to standard output"
    )
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="where run ids are looked up (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Write the records; a file appears whole or not at all."""
    from rmcp.report.files import write_atomically
    from rmcp.runs import load_run

    if args.format == "parquet" and args.out is None and sys.stdout.isatty():
        raise UserError("Parquet is binary; say where to put it with --out FILE")
    pieces = _pieces(load_run(args.run, args.reports), args.format)
    if args.out is not None:
        try:
            write_atomically(args.out, pieces)
        except OSError as error:
            raise UserError(f"cannot write {args.out}: {error}") from error
        return 0
    for piece in pieces:
        sys.stdout.buffer.write(piece)
    sys.stdout.buffer.flush()
    return 0


def _pieces(run: Run, form: str) -> Iterable[bytes]:
    if form == "jsonl":
        from rmcp.runs.export import lines

        return (line.encode() + b"\n" for line in lines(run))
    if form == "csv":
        from rmcp.report.csv_export import render_csv

        return (text.encode() for text in render_csv(run))
    if form == "ctrf":
        from rmcp.report.ctrf import render_ctrf

        return (text.encode() for text in render_ctrf(run))
    from rmcp.report.parquet import render_parquet

    return render_parquet(run)
