"""`rmcp import FILE...`: a matrix from MIOpen command logs or from CSV files with one convolution a row."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rmcp.errors import UserError


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp import`."""
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="log (MIOPEN_ENABLE_LOGGING_CMD=1) or CSV; - is stdin"
    )
    parser.add_argument(
        "--out", "-o", type=Path, metavar="FILE", help="matrix file to write (default: standard output)"
    )
    parser.add_argument("--name", help="name of the matrix (default: from the first file)")
    parser.add_argument(
        "--as", dest="form", choices=("auto", "log", "csv"), default="auto", help="default: %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    """Read, merge, write; what was passed over is said on stderr."""
    from rmcp.catalogue.driver import Imported, read_log
    from rmcp.catalogue.table import looks_like_table, read_table
    from rmcp.catalogue.write import matrix_name, write_matrix
    from rmcp_torch.catalogue import merge

    parts: list[Imported] = []
    for name in args.files:
        text = _read(name)
        table = args.form == "csv" or (args.form == "auto" and looks_like_table(text))
        parts.append(read_table(text, name) if table else read_log(text))
    seen = merge(part.convolutions for part in parts)
    commands = sum(part.commands for part in parts)
    for part, name in zip(parts, args.files, strict=True):
        for reason, count in part.skipped.most_common():
            print(f"{name}: passed over {count} x {reason}", file=sys.stderr)
    if not seen:
        raise UserError(
            f"no convolution in {', '.join(args.files)} ({commands} MIOpenDriver commands); a log needs "
            "MIOPEN_ENABLE_LOGGING_CMD=1 and a CSV a header with c, h, w, k and kernel"
        )
    sources = ", ".join(Path(name).name for name in args.files)
    doc = f"{len(seen)} distinct convolutions of {commands}, imported from {sources}."
    write_matrix(seen, args.name or matrix_name(args.files[0]), doc, args.out)
    return 0


def _read(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {name}: {error.strerror or error}") from error
    return data.decode("utf-8-sig", "replace")
