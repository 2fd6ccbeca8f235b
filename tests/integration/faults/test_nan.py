"""A comparison with NaN: a failure whose values JSON has no words for."""

EXPECT = {"verdict": "failed", "outcome": "pass", "text": "nan"}


def test_before():
    pass


def test_fault(record_property):
    record_property("value", float("nan"))
    assert float("nan") == float("nan")


def test_after():
    pass
