"""The fixture aborts before the test begins."""

import os

import pytest

EXPECT = {
    "verdict": "error",
    "outcome": "crash",
    "signal": "SIGABRT",
    "when": "setup",
    "stderr": "abort in set-up",
}


@pytest.fixture
def broken():
    os.write(2, b"abort in set-up\n")
    os.abort()


def test_before():
    pass


@pytest.mark.usefixtures("broken")
def test_fault():
    raise AssertionError("never reached")


def test_after():
    pass
