"""The reading side of run directories: find a run, read its lines, fold it."""

from __future__ import annotations

import contextlib
import gc
import gzip
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.runs.codec import check_format, parse
from rmcp.runs.fold import fold_all, is_poison
from rmcp.runs.identity import boot_id, host_tag
from rmcp.runs.journal import is_live
from rmcp.runs.model import Problem, Run
from rmcp.runs.trails import JournalLines
from rmcp.runs.writer import read_manifest
from rmcp.words import OUTCOMES, Outcome

REPORTS = Path("reports")
_MAX_LINE = 64 * 1024 * 1024  # bytes; the writer stops at 4 MiB, more is garbage; keep it out of the memory


def load_run(ref: str | Path, reports: Path = REPORTS) -> Run:
    """The folded run that ``ref`` names: a run directory, a run id, a unique prefix of one, or `latest`.

    Raises UserError when there is none, more than one, or one that a newer rmcp wrote.
    """
    return read_run(find_run(ref, reports))


def find_run(ref: str | Path, reports: Path = REPORTS) -> Path:
    """The directory of a run; see ``load_run``."""
    path = Path(ref)
    if (path / "run.json").is_file():
        return path.resolve() if path.is_symlink() else path
    if (path / "latest" / "run.json").is_file():
        return (path / "latest").resolve()  # a folder of runs stands for its newest
    name = str(ref)
    if name == "latest":
        found = _latest(reports)
        if found is None:
            raise UserError(f"there is no run in {reports}/; `pytest --rmcp-matrix` makes one")
        return found
    if os.sep in name:
        raise UserError(f"{name} is no run directory: it holds no run.json")
    known = run_directories(reports)
    matches = [p for p in known if p.name == name] or [p for p in known if p.name.startswith(name)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(p.name for p in matches[:8])
        raise UserError(f"{name!r} fits {len(matches)} runs in {reports}/: {names}")
    newest = ", ".join(p.name for p in known[-5:]) or "none"
    raise UserError(f"no run {name!r} in {reports}/ (the newest there: {newest}); `rmcp runs` lists them")


def run_directories(reports: Path = REPORTS) -> list[Path]:
    """All run directories in a folder, oldest first."""
    try:
        entries = sorted(p for p in reports.iterdir() if not p.is_symlink() and not p.name.startswith("."))
    except OSError:
        return []
    return [p for p in entries if (p / "run.json").is_file()]


def list_runs(reports: Path = REPORTS, only: Sequence[Path] | None = None) -> list[Run]:
    """All runs in a folder (or those of ``only``), folded, oldest first. One that cannot be read is a Run
    without cases whose ``problems`` say why."""
    runs = []
    for path in run_directories(reports) if only is None else only:
        try:
            runs.append(read_run(path))
        except UserError as error:
            runs.append(Run(path.name, path, {}, (), problems=(Problem(str(path), str(error)),)))
    return runs


def read_run(path: Path) -> Run:
    """Fold the run directory ``path``."""
    manifest = read_manifest(path)
    journals = journal_files(path)
    live = {journal: is_live(journal) for journal in journals}
    with _no_collection():
        folded = fold_all(
            plan_records(path, manifest),
            [JournalLines(journal.name, journal_records(journal), live[journal]) for journal in journals],
            boot_id() or None,
            host_tag(),
        )
    problems = folded.problems
    planned = manifest.get("plan", {}).get("cases")
    if isinstance(planned, int) and planned != len(folded.cases) and not manifest.get("grows"):
        problems += (Problem("plan", f"{planned} cases were planned, {len(folded.cases)} can be read"),)
    facts = manifest.get("facts")
    compare = manifest.get("compare_axes")
    return Run(
        id=str(manifest.get("id", path.name)),
        path=path,
        manifest=manifest,
        cases=folded.cases,
        facts=facts if isinstance(facts, dict) else {},
        runtimes=folded.runtimes,
        compare_axes=tuple(str(axis) for axis in compare) if isinstance(compare, list) else (),
        problems=problems,
        finished=folded.finished,
        live=any(live.values()),
        events=folded.events,
    )


def outstanding(run: Run, force: bool = False) -> tuple[str, ...]:
    """Keys that a resume runs again, in plan order: lost, collateral, harness-error, blocked and not-run.
    Poison pills only with ``force``."""
    return tuple(
        case.key
        for case in run.cases
        if OUTCOMES[case.outcome].outstanding
        and (force or case.outcome is not Outcome.NOT_RUN or not is_poison(case.attempts))
    )


def journal_files(path: Path) -> list[Path]:
    """The journals of a run directory, by name."""
    return sorted((path / "journal").glob("*.jsonl"))


def plan_file(path: Path, manifest: Mapping[str, Any]) -> Path:
    """Where the plan of a run lies; raises UserError when it is not there."""
    names = [manifest.get("plan", {}).get("file"), "plan.jsonl", "plan.jsonl.gz"]
    for name in names:
        if name and os.sep not in str(name) and (path / str(name)).is_file():
            return path / str(name)
    raise UserError(f"{path} holds no plan (plan.jsonl or plan.jsonl.gz); the run directory is damaged")


def plan_texts(path: Path, manifest: Mapping[str, Any]) -> Iterator[bytes]:
    """The plan's lines as bytes, without its header, whose version is checked. A damaged tail ends the
    lines early; the count in the manifest then shows that some are missing."""
    file = plan_file(path, manifest)
    with gzip.open(file) if file.suffix == ".gz" else open(file, "rb") as lines:
        try:
            header = json.loads(lines.readline())
        except (ValueError, OSError, EOFError) as error:
            raise UserError(f"{file} cannot be read: {error}") from error
        check_format(header.get("format") if isinstance(header, dict) else None, str(file))
        try:
            yield from lines
        except (OSError, EOFError):
            return


def plan_records(path: Path, manifest: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The planned cases as dicts; a line that cannot be parsed is ``{"what": why}``."""
    for line in plan_texts(path, manifest):
        try:
            record = parse(line.decode())
            yield record if isinstance(record, dict) else {"what": "no object"}
        except (ValueError, RecursionError) as error:
            yield {"what": str(error)}


def journal_records(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; what cannot be parsed is an `unreadable` line (see fold.JournalLines)."""
    with open(path, "rb") as file:
        number = 0
        while line := file.readline(_MAX_LINE):
            number += 1
            try:
                record = parse(line.decode())
            except (ValueError, RecursionError):
                # A prefix of an object never parses, so a line that lacks only its newline is whole.
                torn = not line.endswith(b"\n")
                if line.strip():
                    yield {
                        "kind": "unreadable",
                        "at": number,
                        "torn": torn,
                        "what": "the last line is torn" if torn else "a torn or damaged line",
                    }
                continue
            if isinstance(record, dict):
                yield record
            else:
                yield {"kind": "unreadable", "at": number, "what": "a line that is no object"}


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """No cycle collector while a million objects come that all stay: it would walk them again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _latest(reports: Path) -> Path | None:
    link = reports / "latest"
    if (link / "run.json").is_file():
        return link.resolve()
    known = run_directories(reports)
    return known[-1] if known else None
