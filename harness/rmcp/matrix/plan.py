"""Plan: the cases of a matrix, how many each step left, and what of the full product they cover."""

from __future__ import annotations

from dataclasses import dataclass

from rmcp.matrix.document import Matrix, Reduce, Setting
from rmcp.matrix.model import Case
from rmcp.matrix.reduce import Coverage, Row


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the expansion and the number of cases after it."""

    name: str
    count: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Shares:
    """Coverage of the full product: ``planned`` cases are run; ``inferred`` ones are not, but each
    combination of ``strength`` of their values is; ``untested`` is the rest. ``full`` None: not counted."""

    full: int | None
    planned: int
    inferred: int
    untested: int
    strength: int = 0

    def __str__(self) -> str:
        if self.full is None:
            return f"{self.planned} cases of a product too large to count"
        if self.planned >= self.full:
            return f"all {self.full} cases of the full product"
        share = 100.0 * self.planned / self.full
        text = f"{self.planned} of {self.full} cases of the full product ({share:.3g} %) are run"
        if self.inferred:
            text += f"; {self.inferred} are inferred only ({self.strength}-way: no other interaction is seen)"
        return text + (f"; {self.untested} are untested" if self.untested else "")


@dataclass(frozen=True)
class Plan:
    """``full`` is the size of the product without what `exclude` takes out, None when that is too many to
    count. ``rows`` are the rows of the covering array over the axes that are not compared; ``stale`` says
    that the lock file does not hold all of them, or others."""

    matrix: Matrix
    profile: str | None
    cases: tuple[Case, ...]
    steps: tuple[Step, ...]
    full: int | None
    coverage: Coverage | None = None
    reduce: Reduce | None = None
    settings: tuple[Setting, ...] = ()
    rows: tuple[Row, ...] = ()
    stale: bool = False

    def shares(self) -> Shares:
        """How much of the full product the plan runs, and what it says about the rest."""
        planned = len(self.cases)
        left = 0 if self.full is None else max(0, self.full - planned)
        # A profile's selection takes whole rows away: then nothing can be inferred about what it left out.
        whole = self.coverage is not None and all(step.name != "select" for step in self.steps)
        complete = whole and self.coverage is not None and self.coverage.covered == self.coverage.possible
        strength = self.coverage.strength if self.coverage is not None else 0
        return Shares(self.full, planned, left if complete else 0, 0 if complete else left, strength)

    def estimate_s(self) -> float:
        """Rough seconds of a run on a CPU, one case at a time (see estimate.py)."""
        from rmcp.matrix.estimate import seconds

        return seconds(self.cases, self.matrix.expect, self.matrix.names)
