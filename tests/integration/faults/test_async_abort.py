"""A daemon thread would abort 0.3 s after the test returned; the neighbour must not pay for it."""

import os
import threading
import time

EXPECT = {"verdict": "passed"}


def test_before():
    pass


def test_fault():
    def die():
        time.sleep(0.3)
        os.abort()

    threading.Thread(target=die, daemon=True).start()


def test_after():
    pass
