"""Live progress: on a terminal one line below the letters with the case in flight; in CI a plain line a minute."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

_SHOW_AFTER_S = 0.5  # a case that is over sooner is not worth a redraw
_PLAIN_EVERY_S = 60.0  # CI logs stay short, and a watcher still sees that the run lives
_SAVE, _RESTORE, _CLEAR = "\0337", "\0338", "\033[K"
_ROOM_BELOW = "\033D\033[1A"  # index, cursor up: makes sure that a line below exists without moving the column


def eta(done: int, total: int, elapsed_s: float) -> str:
    """Remaining time at the mean rate so far, as text; empty while nothing is done."""
    if not done or done >= total:
        return ""
    return f"ETA {span((total - done) * elapsed_s / done)}"


def span(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 05 s`` or ``2 h 03 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def line_of(case: str, running_s: float, done: int, total: int, bad: int, elapsed_s: float) -> str:
    """The progress line."""
    words = [f"{done}/{total}"]
    if bad:
        words.append(f"{bad} unexpected")
    words += [word for word in (eta(done, total, elapsed_s), f"{case} {span(running_s)}" if case else "") if word]
    return " | ".join(words)


class Progress:
    """Draws the line. ``stream`` is the terminal's; nothing is drawn when it is none, but a line a minute is."""

    def __init__(self, stream: TextIO, total: int, *, live: bool, plain: bool) -> None:
        self._stream = stream
        self._live = live
        self._plain = plain
        self._total = total
        self._started = time.monotonic()
        self._said = self._started
        self._case = ""
        self._case_started = self._started
        self._drawn = False
        self.done = 0
        self.bad = 0

    def begin(self, case: str) -> None:
        """A case starts."""
        self._case, self._case_started = case, time.monotonic()

    def end(self, bad: bool) -> None:
        """A case is done."""
        self.clear()
        self.done += 1
        self.bad += bad
        self._case = ""

    def tick(self) -> None:
        """Called a few times a second while a case runs."""
        now = time.monotonic()
        if self._live and now - self._case_started >= _SHOW_AFTER_S:
            width = shutil.get_terminal_size().columns - 1
            self._write(_ROOM_BELOW + _SAVE + "\033[1B\r" + self._text(now)[:width] + _CLEAR + _RESTORE)
            self._drawn = True
        elif self._plain and now - self._said >= _PLAIN_EVERY_S:
            self._said = now
            self._write(f"\n[rmcp] {self._text(now)}\n")

    def clear(self) -> None:
        """Remove the line before something else is printed."""
        if self._drawn:
            self._write(_ROOM_BELOW + _SAVE + "\033[1B\r" + _CLEAR + _RESTORE)
            self._drawn = False

    def _text(self, now: float) -> str:
        return line_of(
            self._case, now - self._case_started, self.done, self._total, self.bad, now - self._started
        )

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._live = self._plain = False
