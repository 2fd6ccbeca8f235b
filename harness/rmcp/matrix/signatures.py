"""Which arguments a workload takes, read from its source without importing it (so without torch)."""

from __future__ import annotations

from rmcp.matrix.document import Matrix
from rmcp.matrix.reading import Reader


def check_arguments(reader: Reader, matrix: Matrix) -> None:
    """Report arguments that the workload does not take."""
