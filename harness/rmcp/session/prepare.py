"""From options to the cases of a run: find, load and expand the matrix, narrow it, or take up an old run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rmcp.errors import UserError
from rmcp.matrix.document import DEFAULT_PROFILE, Matrix
from rmcp.matrix.expand import expand
from rmcp.matrix.find import find_matrices, find_matrix
from rmcp.matrix.given import OPTION, Given, given_runtime
from rmcp.matrix.load import load_matrix, load_recorded
from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.matrix.select import select, shard
from rmcp.runs.fold import is_poison
from rmcp.runs.model import Run
from rmcp.runs.reader import load_run, outstanding
from rmcp.runtimes.available import why_not
from rmcp.session.options import RunOptions
from rmcp.words import Verdict


@dataclass(frozen=True)
class Prepared:
    """What is to be run. ``resumed`` is the run that is taken up; ``attempts`` counts a case's earlier attempts."""

    matrix: Matrix
    cases: tuple[Case, ...]
    resumed: Run | None = None
    attempts: Mapping[str, int] = field(default_factory=dict)


def prepare(options: RunOptions) -> list[Prepared]:
    """One Prepared per matrix (a folder holds several). Raises UserError with everything that is wrong."""
    if options.resume is not None:
        return [_resumed(options)]
    if options.matrix is not None and Path(options.matrix).is_dir():
        paths = find_matrices(options.matrix)
    else:
        paths = [find_matrix(options.matrix)]
    return [_fresh(load_matrix(path, options.runtimes), options) for path in paths]


def _fresh(matrix: Matrix, options: RunOptions) -> Prepared:
    for text in matrix.runtimes:
        _check_there(given_runtime(text, Path.cwd()))
    return Prepared(matrix, _narrow(matrix, expand(matrix, options.profile).cases, options))


def _check_there(given: Given) -> None:
    """A wrong path on the command line is told before anything runs; images are asked for at their first case."""
    runtime = RuntimeSpec(name=given.name, **given.fields)
    missing = None if runtime.image is not None else why_not(runtime)
    if missing is not None:
        raise UserError(f"{OPTION} {given.name}: {missing}")


def _narrow(matrix: Matrix, cases: tuple[Case, ...], options: RunOptions) -> tuple[Case, ...]:
    if options.select is not None:
        cases = select(cases, options.select, matrix.names)
    if options.shard is not None:
        cases = shard(cases, options.shard)
    if options.cases:
        known = {case.id: case for case in cases}
        missing = [wanted for wanted in options.cases if wanted not in known]
        if missing:
            from rmcp.matrix.errors import did_you_mean

            hint = did_you_mean(missing[0], known) or f"`rmcp plan {options.matrix or ''}` lists them"
            where = f"the matrix {matrix.name!r}"
            if options.profile is None and DEFAULT_PROFILE in matrix.profiles:
                others = ", ".join(name for name in matrix.profiles if name != DEFAULT_PROFILE)
                where += f" under its profile `{DEFAULT_PROFILE}` (others: {others or 'none'})"
            raise UserError(f"{where} has no case {missing[0]!r}; {hint}")
        cases = tuple(known[wanted] for wanted in options.cases)
    return tuple(_override(case, options) for case in cases)


def _override(case: Case, options: RunOptions) -> Case:
    if options.timeout is not None:
        case = replace(case, timeout=replace(case.timeout, case=options.timeout))
    if options.device is not None:
        case = replace(case, device=options.device)
    return case


def _resumed(options: RunOptions) -> Prepared:
    """The outstanding cases of an old run, expanded again from the matrix text that the run itself recorded."""
    run = load_run(options.resume or "latest", options.out)
    recorded = run.manifest.get("matrix") or {}
    if "text" not in recorded:
        raise UserError(f"run {run.id} did not record its matrix, so it cannot be resumed")
    if options.runtimes:
        raise UserError(f"run {run.id} has its runtimes already; a further one needs a new run")
    matrix = load_recorded(recorded, str(run.path / "matrix.yaml"), beside=True)
    profile = run.manifest.get("options", {}).get("profile")
    planned = {case.key: case for case in expand(matrix, options.profile or profile).cases}
    poison = {case.key for case in run.cases if is_poison(case.attempts)} if not options.force else set()
    # Killed between a case's END and its verdict: the narrow case is run again rather than judged from the record.
    unjudged = [case.key for case in run.cases if case.attempts and case.verdict is Verdict.NO_VERDICT]
    wanted = list(dict.fromkeys([*outstanding(run, options.force), *(key for key in unjudged if key not in poison)]))
    lost = [key for key in wanted if key not in planned]
    if lost:
        raise UserError(
            f"{len(lost)} planned cases of run {run.id} are not in its matrix as this rmcp expands it; "
            "run the matrix anew"
        )
    timeout = options.timeout if options.timeout is not None else run.manifest.get("options", {}).get("timeout")
    cases = tuple(_override(planned[key], replace(options, timeout=timeout)) for key in wanted)
    attempts = {case.key: len(case.attempts) for case in run.cases if case.attempts}
    return Prepared(matrix, cases, run, attempts)
