"""os._exit(3) in the middle of the test."""

import os

EXPECT = {"verdict": "failed", "outcome": "no-result", "text": "exit status 3", "stderr": "leaving with 3"}


def test_before():
    pass


def test_fault():
    os.write(2, b"leaving with 3\n")
    os._exit(3)


def test_after():
    pass
