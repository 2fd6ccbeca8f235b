"""Killed by somebody, as the kernel's OOM killer does it."""

import os
import signal

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGKILL", "stderr": "before SIGKILL"}


def test_before():
    pass


def test_fault():
    os.write(2, b"before SIGKILL\n")
    os.kill(os.getpid(), signal.SIGKILL)


def test_after():
    pass
