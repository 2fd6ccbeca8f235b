"""Runtimes given on the command line: further values of a matrix's runtime axis, without touching the file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.document import Axis, Patch, Value
from rmcp.matrix.errors import Position
from rmcp.matrix.nodes import Source, compose
from rmcp.matrix.reading import NAME, Reader
from rmcp.matrix.versions import VERSION

OPTION = "--rmcp-runtime"
AXIS = "runtime"
THIS = "this"
_EXAMPLE = f"for example {OPTION} debian=/usr/bin/python3"


@dataclasses.dataclass(frozen=True)
class Given:
    """``fields`` are those of RuntimeSpec. ``text`` says the same as the option, with absolute paths: so a run
    that is resumed from another folder means the same interpreter."""

    name: str
    fields: Mapping[str, Any]
    text: str


def given_runtime(text: str, directory: Path) -> Given:
    """Read ``NAME=PYTHON`` (an interpreter, or a venv's folder) or ``NAME={RUNTIME}`` with a runtime as a matrix
    writes it, ``{prefix: /opt/rocm}`` or ``{image: ..., engine: podman}``. Relative paths start at ``directory``.

    Raises UserError (MatrixError for a mistake inside the braces).
    """
    name, equals, what = (part.strip() for part in text.partition("="))
    if not equals or not what:
        raise UserError(f"{OPTION} takes NAME=PYTHON, {_EXAMPLE}; found {text!r}")
    if not NAME.fullmatch(name):
        raise UserError(
            f"{OPTION}: {name!r} cannot name a runtime: it stands in ids and may hold letters, digits and . _ + -"
        )
    if name == THIS:
        raise UserError(f"{OPTION}: `{THIS}` is the interpreter that runs pytest; choose another name, {_EXAMPLE}")
    if what.startswith("{"):
        fields = _written(name, what, directory)
        return Given(name, fields, f"{name}={json.dumps(fields)}")
    python = _absolute(what, directory)
    return Given(name, {"python": python}, f"{name}={python}")


def given_axis(recorded: object, axes: Collection[str]) -> str:
    """Name of the axis that exists only because a run was given runtimes: ``recorded`` is the matrix of its manifest,
    ``axes`` are those of the file. "" when the file has the axis itself, or nothing was given."""
    given = recorded.get("runtimes") if isinstance(recorded, Mapping) else None
    return AXIS if given and AXIS not in axes else ""


def _written(name: str, what: str, directory: Path) -> Mapping[str, Any]:
    source = Source(what, f"{OPTION} {name}")
    reader = Reader(source, directory)
    fields = reader.runtime(compose(source))
    source.stop()
    if not fields:
        raise UserError(f"{OPTION} {name}: the runtime is empty; {_EXAMPLE}")
    return fields


def _absolute(python: str, directory: Path) -> str:
    """A path made absolute; a bare program name that is no file here is looked up on PATH when it is started."""
    if python.startswith("~") or ("/" not in python and not (directory / python).exists()):
        return python
    return str(directory / python)  # not resolve(): a venv's python is a link, and following it leaves the venv


def with_runtimes(axes: tuple[Axis, ...], given: Iterable[Given]) -> tuple[Axis, ...]:
    """The axes with the given runtimes as values of the axis that chooses the runtime.

    A name that the axis has already gets the given interpreter and keeps the rest of its patch. A matrix without
    such an axis gets one in front, compared and with the default `this`, so that no key of a case changes.
    """
    given = list(given)
    if not given:
        return axes
    at = Position(OPTION, 1, 1)
    number = next((i for i, axis in enumerate(axes) if any(value.patch.runtime for value in axis.values)), None)
    if number is None:
        number = next((i for i, axis in enumerate(axes) if axis.name == AXIS), None)
    if number is None:
        this = Value(THIS, Patch(), at)
        axes = (Axis(AXIS, (this,), at, compare=True, type=VERSION, default=THIS), *axes)
        number = 0
    values = {value.name: value for value in axes[number].values}
    for each in given:
        old = values.get(each.name, Value(each.name, Patch(), at))
        patch = dataclasses.replace(
            old.patch, runtime=dict(each.fields), places={**old.patch.places, "runtime": at}
        )
        values[each.name] = dataclasses.replace(old, patch=patch)
    axis = dataclasses.replace(axes[number], values=tuple(values.values()))
    return (*axes[:number], axis, *axes[number + 1 :])
