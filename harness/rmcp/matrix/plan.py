"""Plan: the cases of a matrix, how many each step left, and why a case is in or out."""

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
