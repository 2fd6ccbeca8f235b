"""A fork whose child returns into pytest."""

import os

EXPECT = {"verdict": "passed"}


def test_before():
    pass


def test_fault():
    os.fork()


def test_after():
    pass
