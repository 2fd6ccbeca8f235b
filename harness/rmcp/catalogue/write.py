"""The matrix file of a catalogue: to a file, which is never overwritten unseen, or to standard output."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from rmcp.errors import UserError
from rmcp_torch.catalogue import Convolution, Sightings, matrix_text


def matrix_name(path: str) -> str:
    """A matrix name from a file's name."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", Path(path).stem).strip("-.") or "imported"


def write_matrix(
    seen: Mapping[Convolution, Sightings], name: str, doc: str, out: Path | None, *, force: bool = False
) -> None:
    """Write the matrix and say so, or print it when ``out`` is None. Raises UserError when ``out`` is
    there."""
    text = matrix_text(seen, name, doc)
    if out is None:
        sys.stdout.write(text)
        return
    try:
        with open(out, "w" if force else "x", encoding="ascii") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            f"{out} is already there; choose another name with --out, or remove it first"
        ) from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    print(f"{out}: {len(seen)} convolutions; see them with `rmcp plan {out}`, run them with `rmcp run {out}`")
