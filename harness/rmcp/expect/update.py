"""What to change in the expectations so that they explain a run: drop, narrow, add. Pure; see edit.py."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rmcp.expect.narrow import boxes, expression, needed
from rmcp.expect.observed import Observed
from rmcp.expect.rules import accepts, matching
from rmcp.expect.verdict import is_expired
from rmcp.matrix.document import Expectation
from rmcp.matrix.rules import quoted
from rmcp.words import OUTCOMES, Cause, Outcome, OutcomeClass

# Facts that say where a failure was seen; a rule made from one run speaks of no other machine.
_PLACE = ("device", "gfx", "rocm")


@dataclass(frozen=True)
class Narrowed:
    """``also`` is joined with `and` to the rule's own condition."""

    rule: Expectation
    also: str
    passing: int
    failing: int


@dataclass(frozen=True)
class Added:
    """A new rule. ``where`` is "" when it is about every case."""

    where: str
    outcomes: tuple[Outcome, ...]
    causes: tuple[Cause, ...]
    signals: tuple[str, ...]
    signature: str
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Update:
    """``dropped`` with the reason; ``expired`` are still needed; ``unseen`` are about no case of the run."""

    dropped: tuple[tuple[Expectation, str], ...] = ()
    narrowed: tuple[Narrowed, ...] = ()
    added: tuple[Added, ...] = ()
    expired: tuple[Expectation, ...] = ()
    unseen: tuple[Expectation, ...] = ()

    @property
    def empty(self) -> bool:
        """Nothing has to be written."""
        return not (self.dropped or self.narrowed or self.added)


def plan_update(
    expectations: Sequence[Expectation],
    cases: Iterable[Observed],
    values: Mapping[str, Sequence[str]],
    today: datetime.date,
    anywhere: bool = False,
) -> Update:
    """The narrowest change that makes every verdict of the run `expected`.

    ``values`` are the value names of every axis of the matrix. Cases without a verdict say nothing. With
    ``anywhere`` new rules do not name the device, GPU and ROCm version on which the run was made.
    """
    judged = [case for case in cases if case.judged]
    about = {id(rule): [case for case in judged if matching((rule,), case.facts)] for rule in expectations}
    dropped: list[tuple[Expectation, str]] = []
    narrowed: list[Narrowed] = []
    expired: list[Expectation] = []
    unseen: list[Expectation] = []
    explained: set[str] = set()
    for rule in expectations:
        seen = about[id(rule)]
        accepted = [case for case in seen if _accepted(rule, case)]
        passing = [case for case in seen if case.passed and not _accepted(rule, case)]
        if not seen:
            unseen.append(rule)
            continue
        if is_expired(rule, today):
            if accepted:
                expired.append(rule)
                explained.update(case.id for case in accepted)
            else:
                dropped.append((rule, f"over since {rule.until}, and its {len(seen)} cases do not need it"))
            continue
        if not accepted:
            what = "now pass" if len(passing) == len(seen) else "no longer fail like this"
            dropped.append((rule, f"its {len(seen)} cases {what}"))
            continue
        explained.update(case.id for case in accepted)
        if passing:
            others = [case.axes for case in passing]
            found = [needed(box, others, values) for box in boxes([case.axes for case in accepted], others)]
            tests = [expression(box, values) for box in found]
            also = tests[0] if len(tests) == 1 else " or ".join(f"({test})" for test in tests)
            narrowed.append(Narrowed(rule, also if len(tests) == 1 else f"({also})", len(passing), len(accepted)))
    added = _added(judged, explained, values, anywhere)
    return Update(tuple(dropped), tuple(narrowed), tuple(added), tuple(expired), tuple(unseen))


def _accepted(rule: Expectation, case: Observed) -> bool:
    """Every attempt did what the rule expects."""
    if len(case.outcomes) > 1:
        return all(outcome in rule.outcomes for outcome in case.outcomes)
    return accepts(rule, case.outcome, case.cause, case.signal, case.signature)


def _added(
    judged: Sequence[Observed], explained: set[str], values: Mapping[str, Sequence[str]], anywhere: bool
) -> list[Added]:
    groups: dict[tuple[object, ...], list[Observed]] = {}
    for case in judged:
        if case.id not in explained and not case.passed:
            groups.setdefault((case.signature, *_kind(case)), []).append(case)
    added: list[Added] = []
    for members in sorted(groups.values(), key=lambda group: (-len(group), group[0].id)):
        kind = _kind(members[0])
        # The same failure under another signature is no counter-example: its own rule says the same.
        others = [case.axes for case in judged if _kind(case) != kind]
        for box in boxes([case.axes for case in members], others):
            inside = [case for case in members if all(case.axes[axis] in held for axis, held in box.items())]
            tests = [*([] if anywhere else _place(inside)), expression(box, values)]
            first = inside[0]
            added.append(
                Added(
                    where=" and ".join(test for test in tests if test),
                    outcomes=first.outcomes,
                    causes=first.causes,
                    signals=first.signals,
                    signature=first.signature,
                    cases=tuple(case.id for case in inside),
                )
            )
    return _joined(added)


def _kind(case: Observed) -> tuple[object, ...]:
    return case.outcomes, case.causes, case.signals


def _joined(added: list[Added]) -> list[Added]:
    """Rules that would say the same thing about the same cases are one."""
    kept: dict[tuple[object, ...], Added] = {}
    for rule in added:
        key = (rule.where, rule.outcomes, rule.causes, rule.signals)
        if key in kept:
            first = kept[key]
            rule = Added(first.where, first.outcomes, first.causes, first.signals, first.signature,
                         (*first.cases, *rule.cases))  # fmt: skip
        kept[key] = rule
    return list(kept.values())


def _place(cases: Sequence[Observed]) -> list[str]:
    """Where these cases were run, as far as all of them share it."""
    tests = []
    for name in _PLACE:
        found = {case.facts.get(name) for case in cases}
        value = next(iter(found))
        if len(found) == 1 and isinstance(value, str):
            tests.append(f"{name} == {quoted(value)}")
    return tests


def still_unexplained(
    expectations: Sequence[Expectation], cases: Iterable[Observed], today: datetime.date
) -> list[str]:
    """Ids of judged cases that no valid rule accepts and that did not simply pass."""
    left = []
    for case in cases:
        if not case.judged:
            continue
        rules = [rule for rule in matching(expectations, case.facts) if not is_expired(rule, today)]
        fine = any(_accepted(rule, case) for rule in rules)
        if not fine and (rules or OUTCOMES[case.outcome].klass is not OutcomeClass.PASSED):
            left.append(case.id)
    return left
