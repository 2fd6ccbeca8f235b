"""Heartbeats in shared memory: a child notes its phases without waking its guard, which looks before it decides.

A frame in a pipe wakes the guard at once, and on a busy machine the case then waits for its processor; six phases
cost a small case more than its convolution. The mapping is inherited by the fork and has no descriptor, so a case
that closes or scribbles on every descriptor does not reach it; what wild native code writes there fails a checksum.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, Dict, List

from rmcp_torch.frames import Decoder, encode

SIZE = 256 * 1024  # bytes; a phase takes about 90, a batch child has 250 cases. Pages that are not written cost nothing
_USED = struct.Struct("=I")


class Beats:
    """One child's notes. The child writes, the guard reads; each has its own copy of this object."""

    def __init__(self, marker: bytes, size: int = SIZE) -> None:
        self._marker = marker
        self._map = mmap.mmap(-1, size)
        self._size = size
        self._written = _USED.size
        self._seen = _USED.size

    def write(self, message: Dict[str, Any]) -> bool:
        """Note one message; False when there is no room left."""
        frame = encode(self._marker, message)
        end = self._written + len(frame)
        if end > self._size:
            return False
        self._map[self._written : end] = frame
        self._map[: _USED.size] = _USED.pack(end)  # last, so that a reader never meets half a frame
        self._written = end
        return True

    def read(self) -> List[Dict[str, Any]]:
        """What was noted since the last call, in order; damaged notes are left out."""
        (end,) = _USED.unpack_from(self._map)
        if not self._seen < end <= self._size:
            return []
        data, self._seen = self._map[self._seen : end], end
        return Decoder(self._marker).feed(data)

    def close(self) -> None:
        """Give the memory back."""
        self._map.close()
