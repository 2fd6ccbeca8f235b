"""What `xfail(raises=...)` names when a test's process did not end by itself in order."""

from __future__ import annotations


class Crash(Exception):
    """The process of an isolated test died: a signal, an exit without a result, a death after the result."""


class Hang(Exception):
    """The process of an isolated test had to be killed: its budget was spent."""
