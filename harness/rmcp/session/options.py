"""RunOptions: what a user may say about a run, whichever face it came through."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """``timeout`` (seconds) overrides every case budget; ``memory`` (bytes) limits every case's data;
    ``resume`` names a run to go on with ('latest', an id, a folder); ``cases`` are ids to run alone;
    ``runtimes`` are further runtimes as --rmcp-runtime takes them; ``repeat`` attempts for every case,
    ``retries`` further ones for a case that failed; ``force`` also starts poison pills."""

    matrix: str | None = None
    select: str | None = None
    profile: str | None = None
    device: str | None = None
    isolation: str = "fork"
    shard: str | None = None
    resume: str | None = None
    out: Path = Path("reports")
    timeout: float | None = None
    retries: int = 0
    repeat: int = 1
    memory: int | None = None
    cases: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    force: bool = False
    update_expectations: bool = False
