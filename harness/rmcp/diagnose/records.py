"""From what a probe runner returns (case records) to probe results, without knowing the runner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from rmcp.diagnose.probing import ProbeResult
from rmcp.matrix.model import Case
from rmcp.runs.model import AttemptRecord, CaseRecord


class RunsCases(Protocol):
    """What is needed of the session's probe runner: run these cases isolated, once each, and return
    records."""

    def run(self, cases: Sequence[Case], /) -> Sequence[CaseRecord]:
        """One record for each case, in the same order."""


def result_of(record: CaseRecord, attempt: AttemptRecord | None = None) -> ProbeResult:
    """The last attempt of a record (or the one given) as a probe result; the record's own outcome when none
    ran."""
    from rmcp.diagnose.study import signature_of

    one = attempt if attempt is not None else record.last
    if one is None:
        return ProbeResult(record.outcome)
    return ProbeResult(one.outcome, signature_of(one), one.duration_s, tuple(one.titles))


def probe_of(
    runner: RunsCases, tell: Callable[[str], None] | None = None
) -> Callable[[Sequence[Case]], list[ProbeResult]]:
    """A probe that runs one attempt of each case; ``tell`` gets one line about each for the terminal."""

    def probe(cases: Sequence[Case]) -> list[ProbeResult]:
        results = []
        for case in cases:
            (record,) = runner.run([case])
            result = result_of(record)
            results.append(result)
            if tell is not None:
                told = result.signature or str(result.outcome)
                tell(f"{case.id}: {told} ({result.duration_s:.1f} s)" + (f", {record.reason}" if record.reason else ""))
        return results

    return probe
