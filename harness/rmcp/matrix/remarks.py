"""Remarks on the environment variables of a matrix, each at its place in the file."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from rmcp.matrix.document import Matrix, Patch


def remarks(matrix: Matrix) -> list[str]:
    """Lines ``file:line:column: level: VARIABLE: message``; empty where the knowledge base has no objection.

    Levels below a warning are left out: a plan shows what is probably not meant.
    """
    try:
        check = importlib.import_module("rmcp.device.environment").check_environment
    except (ImportError, AttributeError):
        return []
    lines: dict[str, None] = {}
    for patch in _patches(matrix):
        if not patch.env:
            continue
        # Without arguments: those of the other axes are not known here, and what is not known is not assumed.
        for finding in check({**matrix.defaults.env, **patch.env}, args=None):
            place = patch.places.get("env." + finding.variable)
            if place is not None and str(finding.level) != "info":
                lines[_line(place, finding)] = None
    return list(lines)


def _line(place: Any, finding: Any) -> str:
    suggestion = getattr(finding, "suggestion", "")
    text = f"{place}: {finding.level}: {finding.variable}: {finding.message}"
    return text + (f" ({suggestion})" if suggestion else "")


def _patches(matrix: Matrix) -> Iterator[Patch]:
    yield matrix.defaults
    for axis in matrix.axes:
        for value in axis.values:
            yield value.patch
    for setting in (*matrix.set, *(rule for profile in matrix.profiles.values() for rule in profile.set)):
        yield setting.patch
