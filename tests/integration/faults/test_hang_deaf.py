"""It hangs and ignores every signal that can be ignored."""

import os
import signal
import time

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "deaf"}


def test_before():
    pass


def test_fault():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    os.write(2, b"deaf\n")
    while True:
        time.sleep(3600)


def test_after():
    pass
