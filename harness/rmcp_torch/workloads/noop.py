"""Does nothing: what is left is the cost of the harness itself. Needs no torch."""

from __future__ import annotations

from typing import Any


def run(ctx: Any, **args: Any) -> None:
    """Take any arguments and return at once."""
