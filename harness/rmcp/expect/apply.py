"""Brings the expectations of a matrix up to date with a run: plans the change, writes it, checks it."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.expect.observed import observe
from rmcp.expect.update import Added, Update, plan_update, still_unexplained
from rmcp.expect.verdict import describe
from rmcp.matrix.document import Expectation, Matrix
from rmcp.matrix.given import THIS, given_axis
from rmcp.matrix.load import load_matrix
from rmcp.runs.model import Run

_RULES_SHOWN = 5  # rules that are about no case: of a part of a matrix most are


@dataclass(frozen=True)
class Wishes:
    """``reason``, ``bug`` and ``until`` go into new rules; ``until`` also extends rules that are over."""

    reason: str = ""
    bug: str = ""
    until: datetime.date | None = None
    anywhere: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Applied:
    """``lines`` say what changed; ``unexplained`` are ids of cases that no rule explains even now."""

    lines: tuple[str, ...]
    written: tuple[Path, ...] = ()
    unexplained: tuple[str, ...] = ()


def bring_up_to_date(run: Run, matrix: Matrix, today: datetime.date, wishes: Wishes | None = None) -> Applied:
    """Make the matrix's expectations explain a run, by the narrowest change.

    Writes the matrix file or the expectations beside it, unless ``dry_run``. Raises UserError when the run is
    of another matrix, a file cannot be written, or ruamel.yaml is not there.
    """
    wishes = wishes or Wishes()
    if matrix.runtimes:  # rules can name only what stands in the file
        matrix = load_matrix(matrix.path)
    values = {axis.name: axis.names for axis in matrix.axes}
    cases = observe(run)
    added = given_axis(run.manifest.get("matrix"), values)
    strange = sorted(({axis for case in cases for axis in case.axes} ^ set(values)) - {added}) if cases else []
    if strange:
        raise UserError(f"run {run.id} and {matrix.path} differ in the axis {strange[0]!r}; run the matrix again")
    # What `rmcp boundary` tried beside the matrix, or --rmcp-runtime added, has axis values that no rule could name.
    known = {**values, **({added: (THIS,)} if added else {})}
    planned = [case for case in cases if all(case.axes[axis] in names for axis, names in known.items())]
    update = plan_update(matrix.expect, planned, values, today, wishes.anywhere)
    extends = update.expired if wishes.until is not None else ()
    lines = _told(update, wishes.until is not None)
    if len(planned) < len(cases):
        lines.append(f"{_cases(len(cases) - len(planned))} with values that the matrix does not have: left out")
    if update.empty and not extends:
        return Applied((*lines, "nothing to change: the expectations explain the run"))
    if wishes.dry_run:
        return Applied(tuple(lines))
    written = _write(run, matrix, update, extends, wishes)
    after = load_matrix(matrix.path)
    left = still_unexplained(after.expect, planned, today)
    lines += [f"wrote {path}" for path in written]
    if left:
        lines.append(f"{_cases(len(left))} unexplained still, for example {left[0]}")
    return Applied(tuple(lines), tuple(written), tuple(left))


def tell_unseen(rules: Sequence[Expectation]) -> list[str]:
    """Lines about rules that are about no case of a run; of a part of a matrix their number is enough."""
    lines = [f"? {rule.position}: is about no case of this run; kept" for rule in rules[:_RULES_SHOWN]]
    if len(rules) > _RULES_SHOWN:
        lines.append(f"? ... and {len(rules) - _RULES_SHOWN} more rules that are about no case of this run")
    return lines


def _told(update: Update, extending: bool) -> list[str]:
    lines = [f"- {rule.position}: drop `{describe(rule)}` ({rule.reason}): {reason}" for rule, reason in update.dropped]
    for narrowed in update.narrowed:
        counts = f"{narrowed.passing} of its cases now pass, {narrowed.failing} still fail"
        lines += [f"~ {narrowed.rule.position}: {counts}", f"    and {narrowed.also}"]
    for added in update.added:
        words = " or ".join(added.outcomes)
        lines.append(f"+ {words} in {_cases(len(added.cases))}: {added.where or 'every case'}")
        lines.append(f"    {added.signature or 'no signature'}; for example {added.cases[0]}")
    for rule in update.expired:
        hint = "extended" if extending else "fix it, or extend it with --until DATE"
        lines.append(f"! {rule.position}: is over since {rule.until} and its cases still fail; {hint}")
    return lines + tell_unseen(update.unseen)


def _cases(count: int) -> str:
    return "1 case" if count == 1 else f"{count} cases"


def _write(run: Run, matrix: Matrix, update: Update, extends: Sequence[Expectation], wishes: Wishes) -> list[Path]:
    """Change each file that holds a rule concerned; new rules go where the matrix keeps its rules already."""
    from rmcp.expect.edit import Edit, edited

    beside = matrix.expect_path
    home = beside if beside.is_file() else matrix.path
    new = [_record(run, added, wishes) for added in update.added]
    texts: list[tuple[Path, str]] = []
    for path in (matrix.path, beside):
        here = str(path)
        edit = Edit(
            dropped={rule.position for rule, _ in update.dropped if rule.position.file == here},
            also={n.rule.position: n.also for n in update.narrowed if n.rule.position.file == here},
            until={rule.position: str(wishes.until) for rule in extends if rule.position.file == here},
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


def _record(run: Run, added: Added, wishes: Wishes) -> dict[str, Any]:
    rule: dict[str, Any] = {"where": added.where} if added.where else {}
    rule["outcome"] = [str(outcome) for outcome in added.outcomes]
    for key, words in (("cause", added.causes), ("signal", added.signals)):
        if words:
            rule[key] = str(words[0]) if len(words) == 1 else [str(word) for word in words]
    rule["reason"] = wishes.reason or f"seen in {_cases(len(added.cases))} of run {run.id}, not explained yet"
    if wishes.bug:
        rule["bug"] = wishes.bug
    if wishes.until is not None:
        rule["until"] = str(wishes.until)
    return rule
