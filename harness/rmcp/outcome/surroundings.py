"""What stands around a line: a traceback that it ends, a patch or text constant, words that lead up to it. Pure."""

from __future__ import annotations

import re

from rmcp.outcome import scan
from rmcp.outcome.context import is_example_intro, is_report_intro
from rmcp.outcome.decoration import Core, undecorate

_TRACEBACK = re.compile(rb"Traceback \(most recent call last\)|^\s*File \".+\", line \d+|\^\^\^", re.MULTILINE)
_SHOWN_BY_TRACEBACK = re.compile(rb"RemoteTraceback|^\s*File \".+\", line \d+", re.MULTILINE)
_FENCE = re.compile(rb"^[ >#/*|]*(?:```|~~~)", re.MULTILINE)
_INTRO_LINES = 3  # of a paragraph above a code fence: a sentence that a writer wrapped
_FENCE_REACH = 64 * 1024  # bytes before a line in which its code fence is looked for


def is_python(data: bytes, line: scan.Line, core: Core, raw: bool) -> bool:
    """True when an exception line is really the end of a traceback, or stands alone like one."""
    if core.comment or core.bullet or core.heading or core.table:
        return False
    if raw or core.logged:
        return True
    nearby = data[max(0, line.offset - 20_000) : line.offset]
    return bool(_TRACEBACK.search(nearby)) or data.count(b"\n") <= 12


def in_diff(data: bytes, line: scan.Line) -> bool:
    """True for an added line of a patch: the text of a source or document, whatever it says."""
    around = [*scan.lines_before(data, line, 3), *scan.line_after(data, line, 3)]
    return sum(other.startswith(b"+") for other in around) >= 2 or any(other.startswith(b"@@ ") for other in around)


def in_docstring(data: bytes, line: scan.Line) -> bool:
    """True inside a documentation string or a text constant of a Python source that the text begins before.

    A traceback can open such quotes too: around the traceback of another process, and where it shows the first line
    of a call.
    """
    start = max(0, line.offset - _FENCE_REACH)
    if data.count(b'"""', start, line.offset) % 2 == 0:
        return False
    quotes = data.rfind(b'"""', start, line.offset)
    above = data[start:quotes].rsplit(b"\n", 3)[-3:]
    return not _SHOWN_BY_TRACEBACK.search(b"\n".join(above)) and b"Traceback (most" not in data[quotes : line.offset]


def lead_of(data: bytes, line: scan.Line, core: Core) -> str:
    """What leads up to a line: above a code fence the sentence that introduces it, else the line above."""
    intro = _fence_intro(data, line.offset)
    if intro is not None:
        return intro
    paragraph = [text.decode("utf-8", "backslashreplace").strip() for text in scan.lines_before(data, line, 2)]
    if len(paragraph) == 2 and not paragraph[0] and (is_example_intro(paragraph[1]) or is_report_intro(paragraph[1])):
        return paragraph[1]
    for above in scan.lines_before(data, line, 12 if core.bullet else 3 if core.comment else 1):
        text = above.decode("utf-8", "backslashreplace")
        if core.bullet and (not text.strip() or undecorate(text).bullet):
            continue  # the sentence that introduces the list stands above its first item
        bare = text.strip().lstrip(">#/* ")
        if bare:
            above_core = undecorate(text)
            if above_core.logged and not core.comment:
                return ""  # a log line introduces nothing
            plain = not (core.comment or core.bullet or core.ticked)
            if plain and not bare.endswith((":", "：")):
                return ""
            return bare if text.lstrip().startswith("#") else above_core.text
        if not core.comment:
            break
    return ""


def _fence_intro(data: bytes, offset: int) -> str | None:
    """The last words before the code fence that a position is in, None when it is in none."""
    start = max(0, offset - _FENCE_REACH)
    fences = [found.start() for found in _FENCE.finditer(data, start, offset)]
    if len(fences) % 2 == 0:
        return None
    above = data[start : fences[-1]].decode("utf-8", "backslashreplace").rstrip()
    paragraph = above.rpartition("\n\n")[2].split("\n")[-_INTRO_LINES:]
    return " ".join(text.strip().lstrip(">#/* ") for text in paragraph)
