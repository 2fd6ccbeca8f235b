"""Environment drift: every fact that is not the same on all sides; what was meant to differ is set apart."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from rmcp.compare.model import Drift, Side
from rmcp.runs.model import Run

# Facts that differ between any two runs and explain none of the differences.
_VOLATILE = frozenset(
    (
        *(
            "boot_id",
            "boot",
            "uptime",
            "uptime_s",
            "time",
            "created",
            "pid",
            "load",
            "loadavg",
            "free",
            "free_bytes",
        ),
        *("mem_available", "mem_free", "memory_free", "temperature", "started", "id", "run_id", "import_s", "at"),
    )
)
_CMDLINE = frozenset(("cmdline", "kernel_cmdline", "proc_cmdline"))
_RMCP = ("rmcp", "python", "options")
_LONGEST = 300  # characters of a value that are kept and compared by


def _flatten(facts: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if str(key) in _VOLATILE or value is None:
            continue
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{name}."))
        elif isinstance(value, (list, tuple)):
            if any(isinstance(item, Mapping) for item in value):
                for index, item in enumerate(value):
                    flat.update(_item(item, name, index))
            else:
                flat[name] = ", ".join(map(str, value))[:_LONGEST]
        else:
            flat[name] = str(value)[:_LONGEST]
    return flat


def _item(item: Any, name: str, index: int) -> dict[str, str]:
    """One of several things: by its own name when it is a name with a value, else by number."""
    if not isinstance(item, Mapping):
        return {f"{name}.{index}": str(item)[:_LONGEST]}
    if "name" in item and "value" in item:
        return {f"{name}.{item['name']}": str(item["value"])[:_LONGEST]}
    return _flatten(item, f"{name}.{index}.")


def kernel_parameters(cmdline: str) -> dict[str, str]:
    """`quiet amdgpu.noretry=0` -> {quiet: on, amdgpu.noretry: 0}; a repeated one keeps all its values."""
    try:
        words = shlex.split(cmdline)
    except ValueError:
        words = cmdline.split()
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        value = value if equals else "on"
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def facts_of(run: Run, runtimes: Sequence[str], part: Sequence[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """The facts of a side as (group, name) -> value. ``runtimes`` are those its cases ran in; ``part``
    are the (axis, value) pairs that set the side apart on purpose."""
    found: dict[tuple[str, str], str] = {}
    for name, value in _flatten(run.facts).items():
        if name.rpartition(".")[2] in _CMDLINE:
            found.update({("kernel parameters", key): text for key, text in kernel_parameters(value).items()})
        elif name.startswith(("parameters.", "module_parameters.")):
            found["kernel parameters", f"amdgpu.{name.partition('.')[2]}"] = value
        else:
            found["machine", name] = value
    for runtime in runtimes:
        prefix = "" if len(runtimes) == 1 else f"{runtime}."
        for name, value in _flatten(run.runtimes.get(runtime, {}), prefix).items():
            found["runtime", name] = value
    for key, value in _flatten({name: run.manifest[name] for name in _RMCP if name in run.manifest}).items():
        found["rmcp", key] = value
    matrix = run.manifest.get("matrix")
    if isinstance(matrix, Mapping) and matrix.get("digest"):
        found["rmcp", "matrix.digest"] = str(matrix["digest"])
    for axis, value in part:
        found["compared", axis] = value
    return found


def drift_of(sides: Sequence[Side], by: str) -> tuple[Drift, ...]:
    """Facts that differ, in the order machine, kernel parameters, rmcp, runtime, compared.

    Between values of the runtime axis a runtime's own facts differ on purpose; elsewhere they are drift.
    """
    order = ("machine", "kernel parameters", "rmcp", "runtime", "compared")
    names = dict.fromkeys(name for side in sides for name in side.facts)
    found = []
    for group, name in sorted(names, key=lambda item: order.index(item[0])):
        values = tuple(side.facts.get((group, name)) for side in sides)
        if len(set(values)) > 1:
            compared = group == "compared" or (group == "runtime" and by == "runtime")
            found.append(Drift(group, name, values, compared))
    return tuple(found)
