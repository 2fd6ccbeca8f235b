"""Native recursion until the stack ends: glibc parses nested parentheses by recursion, without any Python frame."""

import ctypes
import os

EXPECT = {
    "verdict": "failed",
    "outcome": "crash",
    "signal": "SIGSEGV",
    "cause": "segfault",
    "stderr": "recursing",
}


def test_before():
    pass


def test_fault():
    os.write(2, b"recursing\n")
    ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(4096), b"(" * 2_000_000, 1)


def test_after():
    pass
