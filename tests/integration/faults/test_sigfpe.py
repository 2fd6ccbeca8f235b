"""A real integer division by zero in native code."""

import ctypes
import mmap
import os
import platform
import signal

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGFPE", "stderr": "before SIGFPE"}


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
    os.write(2, b"before SIGFPE\n")
    run_native(b"\x31\xc9\x31\xd2\xb8\x01\x00\x00\x00\xf7\xf9\xc3", signal.SIGFPE)  # 1 idiv 0


def test_after():
    pass
