"""Framed JSON messages over a byte stream: marker, length, checksum, payload.

The marker is a secret of the connection (a nonce for a case's result pipe), so a reader finds the next true
frame behind whatever garbage a case wrote on the descriptors it inherited, and garbage can never be a result.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, Dict, List, Optional, Tuple

MARKER_BYTES = 8
_HEADER = struct.Struct(">II")  # payload length, crc32 of the payload
_json = json.JSONEncoder(separators=(",", ":")).encode  # made once: a third of the cost of a small message
MAX_PAYLOAD = 64 * 1024 * 1024  # bytes; a longer length field is garbage, not a message


def encode(marker: bytes, message: Dict[str, Any]) -> bytes:
    """One frame as bytes. The payload is ASCII JSON, so any text survives, lone surrogates too."""
    payload = _json(message).encode("ascii")
    return marker + _HEADER.pack(len(payload), zlib.crc32(payload)) + payload


class Decoder:
    """Feed bytes, get messages. ``noise`` counts the bytes that belonged to no valid frame."""

    def __init__(self, marker: bytes) -> None:
        self._marker = marker
        self._buffer = bytearray()
        self.noise = 0

    def feed(self, data: bytes) -> List[Dict[str, Any]]:
        """Messages completed by ``data``, in order."""
        self._buffer += data
        messages: List[Dict[str, Any]] = []
        while True:
            noise, size, message = _take(self._marker, self._buffer)
            self.noise += noise
            del self._buffer[: noise + size]
            if message is not None:
                messages.append(message)
            elif noise == 0 or not self._buffer:
                return messages

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame."""
        return len(self._buffer)


def _take(marker: bytes, buffer: bytearray) -> Tuple[int, int, Optional[Dict[str, Any]]]:
    """Look for one frame at the front: (bytes of noise to drop, bytes of the frame to drop, message or None)."""
    start = buffer.find(marker)
    if start < 0:
        # Keep a tail that could be the beginning of a marker.
        keep = 0
        for size in range(min(len(marker) - 1, len(buffer)), 0, -1):
            if marker.startswith(bytes(buffer[-size:])):
                keep = size
                break
        return len(buffer) - keep, 0, None
    if start:
        return start, 0, None
    body = len(marker) + _HEADER.size
    if len(buffer) < body:
        return 0, 0, None
    length, checksum = _HEADER.unpack_from(buffer, len(marker))
    if length > MAX_PAYLOAD:
        return len(marker), 0, None
    if len(buffer) < body + length:
        return 0, 0, None
    payload = bytes(buffer[body : body + length])
    message = None
    if zlib.crc32(payload) == checksum:
        try:
            message = json.loads(payload.decode("ascii"))
        except ValueError:
            message = None
    if not isinstance(message, dict):
        return len(marker), 0, None
    return 0, body + length, message
