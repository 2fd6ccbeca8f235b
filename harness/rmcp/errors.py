"""Errors that are the user's to mend: shown as text, never as a traceback."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in what the user gave; the message says what was tried, what was found, what to do next.

    The `rmcp` command prints it and exits with 4; the plugin turns it into ``pytest.UsageError``.
    """
