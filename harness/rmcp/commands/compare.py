"""`rmcp compare RUN RUN...`: what changed between runs, or between the runtimes inside one run."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from rmcp.compare import CHANGES, Change, Comparison, Side
from rmcp.errors import UserError

_UNEXPECTED = 1  # exit code of a comparison that --fail-on refuses


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp compare`."""
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directories, run ids or latest, oldest first")
    parser.add_argument("--baseline", metavar="NAME", help="side that the others are held against (default: the first)")
    parser.add_argument("--by", metavar="AXIS", help="compare the values of this axis (one run: its compare axis)")
    parser.add_argument(
        "--fail-on",
        metavar="CHANGE[,...]",
        default="",
        help=f"exit with 1 when a row shows one of: {', '.join(map(str, CHANGES))}",
    )
    parser.add_argument(
        "--format", choices=("text", "html", "markdown", "json"), default="text", help="default: %(default)s"
    )
    parser.add_argument("--out", "-o", type=Path, metavar="FILE", help="write there instead of to standard output")
    parser.add_argument("--limit", type=int, default=50, metavar="N", help="rows listed as text (default: %(default)s)")
    parser.add_argument(
        "--reports", type=Path, default=Path("reports"), metavar="DIR", help="where run ids are looked up"
    )


def run(args: argparse.Namespace) -> int:
    """Print or write the comparison; 1 when --fail-on finds its change."""
    from rmcp.compare import compare
    from rmcp.report.comparison_text import counted
    from rmcp.report.files import without_collection

    wanted = changes_of(args.fail_on)
    with without_collection():
        sides = _sides(args.runs, args.by, args.reports)
        comparison = compare(sides, args.baseline or 0, args.by)
    _write(comparison, args)
    return _UNEXPECTED if wanted and counted(comparison, wanted) else 0


def changes_of(text: str) -> tuple[Change, ...]:
    """`regression,worse` as change classes; raises UserError for a word that is none."""
    found = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        try:
            found.append(Change(word))
        except ValueError:
            raise UserError(
                f"--fail-on {word}: no such change; the changes are {', '.join(map(str, CHANGES))}"
            ) from None
    return tuple(found)


def _sides(refs: Sequence[str], by: str | None, reports: Path) -> list[Side]:
    """Sides of the runs; with several runs each is dropped after it was made small, so memory holds one."""
    from rmcp.compare.sides import identity_of, name_of, side_of_run, sides_by, sides_of, unique
    from rmcp.runs import load_run

    if len(refs) == 1:
        return sides_of([load_run(refs[0], reports)], by)
    drafts = []
    for ref in refs:
        found = load_run(ref, reports)
        if by is not None:
            drafts.append([(found.id, side) for side in sides_by(found, by)])
        else:
            same = identity_of([found]) == "row"
            drafts.append([(name_of(found), side_of_run(found, found.id, "row" if same else "key"))])
            if not same:
                # One run with several compare values forces the keys for all: begin again with all of them.
                return sides_of([load_run(again, reports) for again in refs], None)
        del found
    names = [name for draft in drafts for name, _ in draft[:1]]
    if not all(names) or len(set(names)) < len(names):
        names = unique([side.run for draft in drafts for _, side in draft[:1]])
    return [
        dataclasses.replace(side, name=f"{name}:{side.name}" if by is not None else name)
        for name, draft in zip(names, drafts, strict=True)
        for _, side in draft
    ]


def _write(comparison: Comparison, args: argparse.Namespace) -> None:
    from rmcp.report.comparison import comparison_json, render_comparison
    from rmcp.report.comparison_text import comparison_markdown, comparison_text
    from rmcp.report.files import write_atomically
    from rmcp.report.markdown import append_step_summary

    if args.format == "html":
        pieces = render_comparison(comparison)
        if args.out is None and sys.stdout.isatty():
            args.out = Path("comparison.html")
    elif args.format == "markdown":
        pieces = iter([comparison_markdown(comparison).encode("utf-8", "backslashreplace")])
    elif args.format == "json":
        pieces = iter([comparison_json(comparison).encode()])
    else:
        pieces = iter([comparison_text(comparison, args.limit).encode("utf-8", "backslashreplace")])
    if args.out is not None:
        try:
            write_atomically(args.out, pieces)
        except OSError as error:
            raise UserError(f"cannot write {args.out}: {error}") from error
        print(comparison_text(comparison, 0).split("\n", 1)[0])
        print(args.out)
    else:
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    append_step_summary(comparison_markdown(comparison))
