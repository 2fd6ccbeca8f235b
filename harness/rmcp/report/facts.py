"""Facts of a run for people and for filter expressions: title, start, machine card, facts per case."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from rmcp.compare.sides import matrix_facts
from rmcp.report.plain import number, one_line
from rmcp.runs.model import Run

__all__ = ["axis_types", "facts_of_runtime", "flatten", "machine_card", "matrix_path", "started_of", "title_of"]

# Names that expressions may use besides axes (the design's list), and where a run may hold them.
_FACT_NAMES = ("gfx", "rocm", "torch", "kernel", "device", "host")
_MANIFEST_SHOWN = ("rmcp", "python", "command", "options")
_LIST_SHOWN = 40


def title_of(run: Run) -> str:
    """Name of the matrix, or of the run when the manifest does not tell."""
    return str(matrix_facts(run).get("name") or run.id)


def matrix_path(run: Run) -> str:
    """The matrix file as the manifest names it, or the placeholder MATRIX."""
    return str(matrix_facts(run).get("path") or "MATRIX")


def axis_types(run: Run) -> dict[str, str]:
    """Declared types of axes (`text`, `number`, `version`), for the filter's `<` and `>=`."""
    types = matrix_facts(run).get("axis_types")
    return {str(k): str(v) for k, v in types.items()} if isinstance(types, Mapping) else {}


def started_of(run: Run) -> str:
    """Start in UTC, `2026-11-21 03:40 UTC`, empty when unknown."""
    created = number(run.manifest.get("created"))
    if not created:
        starts = [number(a.wall_start) for case in run.cases for a in case.attempts[:1]]
        created = min((start for start in starts if start > 0), default=0.0)
    if not created:
        return ""
    try:
        moment = datetime.datetime.fromtimestamp(created, datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        return ""
    return moment.strftime("%Y-%m-%d %H:%M UTC")


def facts_of_runtime(run: Run, name: str) -> dict[str, str]:
    """The facts that a filter expression may name for cases of this runtime: the host's, overlaid by its own."""
    runtime = run.runtimes.get(name, {})
    found = {}
    for fact in _FACT_NAMES:
        value = runtime.get(fact, run.facts.get(fact))
        if isinstance(value, (str, int, float)):
            found[fact] = one_line(value, 200)
    return found


def flatten(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested facts as (dotted name, text) pairs in the given order; lists joined, empties left out."""
    flat: list[tuple[str, str]] = []
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat.extend(flatten(value, f"{name}."))
        elif isinstance(value, (list, tuple)):
            if value and all(isinstance(item, Mapping) for item in value):
                for index, item in enumerate(value[:_LIST_SHOWN]):
                    flat.extend(_listed(item, name, index))
            elif value:
                flat.append((name, ", ".join(one_line(item, 200) for item in value[:_LIST_SHOWN])))
        elif str(key).endswith("_bytes") and number(value):
            flat.append((name, f"{number(value) / 2**30:.1f} GiB"))
        elif value not in (None, ""):
            flat.append((name, one_line(value, 400)))
    return flat


def _listed(item: Mapping[str, Any], name: str, index: int) -> list[tuple[str, str]]:
    """One of several things: by its own name when it is a name with a value, else by number."""
    if "name" in item and "value" in item:
        meaning = f" ({item['meaning']})" if item.get("meaning") else ""
        return [(f"{name}.{one_line(item['name'], 100)}", one_line(f"{item['value']}{meaning}", 400))]
    return flatten(item, f"{name}.{index}.")


def machine_card(run: Run) -> list[dict[str, Any]]:
    """Groups of (name, value) for the card: the run, the host, then every runtime."""
    about = [("run", one_line(run.id)), ("started", started_of(run)), ("folder", one_line(run.path, 400))]
    chosen = {k: v for k, v in run.manifest.items() if k in _MANIFEST_SHOWN and v not in (None, "", [], {})}
    about.insert(1, ("matrix", one_line(matrix_path(run), 400)))
    about += [(name, value) for name, value in flatten(chosen) if value not in ("False", "None")]
    groups = [{"title": "Run", "items": [[name, value] for name, value in about if value]}]
    host = flatten(run.facts)
    if host:
        groups.append({"title": "Machine", "items": [[name, value] for name, value in host]})
    for name, facts in run.runtimes.items():
        items = [[key, value] for key, value in flatten(facts)]
        groups.append({"title": f"Runtime {one_line(name, 100)}", "items": items})
    return groups
