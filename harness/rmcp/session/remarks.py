"""Remarks on the environment variables of a matrix, each at its place in the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from rmcp.device.environment import check_environment
from rmcp.device.knowledge import knowledge
from rmcp.matrix.document import Matrix, Patch


def remarks(matrix: Matrix, rocm: str | None = None, gfx: str | None = None) -> list[str]:
    """Lines ``file:line:column: level: message``; empty where the knowledge base has no objection.

    Levels below a warning are left out: what is shown is probably not meant. ``rocm`` and ``gfx``, where they are
    known, sharpen what is said.
    """
    # What no patch sets stays at its default, and a variable that waits for it does nothing in any case.
    used = {(name, str(value).lower()) for patch in _patches(matrix) for name, value in patch.args.items()}
    lines: dict[str, None] = {}
    for patch in _patches(matrix):
        if not patch.env:
            continue
        env = {**matrix.defaults.env, **patch.env}
        for finding in check_environment(env, args=_partners(env, used), rocm=rocm, gfx=gfx):
            place = patch.places.get("env." + finding.variable)
            if place is not None and str(finding.level) != "info":
                suggestion = f" ({finding.suggestion})" if finding.suggestion else ""
                lines[f"{place}: {finding.level}: {finding.message}{suggestion}"] = None
    return list(lines)


def _partners(env: Mapping[str, str | None], used: Collection[tuple[str, str]]) -> dict[str, str]:
    """The arguments that variables of ``env`` wait for, as far as some value of the matrix sets them so."""
    found = {}
    for name in env:
        variable = knowledge().find(name)
        needs = variable.needs_args if variable is not None else None
        if needs is not None:
            found.update({one: needs.value for one in needs.names if (one, needs.value) in used})
    return found


def _patches(matrix: Matrix) -> Iterator[Patch]:
    yield matrix.defaults
    for axis in matrix.axes:
        for value in axis.values:
            yield value.patch
    for setting in (*matrix.set, *(rule for profile in matrix.profiles.values() for rule in profile.set)):
        yield setting.patch
