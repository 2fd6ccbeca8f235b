"""Verdicts as a table."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from rmcp.expect.verdict import describe, judge, unused
from rmcp.matrix.document import Expectation
from rmcp.matrix.errors import Position
from rmcp.matrix.expressions import compile_expression
from rmcp.words import Cause, Outcome, Verdict

TODAY = datetime.date(2026, 11, 21)
AT = Position("m.yaml", 3, 5)


def rule(where: str | None = "env == bad", **fields: Any) -> Expectation:
    given: dict[str, Any] = {"outcomes": (Outcome.CRASH,), "reason": "known", "position": AT, **fields}
    return Expectation(where=compile_expression(where) if where else None, **given)


CRASH = rule(causes=(Cause.APERTURE_VIOLATION,), bug="https://example.org/1")
WARN_ONLY = rule(outcomes=(Outcome.WARN,))
PASS_ONLY = rule(outcomes=(Outcome.PASS,))
EITHER = rule(outcomes=(Outcome.PASS, Outcome.CRASH))
NOT_RUN = rule(outcomes=(Outcome.UNSUPPORTED,))
OVER = rule(until=datetime.date(2026, 11, 20))
LAST_DAY = rule(until=TODAY)
SIGNAL = rule(signals=("SIGSEGV", "SIG*T"))
SIGNATURE = rule(signatures=("crash|segfault|*",))

AP, SEG, NONE = Cause.APERTURE_VIOLATION, Cause.SEGFAULT, Cause.NONE
TABLE = [
    # rules, outcome, cause, signal, signature, verdict
    ((), Outcome.PASS, NONE, None, "", Verdict.EXPECTED),
    ((), Outcome.WARN, NONE, None, "", Verdict.EXPECTED),
    ((), Outcome.CRASH, SEG, None, "", Verdict.UNEXPECTED),
    ((), Outcome.MISMATCH, NONE, None, "", Verdict.UNEXPECTED),
    ((), Outcome.LOST, NONE, None, "", Verdict.NO_VERDICT),
    ((), Outcome.COLLATERAL, NONE, None, "", Verdict.NO_VERDICT),
    ((), Outcome.HARNESS_ERROR, NONE, None, "", Verdict.NO_VERDICT),
    ((), Outcome.UNSUPPORTED, NONE, None, "", Verdict.NO_VERDICT),
    ((), Outcome.BLOCKED, NONE, None, "", Verdict.NO_VERDICT),
    ((), Outcome.NOT_RUN, NONE, None, "", Verdict.NO_VERDICT),
    ((CRASH,), Outcome.CRASH, AP, "SIGABRT", "", Verdict.EXPECTED),
    ((CRASH,), Outcome.CRASH, SEG, "SIGSEGV", "", Verdict.LATERAL),
    ((CRASH,), Outcome.HANG, AP, None, "", Verdict.LATERAL),
    ((CRASH,), Outcome.MISMATCH, NONE, None, "", Verdict.LATERAL),
    ((CRASH,), Outcome.PASS, NONE, None, "", Verdict.IMPROVED),
    ((CRASH,), Outcome.WARN, NONE, None, "", Verdict.IMPROVED),
    ((CRASH,), Outcome.LOST, NONE, None, "", Verdict.NO_VERDICT),
    ((CRASH,), Outcome.UNSUPPORTED, NONE, None, "", Verdict.NO_VERDICT),
    ((WARN_ONLY,), Outcome.WARN, NONE, None, "", Verdict.EXPECTED),
    ((WARN_ONLY,), Outcome.PASS, NONE, None, "", Verdict.IMPROVED),
    ((WARN_ONLY,), Outcome.CRASH, AP, None, "", Verdict.UNEXPECTED),
    ((PASS_ONLY,), Outcome.PASS, NONE, None, "", Verdict.EXPECTED),
    ((PASS_ONLY,), Outcome.WARN, NONE, None, "", Verdict.UNEXPECTED),
    ((PASS_ONLY,), Outcome.HANG, NONE, None, "", Verdict.UNEXPECTED),
    ((EITHER,), Outcome.PASS, NONE, None, "", Verdict.EXPECTED),
    ((EITHER,), Outcome.HANG, NONE, None, "", Verdict.UNEXPECTED),
    ((NOT_RUN,), Outcome.UNSUPPORTED, NONE, None, "", Verdict.EXPECTED),
    ((OVER,), Outcome.CRASH, AP, None, "", Verdict.UNEXPECTED),
    ((OVER,), Outcome.PASS, NONE, None, "", Verdict.IMPROVED),
    ((LAST_DAY,), Outcome.CRASH, AP, None, "", Verdict.EXPECTED),
    ((OVER, CRASH), Outcome.CRASH, AP, None, "", Verdict.EXPECTED),
    ((WARN_ONLY, CRASH), Outcome.CRASH, AP, None, "", Verdict.EXPECTED),
    ((SIGNAL,), Outcome.CRASH, SEG, "SIGSEGV", "", Verdict.EXPECTED),
    ((SIGNAL,), Outcome.CRASH, SEG, "SIGABRT", "", Verdict.EXPECTED),
    ((SIGNAL,), Outcome.CRASH, SEG, "SIGBUS", "", Verdict.LATERAL),
    ((SIGNAL,), Outcome.CRASH, SEG, None, "", Verdict.LATERAL),
    ((SIGNATURE,), Outcome.CRASH, SEG, None, "crash|segfault|SIGSEGV", Verdict.EXPECTED),
    ((SIGNATURE,), Outcome.CRASH, SEG, None, "crash|other", Verdict.LATERAL),
]


@pytest.mark.parametrize(("rules", "outcome", "cause", "signal", "signature", "verdict"), TABLE)
def test_table(
    rules: tuple[Expectation, ...],
    outcome: Outcome,
    cause: Cause,
    signal: str | None,
    signature: str,
    verdict: Verdict,
) -> None:
    held = judge(rules, {"env": "bad"}, outcome, cause, TODAY, signal=signal, signature=signature)
    assert held.verdict is verdict


@pytest.mark.parametrize("facts", [{"env": "good"}, {}])
def test_a_rule_about_other_cases_says_nothing(facts: dict[str, object]) -> None:
    held = judge([CRASH], facts, Outcome.CRASH, AP, TODAY)
    assert (held.verdict, held.rule) == (Verdict.UNEXPECTED, None)


def test_a_rule_without_where_is_about_every_case() -> None:
    assert judge([rule(None)], {}, Outcome.CRASH, SEG, TODAY).verdict is Verdict.EXPECTED


def test_reasons_say_what_to_do() -> None:
    improved = judge([CRASH], {"env": "bad"}, Outcome.PASS, NONE, TODAY)
    assert improved.rule is CRASH
    assert improved.bug == "https://example.org/1"
    assert "crash (aperture_violation)" in improved.reason
    assert "rmcp expect update" in improved.reason
    lateral = judge([CRASH], {"env": "bad"}, Outcome.CRASH, SEG, TODAY)
    assert "got crash (segfault)" in lateral.reason
    over = judge([OVER], {"env": "bad"}, Outcome.CRASH, SEG, TODAY)
    assert "until 2026-11-20" in over.reason


def test_every_outcome_has_a_verdict_under_every_rule() -> None:
    for rules in ((), (CRASH,), (WARN_ONLY,), (PASS_ONLY,), (OVER,)):
        for outcome in Outcome:
            assert judge(rules, {"env": "bad"}, outcome, NONE, TODAY).verdict in set(Verdict) - {Verdict.NEW}


def test_unused() -> None:
    assert unused([CRASH, OVER], {CRASH}) == (OVER,)
    assert unused([], set()) == ()


def test_describe() -> None:
    assert describe(EITHER) == "pass or crash"
    assert describe(SIGNAL) == "crash (SIGSEGV, SIG*T)"
