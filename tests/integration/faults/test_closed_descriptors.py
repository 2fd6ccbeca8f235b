"""Every low descriptor is closed, then the process aborts."""

import os

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGABRT"}


def test_before():
    pass


def test_fault():
    os.closerange(0, 256)
    os.abort()


def test_after():
    pass
