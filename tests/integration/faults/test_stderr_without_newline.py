"""The last words have no newline and are not UTF-8; a line-wise reader loses them."""

import os

EXPECT = {
    "verdict": "failed",
    "outcome": "crash",
    "signal": "SIGABRT",
    "cause": "unknown_abort",
    "stderr": "last words \\xfe\\xff",
}


def test_before():
    pass


def test_fault():
    os.write(2, b"last words \xfe\xff")
    os.abort()


def test_after():
    pass
