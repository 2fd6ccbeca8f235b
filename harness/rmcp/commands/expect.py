"""`rmcp expect`: hold a run against the expectations of today, and make them explain it."""

from __future__ import annotations

import argparse
import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.expect.observed import Observed, observe
from rmcp.expect.update import Added, Update, plan_update, still_unexplained
from rmcp.expect.verdict import describe, judge, unused
from rmcp.matrix.document import Expectation, Matrix
from rmcp.matrix.load import load_matrix
from rmcp.outcome.words import Verdict
from rmcp.runs.model import Run

EXIT_UNEXPECTED = 1
_SHOWN = 20  # cases listed per verdict
_RULES_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp expect`."""
    commands = parser.add_subparsers(dest="expect_command", metavar="check|update", required=True)
    check = commands.add_parser("check", help="verdicts of a run under the expectations as they are now")
    update = commands.add_parser("update", help="write the narrowest rules that explain a run, drop what passes")
    for sub in (check, update):
        sub.add_argument("run", metavar="RUN", help="a run directory, a run id, or latest")
        sub.add_argument("--matrix", type=Path, metavar="FILE", help="the matrix, when it is no longer where it was")
        sub.add_argument("--out", type=Path, default=Path("reports"), metavar="DIR", help="folder of the runs")
    add = update.add_argument
    add("--dry-run", action="store_true", help="only say what would change")
    add("--reason", metavar="TEXT", help="reason of the new rules")
    add("--bug", metavar="URL", help="bug of the new rules")
    add("--until", metavar="DATE", help="last day of the new rules; also extends rules that are over")
    add("--anywhere", action="store_true", help="new rules do not name the device, GPU and ROCm of this run")


def run(args: argparse.Namespace) -> int:
    """Check or update."""
    from rmcp.runs.reader import load_run

    found = load_run(args.run, args.out)
    matrix = load_matrix(_matrix_path(found, args.matrix))
    cases = observe(found)
    today = datetime.date.today()
    if args.expect_command == "check":
        return _check(found, matrix, cases, today)
    return _update(found, matrix, cases, today, args)


def _matrix_path(run: Run, given: Path | None) -> Path:
    if given is not None:
        return given
    path = Path(str((run.manifest.get("matrix") or {}).get("path") or ""))
    if not path.is_file():
        path = run.path.resolve().parents[1] / path  # relative to where pytest was started
    if not path.is_file():
        raise UserError(f"the matrix of run {run.id} is not at {path} any more; say where with --matrix FILE")
    return path


def _check(run: Run, matrix: Matrix, cases: Sequence[Observed], today: datetime.date) -> int:
    held = [
        judge(matrix.expect, c.facts, c.outcome, c.cause, today, signal=c.signal, signature=c.signature) for c in cases
    ]
    counts = Counter(result.verdict for result in held)
    print(f"run {run.id}: " + ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict]))
    for verdict in (Verdict.UNEXPECTED, Verdict.LATERAL, Verdict.IMPROVED):
        told = [(case, result) for case, result in zip(cases, held, strict=True) if result.verdict is verdict]
        for case, result in told[:_SHOWN]:
            where = f" ({result.rule.position})" if result.rule is not None else ""
            print(f"  {verdict}: {case.id}: {case.outcome}: {result.reason}{where}")
        if len(told) > _SHOWN:
            print(f"  ... and {len(told) - _SHOWN} more that are {verdict}")
    _tell_unseen(unused(matrix.expect, {result.rule for result in held if result.rule is not None}))
    bad = counts[Verdict.UNEXPECTED] + counts[Verdict.LATERAL] + counts[Verdict.IMPROVED]
    return EXIT_UNEXPECTED if bad else 0


def _update(run: Run, matrix: Matrix, cases: Sequence[Observed], today: datetime.date, args: Any) -> int:
    until = _day(args.until)
    values = {axis.name: axis.names for axis in matrix.axes}
    strange = sorted({axis for case in cases for axis in case.axes} ^ set(values))
    if strange:
        raise UserError(f"run {run.id} and {matrix.path} differ in the axis {strange[0]!r}; run the matrix again")
    # What `rmcp boundary` and the like tried beside the matrix has axis values that no rule could name.
    planned = [case for case in cases if all(case.axes[axis] in names for axis, names in values.items())]
    if len(planned) < len(cases):
        print(f"{len(cases) - len(planned)} cases with values that the matrix does not have are left out")
    cases = planned
    update = plan_update(matrix.expect, cases, values, today, args.anywhere)
    _tell(update, until is not None)
    extends = update.expired if until is not None else ()
    if update.empty and not extends:
        print("nothing to change: the expectations explain the run")
        return 0
    if args.dry_run:
        return 0
    written = _write(run, matrix, update, extends, args)
    after = load_matrix(matrix.path)
    left = still_unexplained(after.expect, cases, today)
    for path in written:
        print(f"wrote {path}")
    if left:
        print(f"{len(left)} cases stay unexplained, for example {left[0]}")
    return EXIT_UNEXPECTED if left else 0


def _day(text: str | None) -> datetime.date | None:
    try:
        return None if text is None else datetime.date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--until takes a day such as 2027-06-30; found {text!r}") from None


def _tell(update: Update, extending: bool) -> None:
    for rule, reason in update.dropped:
        print(f"- {rule.position}: drop `{describe(rule)}` ({rule.reason}): {reason}")
    for narrowed in update.narrowed:
        counts = f"{narrowed.passing} of its cases now pass, {narrowed.failing} still fail"
        print(f"~ {narrowed.rule.position}: {counts}")
        print(f"    and {narrowed.also}")
    for added in update.added:
        words = " or ".join(added.outcomes)
        print(f"+ {words} in {_cases(len(added.cases))}: {added.where or 'every case'}")
        print(f"    {added.signature or 'no signature'}; for example {added.cases[0]}")
    for rule in update.expired:
        hint = "extended" if extending else "fix it, or extend it with --until DATE"
        print(f"! {rule.position}: is over since {rule.until} and its cases still fail; {hint}")
    _tell_unseen(update.unseen)


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _tell_unseen(rules: Sequence[Expectation]) -> None:
    """Of a part of a matrix most rules say nothing: then their number is enough."""
    for rule in rules[:_RULES_SHOWN]:
        print(f"? {rule.position}: is about no case of this run; kept")
    if len(rules) > _RULES_SHOWN:
        print(f"? ... and {len(rules) - _RULES_SHOWN} more rules that are about no case of this run")


def _write(
    run: Run, matrix: Matrix, update: Update, extends: Sequence[Expectation], args: argparse.Namespace
) -> list[Path]:
    """Change each file that holds a rule concerned; new rules go where the matrix keeps its rules already."""
    from rmcp.expect.edit import Edit, edited

    beside = matrix.expect_path
    home = beside if beside.is_file() else matrix.path
    new = [_record(run, added, args) for added in update.added]
    texts: list[tuple[Path, str]] = []
    for path in dict.fromkeys([matrix.path, beside]):
        here = str(path)
        edit = Edit(
            dropped={rule.position for rule, _ in update.dropped if rule.position.file == here},
            also={n.rule.position: n.also for n in update.narrowed if n.rule.position.file == here},
            until={rule.position: str(args.until) for rule in extends if rule.position.file == here},
            added=new if path == home else (),
        )
        if edit.dropped or edit.also or edit.until or edit.added:
            texts.append((path, edited(path.read_text(encoding="utf-8"), here, edit)))
    for path, text in texts:
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}; copy the matrix and use --matrix") from None
    return [path for path, _ in texts]


def _record(run: Run, added: Added, args: argparse.Namespace) -> dict[str, Any]:
    reason = args.reason or f"seen in {_cases(len(added.cases))} of run {run.id}, not explained yet"
    rule: dict[str, Any] = {"where": added.where} if added.where else {}
    rule["outcome"] = [str(outcome) for outcome in added.outcomes]
    for key, words in (("cause", added.causes), ("signal", added.signals)):
        if words:
            rule[key] = str(words[0]) if len(words) == 1 else [str(word) for word in words]
    rule["reason"] = reason
    if args.bug:
        rule["bug"] = args.bug
    if args.until:
        rule["until"] = args.until
    return rule
