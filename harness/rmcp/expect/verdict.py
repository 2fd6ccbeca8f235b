"""Outcome against expectation -> verdict. Pure; the table in docs/matrix.md is this function.

| what the case did | no rule | rule accepts it | rule expects a failure | rule expects pass or warn |
|---|---|---|---|---|
| pass | expected | expected | improved | improved |
| warn | expected | expected | improved | unexpected |
| failed or died | unexpected | expected | lateral | unexpected |
| no verdict, not run | no-verdict | expected | no-verdict | no-verdict |

A rule past its ``until`` accepts nothing: what it would have accepted is unexpected again.
"""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from rmcp.expect.rules import accepts, matching
from rmcp.matrix.document import Expectation
from rmcp.words import OUTCOMES, Cause, Outcome, OutcomeClass, Verdict

_NOTHING_TO_SAY = (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)


@dataclass(frozen=True, slots=True)
class VerdictResult:
    """``rule`` is the expectation that decided, None when no rule is about the case."""

    verdict: Verdict
    rule: Expectation | None = None
    reason: str = ""
    bug: str = ""


def judge(
    expectations: Iterable[Expectation],
    facts: Mapping[str, object],
    outcome: Outcome,
    cause: Cause,
    today: datetime.date,
    *,
    signal: str | None = None,
    signature: str = "",
) -> VerdictResult:
    """Hold one outcome against the expectations. Whatever no rule is about expects `pass`.

    Of several rules that are about the case, the first that accepts the outcome decides, else the first.
    ``facts`` answer the names of ``where``; ``today`` is held against ``until``.
    """
    rules = matching(expectations, facts)
    valid = [rule for rule in rules if not is_expired(rule, today)]
    for rule in valid:
        if accepts(rule, outcome, cause, signal, signature):
            return _result(Verdict.EXPECTED, rule, rule.reason)
    if OUTCOMES[outcome].klass in _NOTHING_TO_SAY:
        return VerdictResult(Verdict.NO_VERDICT)
    if valid:
        return _against(valid[0], outcome, cause)
    if not rules:
        verdict = Verdict.EXPECTED if _passed(outcome) else Verdict.UNEXPECTED
        return VerdictResult(verdict, None, "" if _passed(outcome) else "no expectation is about this case")
    rule = rules[0]
    if _passed(outcome):
        return _against(rule, outcome, cause)
    return _result(Verdict.UNEXPECTED, rule, f"expected until {rule.until}: {rule.reason}")


def unused(expectations: Iterable[Expectation], matched: Collection[Expectation]) -> tuple[Expectation, ...]:
    """The expectations that were about no case at all: a typing mistake, or their cases are gone."""
    return tuple(rule for rule in expectations if rule not in matched)


def is_expired(rule: Expectation, today: datetime.date) -> bool:
    """Whether the last day of a rule is over."""
    return rule.until is not None and today > rule.until


def describe(rule: Expectation) -> str:
    """What a rule expects, in words: ``crash (aperture_violation)``."""
    text = " or ".join(str(outcome) for outcome in rule.outcomes)
    more = [*(str(cause) for cause in rule.causes), *rule.signals, *rule.signatures]
    return f"{text} ({', '.join(more)})" if more else text


def _against(rule: Expectation, outcome: Outcome, cause: Cause) -> VerdictResult:
    """A valid rule is about the case and does not accept what it did."""
    expects_failure = not any(_passed(expected) for expected in rule.outcomes)
    if outcome is Outcome.PASS or (outcome is Outcome.WARN and expects_failure):
        text = f"no longer {describe(rule)}: record it with `rmcp expect update`"
        return _result(Verdict.IMPROVED, rule, text)
    what = f"{outcome} ({cause})" if cause is not Cause.NONE else str(outcome)
    verdict = Verdict.LATERAL if expects_failure else Verdict.UNEXPECTED
    return _result(verdict, rule, f"expected {describe(rule)}, got {what}")


def _passed(outcome: Outcome) -> bool:
    return OUTCOMES[outcome].klass is OutcomeClass.PASSED


def _result(verdict: Verdict, rule: Expectation, reason: str) -> VerdictResult:
    return VerdictResult(verdict, rule, reason, rule.bug)
