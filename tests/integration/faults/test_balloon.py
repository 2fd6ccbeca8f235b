"""3 GiB of memory, against a limit of 2 GiB."""

EXPECT = {"verdict": "failed", "text": "MemoryError"}


def test_before():
    pass


def test_fault():
    data = bytearray(3 * 1024**3)
    for start in range(0, len(data), 4096):
        data[start] = 1


def test_after():
    pass
