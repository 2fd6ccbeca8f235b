"""`rmcp explain --probe`: the open cells of a study (matrix points not run, and new shapes), run until a
rule stands."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.diagnose.localise import Localised, rule_atoms, rule_text
from rmcp.diagnose.predicates import Op
from rmcp.diagnose.probe import Budget, Explored, Price, explore
from rmcp.diagnose.probing import Probe
from rmcp.diagnose.space import Tally, bits
from rmcp.diagnose.study import Cell, Study, signature_of, study
from rmcp.diagnose.variants import variant
from rmcp.matrix.model import Case
from rmcp.words import DeviceEvent, Outcome

# What every probe costs besides its case: it is one of a limited number. Without this, cases of milliseconds would
# make the hazard of a failure decide alone, and forty safe probes would say less than ten good ones.
_PROBE_S = 1.0
_MOST_SHAPES = 240  # new shapes that are offered
_BASES = 3  # cases of each kind (failing, passing beside the rule) that new shapes start from
# Expected device incidents of one failing attempt, by what it did to the device.
_HAZARD = {
    DeviceEvent.NONE: 0.02,
    DeviceEvent.FAULT: 0.2,
    DeviceEvent.RESET: 1.0,
    DeviceEvent.WEDGED: 3.0,
    DeviceEvent.LOST: 5.0,
}
_UNKNOWN_S = 5.0  # seconds that a case is taken to last when none of its kind ever ran


@dataclass(frozen=True)
class Exploration:
    """One signature, explored: the study it was explored in (with new shapes), and what came of it."""

    signature: str
    study: Study
    explored: Explored


def new_shapes(found: Study, localised: Localised) -> list[Case]:
    """Cases that the matrix does not have: numbers moved beside and between those of failing and passing
    cases.

    Only arguments that some rule or rival speaks of are moved, alone and (h with w) apart, because shapes of
    one matrix mostly have h == w: nothing in it can tell h from h*w.
    """
    if not localised.findings:
        return []
    finding = localised.findings[0]
    names = _numbers(found, finding.hypothesis.mask, localised)
    values = {
        name: sorted({int(c.case.args[name]) for c in found.cells if _is_number(c.case.args.get(name))})
        for name in names
    }
    made: dict[str, Case] = {}
    for base in _bases(found, finding.hypothesis.mask):
        for name in names:
            for value in _beside(values[name], base.args.get(name)):
                one = variant(base, args={name: value})
                made.setdefault(one.key, one)
    return list(made.values())[:_MOST_SHAPES]


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(found: Study, mask: int, localised: Localised) -> list[str]:
    numeric: set[str] = set()
    for finding in localised.findings:
        for hypothesis in (finding.hypothesis, *finding.rivals, *finding.unlike):
            for term in hypothesis.terms:
                for atom in found.space.aliases[term]:
                    if atom.op in (Op.GE, Op.LT, Op.MOD, Op.NMOD) or atom.feature.startswith("pow2"):
                        numeric.add(atom.feature)
    args = {name for cell in found.cells for name, value in cell.case.args.items() if _is_number(value)}
    speaks = {"h", "w"} if numeric & {"h*w", "out_h*out_w", "gemm_n", "pow2_hw", "input_bytes"} else set()
    speaks |= {"c"} if numeric & {"gemm_k", "pow2_c", "weight_bytes", "input_bytes"} else set()
    speaks |= {"k"} if numeric & {"gemm_m", "pow2_k", "weight_bytes"} else set()
    return sorted(args & (numeric | speaks))


def _bases(found: Study, mask: int) -> list[Case]:
    inside = [found.cells[i] for i in bits(mask) if found.cells[i].record is not None]
    failing = [cell for cell in inside if cell.record and any(signature_of(a) for a in cell.record.attempts)]
    bases = [cell.case for cell in _spread(failing)]
    axes = {tuple(sorted(cell.case.axes.items())) for cell in failing}
    beside = [
        cell
        for cell in found.cells
        if cell.record is not None
        and not any(signature_of(a) for a in cell.record.attempts)
        and any(sum(1 for pair in other if pair not in cell.case.axes.items()) == 1 for other in list(axes)[:200])
    ]
    return bases + [cell.case for cell in _spread(beside)]


def _spread(cells: Sequence[Cell]) -> list[Cell]:
    step = max(1, len(cells) // _BASES)
    return list(cells[::step])[:_BASES]


def _beside(values: Sequence[int], own: Any) -> list[int]:
    """Numbers next to and between the ones seen, and doubled and halved own ones."""
    wanted: list[int] = []
    for low, high in itertools.pairwise(values):
        wanted += [(low + high) // 2, high - 1, low + 1]
    if _is_number(own):
        wanted += [own + 1, own - 1, own * 2, own // 2]
    wanted += list(values)
    return [value for value in dict.fromkeys(wanted) if value >= 1 and value != own]


def explore_signature(
    found: Study,
    signature: str,
    probe: Probe,
    budget: Budget,
    product: Iterable[Case] = (),
    repeat: int = 1,
    shapes: bool = True,
) -> Exploration:
    """Probe until one rule of a signature is settled; the run's own results are where it starts."""
    if shapes:
        found = study(found.run, [*product, *new_shapes(found, found.localise(signature))])
    tallies, others = found.tallies(signature)

    def run(cell: int) -> tuple[Tally, bool]:
        results = probe([found.cells[cell].case] * repeat)
        like = [result.is_like(signature) for result in results]
        passed = sum(1 for result in results if result.passed)
        other = any(result.passed is False and not is_like for result, is_like in zip(results, like, strict=True))
        return Tally(like.count(True), passed), other

    untried = [i for i in found.indices(known=False) if _may_run(found.cells[i])]
    explored = explore(found.space, tallies, others, run, budget, _prices(found, signature, repeat), untried)
    return Exploration(signature, found, explored)


def _may_run(cell: Cell) -> bool:
    """Not what this machine does not support, and not what took the machine down with it."""
    return cell.record is None or cell.record.outcome not in (Outcome.UNSUPPORTED, Outcome.LOST)


def _prices(found: Study, signature: str, repeat: int) -> dict[int, Price]:
    passing: list[float] = []
    failing: list[float] = []
    hazards: list[float] = []
    for cell in found.cells:
        for attempt in cell.record.attempts if cell.record else ():
            if signature_of(attempt) == signature:
                failing.append(attempt.duration_s)
                hazards.append(_HAZARD.get(attempt.device, 0.0))
            elif not signature_of(attempt):
                passing.append(attempt.duration_s)
    price = Price(
        _PROBE_S + repeat * (statistics.median(passing) if passing else _UNKNOWN_S),
        _PROBE_S + repeat * (statistics.median(failing) if failing else _UNKNOWN_S),
        repeat * (statistics.fmean(hazards) if hazards else 0.0),
    )
    return {index: price for index, cell in enumerate(found.cells)}


def explored_text(one: Exploration) -> str:
    """The probes of one signature for the terminal."""
    found, explored = one.study, one.explored
    lines = [f"probes for {one.signature}: {len(explored.probes)} cells, {explored.stopped}"]
    for p in explored.probes:
        told = f"{p.tally.failed}/{p.tally.attempts} failed" if p.tally.attempts else "no word (another end)"
        lines.append(f"  {found.cells[p.cell].case.id}: {told}  [{p.why}]")
    if explored.finding is None:
        return "\n".join([*lines, "  no rule stands"]) + "\n"
    counts = explored.finding.counts
    rule = rule_text(found.space, explored.finding.hypothesis)
    state = "settled" if explored.settled else "not settled"
    lines.append(
        f"  {state}: fails iff {rule}: {counts.covered} of {counts.failing}, "
        f"contradicted by {counts.contradicted} of {counts.passing}; "
        f"{explored.confirmations} fresh confirmations, "
        f"{explored.refutations} fresh refutations beside it"
    )
    for atom in rule_atoms(found.space, explored.finding.hypothesis):
        if atom.op in (Op.GE, Op.LT) and atom.low is not None:
            lines.append(f"  the edge of {atom.feature} lies above {atom.low} and at most at {atom.value}")
    return "\n".join(lines) + "\n"


def explored_to_json(one: Exploration) -> Mapping[str, Any]:
    """The same as JSON-able values."""
    found, explored = one.study, one.explored
    rule = rule_text(found.space, explored.finding.hypothesis) if explored.finding else None
    return {
        "signature": one.signature,
        "settled": explored.settled,
        "stopped": explored.stopped,
        "rule_text": rule,
        "terms": [a.to_json() for a in rule_atoms(found.space, explored.finding.hypothesis)]
        if explored.finding
        else [],
        "confirmations": explored.confirmations,
        "refutations": explored.refutations,
        "cells": [
            {
                "id": found.cells[p.cell].case.id,
                "args": dict(found.cells[p.cell].case.args),
                "env": dict(found.cells[p.cell].case.env),
                "failed": p.tally.failed,
                "attempts": p.tally.attempts,
                "other": p.other,
                "why": p.why,
            }
            for p in explored.probes
        ],
    }
