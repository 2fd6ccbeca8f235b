"""The exception holds a lock and a lambda: pickle refuses it."""

import threading

EXPECT = {"verdict": "failed", "outcome": "pass", "text": "cannot be pickled"}


class Unpicklable(Exception):
    def __init__(self, text):
        super().__init__(text, threading.Lock(), lambda: None)
        self.text = text

    def __str__(self):
        return self.text


def test_before():
    pass


def test_fault():
    raise Unpicklable("cannot be pickled")


def test_after():
    pass
