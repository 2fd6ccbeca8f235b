"""An assertion message of 50 MB arrives cut to size."""

EXPECT = {"verdict": "failed", "outcome": "pass", "text": "xxxxxxxx"}


def test_before():
    pass


def test_fault():
    text = "x" * 50_000_000
    assert False, text  # noqa: PT015


def test_after():
    pass
