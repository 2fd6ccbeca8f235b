"""The values of a plan: Case and what it is made of. Nothing here reads a file or a clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class RuntimeSpec:
    """A Python with a PyTorch, as the matrix names it. All of None: the interpreter that runs pytest.

    ``python`` is an interpreter (venv); ``prefix`` an unpacked ROCm, put before the libraries of ``python``;
    ``image`` a container image for ``engine`` (podman or docker). ``options`` are extra engine arguments.
    """

    name: str = "this"
    python: str | None = None
    prefix: str | None = None
    image: str | None = None
    engine: str | None = None
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Budgets in seconds. ``start``: zygote start and import; ``case``: a case's whole life, exit included;
    ``silent``: longest time without a heartbeat before the case counts as hung."""

    start: float = 120.0
    case: float = 120.0
    silent: float = 45.0


@dataclass(frozen=True, slots=True)
class Need:
    """One declared requirement: an expression over facts that must hold, else the case is `unsupported`."""

    expression: str
    reason: str


@dataclass(frozen=True, slots=True)
class Case:
    """One point of the matrix: what runs, with which arguments, environment and runtime.

    ``key`` is the sha256 (hex) of the sorted non-default ``axis=value`` pairs; ``row`` the same without the
    compare axes, so that one row is one experiment across runtimes. In ``env`` None removes the variable.
    """

    id: str
    key: str
    row: str
    workload: str
    axes: Mapping[str, str]
    args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    runtime: RuntimeSpec = RuntimeSpec()
    device: str = "auto"
    timeout: Timeouts = Timeouts()
    seed: int = 1234
    threads: int | None = None
    needs: tuple[Need, ...] = ()
    origin: str = "product"
