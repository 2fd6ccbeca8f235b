"""How much of the full product a run speaks for: proven, inferred, untested, and the untested cells to try next.

The product is that of the matrix as the run recorded it, without what `exclude` takes out: a pairwise reduced run that
is all green has proven a tenth of it, and its report says so.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmcp.compare.sides import matrix_facts
from rmcp.errors import UserError
from rmcp.matrix.coverage import ProductCoverage, measure
from rmcp.matrix.load import load_text
from rmcp.matrix.plan import Plan
from rmcp.report.plain import one_line
from rmcp.runs.model import Run
from rmcp.words import Outcome, OutcomeClass, class_of

_SILENT = (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)


@dataclass(frozen=True)
class RunCoverage:
    """``unsupported`` cells cannot run on this machine; they count as untested. ``explained`` is what
    `rmcp explain` inferred from its rules, empty when it was not asked."""

    product: ProductCoverage
    unsupported: int
    explained: str = ""

    @property
    def sentence(self) -> str:
        """The shares in one line, for people."""
        text = str(self.product)
        if self.unsupported:
            text += f" ({self.unsupported:,} of them unsupported on this machine)"
        return text[:1].upper() + text[1:] + "."


def coverage_of(run: Run) -> RunCoverage | None:
    """Hold the run against its own matrix. None when it does not hold its matrix, or no rmcp can read it now."""
    matrix = matrix_facts(run)
    text = matrix.get("text")
    if not isinstance(text, str) or not text or not run.cases:
        return None
    try:
        loaded = load_text(text, str(matrix.get("path") or "matrix"))
    except UserError:
        return None  # written by another version, or its extensions are gone: then nothing is claimed
    # What the product is needs no expansion, which may take minutes where there is no lock file.
    plan = Plan(loaded, None, (), (), None, reduce=loaded.reduce, settings=loaded.set)
    found = _measured.get(id(run))
    if found is None or found[0]() is not run:
        _measured.clear()
        found = _measured[id(run)] = weakref.ref(run), _measure(plan, run)
    unsupported = sum(case.outcome is Outcome.UNSUPPORTED for case in run.cases)
    return RunCoverage(found[1], unsupported, _explained(run))


# Of the last run: its page, its summary and the terminal ask in turn, and a large product takes seconds.
_measured: dict[int, tuple[weakref.ref[Run], ProductCoverage]] = {}


def _measure(plan: Plan, run: Run) -> ProductCoverage:
    classes = [class_of(case.outcome, case.signal) for case in run.cases]
    judged = [case.axes for case, klass in zip(run.cases, classes, strict=True) if klass not in _SILENT]
    failing = [
        case.axes
        for case, klass in zip(run.cases, classes, strict=True)
        if klass not in (*_SILENT, OutcomeClass.PASSED)
    ]
    return measure(plan, judged, failing)


def _explained(run: Run) -> str:
    try:
        found = json.loads((run.path / "explain.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    share = found.get("coverage") if isinstance(found, Mapping) else None
    return one_line(share.get("text") or "", 400) if isinstance(share, Mapping) else ""


def coverage_payload(run: Run) -> dict[str, Any] | None:
    """The same as JSON-able values for the page; None when nothing can be said."""
    found = coverage_of(run)
    if found is None:
        return None
    product = found.product
    return {
        "sentence": found.sentence,
        "full": product.full,
        "proven": product.proven,
        "inferred": product.inferred,
        "untested": product.untested,
        "strength": product.strength,
        "strangers": product.strangers,
        "nearest": [[one_line(near.id, 400), near.distance, near.failures] for near in product.nearest],
        "explained": found.explained,
    }
