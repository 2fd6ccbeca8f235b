"""The writing side of a run directory: make one, open one again, store the evidence of an attempt.

reports/<run-id>/run.json            manifest, with the format's version
reports/<run-id>/plan.jsonl[.gz]     a header line and one line per planned case (gzip above 10,000 cases)
reports/<run-id>/journal/            one file per writer
reports/<run-id>/attempts/           evidence of what did not pass
reports/latest                       symlink to the newest run
"""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import json
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.attempt import Attempt
from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.runs.codec import check_format, dump, plan_lines
from rmcp.runs.identity import boot_id, host_tag
from rmcp.runs.journal import Journal, sync_directory
from rmcp.runs.model import RUN_FORMAT

_GZIP_FROM = 10_000  # cases; below that, a plan that a person can read is worth more than its megabytes
_SLUG = 60  # characters of the case id in a folder name: names stay under the 255 bytes of every file system


@dataclass(frozen=True)
class RunDirectory:
    """A run that is being written. ``trouble`` collects what could not be stored, for the summary."""

    path: Path
    id: str
    manifest: Mapping[str, Any]
    trouble: list[str] = field(default_factory=list, compare=False)

    def journal(self, writer_name: str) -> Journal:
        """A journal of one's own for this process (`main`, or the xdist worker's name)."""
        return Journal(self.path / "journal", writer_name)

    def extend_plan(self, cases: Sequence[Case]) -> None:
        """Add cases to a run whose manifest says that its plan ``grows`` (probes); on disk when this
        returns."""
        text = "".join(line + "\n" for line in plan_lines(cases))
        with open(self.path / self.manifest["plan"]["file"], "ab") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())

    def store_attempt(self, case: Case, attempt: Attempt, extra: Mapping[str, bytes | str] | None = None) -> str | None:
        """Write the evidence of an attempt; the folder relative to the run, or None when the disk refused.

        ``extra`` adds files by name (kernel.log, repro.py ...). Empty evidence makes no file.
        """
        base = f"attempts/{slug(case.id)}-{case.key[:8]}"
        files: dict[str, bytes | str] = {
            "stdout.txt": attempt.stdout.data(),
            "stderr.txt": attempt.stderr.data(),
            "stacks.txt": attempt.stacks,
            "tasks.json": _tasks(attempt),
            **(extra or {}),
        }
        try:
            relative = _new_folder(self.path, base, attempt.number)
            for name, content in files.items():
                if isinstance(content, str):
                    content = content.encode("utf-8", "backslashreplace")
                if content:
                    (self.path / relative / name).write_bytes(content)
        except OSError as error:
            self.trouble.append(f"evidence of {case.id}, attempt {attempt.number}, not stored: {error}")
            return None
        return relative


def create_run(directory: Path, plan_cases: Sequence[Case], manifest: Mapping[str, Any]) -> RunDirectory:
    """Make ``directory``/<run-id>/ with manifest and plan, and move the symlink `latest` to it.

    The run appears under its name complete or not at all. Raises UserError when the folder cannot be written.
    """
    return create_run_from_lines(directory, plan_lines(plan_cases), len(plan_cases), manifest)


def create_run_from_lines(
    directory: Path, lines: Iterable[str], count: int, manifest: Mapping[str, Any]
) -> RunDirectory:
    """``create_run`` for plan lines that are JSON already (merge)."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        run_id, building = _reserve(directory)
    except OSError as error:
        hint = "choose another folder with --rmcp-out"
        raise UserError(f"cannot make a run in {directory}: {error}; {hint}") from error
    try:
        full = _fill(building, run_id, lines, count, manifest)
        final = directory / run_id
        os.rename(building, final)
    except BaseException as error:
        shutil.rmtree(building, ignore_errors=True)
        if isinstance(error, OSError):
            raise UserError(f"cannot write the run into {directory}: {error}") from error
        raise
    sync_directory(directory)
    _point_latest(directory, run_id)
    return RunDirectory(final, run_id, full)


def open_run(path: Path) -> RunDirectory:
    """Open a run to append to it (resume, xdist worker). Raises UserError when it is none or too new."""
    manifest = read_manifest(path)
    (path / "journal").mkdir(exist_ok=True)
    return RunDirectory(path, str(manifest.get("id", path.name)), manifest)


def read_manifest(path: Path) -> dict[str, Any]:
    """run.json of a run directory; raises UserError when it is missing, damaged or too new."""
    file = path / "run.json"
    try:
        manifest = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{path} is no run directory: it holds no run.json") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{file} cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise UserError(f"{file} is no manifest: it holds {type(manifest).__name__}, not an object")
    check_format(manifest.get("format"), str(file))
    return manifest


def new_run_id(now: float | None = None) -> str:
    """UTC time to the millisecond plus 4 random hex digits: sorts by time, does not clash in practice."""
    stamp = time.time() if now is None else now
    return (
        time.strftime("%Y%m%d-%H%M%S", time.gmtime(stamp)) + f".{int(stamp * 1000) % 1000:03d}-" + secrets.token_hex(2)
    )


def slug(text: str) -> str:
    """``text`` as a part of a file name: letters, digits, dot, plus and minus, at most 60."""
    return re.sub(r"[^A-Za-z0-9.+]+", "-", text).strip("-.")[:_SLUG].rstrip("-.") or "case"


def _fill(path: Path, run_id: str, lines: Iterable[str], count: int, manifest: Mapping[str, Any]) -> dict[str, Any]:
    for name in ("journal", "attempts"):
        (path / name).mkdir()
    name = "plan.jsonl.gz" if count > _GZIP_FROM else "plan.jsonl"
    digest = hashlib.sha256()
    with open(path / name, "wb") as raw:
        # Level 1: five times smaller for a fifth of the time of level 6; mtime 0 keeps equal plans equal.
        packed = gzip.GzipFile("", "wb", 1, raw, mtime=0) if name.endswith(".gz") else None
        out = packed or raw
        out.write(dump({"format": RUN_FORMAT, "kind": "plan", "cases": count}).encode() + b"\n")
        for line in lines:
            data = line.encode() + b"\n"
            digest.update(data)
            out.write(data)
        if packed is not None:
            packed.close()
        raw.flush()
        os.fsync(raw.fileno())
    full = {
        "created": time.time(),
        "boot_id": boot_id(),
        "host_tag": host_tag(),
        **manifest,
        "format": RUN_FORMAT,
        "id": run_id,
        "plan": {"file": name, "cases": count, "sha256": digest.hexdigest()},
    }
    with open(path / "run.json", "w", encoding="utf-8") as file:
        json.dump(full, file, indent=1, default=str)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path)
    return full


def _reserve(directory: Path) -> tuple[str, Path]:
    """A run id that is not taken, and the folder in which the run is put together. Making it is what reserves
    the id against other processes."""
    while True:
        run_id = new_run_id()
        building = directory / f".{run_id}.new"
        if (directory / run_id).exists():
            continue
        try:
            building.mkdir()
        except FileExistsError:
            continue
        return run_id, building


def _point_latest(directory: Path, run_id: str) -> None:
    link, temporary = directory / "latest", directory / f".latest-{run_id}"
    try:
        os.symlink(run_id, temporary)
        os.replace(temporary, link)
    except OSError:
        temporary.unlink(missing_ok=True)  # no symlinks here (or a folder of that name): ids still work


def _new_folder(run: Path, base: str, number: int) -> str:
    """attempts/<case>/<number>, or <number>-2 ... when a killed runner left one of that name."""
    (run / base).mkdir(parents=True, exist_ok=True)
    suffix = 1
    while True:
        relative = f"{base}/{number}" if suffix == 1 else f"{base}/{number}-{suffix}"
        try:
            (run / relative).mkdir()
            return relative
        except FileExistsError:
            suffix += 1


def _tasks(attempt: Attempt) -> str:
    if not attempt.tasks:
        return ""
    return json.dumps([dataclasses.asdict(task) for task in attempt.tasks], indent=1)
