"""`rmcp run`: `pytest --rmcp-matrix` for people who do not think in pytest; takes the same options."""

from __future__ import annotations

import argparse

_QUIET = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"


def configure(parser: argparse.ArgumentParser) -> None:
    """The matrix, the commonest options, and everything else as pytest takes it."""
    parser.add_argument("matrix", nargs="?", default=None, help="NAME, FILE or DIR (default: the shipped matrix)")
    parser.add_argument("--case", action="append", default=[], metavar="ID", help="only this case (repeatable)")
    parser.add_argument("--select", metavar="EXPR", help="only cases for which the expression holds")
    parser.add_argument("--profile", metavar="NAME", help="a profile of the matrix")
    parser.add_argument(
        "--runtime", action="append", default=[], metavar="NAME=PYTHON", help="one more runtime (repeatable)"
    )
    parser.add_argument("--resume", nargs="?", const="latest", metavar="RUN", help="go on with an interrupted run")
    parser.add_argument("-n", "--workers", metavar="N", help="run with N processes (needs pytest-xdist)")
    parser.epilog = "Anything else is given to pytest, for example --rmcp-timeout=30 or -x."


def pytest_arguments(args: argparse.Namespace, rest: list[str]) -> list[str]:
    """The equivalent pytest command line."""
    # pytest would warn that it cannot rewrite the assertions of rmcp, which this command has imported already.
    words = ["-p", "no:cacheprovider", "--override-ini=addopts=", "-W", _QUIET]
    if args.resume is not None:
        words.append(f"--rmcp-resume={args.resume}")
    else:
        words.append(f"--rmcp-matrix={args.matrix or ''}")
    words += [f"--rmcp-case={case}" for case in args.case]
    words += [f"--rmcp-runtime={runtime}" for runtime in args.runtime]
    if args.select:
        words.append(f"--rmcp-select={args.select}")
    if args.profile:
        words.append(f"--rmcp-profile={args.profile}")
    if args.workers:
        words += ["-n", args.workers]
    return words + rest


def run(args: argparse.Namespace) -> int:
    """Hand over to pytest; its exit code is ours."""
    import pytest

    rest = [word for word in getattr(args, "unknown", ()) if word != "--"]
    return int(pytest.main(pytest_arguments(args, rest)))
