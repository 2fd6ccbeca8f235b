"""The test passed, its fixture aborts while it is torn down."""

import os

import pytest

EXPECT = {
    "verdict": "error",
    "outcome": "crash",
    "signal": "SIGABRT",
    "when": "teardown",
    "stderr": "abort in teardown",
}


@pytest.fixture
def broken():
    yield
    os.write(2, b"abort in teardown\n")
    os.abort()


def test_before():
    pass


@pytest.mark.usefixtures("broken")
def test_fault():
    pass


def test_after():
    pass
