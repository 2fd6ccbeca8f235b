"""What the searches on one case share: their questions, their saved attempts, their report of what they
spent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rmcp.diagnose.probing import (
    STEADY,
    BudgetSpent,
    Log,
    Oracle,
    ProbeResult,
    Question,
    log_from_json,
    log_to_json,
)
from rmcp.errors import UserError
from rmcp.matrix.model import Case

T = TypeVar("T")

STATE_FORMAT = 1  # of a saved search
_ROUNDS = 4  # times a search is started anew because its case turned out to be flakier than thought
_FIRST = 5  # attempts of the case that a search starts from; how many fail says how flaky it is


@dataclass(frozen=True)
class Start:
    """The failing case that a search begins with: its signature, and k of n attempts that failed with it."""

    case: Case
    signature: str
    failed: int
    attempts: int

    @property
    def text(self) -> str:
        """One line about how steadily it fails."""
        return f"{self.case.id}: {self.failed} of {self.attempts} attempts failed with {self.signature}"


def same_as(signature: str) -> Callable[[ProbeResult], bool | None]:
    """The question "does it fail with this signature"."""
    return lambda result: result.is_like(signature)


def passes(result: ProbeResult) -> bool | None:
    """The question "does it pass"."""
    return result.passed


def begin(oracle: Oracle, case: Case, signature: str = "", count: int = _FIRST) -> Start:
    """Run the case some times; its most frequent failing signature (or the one given) is what the search is
    about.

    Raises UserError when it does not fail now.
    """
    seen = oracle.attempts(case, count)
    failing = [r.signature or str(r.outcome) for r in seen if r.passed is False]
    if not failing or (signature and signature not in failing):
        ends = ", ".join(sorted({r.signature or str(r.outcome) for r in seen}))
        raise UserError(
            f"{case.id} does not fail{' with ' + signature if signature else ''} here and now: "
            f"{len(failing)} of {len(seen)} attempts failed ({ends}). "
            "Is it the same machine, runtime and environment?"
        )
    wanted = signature or max(dict.fromkeys(failing), key=failing.count)
    yes, told = oracle.calibrate(case, same_as(wanted), count)
    return Start(case, wanted, yes, told)


def steady(oracle: Oracle, question: Question, search: Callable[[], T], decisive: Callable[[T], Iterable[Case]]) -> T:
    """``search`` until it ends without a new sign of flakiness. Remembered attempts make repeats cheap.

    A search that believes single answers may be led astray by a lie before the first sign of flakiness: the cases
    that its result hangs on are attempted again, and a contradiction starts it anew with more attempts per answer.
    """
    for _ in range(_ROUNDS):
        before = oracle.flip
        found = search()
        if oracle.flip == before == STEADY:
            try:
                for case in decisive(found):
                    oracle.doubt(case, question)
            except BudgetSpent:
                return found
        if oracle.flip == before:
            return found
    return search()


def load_state(path: Path, case: Case) -> Log:
    """Attempts that an earlier search on this case left behind; empty when there are none."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"the saved search {path} cannot be read ({error}); remove it to start afresh") from None
    if not isinstance(data, dict) or data.get("rmcp_search") != STATE_FORMAT:
        raise UserError(f"{path} is not a search of this rmcp; remove it or name another file")
    if data.get("case") != case.id:
        raise UserError(f"{path} is a search on {data.get('case')}, not on {case.id}; name another file")
    return log_from_json(data["attempts"])


def save_state(path: Path, case: Case, oracle: Oracle) -> None:
    """Write the attempts so that the search can be resumed; whole or not at all."""
    data = {"rmcp_search": STATE_FORMAT, "case": case.id, "attempts": log_to_json(oracle.log)}
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps(data), encoding="utf-8")
    fresh.replace(path)
