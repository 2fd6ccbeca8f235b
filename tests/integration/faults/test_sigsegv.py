"""A real segmentation fault: a read of address 0."""

import ctypes
import os

EXPECT = {
    "verdict": "failed",
    "outcome": "crash",
    "signal": "SIGSEGV",
    "cause": "segfault",
    "stderr": "about to read address 0",
}


def test_before():
    pass


def test_fault():
    os.write(2, b"about to read address 0\n")
    ctypes.string_at(0)


def test_after():
    pass
