"""Finding the few lines of a large log that can matter, at memory speed. Pure.

Every message that rmcp knows has one of a handful of short words in it. `bytes.find` looks for those at about
a gigabyte a second; only the lines that have one are decoded and looked at further.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

# Words that stand in the lines that matter. Every pass costs about 0.6 ms a megabyte, so a large log gets the short
# list only: driver faults, statuses, exceptions and deaths, not the rare formats.
WORDS_LARGE = (
    b"rror:",
    b"ERROR",
    b" fault",
    b"segfault",
    b"xception",
    b"bort",
    b"out of memory",
    b"illed",
    b"ssert",
    b"Unable to open /dev/",
    b" timeout,",
    b"GPU reset",
    b"NVRM: Xid",
    b"llegal",
    b"SIGSEGV",
    b"oom",
)
# More words that many needles share; a needle that has none of them is looked for as it stands.
WORDS = (
    *(*WORDS_LARGE, b" error", b"Error", b"ault", b"imeout", b"ailed", b"ailure", b"nable to", b"IOpen Error", b"SIG"),
    *(b"reset", b"xitcode", b"egmentation", b"orrupt", b"nitiali", b"HIP ", b"CUDA ", b"hip ", b"Memory", b" memory"),
    b"ernel image",
)
_LARGE = 8 * 1024 * 1024  # bytes from which only the short list is looked for
_LEAD = 3  # bytes before a word that sort its needles: enough to turn most false ones away at once
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


def candidates(data: bytes, needles: Sequence[bytes]) -> Iterator[Line]:
    """The lines that contain one of ``needles``, in order, each once.

    Above 8 MiB only the needles are found that contain one of `WORDS_LARGE`.
    """
    size = len(data)
    searches = _searches(tuple(needles), size > _LARGE)
    start = 0
    while start < size:
        stop = min(start + _CHUNK, size)
        if stop < size:
            cut = data.rfind(b"\n", start, stop)
            stop = cut + 1 if cut >= start else stop
        yield from _in_chunk(data, start, stop, searches)
        start = stop


@dataclass(frozen=True)
class _Search:
    """One word and the needles around it: by the three bytes before the word, or, where a needle has fewer, all."""

    word: bytes
    sure: bool  # the word itself is a needle
    by_lead: Mapping[bytes, tuple[tuple[int, bytes], ...]]
    short: tuple[tuple[int, bytes], ...]
    ones: frozenset[bytes]  # last byte before the word of the short needles

    def stands(self, data: bytes, at: int) -> bool:
        """True when a whole needle stands around the word at ``at``."""
        for before, needle in self.by_lead.get(data[at - _LEAD : at], ()):
            if data.startswith(needle, at - before):
                return True
        return any(data.startswith(needle, at - before) for before, needle in self.short if at >= before)


@lru_cache(maxsize=256)
def _beginnings(word: bytes) -> tuple[bytes, ...]:
    return tuple(word[:shared] for shared in range(_LEAD + 1, len(word)))


def _before(needle: bytes, word: bytes) -> int:
    """How many bytes of a needle stand before the word: inside it, or at its end (`HIP error` and `rror:`); else -1."""
    inside = needle.find(word)
    if inside >= 0:
        return inside
    if not needle.endswith(_beginnings(word)):
        return -1
    for shared in range(len(word) - 1, _LEAD, -1):
        if needle.endswith(word[:shared]):
            return len(needle) - shared
    return -1


@lru_cache(maxsize=4)
def _searches(needles: tuple[bytes, ...], large: bool) -> tuple[_Search, ...]:
    words = WORDS_LARGE if large else WORDS
    if not large:
        alone = [needle for needle in needles if not any(word in needle for word in words)]
        words = (*words, *alone)
    found = []
    for word in words:
        by_lead: dict[bytes, list[tuple[int, bytes]]] = {}
        short: list[tuple[int, bytes]] = []
        for needle in needles:
            before = _before(needle, word)
            if before >= _LEAD:
                by_lead.setdefault(needle[before - _LEAD : before], []).append((before, needle))
            elif before >= 0:
                short.append((before, needle))
        if by_lead or short:
            leads = {lead: tuple(rows) for lead, rows in by_lead.items()}
            bare = any(before == 0 for before, _ in short)
            ones = frozenset(needle[before - 1 : before] for before, needle in short)
            every = frozenset(bytes([n]) for n in range(256)) | {b""}
            found.append(_Search(word, word in needles, leads, tuple(short), every if bare else ones))
    return tuple(found)


def _in_chunk(data: bytes, start: int, stop: int, searches: Sequence[_Search]) -> list[Line]:
    found: dict[int, int] = {}
    for search in searches:
        word, sure, leads, ones = search.word, search.sure, search.by_lead, search.ones
        at = data.find(word, start, stop)
        while at >= 0:
            # The cheap test stands here and not in a method: it runs for every word of an endless log.
            if not sure and (
                (data[at - _LEAD : at] not in leads and data[at - 1 : at] not in ones) or not search.stands(data, at)
            ):
                at = data.find(word, at + len(word), stop)
                continue
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
