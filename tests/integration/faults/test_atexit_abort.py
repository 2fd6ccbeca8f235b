"""It passes, reports, and aborts in an exit handler."""

import atexit
import os

EXPECT = {"verdict": "failed", "outcome": "tainted", "signal": "SIGABRT", "stderr": "abort at exit"}


def test_before():
    pass


def test_fault():
    def die():
        os.write(2, b"abort at exit\n")
        os.abort()

    atexit.register(die)


def test_after():
    pass
