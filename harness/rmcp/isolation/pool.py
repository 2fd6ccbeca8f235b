"""The zygote pool's decisions, pure: which zygote to start, to warm up, to let go. No process is touched here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MAX_LIVE = 3  # zygotes; each holds an imported torch, 200 to 600 MB


@dataclass(frozen=True)
class Live:
    """A live zygote: its key and when it last got a case (monotonic seconds)."""

    key: str
    used: float


@dataclass(frozen=True)
class PoolStep:
    """Zygotes to start (in this order) and to let go."""

    start: tuple[str, ...] = ()
    retire: tuple[str, ...] = ()


def plan_pool(live: Sequence[Live], wanted: str, upcoming: Sequence[str], limit: int = MAX_LIVE) -> PoolStep:
    """What to do so that ``wanted`` is live and the next different key of ``upcoming`` warms up meanwhile.

    ``upcoming`` are the keys of the following cases in order. The least recently used zygote that is not
    needed soon goes first; the limit is never exceeded, and ``wanted`` always fits.
    """
    names = {entry.key for entry in live}
    following = next((key for key in upcoming if key != wanted), None)
    start = [wanted] if wanted not in names else []
    if limit > 1 and following is not None and following not in names:
        start.append(following)
    soon = {wanted, following}
    candidates = sorted((entry for entry in live if entry.key not in soon), key=lambda entry: entry.used)
    # A zygote whose turn will not come again only holds memory.
    retire = [entry.key for entry in candidates if entry.key not in upcoming]
    excess = len(live) - len(retire) + len(start) - limit
    for entry in candidates:
        if excess <= 0:
            break
        if entry.key not in retire:
            retire.append(entry.key)
            excess -= 1
    while excess > 0 and len(start) > (1 if wanted not in names else 0):
        start.pop()
        excess -= 1
    return PoolStep(tuple(start), tuple(retire))
