"""A known crash is an expected failure."""

import os

import pytest

EXPECT = {"verdict": "xfailed", "outcome": "crash", "signal": "SIGABRT", "text": "known to abort"}


def test_before():
    pass


@pytest.mark.xfail(reason="known to abort")
def test_fault():
    os.abort()


def test_after():
    pass
