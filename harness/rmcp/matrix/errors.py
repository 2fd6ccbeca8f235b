"""Positioned problems of a matrix: all of them at once, each with its line, a caret and a suggestion."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from rmcp.errors import UserError

_SHOWN = 50  # problems printed in full; a file that is not a matrix at all would flood the screen
_LISTED = 20  # known words that are listed where none is close
_LONGEST_WORD = 100  # characters; finding close words is quadratic in them
_LINE_SHOWN = 160  # characters of a source line around the caret


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; ``line`` and ``column`` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. ``source`` is the whole line it is in, ``hint`` what to write instead ("" for none)."""

    position: Position
    message: str
    source: str = ""
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"{self.position}: {self.message}"]
        if self.source.strip():
            start = max(0, self.position.column - 1 - _LINE_SHOWN // 2)
            part = self.source[start : start + _LINE_SHOWN]
            shown = "".join(c if c.isprintable() else (" " if c == "\t" else "?") for c in part)
            lines.append("    " + shown.rstrip())
            lines.append("    " + " " * (self.position.column - 1 - start) + "^")
        if self.hint:
            lines.append("    " + self.hint)
        return "\n".join(lines)


def _order(problem: Problem) -> tuple[str, int, int, str]:
    at = problem.position
    return at.file, at.line, at.column, problem.message


class MatrixError(UserError):
    """Everything that is wrong with a matrix; ``problems`` is never empty and in file order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(sorted(set(problems), key=_order))
        super().__init__(str(self))

    def __str__(self) -> str:
        count = len(self.problems)
        head = "1 mistake in the matrix" if count == 1 else f"{count} mistakes in the matrix"
        parts = [head, *(str(problem) for problem in self.problems[:_SHOWN])]
        if count > _SHOWN:
            parts.append(f"... and {count - _SHOWN} more")
        return "\n".join(parts)


def closest(word: str, known: Iterable[str]) -> list[str]:
    """The known words that ``word`` was probably meant to be: at most two, the likeliest first."""
    if len(word) > _LONGEST_WORD:
        return []
    lowered = {name.lower(): name for name in sorted(set(known))}
    return [lowered[low] for low in difflib.get_close_matches(word.lower(), lowered, n=2, cutoff=0.6)]


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A suggestion such as "did you mean 'channels_last'?", or the list of what exists, or ""."""
    names = sorted(set(known))
    close = closest(word, names)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known here: " + ", ".join(names) if names and len(names) <= _LISTED else ""
