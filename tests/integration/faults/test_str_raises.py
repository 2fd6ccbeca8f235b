"""The exception's __str__ raises."""

EXPECT = {"verdict": "failed", "outcome": "pass", "text": "Mute"}


class Mute(Exception):
    def __str__(self):
        raise RuntimeError("no text")


def test_before():
    pass


def test_fault():
    raise Mute


def test_after():
    pass
