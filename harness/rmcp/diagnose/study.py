"""A run as something to be explained: its cells with features, the attempts of each signature, the rules
found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rmcp.diagnose.coverage import Coverage, coverage
from rmcp.diagnose.features import Features, facts_of, features_of
from rmcp.diagnose.localise import Localised, localise
from rmcp.diagnose.space import Space, Tally, bits
from rmcp.diagnose.variants import case_of
from rmcp.matrix.model import Case
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import OutcomeClass, class_of

_UNSET = "unset"
_FAILING = (OutcomeClass.FAILED, OutcomeClass.FAILED_SILENTLY, OutcomeClass.DIED)


@dataclass(frozen=True)
class Cell:
    """One point: of the run (``record``), or of the product or a new shape (only ``case``)."""

    case: Case
    features: Features = field(repr=False)
    record: CaseRecord | None = None


def signature_of(attempt: AttemptRecord) -> str:
    """The signature of a failing attempt, '' for one that passed or has no verdict."""
    if class_of(attempt.outcome, attempt.signal) not in _FAILING:
        return ""
    return attempt.signature or f"{attempt.outcome}|{attempt.cause}"


@dataclass(frozen=True)
class Study:
    """All cells of a run and of its full product, and the space of predicates over them."""

    run: Run
    cells: tuple[Cell, ...]
    space: Space = field(repr=False)
    axes: tuple[str, ...]

    def signatures(self) -> list[str]:
        """Signatures of failing attempts, the one with most cases first."""
        counts: dict[str, int] = {}
        for cell in self.cells:
            for signature in {signature_of(a) for a in cell.record.attempts} if cell.record else ():
                if signature:
                    counts[signature] = counts.get(signature, 0) + 1
        return sorted(counts, key=lambda signature: (-counts[signature], signature))

    def tallies(self, signature: str) -> tuple[dict[int, Tally], set[int]]:
        """Per cell index: attempts with this signature and passed ones; and cells that another one ended."""
        tallies: dict[int, Tally] = {}
        others: set[int] = set()
        for index, cell in enumerate(self.cells):
            for attempt in cell.record.attempts if cell.record else ():
                seen = signature_of(attempt)
                if seen == signature:
                    tallies[index] = tallies.get(index, Tally()) + Tally(failed=1)
                elif seen:
                    others.add(index)
                elif class_of(attempt.outcome, attempt.signal) is OutcomeClass.PASSED:
                    tallies[index] = tallies.get(index, Tally()) + Tally(passed=1)
        return tallies, others

    def localise(self, signature: str) -> Localised:
        """The rules of one signature."""
        tallies, others = self.tallies(signature)
        return localise(self.space, tallies, others)

    def indices(self, known: bool) -> list[int]:
        """Cells that have (or have not) a verdict in the run."""
        return [i for i, cell in enumerate(self.cells) if _told(cell.record) is known]


def _told(record: CaseRecord | None) -> bool:
    return record is not None and any(
        class_of(a.outcome, a.signal) in (*_FAILING, OutcomeClass.PASSED) for a in record.attempts
    )


def study(run: Run, more: Iterable[Case] = ()) -> Study:
    """The run's cells, then the cases of ``more`` (the full product, new shapes) that are not among them."""
    variables = sorted({name for record in run.cases for name in record.env})
    known = {record.key for record in run.cases}
    cells: list[Cell] = []
    for record in run.cases:
        cells.append(Cell(case_of(record), _features(run, record.runtime, record, variables), record))
    for case in more:
        if case.key not in known:
            known.add(case.key)
            cells.append(Cell(case, _features(run, {"name": case.runtime.name}, case, variables)))
    axes = tuple(dict.fromkeys(axis for record in run.cases for axis in record.axes))
    space = Space([cell.features for cell in cells], axes, _bundles(cells, axes))
    return Study(run, tuple(cells), space, axes)


def _bundles(cells: Sequence[Cell], axes: Sequence[str]) -> list[str]:
    """Axes whose value decides two arguments or more that are not the same everywhere: named shapes."""
    found = []
    names = {name for cell in cells for name in cell.case.args}
    for axis in axes:
        members: dict[str, list[Cell]] = {}
        for cell in cells:
            if cell.case.origin != "variant":
                members.setdefault(cell.case.axes.get(axis, ""), []).append(cell)
        decided = 0
        for name in names:
            values = [{repr(cell.case.args.get(name)) for cell in group} for group in members.values()]
            decided += all(len(seen) == 1 for seen in values) and len(set().union(*values)) > 1
        if decided > 1:
            found.append(axis)
    return found


def _features(run: Run, runtime: Mapping[str, Any], case: CaseRecord | Case, variables: Sequence[str]) -> Features:
    facts = facts_of(run.runtimes.get(str(runtime.get("name", "this")), {}), run.facts)
    env = {name: case.env.get(name) or _UNSET for name in variables}
    return features_of(case.axes, case.args, facts, env)


def coverage_of(found: Study, rules: Mapping[str, Localised]) -> Coverage:
    """Proven, inferred and untested shares of all cells that have axes of the matrix."""
    product = [i for i, cell in enumerate(found.cells) if cell.case.origin != "variant"]
    agreed = possible = 0
    for localised in rules.values():
        for finding in localised.findings:
            every = some = finding.hypothesis.mask
            for rival in finding.rivals:
                every, some = every & rival.mask, some | rival.mask
            possible |= some
            if finding.significant:
                agreed |= every
    place = {index: position for position, index in enumerate(product)}
    passed, failed = [], {}
    for index in found.indices(known=True):
        record = found.cells[index].record
        if record is None or index not in place:
            continue
        if any(signature_of(attempt) for attempt in record.attempts):
            failed[record.id] = record.axes
        else:
            passed.append(record.axes)
    return coverage(
        [found.cells[i].case.axes for i in product],
        passed,
        failed,
        [place[i] for i in bits(agreed) if i in place],
        [place[i] for i in bits(possible) if i in place],
    )
