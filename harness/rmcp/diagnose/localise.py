"""Combinational fault localisation: which conjunction of predicates explains one signature.

Search: a beam over conjunctions of up to four terms, scored by the log likelihood ratio of the evidence
minus a price per term, then all one-step variations of the leaders, so that what the data cannot tell apart
is found as a set. What is found is judged by Fisher's exact one-sided test, corrected for the number of
hypotheses of that length.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from rmcp.diagnose.predicates import Atom
from rmcp.diagnose.space import Evidence, Space, Tally, bits, mask_of
from rmcp.stats.exact import log_choose, log_fisher_greater

MOST_TERMS = 4
_LENGTH_PENALTY = math.log(2.0)  # each further term must halve the p-value, over and above the correction
_LEAST = 1.0  # log units of evidence without which nothing is explained (one firmly failing cell has 2.9)
_FLOORS = (
    0.75,
    0.3,
    0.0,
)  # shares of the failing evidence that a rule must keep; lower only when nothing is found
_GOOD = 0.5  # a rule that keeps less than this share of the failing evidence makes the search try the next floor


@dataclass(frozen=True)
class Effort:
    """How wide the search is. ``beam``: conjunctions kept per length; ``leaders``: how many are varied;
    ``window``: natural-log distance from the best within which hypotheses are kept; ``keep``: most of
    them."""

    beam: int = 60
    leaders: int = 24
    window: float = 9.0
    keep: int = 400


@dataclass(frozen=True)
class Hypothesis:
    """A conjunction: indices into the space's predicates, the cells it covers, and how well it does (log)."""

    terms: tuple[int, ...]
    mask: int
    score: float


@dataclass(frozen=True)
class Counts:
    """What a rule covers. ``masked`` cells are inside it but ended with another signature: no word either
    way."""

    covered: int
    failing: int
    contradicted: int
    passing: int
    masked: int = 0


@dataclass(frozen=True)
class Finding:
    """One rule of a signature. ``log10_p`` is Fisher's, ``log10_corrected`` after correction and length
    penalty.

    ``rivals`` have the same extension on all cells that are not flaky: this data cannot tell them apart.
    ``unlike`` are hypotheses nearly as good that differ on the data. ``terms`` of a hypothesis index
    ``Space.atoms``.
    """

    hypothesis: Hypothesis
    counts: Counts
    log10_p: float
    log10_corrected: float
    rivals: tuple[Hypothesis, ...] = ()
    unlike: tuple[Hypothesis, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether chance is an unlikely explanation (p < 0.01 after correction)."""
        return self.log10_corrected < -2.0


@dataclass(frozen=True)
class Localised:
    """The rules of one signature, best first, and the failing cells that none of them explains."""

    findings: tuple[Finding, ...]
    unexplained: tuple[int, ...] = ()
    space: Space | None = field(default=None, compare=False, repr=False)


def rule_text(space: Space, hypothesis: Hypothesis) -> str:
    """The rule as people read it."""
    return " and ".join(atom.text() for atom in rule_atoms(space, hypothesis)) or "always"


def rule_atoms(space: Space, hypothesis: Hypothesis) -> list[Atom]:
    """The rule's predicates, plainest first."""
    return sorted((space.atoms[term] for term in hypothesis.terms), key=lambda atom: (atom.cost, atom.text()))


def price(space: Space) -> float:
    """What one more term costs, in natural-log units of evidence: the choice among that many predicates."""
    return max(3.0, 0.9 * math.log(max(2, len(space.masks))))


def search(
    space: Space, evidence: Evidence, effort: Effort = Effort(), most_terms: int = MOST_TERMS
) -> list[Hypothesis]:
    """Hypotheses within ``effort.window`` of the best, best first; empty when nothing failed firmly."""
    if not evidence.positive:
        return []
    found: list[Hypothesis] = []
    for floor in _FLOORS:
        found = _beam(space, evidence, max(_LEAST, floor * evidence.most), effort, most_terms)
        if found and found[0].score > 0 and evidence.support(found[0].mask) >= _GOOD * evidence.most:
            break
    return _varied(space, evidence, found, effort, most_terms)


def _beam(space: Space, evidence: Evidence, least: float, effort: Effort, most_terms: int) -> list[Hypothesis]:
    per_term = price(space)
    usable = [
        (index, mask) for index, mask in enumerate(space.masks) if evidence.support(mask & evidence.known) >= least
    ]
    front: list[tuple[float, int, tuple[int, ...]]] = [(evidence.score(space.everything), space.everything, ())]
    best: dict[int, Hypothesis] = {}
    for length in range(most_terms + 1):
        for score, mask, terms in front:
            cost = score - per_term * length - _spread(space, terms)
            if mask not in best or best[mask].score < cost:
                best[mask] = Hypothesis(terms, mask, cost)
        if length == most_terms:
            break
        wider: dict[int, tuple[float, int, tuple[int, ...]]] = {}
        for _, mask, terms in front:
            for index, atom in usable:
                narrowed = mask & atom
                seen = narrowed & evidence.known
                if narrowed == mask or seen in wider:
                    continue
                if evidence.support(seen) < least:
                    continue
                wider[seen] = (evidence.score(seen), narrowed, (*terms, index))
        front = _keep(wider, evidence, effort.beam)
        if not front:
            break
    return sorted(best.values(), key=lambda hypothesis: -hypothesis.score)


def _keep(
    wider: Mapping[int, tuple[float, int, tuple[int, ...]]], evidence: Evidence, beam: int
) -> list[tuple[float, int, tuple[int, ...]]]:
    """The beam of the next length: half by score, half by how much the failing share rises above chance.

    The score alone favours narrow conjunctions; the terms of a rare rule look bad by it until all are
    together.
    """
    known, most = max(1, evidence.known.bit_count()), evidence.most

    def lift(item: tuple[int, tuple[float, int, tuple[int, ...]]]) -> float:
        cells = item[0].bit_count()
        return (evidence.support(item[0]) - cells * most / known) / math.sqrt(cells)

    kept = dict(heapq.nlargest(beam // 2, wider.items(), key=lambda item: item[1][0]))
    kept.update(heapq.nlargest(beam // 2, wider.items(), key=lift))
    return list(kept.values())


def _spread(space: Space, terms: Iterable[int]) -> float:
    """A small price of unusual predicates; it decides between rules that do equally well."""
    return 0.5 * sum(space.atoms[term].cost - 1.0 for term in terms)


def _varied(
    space: Space, evidence: Evidence, start: Sequence[Hypothesis], effort: Effort, most_terms: int
) -> list[Hypothesis]:
    """``start`` and the one-step variations (drop, replace, add a term) of its leaders, within the window."""
    if not start:
        return []
    per_term = price(space)
    pool = {hypothesis.mask: hypothesis for hypothesis in start}
    best = start[0].score
    done: set[tuple[int, ...]] = set()
    for _ in range(effort.leaders):
        leader = max(
            (h for h in pool.values() if h.terms not in done),
            key=lambda hypothesis: hypothesis.score,
            default=None,
        )
        if leader is None or leader.score < best - effort.window:
            break
        done.add(leader.terms)
        bases = [tuple(t for t in leader.terms if t != term) for term in leader.terms]
        if len(leader.terms) < most_terms:
            bases.append(leader.terms)
        for base in bases:
            mask = space.extension(base)
            allowed = best - effort.window + per_term * len(base) + _spread(space, base)
            if base != leader.terms:
                _offer(pool, space, evidence, base, mask, per_term)
            for index, atom in enumerate(space.masks):
                narrowed = mask & atom
                if narrowed == mask or (narrowed in pool and len(pool[narrowed].terms) <= len(base) + 1):
                    continue
                if evidence.score(narrowed) - per_term < allowed:
                    continue
                _offer(pool, space, evidence, (*base, index), narrowed, per_term)
        best = max(best, max(h.score for h in pool.values()))
    kept = [hypothesis for hypothesis in pool.values() if hypothesis.score >= best - effort.window]
    kept.sort(key=lambda hypothesis: (-hypothesis.score, len(hypothesis.terms), hypothesis.terms))
    return kept[: effort.keep]


def _offer(
    pool: dict[int, Hypothesis],
    space: Space,
    evidence: Evidence,
    terms: tuple[int, ...],
    mask: int,
    per_term: float,
) -> None:
    score = evidence.score(mask) - per_term * len(terms) - _spread(space, terms)
    if mask not in pool or pool[mask].score < score:
        pool[mask] = Hypothesis(tuple(sorted(terms)), mask, score)


def judge(space: Space, evidence: Evidence, hypothesis: Hypothesis, others: int = 0) -> Finding:
    """Counts and exact test of one hypothesis; ``others`` is the mask of cells with another signature."""
    mask = hypothesis.mask
    counts = Counts(
        covered=(mask & evidence.failing).bit_count(),
        failing=evidence.failing.bit_count(),
        contradicted=(mask & evidence.passing).bit_count(),
        passing=evidence.passing.bit_count(),
        masked=(mask & others).bit_count(),
    )
    inside = math.fsum(evidence.tallies[i].share for i in bits(mask & evidence.failing))
    outside = math.fsum(evidence.tallies[i].share for i in bits(evidence.failing & ~mask))
    cells_in, cells_out = (mask & evidence.known).bit_count(), (evidence.known & ~mask).bit_count()
    # The test wants whole cells: shares k/n are added up and rounded once for each side of the rule.
    a, c = min(cells_in, round(inside)), min(cells_out, round(outside))
    log_p = log_fisher_greater(a, cells_in - a, c, cells_out - c)
    length = len(hypothesis.terms)
    corrected = log_p + log_choose(len(space.masks), length) + length * _LENGTH_PENALTY
    return Finding(hypothesis, counts, log_p / math.log(10), min(0.0, corrected / math.log(10)))


def clear_tallies(tallies: Mapping[int, Tally], others: Iterable[int]) -> dict[int, Tally]:
    """``tallies`` without the cells that another signature ended at least as often as this one.

    A pass beside such an end only says that the cell is flaky, whichever rule it belongs to.
    """
    hidden = set(others)
    return {i: t for i, t in tallies.items() if i not in hidden or (t.failed >= 2 and t.failed > t.passed)}


def localise(
    space: Space,
    tallies: Mapping[int, Tally],
    others: Iterable[int] = (),
    effort: Effort = Effort(),
    most_rules: int = 4,
) -> Localised:
    """The rules that explain one signature. ``tallies``: per cell index; ``others``: cells with another
    signature.

    When one conjunction leaves failing cells unexplained they get a rule of their own, as long as chance is
    an unlikely explanation of it (at most ``most_rules``).
    """
    masked = set(others)
    left = clear_tallies(tallies, masked)
    evidence, other_mask = Evidence(left), mask_of(masked)
    findings: list[Finding] = []
    while len(findings) < most_rules:
        found = search(space, Evidence(left), effort)
        if not found:
            break
        finding = choose(space, Evidence(left), found, other_mask)
        if findings and not finding.significant:
            break
        findings.append(finding)
        covered = finding.hypothesis.mask
        left = {i: t for i, t in left.items() if not (t.failed and covered >> i & 1)}
        if not any(t.failed * 2 > t.attempts for t in left.values()):
            break
    explained = 0
    for finding in findings:
        explained |= finding.hypothesis.mask
    return Localised(tuple(findings), tuple(bits(evidence.failing & ~explained)), space)


def firm_cells(evidence: Evidence, others: int = 0) -> int:
    """The mask of cells whose attempts all agree: only these can tell two rules apart."""
    return mask_of(i for i, t in evidence.tallies.items() if not t.flaky and not others >> i & 1)


def choose(space: Space, evidence: Evidence, found: Sequence[Hypothesis], others: int = 0) -> Finding:
    """The leading hypothesis with its rivals: best corrected p, then fewest masked cells, then plainest."""
    near = [judge(space, evidence, hypothesis, others) for hypothesis in found[:60]]
    top = min(
        near,
        key=lambda finding: (
            -round(finding.hypothesis.score, 6),
            finding.log10_corrected,
            finding.counts.masked,
            len(finding.hypothesis.terms),
        ),
    )
    firm = firm_cells(evidence, others)
    seen = top.hypothesis.mask & firm
    rivals = tuple(h for h in found if h.mask & firm == seen and h is not top.hypothesis)
    unlike = tuple(h for h in found if h.mask & firm != seen)[:8]
    return Finding(top.hypothesis, top.counts, top.log10_p, top.log10_corrected, rivals, unlike)
