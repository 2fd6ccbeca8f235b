"""Which expectations are about a case, and whether one accepts what the case did."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rmcp.matrix.document import Expectation
from rmcp.matrix.versions import glob_pattern
from rmcp.words import Cause, Outcome

__all__ = ["Expectation", "accepts", "matching"]


def matching(expectations: Iterable[Expectation], facts: Mapping[str, object]) -> tuple[Expectation, ...]:
    """The expectations whose ``where`` is certainly true for these facts, in file order."""
    return tuple(rule for rule in expectations if rule.where is None or rule.where.matches(facts))


def accepts(rule: Expectation, outcome: Outcome, cause: Cause, signal: str | None, signature: str) -> bool:
    """Whether this very failure is the expected one; a crash for another cause is not."""
    if outcome not in rule.outcomes:
        return False
    if rule.causes and cause not in rule.causes:
        return False
    if rule.signals and not any(glob_pattern(word).fullmatch(signal or "") for word in rule.signals):
        return False
    return not rule.signatures or any(
        word == signature or glob_pattern(word).fullmatch(signature) is not None for word in rule.signatures
    )
