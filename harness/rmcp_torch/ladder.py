"""The kill ladder as a pure decision: (snapshot, now) -> what to do. Used by the guard of a child and of a zygote.

Rungs, once a budget is spent: dump stacks, SIGTERM to the group, SIGKILL to group and descendants, abandon.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

WAIT, DUMP, TERM, KILL, ABANDON = "wait", "dump", "term", "kill", "abandon"
RUNGS = (DUMP, TERM, KILL, ABANDON)

DUMP_GRACE_S = 0.25  # faulthandler writes all Python stacks in milliseconds; a stopped task never answers
TERM_GRACE_S = 0.5  # a healthy interpreter dies of SIGTERM at once; longer would only delay the run
KILL_GRACE_S = 20.0  # amdgpu queue teardown has been seen to take 10 s after SIGKILL
STALL_SHARE = 0.5  # at the end of the case budget: silent for half of it means no progress


class Budgets(NamedTuple):
    """Seconds. ``case``: whole life, exit included. ``silent``: between heartbeats, ``phases`` by phase."""

    case: float
    silent: float
    phases: Dict[str, float] = {}
    dump_grace: float = DUMP_GRACE_S
    term_grace: float = TERM_GRACE_S
    kill_grace: float = KILL_GRACE_S


class Snapshot(NamedTuple):
    """What is known of a living process, times on one monotonic clock. ``rung``: last rung taken and when."""

    started: float
    last_beat: float
    phase: str
    rung: Optional[Tuple[str, float]] = None
    abort: bool = False  # told to stop: straight to SIGKILL
    dumped: bool = False  # the stacks have arrived, no need to wait out the grace


class Decision(NamedTuple):
    """``action``; ``why`` is `silent`, `case` or `abort` when a ladder begins; ``wake``: look again at this time."""

    action: str
    why: str
    wake: float


def decide(seen: Snapshot, now: float, budgets: Budgets) -> Decision:
    """The next step for a process that is still alive."""
    if seen.abort and (seen.rung is None or seen.rung[0] in (DUMP, TERM)):
        return Decision(KILL, "abort", now + budgets.kill_grace)
    if seen.rung is None:
        return _before_ladder(seen, now, budgets)
    rung, since = seen.rung
    grace = {DUMP: budgets.dump_grace, TERM: budgets.term_grace, KILL: budgets.kill_grace}.get(rung, 0.0)
    if rung == ABANDON or (now - since < grace and not (rung == DUMP and seen.dumped)):
        return Decision(WAIT, "", since + grace)
    following = RUNGS[RUNGS.index(rung) + 1]
    return Decision(following, "", now)


def _before_ladder(seen: Snapshot, now: float, budgets: Budgets) -> Decision:
    silent = budgets.phases.get(seen.phase, budgets.silent)
    end_of_life = seen.started + budgets.case
    end_of_silence = seen.last_beat + silent
    if now >= end_of_life:
        stalled = now - seen.last_beat >= min(silent, STALL_SHARE * budgets.case)
        return Decision(DUMP, "silent" if stalled else "case", now)
    if now >= end_of_silence:
        return Decision(DUMP, "silent", now)
    return Decision(WAIT, "", min(end_of_life, end_of_silence))
