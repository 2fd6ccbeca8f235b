"""sys.exit(0) in a test is an exception, not the end of the run."""

import sys

EXPECT = {"verdict": "failed", "outcome": "pass", "text": "SystemExit", "stderr": "sys.exit now"}


def test_before():
    pass


def test_fault():
    print("sys.exit now", file=sys.stderr)
    sys.exit(0)


def test_after():
    pass
