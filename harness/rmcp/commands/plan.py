"""`rmcp plan`: what a matrix expands to, and why a case is in or out. Starts no interpreter."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from collections import Counter
from pathlib import Path

from rmcp.errors import UserError
from rmcp.matrix.expand import expand
from rmcp.matrix.find import find_matrices, list_matrices
from rmcp.matrix.load import load_matrix
from rmcp.matrix.lock import write_lock
from rmcp.matrix.model import Case
from rmcp.matrix.plan import Plan
from rmcp.matrix.select import select, shard
from rmcp.matrix.why import why
from rmcp.session.remarks import remarks

EXIT_NOTHING = 5  # pytest's: nothing was selected
_SHOWN = 40  # cases in the table when nobody asked for all of them
_FIRST_SENTENCE = re.compile(r"(?<!\bal)(?<!\be\.g)(?<!\bi\.e)\. (?=[A-Z`\d])")  # "Sandler et al. 2018" goes on
_MOST_JOBS = 256  # GitHub Actions refuses a job matrix with more


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp plan`."""
    add = parser.add_argument
    add("matrix", nargs="?", metavar="NAME|FILE|DIR", help="a shipped matrix by name, a file, a folder")
    add("--list", action="store_true", help="list the shipped matrices (or those of DIR)")
    add("--explain", metavar="ID", help="say why a case (id or key) is in the plan or not")
    add("--format", choices=("table", "json", "gha"), default="table", help="gha: jobs for GitHub Actions")
    add("--select", metavar="EXPR", help="only cases for which the expression is true")
    add("--profile", metavar="NAME", help="a profile of the matrix")
    add("--runtime", action="append", default=[], metavar="NAME=PYTHON", help="one more runtime (repeatable)")
    add("--shard", metavar="I/N", help="only part I of N; with --format gha the number of shards, N")
    add("--after", metavar="RUN", help="what that run proved of the full product, and what to try next")
    add("--out", type=Path, default=Path("reports"), metavar="DIR", help="folder of the runs (for --after)")
    add("--lock", action="store_true", help="write the rows of `reduce` to its lock file")
    add("--all", action="store_true", help=f"print every case, not only the first {_SHOWN}")


def run(args: argparse.Namespace) -> int:
    """Print the plan of one matrix or of several."""
    if args.list:
        return _list(find_matrices(args.matrix) if args.matrix else None)
    paths = find_matrices(args.matrix)
    if len(paths) > 1 and (args.format != "table" or args.explain or args.lock):
        raise UserError(f"{args.matrix} holds {len(paths)} matrices; name one of them for this")
    planned = 0
    for number, path in enumerate(paths):
        if number:
            print()
        planned += _plan(path, args)
    return 0 if planned else EXIT_NOTHING


def _plan(path: Path, args: argparse.Namespace) -> int:
    matrix = load_matrix(path, args.runtime)
    plan = expand(matrix, args.profile)
    if args.explain:
        print(why(plan, args.explain))
        for case in plan.cases:
            if args.explain in (case.id, case.key):
                from rmcp.runtimes.describe import start_command

                print(f"started as: {start_command(case, mounts=[plan.matrix.directory])}")
        return 1
    if args.after:
        _after(plan, args.after, args.out)
        return 1
    if args.lock:
        _lock(plan)
    cases = plan.cases
    if args.select:
        cases = select(cases, args.select, matrix.names)
    if args.format == "gha":
        print(json.dumps(job_matrix(plan, cases, args.shard), separators=(",", ":")))
        return len(cases)
    if args.shard:
        cases = shard(cases, args.shard)
    if args.format == "json":
        _json(plan, cases)
    else:
        _table(plan, cases, None if args.all else _SHOWN)
    return len(cases)


def _list(paths: list[Path] | None) -> int:
    for listed in list_matrices(paths):
        if listed.mistakes:
            print(f"{listed.name}  {listed.mistakes} mistakes, see `rmcp plan {listed.path}`")
            continue
        about = _duration(listed.seconds)
        print(f"{listed.name}  {listed.cases} cases, about {about} on a CPU  ({listed.path})")
        if listed.doc:
            first = textwrap.shorten(_FIRST_SENTENCE.split(listed.doc, maxsplit=1)[0], 300, placeholder=" ...")
            print(textwrap.fill(first, 100, initial_indent="    ", subsequent_indent="    "))
        for profile in listed.profiles:
            size = f"{profile.cases} cases, about {_duration(profile.seconds)}"
            print(f"    --profile {profile.name}  {size}" + (f": {profile.doc}" if profile.doc else ""))
    return 0


def _lock(plan: Plan) -> None:
    reduce = plan.reduce
    if reduce is None or reduce.lock is None:
        example = f"reduce: {{strength: 2, lock: {plan.matrix.name}.lock.json}}"
        raise UserError(f"{plan.matrix.path} names no lock file here; write `{example}`")
    axes = [axis for axis in plan.matrix.axes if not axis.compare]
    changed = write_lock(reduce.lock, plan.matrix.name, axes, reduce.strength, plan.rows)
    print(f"{'wrote' if changed else 'unchanged:'} {reduce.lock} ({len(plan.rows)} rows)", file=sys.stderr)


def _after(plan: Plan, ref: str, reports: Path) -> None:
    from rmcp.matrix.coverage import measure
    from rmcp.runs.reader import load_run
    from rmcp.words import OUTCOMES, OutcomeClass

    run = load_run(ref, reports)
    silent = (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)
    judged = [case for case in run.cases if OUTCOMES[case.outcome].klass not in silent]
    failing = [case.axes for case in judged if OUTCOMES[case.outcome].klass is not OutcomeClass.PASSED]
    found = measure(plan, [case.axes for case in judged], failing)
    print(f"{plan.matrix.name} after run {run.id}: {found}")
    if found.strangers:
        print(f"  {found.strangers} of its cases are not in this matrix any more")
    if found.nearest:
        print(f"untested cases nearest to the {len(failing)} failures")
    for near in found.nearest:
        axes = "axis" if near.distance == 1 else "axes"
        failures = "1 failure" if near.failures == 1 else f"{near.failures} failures"
        print(f"  {near.id}  differs in {near.distance} {axes} from {failures}")


def _table(plan: Plan, cases: tuple[Case, ...], most: int | None) -> None:
    matrix = plan.matrix
    print(
        f"{matrix.name}: {len(cases)} cases  ({matrix.path}"
        + (f", profile {plan.profile})" if plan.profile else ")")
    )
    if matrix.doc:
        print(textwrap.fill(" ".join(matrix.doc.split()), 100, initial_indent="  ", subsequent_indent="  "))
    width = max(len(step.name) for step in plan.steps)
    for step in plan.steps:
        print(f"  {step.name:<{width}}  {step.count:>9,}  {step.note}".rstrip())
    if len(cases) != len(plan.cases):
        print(f"  {'chosen':<{width}}  {len(cases):>9,}")
    print(f"  {plan.shares()}")
    if plan.stale:
        print("  the lock file is out of date: `rmcp plan --lock` writes what is shown here")
    elif plan.reduce is not None and plan.reduce.lock is not None and not plan.reduce.lock.is_file():
        print(f"  there is no lock file {plan.reduce.lock} yet: `rmcp plan --lock` writes it")
    _axes(plan, cases)
    for remark in remarks(matrix):
        print(remark)
    if cases:
        print("cases")
    for case in cases[:most]:
        print(f"  {case.id}" + (f"  [{case.origin}]" if case.origin == "add" else ""))
    if most is not None and len(cases) > most:
        print(f"  ... and {len(cases) - most:,} more (--all, --select EXPR, --format json)")


def _axes(plan: Plan, cases: tuple[Case, ...]) -> None:
    """Cases per axis value: an empty value is a hole in the plan."""
    print("cases per value")
    for axis in plan.matrix.axes:
        counts = Counter(case.axes[axis.name] for case in cases)
        told = [f"{name} {counts[name]}" for name in axis.names[:30]]
        more = f", ... {len(axis.names) - 30} more" if len(axis.names) > 30 else ""
        print(f"  {axis.name}{' (compared)' if axis.compare else ''}: {', '.join(told)}{more}")


def _json(plan: Plan, cases: tuple[Case, ...]) -> None:
    """One JSON object; the cases one a line, written as they are made."""
    shares = plan.shares()
    head = {
        "matrix": plan.matrix.name,
        "path": str(plan.matrix.path),
        "digest": plan.matrix.digest,
        "profile": plan.profile,
        "steps": [{"name": step.name, "count": step.count, "note": step.note} for step in plan.steps],
        "full": plan.full,
        "planned": shares.planned,
        "inferred": shares.inferred,
        "untested": shares.untested,
        "compare_axes": list(plan.matrix.compare_axes),
        "axes": {axis.name: list(axis.names) for axis in plan.matrix.axes},
    }
    write = sys.stdout.write
    write(json.dumps(head)[:-1] + ',\n"cases": [')
    for number, case in enumerate(cases):
        write((",\n" if number else "\n") + json.dumps(_record(case)))
    write("\n]}\n")


def _record(case: Case) -> dict[str, object]:
    runtime = case.runtime
    given = {key: getattr(runtime, key) for key in ("python", "prefix", "image", "engine", "options")}
    return {
        "id": case.id,
        "key": case.key,
        "row": case.row,
        "workload": case.workload,
        "axes": case.axes,
        "args": case.args,
        "env": case.env,
        "runtime": {"name": runtime.name, **{key: value for key, value in given.items() if value}},
        "device": case.device,
        "timeout": {"start": case.timeout.start, "case": case.timeout.case, "silent": case.timeout.silent},
        "seed": case.seed,
        "threads": case.threads,
        "needs": [{"expression": need.expression, "reason": need.reason} for need in case.needs],
        "origin": case.origin,
    }


def job_matrix(plan: Plan, cases: tuple[Case, ...], shards: str | None) -> dict[str, list[dict[str, object]]]:
    """``{"include": [...]}`` for `strategy.matrix`: one job per runtime and shard that has cases.

    Each job has ``runtime`` (the value's name), ``shard`` ("2/5"), ``cases`` (how many), ``select`` (the
    expression that chooses the runtime; "" when there is one runtime) and ``name`` (for artifacts).
    """
    count = _shards(shards)
    axis = next((a for a in plan.matrix.axes if any("runtime" in v.patch.places for v in a.values)), None)
    axis = axis or next((a for a in plan.matrix.axes if a.name == "runtime"), None)
    names = axis.names if axis is not None else ("this",)
    jobs: list[dict[str, object]] = []
    for name in names:
        of_runtime = cases if axis is None else tuple(case for case in cases if case.axes[axis.name] == name)
        expression = f"{axis.name} == '{name}'" if axis is not None else ""
        for number in range(1, count + 1):
            part = f"{number}/{count}"
            held = len(shard(of_runtime, part))
            if held:
                job = f"{plan.matrix.name}-{name}" + (f"-{number}of{count}" if count > 1 else "")
                jobs.append(
                    {"name": job, "runtime": name, "shard": part, "cases": held, "select": expression}
                )
    if len(jobs) > _MOST_JOBS:
        raise UserError(
            f"{len(jobs)} jobs are more than the {_MOST_JOBS} of GitHub Actions; use fewer shards"
        )
    return {"include": jobs}


def _shards(text: str | None) -> int:
    if text is None:
        return 1
    number = text.rpartition("/")[2]
    if not number.isdigit() or not 1 <= int(number) <= _MOST_JOBS:
        raise UserError(f"with --format gha give the number of shards, for example --shard 4; found {text!r}")
    return int(number)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
