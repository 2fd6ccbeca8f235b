"""Remarks on the environment variables of a matrix, each at its place in the file."""

from __future__ import annotations

from collections.abc import Iterator

from rmcp.device.environment import check_environment
from rmcp.matrix.document import Matrix, Patch


def remarks(matrix: Matrix, rocm: str | None = None, gfx: str | None = None) -> list[str]:
    """Lines ``file:line:column: level: message``; empty where the knowledge base has no objection.

    Levels below a warning are left out: what is shown is probably not meant. ``rocm`` and ``gfx``, where they are
    known, sharpen what is said.
    """
    # A matrix that never sets cudnn.benchmark runs without it, and some variables then do nothing.
    benchmark = any("benchmark" in patch.args for patch in _patches(matrix))
    lines: dict[str, None] = {}
    for patch in _patches(matrix):
        if not patch.env:
            continue
        env = {**matrix.defaults.env, **patch.env}
        for finding in check_environment(env, args=None if benchmark else {}, rocm=rocm, gfx=gfx):
            place = patch.places.get("env." + finding.variable)
            if place is not None and str(finding.level) != "info":
                suggestion = f" ({finding.suggestion})" if finding.suggestion else ""
                lines[f"{place}: {finding.level}: {finding.message}{suggestion}"] = None
    return list(lines)


def _patches(matrix: Matrix) -> Iterator[Patch]:
    yield matrix.defaults
    for axis in matrix.axes:
        for value in axis.values:
            yield value.patch
    for setting in (*matrix.set, *(rule for profile in matrix.profiles.values() for rule in profile.set)):
        yield setting.patch
