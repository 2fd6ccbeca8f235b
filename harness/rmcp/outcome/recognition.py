"""Recognition: what a text (with an exit status) says about why a program ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rmcp.words import Cause


@dataclass(frozen=True)
class Recognition:
    """The first cause in a text.

    ``fields`` uses the names of `docs/outcomes.md` (hsa_status, code, address, node, kernel, library, pid,
    signal ...). ``line`` is the guilty line as printed (without its newline) and ``line_number`` its number,
    from 1; 0 where no line but only the exit status told. ``pattern_id`` names the row of the pattern table.
    ``device`` says that the line itself is proof of a device fault, whatever became of the process.
    ``runtime_hint`` names the ROCm releases whose source prints that line (see `fingerprint`).
    ``also`` lists other causes that the text names, in order, each once; ``also_lines`` has the line of each.
    """

    cause: Cause = Cause.NONE
    fields: Mapping[str, Any] = field(default_factory=dict)
    line: str = ""
    line_number: int = 0
    pattern_id: str = ""
    layer: str = ""
    device: bool = False
    runtime_hint: str = ""
    also: tuple[Cause, ...] = ()
    also_lines: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.cause is not Cause.NONE
