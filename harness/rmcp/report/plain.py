"""Making hostile or odd values harmless: texts for people, for XML, and values for JSON."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

LINE_LIMIT = 2_000  # characters; longer lines are cut in the middle: nobody reads them and they freeze browsers
DEPTH_LIMIT = 12  # nesting of a value in a report; deeper is shown as its repr

# CSI (colours, cursor), OSC (titles, links) and the two-character escapes of terminals.
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)?|[@-Z\\^_])")
# Characters that reorder or hide text: bidirectional controls, zero width, line/paragraph separators.
_SPOOF = re.compile("[\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\u061c]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
# XML 1.0 takes tab, newline, return and everything from U+0020 but surrogates and the two non-characters.
_XML_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def _picture(match: re.Match[str]) -> str:
    code = ord(match.group())
    if code < 0x20:
        return chr(0x2400 + code)  # the Unicode picture of the control character
    return f"\u2039U+{code:04X}\u203a"


def visible(text: str) -> str:
    """``text`` with terminal escapes removed and other invisible or reordering characters made visible."""
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _SPOOF.sub(_picture, _CONTROL.sub(_picture, text))
    return _SURROGATE.sub(_picture, text)


def shorten(text: str, limit: int) -> str:
    """At most about ``limit`` characters: head, a note of how much is missing, tail."""
    if len(text) <= limit:
        return text
    head = limit // 3
    tail = limit - head
    return f"{text[:head]} [... {len(text) - head - tail} characters ...] {text[len(text) - tail :]}"


def one_line(text: object, limit: int = 300) -> str:
    """The text on one line, made visible, at most about ``limit`` characters."""
    raw = str(text)
    if len(raw) <= limit and raw.isascii() and raw.isprintable() and "  " not in raw and raw == raw.strip():
        return raw  # nearly every text; a report of 100,000 cases has millions
    if len(raw) > 8 * limit:  # a megabyte need not be cleaned to be thrown away
        raw = shorten(raw, 8 * limit)
    return shorten(" ".join(visible(raw).split()), limit)


def show_text(text: str, limit: int) -> str:
    """A captured stream for people: visible characters, long lines cut, head and tail when over ``limit``."""
    if len(text) <= min(limit, LINE_LIMIT) and text.isascii() and text.isprintable():
        return text
    if len(text) > 4 * limit:
        text = text[: 2 * limit] + f"\n[... {len(text) - 4 * limit} characters ...]\n" + text[-2 * limit :]
    lines = [shorten(line, LINE_LIMIT) for line in visible(text).split("\n")]
    shown = "\n".join(lines)
    if len(shown) <= limit:
        return shown
    head, tail = shown[: limit // 3], shown[-(limit - limit // 3) :]
    dropped = len(shown) - len(head) - len(tail)
    # Cut at line borders, so that a half line is not taken for a whole one.
    head = head.rpartition("\n")[0] or head
    tail = tail.partition("\n")[2] or tail
    return f"{head}\n[... about {dropped} characters ...]\n{tail}"


def xml_text(text: str, limit: int) -> str:
    """Text that XML 1.0 accepts: escapes and illegal characters gone, at most about ``limit`` characters."""
    return _XML_ILLEGAL.sub("", show_text(text, limit))


def number(value: object) -> float:
    """``value`` as a finite float; 0.0 for anything that is not one."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    return 0.0


def plain(value: Any, depth: int = 0, limit: int | None = None) -> Any:
    """``value`` as strict JSON can hold it: NaN and infinity as text, unknown types as their repr.

    With ``limit`` it is meant for people: texts are made visible and cut to about that many characters.
    """
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value) if limit is None else show_text(value, limit)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)  # beyond that JavaScript rounds
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value[:4096].decode("utf-8", "backslashreplace")
    if depth >= DEPTH_LIMIT:
        return one_line(repr(value))
    if isinstance(value, Mapping):
        return {one_line(key): plain(item, depth + 1, limit) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item, depth + 1, limit) for item in value]
    return one_line(repr(value))
