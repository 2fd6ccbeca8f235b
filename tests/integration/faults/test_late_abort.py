"""A thread that the process has to wait for aborts 0.3 s after the test returned."""

import os
import threading
import time

EXPECT = {"verdict": "failed", "outcome": "tainted", "signal": "SIGABRT", "stderr": "late abort"}


def test_before():
    pass


def test_fault():
    def die():
        time.sleep(0.3)
        os.write(2, b"late abort\n")
        os.abort()

    threading.Thread(target=die).start()


def test_after():
    pass
