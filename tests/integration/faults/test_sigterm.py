"""Ended by a polite signal from outside."""

import os
import signal

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGTERM", "stderr": "before SIGTERM"}


def test_before():
    pass


def test_fault():
    os.write(2, b"before SIGTERM\n")
    os.kill(os.getpid(), signal.SIGTERM)


def test_after():
    pass
