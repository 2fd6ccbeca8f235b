"""The names that expressions may use, and how a planned case answers to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rmcp.matrix.model import Case
from rmcp.matrix.versions import NUMBER, TEXT, VERSION

# Facts of the machine, known when the case's runtime has started. An axis or an argument of the same name
# goes before (conv2d has an argument `kernel`; the system's kernel is also `linux`).
MACHINE_FACTS: Mapping[str, str] = {
    "gfx": TEXT,
    "rocm": VERSION,
    "hip": VERSION,
    "cuda": VERSION,
    "torch": VERSION,
    "miopen": VERSION,
    "python": VERSION,
    "kernel": VERSION,
    "linux": VERSION,
    "driver": VERSION,
    "device": TEXT,
    "device_name": TEXT,
    "device_memory_gb": NUMBER,
    "backend": TEXT,
    "host": TEXT,
    "machine": TEXT,
    "cpu": TEXT,
    "cores": NUMBER,
}

# What a plan knows of every case.
CASE_FACTS: Mapping[str, str] = {
    "id": TEXT,
    "key": TEXT,
    "row": TEXT,
    "workload": TEXT,
    "seed": NUMBER,
    "threads": NUMBER,
    "origin": TEXT,
}

# What only a report knows; an axis may not take these names.
REPORT_FACTS: Mapping[str, str] = {
    "outcome": TEXT,
    "cause": TEXT,
    "signal": TEXT,
    "signature": TEXT,
    "verdict": TEXT,
    "stability": TEXT,
    "phase": TEXT,
    "duration": NUMBER,
    "attempts": NUMBER,
    "is": TEXT,
}

RESERVED = frozenset({"and", "or", "not", "in", "is", "why", *REPORT_FACTS, "id", "key", "row"})


def known_names(axes: Mapping[str, str], args: Iterable[str], report: bool = False) -> dict[str, str]:
    """Names -> types for compile_expression: axes before arguments before facts."""
    names = {**(REPORT_FACTS if report else {}), **CASE_FACTS, **MACHINE_FACTS}
    for name in args:
        names[name] = ""  # whatever type the argument has
        names["args." + name] = ""
    names.update(axes)
    return names


def is_argument(name: str) -> bool:
    """Whether a legal name that is no axis must be an argument, of this case or of another."""
    return name not in MACHINE_FACTS and name not in CASE_FACTS and name not in REPORT_FACTS


class CaseFacts(Mapping[str, object]):
    """A case as facts: its axes, then its arguments, then its own fields, then the ``machine`` facts.

    An argument that only other cases have is known to be absent (None), not unknown.
    """

    __slots__ = ("case", "machine")

    def __init__(self, case: Case, machine: Mapping[str, object] | None = None) -> None:
        self.case = case
        self.machine: Mapping[str, object] = {} if machine is None else machine

    def __getitem__(self, name: str) -> object:
        case = self.case
        if name in case.axes:
            return case.axes[name]
        if name in case.args:
            return case.args[name]
        if name in CASE_FACTS:
            return getattr(case, name)
        if name in self.machine:
            return self.machine[name]
        if is_argument(name):
            return case.args.get(name.removeprefix("args."))
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        try:
            self[str(name)]
        except KeyError:
            return False
        return True

    def __iter__(self) -> Iterator[str]:
        return iter({**self.machine, **dict.fromkeys(CASE_FACTS), **self.case.args, **self.case.axes})

    def __len__(self) -> int:
        return sum(1 for _ in self)
