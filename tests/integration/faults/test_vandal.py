"""The working folder is deleted, the environment cleared, sys.path emptied."""

import os
import sys
import tempfile

EXPECT = {"verdict": "passed"}


def test_before():
    pass


def test_fault():
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    os.rmdir(folder)
    os.environ.clear()
    sys.path.clear()


def test_after():
    pass
