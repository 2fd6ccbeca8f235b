"""It hangs, and a grandchild in a session of its own holds its stdout."""

import os
import subprocess
import time

EXPECT = {"verdict": "failed", "outcome": "hang", "hang": True, "stderr": "holding stdout"}


def test_before():
    pass


def test_fault():
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    os.write(2, b"holding stdout\n")
    time.sleep(3600)


def test_after():
    pass
