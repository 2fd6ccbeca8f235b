"""Writing a derived file so that a reader never sees half of it."""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path


def write_atomically(path: Path, pieces: Iterable[bytes]) -> None:
    """Write ``pieces`` beside ``path`` and rename; on an error the old file stays as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}")
    try:
        with open(beside, "xb") as file:
            for piece in pieces:
                file.write(piece)
        os.replace(beside, path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """No cyclic garbage collection inside: it would walk millions of live values and find nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
