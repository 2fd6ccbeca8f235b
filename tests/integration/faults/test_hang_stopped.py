"""It stops itself."""

import os
import signal

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "stopping"}


def test_before():
    pass


def test_fault():
    os.write(2, b"stopping\n")
    os.kill(os.getpid(), signal.SIGSTOP)


def test_after():
    pass
