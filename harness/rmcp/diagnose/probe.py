"""Which untried cell to run next: the one that best separates the leading hypotheses for its cost and hazard.

The leading hypotheses are a committee weighted by their evidence. A cell on which they disagree tells most;
when one hypothesis has all but won, cells inside it (confirmations) and cells that miss exactly one of its
terms (refutations of its neighbours) are run instead, until there are three fresh ones of each kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rmcp.diagnose.localise import Effort, Finding, Hypothesis, choose, clear_tallies, localise, search
from rmcp.diagnose.space import Evidence, Space, Tally, bits, mask_of, weight

CONFIRMATIONS = 3  # fresh failures inside the rule before it counts as settled
REFUTATIONS = 3  # fresh passes of its neighbours, likewise
_CERTAIN = 0.97  # share of the committee's weight that the leader needs
_NOISE = 0.05  # chance that a cell does not do what its rule says
_COMMITTEE = 150  # hypotheses that vote
_SILENT = 4  # cells in a row without a verdict (blocked device, broken runtime) after which probing stops
_CANDIDATES = 160  # cells that are weighed for one choice; they are spread over all that are open
_SECOND_LOOK = 3  # attempts up to which a tried cell may be run again
_DOUBTS = 5  # cells inside a rule that must end with another signature before the rest of that region is given up
_AGAIN = 2  # probes after which the committee is searched anew

_EFFORT = Effort(beam=60, leaders=20, keep=400)

RunCell = Callable[[int], "tuple[Tally, bool]"]  # cell -> tally of its attempts, and whether it ended otherwise


@dataclass(frozen=True)
class Budget:
    """What an exploration may spend: cells, expected seconds, and units of hazard (expected device
    incidents)."""

    probes: int = 40
    seconds: float = math.inf
    hazard: float = math.inf


@dataclass(frozen=True)
class Price:
    """What running one cell costs: seconds when it passes and when it fails, and the hazard of a failure.

    ``hazard_s``: how many seconds one unit of hazard is worth; a device reset also costs the canary and its
    wait.
    """

    passing_s: float = 1.0
    failing_s: float = 1.0
    hazard: float = 0.0
    hazard_s: float = 30.0


@dataclass(frozen=True)
class Probed:
    """One probe: the cell, why it was chosen, what came of it, and the leader's weight before it."""

    cell: int
    why: str
    tally: Tally
    other: bool
    certainty: float


@dataclass(frozen=True)
class Explored:
    """The end of an exploration. ``settled``: three confirmations and three refutations, and no rival
    left."""

    finding: Finding | None
    probes: tuple[Probed, ...]
    settled: bool
    confirmations: int = 0
    refutations: int = 0
    stopped: str = ""
    tallies: Mapping[int, Tally] = field(default_factory=dict, repr=False)


def explore(
    space: Space,
    tallies: Mapping[int, Tally],
    others: Iterable[int],
    run: RunCell,
    budget: Budget = Budget(),
    prices: Mapping[int, Price] | None = None,
    untried: Iterable[int] | None = None,
    effort: Effort = _EFFORT,
) -> Explored:
    """Probe until one hypothesis is settled or the budget is spent. ``untried`` defaults to all cells not
    tallied."""
    masked = set(others)
    known = clear_tallies(tallies, masked)
    open_cells = set(range(len(space.cells)) if untried is None else untried) - set(tallies)
    probes: list[Probed] = []
    spent_s = spent_hazard = 0.0
    pool: list[Hypothesis] = []
    since, hidden, hidden_from, silent = _AGAIN, 0, -1, 0
    stopped = "the budget is spent"
    while True:
        evidence = Evidence(known)
        if since >= _AGAIN or not pool:
            pool, since = search(space, evidence, effort), 0
        if not pool:
            return Explored(None, tuple(probes), False, stopped="nothing fails firmly", tallies=known)
        pool.sort(key=lambda h: (-h.score, len(h.terms), h.terms))
        leader = pool[0]
        fresh = _fresh(space, leader, probes)
        # A tried cell whose attempts agree can be looked at again: a pass may be a flaky failure.
        again = {i for i, t in known.items() if not t.flaky and 0 < t.attempts <= _SECOND_LOOK and i not in masked}
        if len(masked) != hidden_from:
            hidden, hidden_from = _hidden(space, tallies, known, masked), len(masked)
        visible = {cell for cell in open_cells if not hidden >> cell & 1}
        certainty, committee = _committee(pool, leader, mask_of(visible | again))
        inside = bits(leader.mask & mask_of(visible))
        # That another signature hides part of the rule is itself a guess: some of it is tried all the same.
        tried = sum(1 for p in probes if p.other and leader.mask >> p.cell & 1)
        doubted = leader.mask & hidden & mask_of(open_cells) if tried < _DOUBTS or not fresh[0] else 0
        narrower = _narrower(space, leader, known, mask_of(visible) | doubted)
        if doubted and (not inside or (narrower and not _narrower(space, leader, known, mask_of(visible)))):
            inside = bits(doubted)
        next_to, unrefuted = _neighbours(space, leader, visible, probes)
        settled = (
            certainty >= _CERTAIN
            and (fresh[0] >= CONFIRMATIONS or (not inside and (fresh[0] > 0 or not leader.mask & mask_of(open_cells))))
            and (fresh[1] >= REFUTATIONS or not next_to)
            and not narrower
            and not unrefuted
        )
        if settled or len(probes) >= budget.probes or not (visible or doubted):
            if settled and since:  # a last look with the whole evidence: a better rule may have come up
                since = _AGAIN
                fuller = search(space, evidence, effort)
                if fuller and fuller[0].mask != leader.mask and len(probes) < budget.probes and visible:
                    pool, since = fuller, 0
                    continue
                pool = fuller or pool
            stopped = "settled" if settled else ("no untried cell is left" if not open_cells else stopped)
            break
        cell, why = _next(
            leader,
            committee,
            certainty,
            visible,
            mask_of(again),
            inside,
            next_to,
            fresh,
            narrower,
            prices or {},
        )
        cost = (prices or {}).get(cell, Price())
        chance = sum(w for h, w in committee if h.mask >> cell & 1)
        spent_s += chance * cost.failing_s + (1 - chance) * cost.passing_s
        spent_hazard += chance * cost.hazard
        if spent_s > budget.seconds or spent_hazard > budget.hazard:
            break
        tally, other = run(cell)
        open_cells.discard(cell)
        silent = 0 if tally.attempts or other else silent + 1
        probes.append(Probed(cell, why, tally, other, certainty))
        if other:
            masked.add(cell)
        before = known.pop(cell, Tally())
        known.update(clear_tallies({cell: before + tally}, masked))
        surprise = tally.attempts > 0 and (tally.share > 0.5) is not bool(leader.mask >> cell & 1)
        since += _AGAIN if surprise else 1
        if silent >= _SILENT:
            stopped = f"{silent} cells in a row gave no verdict"
            break
        gain = weight(known.get(cell, Tally())) - weight(before)
        pool = [Hypothesis(h.terms, h.mask, h.score + gain) if h.mask >> cell & 1 else h for h in pool]
    evidence = Evidence(known)
    final = search(space, evidence, Effort()) if not settled else pool
    finding = choose(space, evidence, final or pool, mask_of(masked))
    leading = _fresh(space, finding.hypothesis, probes)
    return Explored(finding, tuple(probes), settled, leading[0], leading[1], stopped, known)


def _hidden(space: Space, first: Mapping[int, Tally], known: Mapping[int, Tally], masked: set[int]) -> int:
    """Cells that another signature is expected to end first: probing them would say nothing about this
    one."""
    if not masked:
        return 0
    other = {cell: Tally(0, tally.passed) for cell, tally in known.items() if tally.passed}
    other.update({cell: Tally(max(1, 3 - first.get(cell, Tally()).attempts), 0) for cell in masked})
    found = localise(space, other, effort=Effort(beam=30, leaders=4, window=1.0), most_rules=3)
    hidden = 0
    for finding in found.findings:
        if finding.significant:
            hidden |= finding.hypothesis.mask
    return hidden


def _committee(
    pool: Sequence[Hypothesis], leader: Hypothesis, reachable: int
) -> tuple[float, list[tuple[Hypothesis, float]]]:
    """The leader's share of the weight, and the voters with theirs. Who differs nowhere within reach is the
    leader."""
    voters = pool[:_COMMITTEE]
    raw = [math.exp(h.score - leader.score) for h in voters]
    total = math.fsum(raw)
    committee = [(h, w / total) for h, w in zip(voters, raw, strict=True)]
    same = math.fsum(w for h, w in committee if (h.mask ^ leader.mask) & reachable == 0)
    return same, committee


def _fresh(space: Space, leader: Hypothesis, probes: Sequence[Probed]) -> tuple[int, int]:
    """Fresh confirmations and refutations of the leader among the probes so far."""
    confirmed = sum(1 for p in probes if p.tally.share > 0.5 and leader.mask >> p.cell & 1)
    refuted = sum(
        1 for p in probes if p.tally.attempts and not p.tally.failed and len(_missed(space, leader, p.cell)) == 1
    )
    return confirmed, refuted


def _missed(space: Space, leader: Hypothesis, cell: int) -> list[int]:
    return [term for term in leader.terms if not space.masks[term] >> cell & 1]


def _narrower(space: Space, leader: Hypothesis, known: Mapping[int, Tally], visible: int) -> list[int]:
    """Predicates that every failing cell of the leader has, but not every open one: the rule may need them
    too."""
    failed = leader.mask & mask_of(cell for cell, tally in known.items() if tally.share > 0.5)
    inside = leader.mask & visible
    return [mask for mask in space.masks if failed & ~mask == 0 and inside & ~mask]


def _neighbours(
    space: Space, leader: Hypothesis, open_cells: set[int], probes: Sequence[Probed]
) -> tuple[list[int], bool]:
    """Open cells that miss exactly one term, of the term refuted least so far; and whether a term never
    was."""
    by_term: dict[int, list[int]] = {}
    open_mask = mask_of(open_cells)
    for term in leader.terms:
        rest = space.extension(other for other in leader.terms if other != term)
        by_term[term] = bits(rest & ~space.masks[term] & open_mask)
    seen = dict.fromkeys(leader.terms, 0)
    for p in probes:
        missed = _missed(space, leader, p.cell)
        if len(missed) == 1:
            seen[missed[0]] += 1
    terms = sorted((term for term in leader.terms if by_term[term]), key=lambda term: seen[term])
    return (by_term[terms[0]], seen[terms[0]] == 0) if terms else ([], False)


def _next(
    leader: Hypothesis,
    committee: Sequence[tuple[Hypothesis, float]],
    certainty: float,
    open_cells: set[int],
    again: int,
    inside: Sequence[int],
    next_to: Sequence[int],
    fresh: tuple[int, int],
    narrower: Sequence[int],
    prices: Mapping[int, Price],
) -> tuple[int, str]:
    """The next cell and why: separate rivals while there are any, then confirm and refute."""
    open_mask = mask_of(open_cells)
    disagree = 0
    for hypothesis, _ in committee:
        disagree |= hypothesis.mask ^ leader.mask
    if certainty < _CERTAIN and disagree & open_mask:
        candidates, why = bits(disagree & open_mask), "separates the leading rules"
    elif certainty < _CERTAIN and disagree & again:
        candidates, why = bits(disagree & again), "second look: the leading rules differ here"
    elif inside and (fresh[0] < CONFIRMATIONS or narrower) and (fresh[0] <= fresh[1] or not next_to):
        # A failing cell here refutes every narrower rule whose extra term it lacks: take the one that lacks
        # most.
        lacking = {cell: sum(1 for mask in narrower if not mask >> cell & 1) for cell in inside}
        most = max(lacking.values())
        candidates, why = [cell for cell in inside if lacking[cell] == most], "confirms the leading rule"
    elif next_to:
        candidates, why = list(next_to), "neighbour of the leading rule"
    else:
        candidates, why = bits(disagree & open_mask) or list(inside) or sorted(open_cells), "further check"
    step = max(1, len(candidates) // _CANDIDATES)
    few = candidates[::step]
    return max(few, key=lambda cell: (_worth(cell, committee, prices.get(cell, Price())), -cell)), why


def _worth(cell: int, committee: Sequence[tuple[Hypothesis, float]], cost: Price) -> float:
    """Expected information (bits) per second of cost, a unit of hazard counted as ``hazard_s`` seconds."""
    chance = math.fsum(w for h, w in committee if h.mask >> cell & 1)
    seen = _NOISE + (1 - 2 * _NOISE) * chance
    information = _entropy(seen) - _entropy(_NOISE)
    seconds = chance * (cost.failing_s + cost.hazard * cost.hazard_s) + (1 - chance) * cost.passing_s
    return information / max(1e-3, seconds)


def _entropy(p: float) -> float:
    p = min(1.0, max(0.0, p))
    return -math.fsum(x * math.log2(x) for x in (p, 1 - p) if x > 0)
