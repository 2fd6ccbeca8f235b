"""Finding the few lines of a large log that can matter, at memory speed. Pure.

Every message that rmcp knows has one of a handful of short words in it. `bytes.find` looks for those at about
a gigabyte a second; only the lines that have one are decoded and looked at further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# Each pattern's line has at least one of these (a test proves it for every example). Few, because every one is
# another pass over the text; not too common, because every hit costs a look at its line.
BROAD = (
    b"rror", b"ERROR", b"ault", b"xception", b"bort", b"emory", b"illed", b":0:rocdevice", b"ssert", b"nable to",
    b"IOpen", b"ailed", b"imeout", b"reset", b"NVRM: Xid", b"llegal", b"opcode", b"SIG", b"exit", b"Exit", b"Kernel Name",
    b"terminate called", b"GPUs are", b"MES", b"unrecoverable", b"in page starting", b"rocess", b"GPU core", b"NOT ", b"oom", b"OOM", b"corrupt", b"skipped", b"ignal", b"Out",
)
_ANSI = re.compile(rb"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78cDEHMNOZ])")
_CHUNK = 1 << 20  # bytes searched at a time: fits the second-level cache, so that the passes run at full speed


@dataclass(frozen=True)
class Line:
    """One line: its offset in the cleaned text, and the text itself without its end."""

    offset: int
    end: int


def clean(data: bytes) -> bytes:
    """UTF-16 to UTF-8, CRLF and lone CR (progress bars) to LF, terminal control sequences and NULs away."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    if b"\x1b" in data:
        data = _ANSI.sub(b"", data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\0" in data:
        data = data.replace(b"\0", b"")
    return data


def candidates(data: bytes, words: tuple[bytes, ...] = BROAD) -> Iterator[Line]:
    """The lines that contain one of ``words``, in order, each once."""
    start, size = 0, len(data)
    while start < size:
        stop = min(start + _CHUNK, size)
        if stop < size:
            cut = data.rfind(b"\n", start, stop)
            stop = cut + 1 if cut >= start else stop
        yield from _in_chunk(data, start, stop, words)
        start = stop


def _in_chunk(data: bytes, start: int, stop: int, words: tuple[bytes, ...]) -> list[Line]:
    found: dict[int, int] = {}
    for word in words:
        at = data.find(word, start, stop)
        while at >= 0:
            begin = data.rfind(b"\n", start, at) + 1 or start
            end = data.find(b"\n", at, stop)
            end = stop if end < 0 else end
            found[begin] = end
            at = data.find(word, end, stop)
    return [Line(begin, end) for begin, end in sorted(found.items())]


def line_after(data: bytes, line: Line, count: int) -> list[bytes]:
    """Up to ``count`` lines that follow a line."""
    lines = []
    start = line.end + 1
    for _ in range(count):
        if start >= len(data):
            break
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        lines.append(data[start : min(end, start + 4000)])
        start = end + 1
    return lines


def lines_before(data: bytes, line: Line, count: int) -> list[bytes]:
    """Up to ``count`` lines before a line, the nearest first."""
    lines = []
    end = line.offset - 1
    for _ in range(count):
        if end < 0:
            break
        start = data.rfind(b"\n", 0, end) + 1
        lines.append(data[max(start, end - 4000) : end])
        end = start - 1
    return lines
