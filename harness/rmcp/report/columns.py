"""Columns: many equal values stored once, as `{pool: [values], codes: [index per row]}`.

In the page the codes of all columns lie one after another in a block of bytes of their own, because a browser takes a
third of a second to parse four million numbers as JSON and no time to look at bytes: the index holds
`[offset, bytes per number, count]` in place of each list (see page/table.js).
"""

from __future__ import annotations

import base64
import gzip
import json
import sys
from array import array
from collections.abc import Callable, Iterable
from typing import Any

_GZIP_LEVEL = 6  # 9 takes three times as long for 2 % on this data


class _Codes(dict[str, int]):
    """Values by order of first use. All the work of a known value is done by the dict, in C."""

    def __missing__(self, value: str) -> int:
        code = self[value] = len(self)
        return code


class Pool:
    """Distinct strings in order of first use; ``code`` gives the index of one, adding it when it is new."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._codes = _Codes()
        self.code: Callable[[str], int] = self._codes.__getitem__
        for value in values:
            self.code(value)

    @property
    def values(self) -> list[str]:
        """The distinct strings."""
        return list(self._codes)


def column(values: Iterable[str]) -> dict[str, Any]:
    """A column of strings: its distinct values and one code per row."""
    pool = Pool()
    codes = list(map(pool.code, values))
    return {"pool": pool.values, "codes": codes}


class _Bytes:
    """Collects columns of whole numbers, little end first, each as narrow as its values allow."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0

    def add(self, values: list[Any]) -> Any:
        """The place of a column; of one with fractions its distinct numbers and the place of their codes."""
        low, high = min(values, default=0), max(values, default=0)
        kind = next((kind for kind, bits in _KINDS if -(1 << bits) <= low and high < 1 << bits), "")
        try:
            numbers = array(kind or "l", values) if kind else None
        except TypeError:  # there is a fraction among them
            numbers = None
        if numbers is None:
            distinct: dict[float, int] = {}
            codes = [distinct.setdefault(value, len(distinct)) for value in values]
            return {"pool": list(distinct), "codes": self.add(codes)}
        if sys.byteorder == "big":
            numbers.byteswap()
        place = [self.size, numbers.itemsize, len(numbers)]
        data = numbers.tobytes()
        self.parts += (data, bytes(-len(data) % 4))  # every column begins where a number of four bytes may
        self.size += len(data) + -len(data) % 4
        return place


_KINDS = (("b", 7), ("h", 15), ("i", 31))  # type of array(), bits beside the sign
_COLUMNS = frozenset(("codes", "axis_codes", "side_changes", "side_steps", "ms", "rss", "attempts", "bad"))


def _place(value: Any, name: str, data: _Bytes) -> Any:
    if isinstance(value, dict):
        return {key: _place(item, key, data) for key, item in value.items()}
    if isinstance(value, list):
        if name in _COLUMNS:
            return [data.add(item) for item in value] if value and isinstance(value[0], list) else data.add(value)
        if value and isinstance(value[0], dict):
            return [_place(item, "", data) for item in value]
    return value


def index_blocks(index: dict[str, Any]) -> dict[str, str]:
    """The index as the two blocks of a page: what is not a column, and the bytes of the columns."""
    data = _Bytes()
    rest = _place(index, "", data)
    return {"index": pack(rest), "columns": _packed(b"".join(data.parts))}


def pack(payload: Any) -> str:
    """JSON, gzip, base64: what stands inside the page."""
    return _packed(json.dumps(payload, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii"))


def _packed(data: bytes) -> str:
    """The time stamp is zero, so that equal is equal."""
    return base64.b64encode(gzip.compress(data, _GZIP_LEVEL, mtime=0)).decode("ascii")
