"""A real illegal instruction."""

import ctypes
import mmap
import os
import platform
import signal

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGILL", "stderr": "before SIGILL"}


def run_native(code, number):
    """Run machine code on x86; elsewhere send the signal that it would cause."""
    if platform.machine() not in ("x86_64", "AMD64"):
        os.kill(os.getpid(), number)
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    ctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def test_before():
    pass


def test_fault():
    os.write(2, b"before SIGILL\n")
    run_native(b"\x0f\x0b", signal.SIGILL)  # ud2


def test_after():
    pass
