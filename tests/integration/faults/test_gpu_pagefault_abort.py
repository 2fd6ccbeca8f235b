"""The memory access fault message of the GPU driver, then an abort."""

import os

EXPECT = {
    "verdict": "failed",
    "outcome": "crash",
    "signal": "SIGABRT",
    "cause": "memory_access_fault",
    "stderr": "Memory access fault by GPU node-1",
}


def test_before():
    pass


def test_fault():
    os.write(
        2,
        b"Memory access fault by GPU node-1 (Agent handle: 0x55d5e4a3b2c0) on address 0x7f2b4c000000. "
        b"Reason: Page not present or supervisor privilege.\n",
    )
    os.abort()


def test_after():
    pass
