"""What a ROCm 6 convolution on RDNA1 does: the HSA runtime prints and aborts."""

import os

EXPECT = {
    "verdict": "failed",
    "outcome": "crash",
    "signal": "SIGABRT",
    "cause": "aperture_violation",
    "stderr": "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION",
}


def test_before():
    pass


def test_fault():
    os.write(
        2,
        b":0:rocdevice.cpp:2726: Callback: Queue 0x7f8d00a00000 aborting with error : "
        b"HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory beyond the "
        b"largest legal address. code: 0x29\n",
    )
    os.abort()


def test_after():
    pass
