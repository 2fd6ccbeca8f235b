"""How the expression language compares: patterns, numbers, versions (the JavaScript twin does the same)."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

_RELEASE = re.compile(r"v?([0-9]+(?:\.[0-9]+)*)")
_PRE = re.compile(r"[-._]?(?:alpha|beta|dev|pre|rc|a|b)[-.]?[0-9]*(?![A-Za-z])")
_NUMBER = re.compile(r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?")
_LONGEST = 64  # characters; what is longer is no version and no number

TEXT, NUMBER, VERSION = "text", "number", "version"
Version = tuple[tuple[int, ...], int]
Matcher = Callable[[object], bool]
Order = Callable[[object, str], "int | None"]


@functools.lru_cache(maxsize=4096)
def parse_version(text: str) -> Version | None:
    """``6.2.41133-dd7f95`` -> ((6, 2, 41133), 1); None when the text does not begin with a version.

    Trailing zeros do not count (6.2 is 6.2.0). What follows after one of ``- + _ .`` is ignored, but a
    pre-release (a, b, rc, alpha, beta, pre, dev) sorts before its release: second element 0, else 1.
    """
    found = _RELEASE.match(text)
    if found is None or found.end() > _LONGEST:
        return None
    rest = text[found.end() :]
    before = _PRE.match(rest) is not None
    if rest and not before and rest[0] not in "-+_.":
        return None
    numbers = [int(part) for part in found.group(1).split(".")]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers), 0 if before else 1


def parse_number(value: object) -> float | int | None:
    """The number that a fact or a word stands for; booleans and everything else are None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        return value
    if isinstance(value, str) and len(value) <= _LONGEST and _NUMBER.fullmatch(value):
        return float(value) if any(c in value for c in ".eE") else int(value)
    return None


def as_text(value: object) -> str:
    """How a fact reads in a comparison: true and false in lower case, whole numbers without a point."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


@functools.lru_cache(maxsize=4096)
def matcher_of(word: str, kind: str) -> Matcher:
    """Equality with one word: by pattern when it has wildcards, else by number, version or text."""
    if any(c in word for c in "*?["):
        pattern = glob_pattern(word)
        return lambda value: value is not None and pattern.fullmatch(as_text(value)) is not None
    number = parse_number(word) if kind != VERSION and kind != TEXT else None
    version = parse_version(word) if kind == VERSION else None

    def equal(value: object) -> bool:
        if value is None:
            return False
        if number is not None and (kind == NUMBER or not isinstance(value, str)):
            other = parse_number(value)
            if other is not None:
                return other == number
        if version is not None:
            text = as_text(value)
            return text == word or parse_version(text) == version
        return as_text(value) == word

    return equal


@functools.lru_cache(maxsize=4096)
def glob_pattern(pattern: str) -> re.Pattern[str]:
    """``*`` any text, ``?`` one character, ``[abc]``, ``[a-z]``, ``[!abc]``; an unclosed ``[`` is itself."""
    out, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char in "*?":
            out.append(".*" if char == "*" else ".")
            continue
        close = pattern.find("]", at + 1 + (pattern[at : at + 1] == "!")) if char == "[" else -1
        if close < 0:
            out.append(re.escape(char))
            continue
        out.append(_set(pattern[at:close]))
        at = close + 1
    return re.compile("".join(out), re.DOTALL)


def _set(inside: str) -> str:
    negated = inside.startswith("!")
    body, at = inside[negated:], 0
    parts: list[str] = []
    while at < len(body):
        if at + 2 < len(body) and body[at + 1] == "-":
            if body[at] <= body[at + 2]:
                parts.append(f"{re.escape(body[at])}-{re.escape(body[at + 2])}")
            at += 3
        else:
            parts.append(re.escape(body[at]))
            at += 1
    if not parts:
        return "." if negated else "(?!)"
    return f"[{'^' if negated else ''}{''.join(parts)}]"


def _by_number(value: object, word: str) -> int | None:
    a, b = parse_number(value), parse_number(word)
    return None if a is None or b is None else (a > b) - (a < b)


def _by_version(value: object, word: str) -> int | None:
    a, b = parse_version(as_text(value)), parse_version(word)
    return None if a is None or b is None else (a > b) - (a < b)


def _by_either(value: object, word: str) -> int | None:
    """Without a declared type: text as versions (3.9 < 3.10), numbers as numbers."""
    first, second = (_by_version, _by_number) if isinstance(value, str) else (_by_number, _by_version)
    sign = first(value, word)
    return second(value, word) if sign is None else sign


def order_of(kind: str) -> Order:
    """A function of (fact, word) that gives -1, 0, 1, or None where the two have no order."""
    return {NUMBER: _by_number, VERSION: _by_version}.get(kind, _by_either)
