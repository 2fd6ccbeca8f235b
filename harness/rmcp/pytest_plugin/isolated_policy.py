"""What an isolated test may take: mark, options and pytest-timeout boiled down to one value. Pure but for the item."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from rmcp.errors import UserError
from rmcp.pytest_plugin.options import parse_size
from rmcp_torch import linux

MARK = "rmcp_isolated"
_DEFAULT_S = 600.0  # far above any unit test, and a hung run still ends
_MEMORY_SHARE = 0.8  # of the machine's memory, where no GPU runtime maps more than it uses
_GPU_NODES = ("/dev/kfd", "/dev/nvidiactl", "/dev/dxg")
_MARK_FIELDS = ("timeout", "memory", "retries")


@dataclass(frozen=True)
class Limits:
    """``timeout``: seconds of the whole life of the child, exit included; ``memory``: bytes of data or None;
    ``retries``: further attempts after a failed one; ``timeout_from`` says who asked for the timeout."""

    timeout: float = _DEFAULT_S
    memory: int | None = None
    retries: int = 0
    timeout_from: str = "default"


def limits_from(
    marks: Sequence[tuple[Sequence[Any], Mapping[str, Any]]],
    *,
    timeout: float | None,
    other_timeout: float | None,
    memory: int | None,
    retries: int,
    where: str = "",
) -> Limits:
    """Combine, nearest mark first. The mark beats the options; of --rmcp-timeout and pytest-timeout the shorter counts.

    Raises UserError for a mark that makes no sense.
    """
    asked: dict[str, Any] = {}
    for args, kwargs in marks:
        given = dict(zip(_MARK_FIELDS, args, strict=False)) | dict(kwargs)
        unknown = set(given) - set(_MARK_FIELDS)
        if unknown or len(args) > len(_MARK_FIELDS):
            raise UserError(
                f"{where}: rmcp_isolated takes {', '.join(_MARK_FIELDS)}; found {', '.join(sorted(unknown)) or args}"
            )
        for name, value in given.items():
            asked.setdefault(name, value)
    seconds, source = _DEFAULT_S, "default"
    options = ((timeout, "--rmcp-timeout"), (other_timeout, "pytest-timeout"))
    given_s = [(value, name) for value, name in options if value]
    if asked.get("timeout") is not None:
        seconds, source = _positive(asked["timeout"], where, "timeout"), "the mark"
    elif given_s:
        seconds, source = min(given_s)
    size = asked.get("memory")
    if size is not None:
        memory = parse_size(size) if isinstance(size, str) else int(_positive(size, where, "memory"))
    if asked.get("retries") is not None:
        retries = int(asked["retries"])
    return Limits(float(seconds), memory, max(0, retries), source)


def _positive(value: Any, where: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
        raise UserError(f"{where}: rmcp_isolated({name}=...) is a positive number; found {value!r}")
    return float(value)


def limits_of(item: pytest.Item, other_timeout: float | None) -> Limits:
    """The limits of one item; ``other_timeout`` is what pytest-timeout wanted for it, in seconds."""
    option = item.config.option
    memory = parse_size(option.rmcp_memory) if option.rmcp_memory else default_memory()
    return limits_from(
        [(mark.args, mark.kwargs) for mark in item.iter_markers(MARK)],
        timeout=option.rmcp_timeout,
        other_timeout=other_timeout,
        memory=memory,
        retries=option.rmcp_retries,
        where=item.nodeid,
    )


def default_memory() -> int | None:
    """A share of the machine's memory; None where a GPU runtime may map far more than it uses."""
    if any(os.path.exists(node) for node in _GPU_NODES):
        return None
    total = linux.memory_total()
    return int(total * _MEMORY_SHARE) if total is not None else None


def debugging(config: pytest.Config) -> bool:
    """True under --pdb and --trace."""
    return bool(config.getoption("usepdb", False) or config.getoption("trace", False))


def wants_isolation(item: pytest.Item) -> bool:
    """True for an item that has to run in a child of its own.

    Matrix cases have their own isolation, and a debugger needs the terminal that a child does not have.
    """
    if debugging(item.config):
        return False
    if item.config.pluginmanager.hasplugin("rmcp-matrix"):
        from rmcp.pytest_plugin.items import CaseItem

        if isinstance(item, CaseItem):
            return False
    return bool(item.config.option.rmcp_isolate) or item.get_closest_marker(MARK) is not None
