"""Findings as words: one sentence with counts per rule, its proof cases, its rivals, the rule as an
expression."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rmcp.diagnose.coverage import Coverage
from rmcp.diagnose.expression import expression_of, facts_for
from rmcp.diagnose.features import facts_of
from rmcp.diagnose.localise import Finding, Hypothesis, Localised, rule_atoms, rule_text
from rmcp.diagnose.predicates import Atom, Op
from rmcp.diagnose.space import bits
from rmcp.diagnose.study import Study, signature_of

EXPLAIN_FORMAT = 1  # of explain.json
_MOST_PROOFS = 8  # rows of each kind in the table
_MOST_RIVALS = 8  # rivals that are spelled out


@dataclass(frozen=True)
class Proof:
    """One row: ``kind`` is `fails`, `passes beside it` (misses exactly one term), `contradicts`, or
    `unexplained`."""

    kind: str
    id: str
    outcome: str
    attempts: str
    misses: str = ""


@dataclass(frozen=True)
class Explanation:
    """One rule of one signature. ``rule`` is for people, ``expression`` for `--rmcp-select` and `where:`."""

    signature: str
    outcome: str
    cause: str
    sentence: str
    rule: str
    expression: str
    counts: Mapping[str, int]
    log10_p: float
    log10_corrected: float
    significant: bool
    atoms: tuple[Atom, ...]
    proof: tuple[Proof, ...]
    rivals: tuple[str, ...] = ()
    rival_count: int = 0
    notes: tuple[str, ...] = ()
    finding: Finding | None = field(default=None, repr=False, compare=False)


def explanations(found: Study, rules: Mapping[str, Localised]) -> list[Explanation]:
    """All rules of all signatures, in the order given."""
    told = []
    for signature, localised in rules.items():
        for number, finding in enumerate(localised.findings):
            told.append(_explanation(found, signature, localised, finding, number))
    return told


def _explanation(found: Study, signature: str, localised: Localised, finding: Finding, number: int) -> Explanation:
    outcome, cause = _words(found, signature)
    space, counts = found.space, finding.counts
    rule = rule_text(space, finding.hypothesis)
    whole = len(localised.findings) == 1 and counts.covered == counts.failing
    joint = "iff" if whole and not counts.contradicted else "if" if not counts.contradicted else "mostly if"
    head = outcome if cause == "none" else f"{outcome}/{cause}"
    sentence = (
        f"{head} {joint} {rule}: {counts.covered} of {counts.failing}, "
        f"contradicted by {counts.contradicted} of {counts.passing}"
    )
    if not finding.hypothesis.terms and counts.contradicted:
        sentence = (
            f"{head}: nothing tells what failed so ({counts.covered}) from what passed ({counts.contradicted}): "
            "too few cases, or too mixed; `--probe N` runs what would tell more"
        )
    elif not finding.hypothesis.terms:
        sentence = f"{head} always: {counts.covered} of {counts.failing} cases, and nothing passed beside them"
    elif not finding.significant:
        sentence += f" (may be chance: corrected p = {_p(finding.log10_corrected)})"
    rivals, atoms = _rivals(found, finding), rule_atoms(space, finding.hypothesis)
    return Explanation(
        signature, outcome, cause, sentence, rule, _expression(found, finding.hypothesis),
        {
            "covered": counts.covered, "failing": counts.failing, "contradicted": counts.contradicted,
            "passing": counts.passing, "masked": counts.masked,
        },
        finding.log10_p, finding.log10_corrected, finding.significant,
        tuple(atoms), tuple(_proof(found, signature, localised, finding, number)),
        tuple(rivals[:_MOST_RIVALS]), len(rivals), tuple(_notes(finding, atoms)),
        finding,
    )  # fmt: skip


def _words(found: Study, signature: str) -> tuple[str, str]:
    for cell in found.cells:
        for attempt in cell.record.attempts if cell.record else ():
            if signature_of(attempt) == signature:
                return str(attempt.outcome), str(attempt.cause)
    return signature.split("|")[0], "none"


def _p(log10: float) -> str:
    return f"{10**log10:.2g}" if log10 > -300 else f"1e{log10:.0f}"


def _notes(finding: Finding, atoms: Sequence[Atom]) -> list[str]:
    notes = [f"corrected p = {_p(finding.log10_corrected)} (Fisher, one-sided, exact)"]
    for atom in atoms:
        if atom.op in (Op.GE, Op.LT) and atom.low is not None:
            notes.append(f"the edge of {atom.feature} lies above {atom.low} and at most at {atom.value}")
    if finding.counts.masked:
        notes.append(f"{finding.counts.masked} cells inside the rule ended with another signature: no word either way")
    return notes


def _rivals(found: Study, finding: Finding) -> list[str]:
    """Rules with the same truth on all cells that say anything: other names of its terms, then other
    rules."""
    space = found.space
    # One name of each term in turn: a term with many names must not crowd out the others'.
    columns = [
        [f"{alias.text()} instead of {space.atoms[term].text()}" for alias in space.aliases[term][1:]]
        for term in finding.hypothesis.terms
    ]
    texts = [text for row in itertools.zip_longest(*columns) for text in row if text]
    texts.extend(rule_text(space, rival) for rival in finding.rivals)
    return texts


def _expression(found: Study, hypothesis: Hypothesis) -> str:
    tried = [(i, cell) for i, cell in enumerate(found.cells) if cell.record is not None]
    facts = []
    for _, cell in tried:
        runtime = found.run.runtimes.get(cell.case.runtime.name, {})
        facts.append(facts_for(cell.case, facts_of(runtime, found.run.facts)))
    return expression_of(
        rule_atoms(found.space, hypothesis),
        [(cell.case, cell.features) for _, cell in tried],
        facts,
        [bool(hypothesis.mask >> i & 1) for i, _ in tried],
    )


def _proof(found: Study, signature: str, localised: Localised, finding: Finding, number: int) -> list[Proof]:
    tallies, _ = found.tallies(signature)
    space, mask = found.space, finding.hypothesis.mask
    rows: list[Proof] = []

    def add(kind: str, indices: Sequence[int], misses: str = "") -> None:
        for index in indices[:_MOST_PROOFS]:
            record, tally = found.cells[index].record, tallies.get(index)
            if record is not None and tally is not None:
                told = f"{tally.failed}/{tally.attempts} failed"
                rows.append(Proof(kind, record.id, str(record.outcome), told, misses))

    add("fails", [i for i, tally in tallies.items() if tally.failed and mask >> i & 1])
    for term in finding.hypothesis.terms:
        rest = space.extension(t for t in finding.hypothesis.terms if t != term) & ~space.masks[term]
        beside = [i for i in bits(rest) if i in tallies and not tallies[i].failed]
        add("passes beside it", beside[:3], f"not: {space.atoms[term].text()}")
    add("contradicts", [i for i, t in tallies.items() if mask >> i & 1 and not t.failed and t.attempts])
    if number == 0:
        add("unexplained", list(localised.unexplained))
    return rows


def to_json(told: Sequence[Explanation], share: Coverage | None = None) -> dict[str, Any]:
    """explain.json. ``rule`` is the expression; ``proof`` lines of text, ``proofs`` the same as records."""
    data: dict[str, Any] = {
        "rmcp_explain": EXPLAIN_FORMAT,
        "explanations": [
            {
                "sentence": e.sentence,
                "signature": e.signature,
                "outcome": e.outcome,
                "cause": e.cause,
                "rule": e.expression or e.rule,
                "rule_text": e.rule,
                "expression": e.expression,
                "terms": [atom.to_json() for atom in e.atoms],
                "counts": dict(e.counts),
                "log10_p": round(e.log10_p, 3),
                "log10_p_corrected": round(e.log10_corrected, 3),
                "significant": e.significant,
                "indistinguishable": list(e.rivals),
                "indistinguishable_count": e.rival_count,
                "notes": list(e.notes),
                "proof": [proof_line(p) for p in e.proof],
                "proofs": [vars(p) for p in e.proof],
            }
            for e in told
        ],
    }
    if share is not None:
        data["coverage"] = {
            "total": share.total,
            "proven": share.proven,
            "inferred": share.inferred,
            "untested": share.untested,
            "text": share.text(),
            "nearest": [{"axes": dict(n.axes), "distance": n.distance, "failing": n.failing} for n in share.nearest],
        }
    return data


def proof_line(proof: Proof) -> str:
    """One row of the proof table as text."""
    return f"{proof.kind:17} {proof.id}  {proof.outcome} {proof.attempts}" + (
        f"  {proof.misses}" if proof.misses else ""
    )


def to_text(told: Sequence[Explanation], share: Coverage | None = None, proofs: bool = True) -> str:
    """The page that the terminal shows."""
    lines: list[str] = []
    for e in told:
        lines += [e.sentence, f"  signature: {e.signature}"]
        if e.expression:
            lines.append(f"  expression: {e.expression}")
        lines += [f"  {note}" for note in e.notes]
        if e.rivals:
            lines.append(f"  this data cannot tell it from {e.rival_count} other rule{'s' * (e.rival_count != 1)}:")
            lines += [f"    {text}" for text in e.rivals]
            if e.rival_count > len(e.rivals):
                lines.append(f"    and {e.rival_count - len(e.rivals)} more")
        if proofs and e.proof:
            lines.append("  proof:")
            lines += [f"    {proof_line(p)}" for p in e.proof]
        lines.append("")
    if not told:
        lines.append("nothing failed: there is nothing to explain")
    if share is not None:
        lines.append(share.text())
        for near in share.nearest[:5] if told else ():
            words = " ".join(f"{axis}={value}" for axis, value in near.axes.items())
            away = "1 axis value" if near.distance == 1 else f"{near.distance} axis values"
            lines.append(f"  untested, {away} from {near.failing}: {words}")
    return "\n".join(lines).rstrip() + "\n"
