"""Stop signals: the first ends the run in order with every report written, the second at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

_STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_EXIT_INTERRUPTED = 2


class Interrupts:
    """Handlers for SIGINT, SIGTERM and SIGHUP while a run is open. Install from the main thread."""

    def __init__(self, at_once: Callable[[], None]) -> None:
        self._at_once = at_once  # kills what must not outlive us, quickly
        self._old: dict[int, Any] = {}
        self.seen: str | None = None

    def install(self) -> None:
        """Take the signals over."""
        for number in _STOPS:
            self._old[number] = signal.signal(number, self._handle)

    def restore(self) -> None:
        """Give them back."""
        for number, handler in self._old.items():
            signal.signal(number, handler)
        self._old.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.seen is not None:
            self._at_once()
            os._exit(_EXIT_INTERRUPTED)
        self.seen = signal.Signals(number).name
        raise KeyboardInterrupt(self.seen)
