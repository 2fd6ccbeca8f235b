"""Several runs of one matrix (shards, machines) joined into one run directory. The sources stay as they are.

Journals are copied whole behind a line that says where their evidence lies now, so the merged run folds
like any other: nothing is decided here, and a case that ran in two of them has both attempts.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.runs.codec import dump
from rmcp.runs.journal import is_live
from rmcp.runs.model import RUN_FORMAT
from rmcp.runs.reader import journal_files, plan_texts
from rmcp.runs.writer import RunDirectory, create_run_from_lines, read_manifest

_SAME = (
    "id",
    "workload",
    "args",
    "env",
    "runtime",
    "device",
    "seed",
)  # what one key must mean in all of the runs


def merge_runs(paths: Sequence[Path], out: Path) -> RunDirectory:
    """Make the run that holds all cases and all attempts of ``paths`` in the folder of runs ``out``.

    Raises UserError when they are not runs of one matrix, when a case is planned differently in two of them,
    or while one of them is still being written.
    """
    sources = {path.resolve(): read_manifest(path) for path in paths}
    if len(sources) < 2:
        raise UserError("merging takes at least two different runs")
    for path in sources:
        live = [journal.name for journal in journal_files(path) if is_live(journal)]
        if live:
            raise UserError(f"{path} is still being written ({', '.join(live)}); merge it when it has ended")
    _same_matrix(sources)
    lines = _plan(sources)
    merged = create_run_from_lines(out, lines, len(lines), _manifest(sources))
    for path, manifest in sources.items():
        _copy(path, str(manifest.get("id", path.name)), merged.path)
    return merged


def _same_matrix(sources: Mapping[Path, Mapping[str, Any]]) -> None:
    first: tuple[Path, dict[str, Any]] | None = None
    for path, manifest in sources.items():
        matrix = manifest.get("matrix")
        matrix = matrix if isinstance(matrix, dict) else {}
        if first is None:
            first = (path, matrix)
        elif matrix.get("digest") != first[1].get("digest"):
            raise UserError(
                f"{first[0].name} and {path.name} are runs of different matrices "
                f"({first[1].get('name')}, {matrix.get('name')}, or of different versions of one); "
                "`rmcp compare` holds different runs against each other"
            )


def _plan(sources: Mapping[Path, Mapping[str, Any]]) -> list[str]:
    """The union of the plans, first come first; one key must mean one case."""
    lines: dict[str, tuple[str, Path]] = {}
    for path, manifest in sources.items():
        for raw in plan_texts(path, manifest):
            try:
                line = json.loads(raw)
                key = str(line["key"])
            except (ValueError, KeyError, TypeError) as error:
                raise UserError(f"the plan of {path} is damaged ({error}); it cannot be merged") from error
            text = raw.decode().rstrip("\n")
            known = lines.setdefault(key, (text, path))
            if known[0] != text:
                before = json.loads(known[0])
                differing = [name for name in _SAME if before.get(name) != line.get(name)]
                if differing:
                    raise UserError(
                        f"{line.get('id')} is planned with another {', '.join(differing)} in {path.name} "
                        f"than in {known[1].name}; these are not parts of one run"
                    )
    return [text for text, _ in lines.values()]


def _manifest(sources: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    """The first run's manifest, with where everything came from and each machine's facts."""
    manifests = list(sources.values())
    merged = dict(manifests[0])
    merged["created"] = min((m["created"] for m in manifests if "created" in m), default=0.0)
    merged["merged_from"] = [
        {name: m.get(name) for name in ("id", "created", "host_tag", "boot_id")} for m in manifests
    ]
    merged["facts_of"] = {str(m.get("id")): m.get("facts", {}) for m in manifests}
    return merged


def _copy(source: Path, name: str, target: Path) -> None:
    for journal in journal_files(source):
        base = dump({"v": RUN_FORMAT, "kind": "base", "path": f"merged/{name}"}) + "\n"
        with open(journal, "rb") as old, open(target / "journal" / f"{name}.{journal.name}", "wb") as new:
            new.write(base.encode())
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
    for folder in ("attempts", "merged"):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / "merged" / name / folder, copy_function=_link_or_copy)


def _link_or_copy(source: str, target: str) -> None:
    """Evidence is never changed after it is written, so on one file system a second name is enough."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
