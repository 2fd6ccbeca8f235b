"""How the hits of one text compete: the highest rank wins, inside a rank the first line. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rmcp.outcome.patterns import Pattern, Rank
from rmcp.words import Cause

# What launchers print before they kill their own workers: a `Killed` after that is theirs, not the OOM killer's.
_PARENT_KILLED = re.compile(
    rb"[Rr]eceived sig(?:quit|term)|[Ff]atal signal from worker|[Cc]losing signal|died unexpectedly|shutting down"
)


@dataclass(frozen=True)
class Hit:
    """A row that matched a line that is not a mere mention."""

    pattern: Pattern
    cause: Cause
    offset: int
    end: int
    fields: Mapping[str, Any] = field(default_factory=dict)
    rank: Rank = Rank.PRIMARY
    comment: bool = False


def is_other(hit: Hit, best: Hit) -> bool:
    """True when a hit names a reason of its own beside the best one."""
    return hit.rank is Rank.PRIMARY and hit.cause not in (best.cause, Cause.NONE)


def choose(hits: Sequence[Hit], data: bytes) -> Hit | None:
    """The hit that counts: highest rank, then first line, then the row that stands first in the table."""
    rivals = [hit for hit in hits if hit.rank is not Rank.DETAIL and hit.cause is not Cause.NONE]
    if not rivals:
        return None
    top = max(hit.rank for hit in rivals)
    best = min((hit for hit in rivals if hit.rank == top), key=lambda hit: hit.offset)
    if best.pattern.id == "killed" and _PARENT_KILLED.search(data, 0, best.offset):
        return replace(best, cause=Cause.UNKNOWN_ABORT)
    if best.pattern.id.startswith("amdgpu-") and best.cause is Cause.MEMORY_ACCESS_FAULT:
        # In the kernel log a page fault that ends in a reset is a reset: that is what killed the process.
        reset = next(
            (hit for hit in rivals if hit.cause is Cause.GPU_HANG_RESET and hit.pattern.layer == "kernel-log"),
            None,
        )
        if reset is not None:
            return replace(reset, fields={**best.fields, **reset.fields})
    return best


def details(hits: Sequence[Hit]) -> dict[str, Any]:
    """Fields that lines beside the guilty one tell; the first to tell wins."""
    told: dict[str, Any] = {}
    for hit in hits:
        for name, value in hit.fields.items():
            told.setdefault(f"{hit.cause}/{name}", value)
            if hit.rank <= Rank.WEAK:
                told.setdefault(name, value)
    return told


# Fields that a line may lend to a hit of any cause: how the process ended, and what the driver says beside the fault.
_LENDABLE = ("signal", "exit_code", "kernel", "core", "process")


def compatible(told: Mapping[str, Any], best: Hit) -> dict[str, Any]:
    """The told fields that belong to the best hit: of its own cause, or lent by how the process ended."""
    fields = {name: told[name] for name in _LENDABLE if name in told}
    for key, value in told.items():
        cause, _, name = key.partition("/")
        if name and cause == best.cause:
            fields[name] = value
    if best.pattern.layer == "kernel-log":
        fields.update({name: told[name] for name in ("address", "pid", "client", "ring") if name in told})
    if best.cause is Cause.MEMORY_ACCESS_FAULT and "library" in told:
        fields.setdefault("library", told["library"])
    if best.cause in (Cause.DEVICE_ASSERT, Cause.UNKNOWN_ABORT):
        for name in ("hsa_status", "code", "queue"):
            value = told.get(f"{Cause.UNKNOWN_ABORT}/{name}")
            if value is not None:
                fields.setdefault(name, value)
    return fields
