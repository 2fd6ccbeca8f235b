"""`rmcp merge RUN RUN... --out DIR`: join shards and workers into one run."""

from __future__ import annotations

import argparse
from pathlib import Path


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp merge`."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="run directory, run id, a prefix of one, or latest"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder in which the merged run is made (default: the folder of runs)",
    )
    parser.add_argument(
        "--reports",
        type=Path,
        default=Path("reports"),
        metavar="DIR",
        help="where run ids are looked up (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Merge and say what came out."""
    from rmcp.runs import find_run, load_run
    from rmcp.runs.merge import merge_runs

    merged = merge_runs([find_run(ref, args.reports) for ref in args.runs], args.out or args.reports)
    result = load_run(merged.path)
    print(f"{merged.path}: {len(result.cases)} cases from {len(args.runs)} runs")
    for problem in result.problems:
        print(f"  {problem.where}: {problem.what}")
    return 0
