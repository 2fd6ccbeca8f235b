"""Numbers out of text that nobody vouches for."""

from __future__ import annotations

import re

_WHOLE = re.compile(
    r"[0-9]{1,20}"
)  # 2**64 has 20 digits; int() itself refuses thousands of them with an exception


def whole(text: str) -> int | None:
    """The number that ``text`` is, at most 20 ASCII digits; None for everything else."""
    return int(text) if _WHOLE.fullmatch(text) else None
