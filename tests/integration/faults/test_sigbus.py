"""A real bus error: a mapped page whose file was cut off."""

import mmap
import os
import tempfile

EXPECT = {"verdict": "failed", "outcome": "crash", "signal": "SIGBUS", "stderr": "before SIGBUS"}


def test_before():
    pass


def test_fault():
    os.write(2, b"before SIGBUS\n")
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        view = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        file.truncate(0)
        print(view[0])


def test_after():
    pass
