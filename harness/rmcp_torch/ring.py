"""Ring: the first and the last bytes of a stream of any length, and how many in between were dropped."""

from __future__ import annotations

from typing import Any, Dict

HEAD_BYTES = 32 * 1024  # where the first error is
TAIL_BYTES = 64 * 1024  # where the abort is


class Ring:
    """Bounded memory whatever is fed: at most head + 2 x tail bytes are held."""

    def __init__(self, head: int = HEAD_BYTES, tail: int = TAIL_BYTES) -> None:
        self._head_size = head
        self._tail_size = tail
        self._head = bytearray()
        self._tail = bytearray()
        self.total = 0

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream."""
        self.total += len(data)
        room = self._head_size - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if data:
            if len(data) >= self._tail_size:
                self._tail = bytearray(data[-self._tail_size :])
            else:
                self._tail += data
                if len(self._tail) > 2 * self._tail_size:
                    del self._tail[: -self._tail_size]

    def as_message(self) -> Dict[str, Any]:
        """``head``, ``tail`` (bytes as Latin-1 text, so JSON keeps them exactly) and ``dropped``."""
        tail = bytes(self._tail[-self._tail_size :])
        return {
            "head": self._head.decode("latin-1"),
            "tail": tail.decode("latin-1"),
            "dropped": self.total - len(self._head) - len(tail),
        }
