"""It passes and leaves a daemon in a session of its own."""

import os
import time

EXPECT = {"verdict": "passed", "outcome": "warn"}


def test_before():
    pass


def test_fault():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.wait()


def test_after():
    pass
