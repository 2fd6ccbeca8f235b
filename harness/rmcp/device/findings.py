"""Finding: one remark on one variable of an environment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """``error``: no case with it can mean what was intended; ``warning``: probably not what was meant;
    ``info``."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Finding:
    """One remark. ``kind`` is a stable word for filters: read-by-nothing, no-op, inert, invalid, never-runs,
    misspelt, unknown, hides-gpu, hides-evidence, misread, version, override, no-solver, overridden."""

    level: Level
    variable: str
    message: str
    suggestion: str = ""
    kind: str = ""


def error(kind: str, variable: str, message: str, suggestion: str) -> Finding:
    """A finding that makes every case with it meaningless."""
    return Finding(Level.ERROR, variable, message, suggestion, kind)


def warning(kind: str, variable: str, message: str, suggestion: str) -> Finding:
    """A finding on something that is probably not meant."""
    return Finding(Level.WARNING, variable, message, suggestion, kind)


def info(kind: str, variable: str, message: str, suggestion: str) -> Finding:
    """Something worth knowing."""
    return Finding(Level.INFO, variable, message, suggestion, kind)
