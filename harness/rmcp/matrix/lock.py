"""The lock file of a reduced matrix: its rows by value names, so that edits leave the other rows alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.document import Axis
from rmcp.matrix.reduce import Row

LOCK_FORMAT = 1


def read_lock(path: Path, axes: Sequence[Axis]) -> tuple[list[Row], int]:
    """Rows of a lock file against the axes of today, and how many of them name values that are gone.

    An axis that the lock does not know takes its default (else its first value); an axis that is gone is
    left out. Rows are None-free and in the file's order. Raises UserError when the file is not a lock file.
    """
    data = _read(path)
    names: Any = data.get("axes")
    rows: Any = data.get("rows")
    if data.get("rmcp-lock") != LOCK_FORMAT:
        found_format = data.get("rmcp-lock")
        raise UserError(f"{path}: lock format {found_format!r}, this rmcp reads {LOCK_FORMAT}; delete it or update")
    if not _texts(names) or not isinstance(rows, list) or not all(_texts(r) and len(r) == len(names) for r in rows):
        raise UserError(f"{path} is not a lock file of rmcp; delete it and run `rmcp plan --lock`")
    column = {name: number for number, name in enumerate(names)}
    found: list[Row] = []
    gone = 0
    for texts in rows:
        row = [_index(axis, texts[column[axis.name]] if axis.name in column else None) for axis in axes]
        if None in row:
            gone += 1
        else:
            found.append(tuple(value for value in row if value is not None))
    return found, gone


def write_lock(path: Path, name: str, axes: Sequence[Axis], strength: int, rows: Sequence[Row]) -> bool:
    """Write the rows, one a line; True when the file changed."""
    body = ",\n".join(
        "  " + json.dumps([axis.values[value].name for axis, value in zip(axes, row, strict=True)]) for row in rows
    )
    text = (
        f'{{"rmcp-lock": {LOCK_FORMAT}, "matrix": {json.dumps(name)}, "strength": {strength},\n'
        f' "axes": {json.dumps([axis.name for axis in axes])},\n "rows": [\n{body}\n ]}}\n'
    )
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return False
        path.write_text(text, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot write the lock file {path}: {error}") from None
    return True


def _read(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read the lock file {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"the lock file {path} is not JSON ({error}); delete it and run `rmcp plan --lock`") from None
    return data if isinstance(data, dict) else {}


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _index(axis: Axis, name: str | None) -> int | None:
    names = axis.names
    if name is None:
        return names.index(axis.default) if axis.default is not None else 0
    return names.index(name) if name in names else None
