"""It passes and leaves a child that holds its stdout open."""

import subprocess

EXPECT = {"verdict": "passed", "outcome": "warn"}


def test_before():
    pass


def test_fault():
    subprocess.Popen(["sleep", "60"])


def test_after():
    pass
