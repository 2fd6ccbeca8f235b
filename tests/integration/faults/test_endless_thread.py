"""It passes; a non-daemon thread never ends."""

import threading
import time

EXPECT = {"verdict": "passed"}


def test_before():
    pass


def test_fault():
    threading.Thread(target=time.sleep, args=(60,)).start()


def test_after():
    pass
