"""It hangs in native code that holds the interpreter's lock: no Python handler can run."""

import ctypes
import os

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "holding the lock"}


def test_before():
    pass


def test_fault():
    os.write(2, b"holding the lock\n")
    while True:
        ctypes.PyDLL(None).sleep(3600)


def test_after():
    pass
