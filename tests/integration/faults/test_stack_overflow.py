"""Native recursion until the stack ends: C calls Python calls C."""

import ctypes
import os
import sys

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
    sys.setrecursionlimit(10**9)
    numbers = (ctypes.c_int * 2)(2, 1)
    libc = ctypes.CDLL(None)

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    def compare(one, two):
        libc.qsort(numbers, 2, ctypes.sizeof(ctypes.c_int), compare)
        return 0

    compare(None, None)


def test_after():
    pass
