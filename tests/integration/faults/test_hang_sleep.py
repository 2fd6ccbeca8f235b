"""It sleeps for ever."""

import os
import time

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "asleep"}


def test_before():
    pass


def test_fault():
    os.write(2, b"asleep\n")
    time.sleep(3600)


def test_after():
    pass
