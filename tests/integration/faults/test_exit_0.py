"""os._exit(0) in the middle of the test: the status of success without a result."""

import os

EXPECT = {"verdict": "failed", "outcome": "no-result", "stderr": "leaving with 0"}


def test_before():
    pass


def test_fault():
    os.write(2, b"leaving with 0\n")
    os._exit(0)


def test_after():
    pass
