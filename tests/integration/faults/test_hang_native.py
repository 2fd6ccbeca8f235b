"""It hangs in native code without the interpreter's lock."""

import ctypes
import os

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "in native code"}


def test_before():
    pass


def test_fault():
    os.write(2, b"in native code\n")
    ctypes.CDLL(None).sleep(3600)


def test_after():
    pass
