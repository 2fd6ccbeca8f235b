"""The `rmcp` command: finds the subcommand's module, parses, runs; a user's mistake is text and exit code 4."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence

from rmcp import __version__
from rmcp.errors import UserError

EXIT_INTERRUPTED = 2
EXIT_USAGE = 4

# name -> one line of help; the module is rmcp.commands.<name with _>, imported only when used.
COMMANDS = {
    "plan": "show which cases a matrix expands to, and why a case is in or out",
    "run": "run a matrix (pytest --rmcp-matrix without thinking in pytest)",
    "runs": "list the runs on disk",
    "report": "make the HTML, JUnit and Markdown reports of a run again",
    "compare": "compare runs, or the runtimes inside one run",
    "merge": "join shards and workers into one run",
    "export": "print one record per case: JSON Lines, CSV, Parquet, CTRF",
    "explain": "say which factors cause each failure",
    "boundary": "find the exact edge of a failure along an argument",
    "bisect-env": "find the smallest set of variables that cures or causes a failure",
    "shrink": "minimise a failing case and write a reproducer",
    "repro": "print the script that reproduces a case",
    "policy": "compile a run into the cheapest sufficient workarounds",
    "expect": "update the expectations of a matrix from a run",
    "capture": "record the convolutions of a program as a matrix",
    "import": "make a matrix from MIOpen command logs or a CSV",
    "classify": "name the cause in a pasted crash log",
    "doctor": "look at this machine's GPU, driver, PyTorch and environment",
    "schema": "print the JSON Schema of the matrix file",
    "build-intercept": "compile the LD_PRELOAD library that intercepts hipMalloc",
}


def build_parser(only: str | None) -> argparse.ArgumentParser:
    """The parser; with ``only`` just that subcommand's options are loaded, for a quick start."""
    parser = argparse.ArgumentParser(prog="rmcp", description="Crash-safe test matrix for PyTorch.")
    parser.add_argument("--version", action="version", version=f"rmcp {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, help_text in COMMANDS.items():
        sub = commands.add_parser(name, help=help_text, description=help_text[0].upper() + help_text[1:] + ".")
        if name == only:
            module = importlib.import_module("rmcp.commands." + name.replace("-", "_"))
            module.configure(sub)
            sub.set_defaults(_run=module.run)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return its exit code (pytest's: 0, 1, 2, 3, 4, 5)."""
    words = list(sys.argv[1:] if argv is None else argv)
    name = next((word for word in words if not word.startswith("-")), None)
    parser = build_parser(name if name in COMMANDS else None)
    args, unknown = parser.parse_known_args(words)
    if unknown and args.command != "run":  # `rmcp run` hands what it does not know to pytest
        parser.error("unrecognized arguments: " + " ".join(unknown))
    args.unknown = unknown
    try:
        return int(args._run(args))
    except UserError as error:
        print(f"rmcp {args.command}: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) went away: say nothing more, also not while the interpreter flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0


if __name__ == "__main__":
    sys.exit(main())
