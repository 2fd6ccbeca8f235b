"""What a run comes to: counts, the verdict sentence and clusters of cases that share a signature (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rmcp.report.plain import number
from rmcp.runs.model import CaseRecord, Run
from rmcp.words import OUTCOMES, Outcome, OutcomeClass, Verdict, class_of

_FAILED_CLASSES = (OutcomeClass.FAILED_SILENTLY, OutcomeClass.FAILED, OutcomeClass.DIED)
_WAYS_SAID = 4  # outcomes named in the verdict sentence; the chips below it name all of them
_PROOFS = 200  # case ids kept per cluster; the count says how many there are


def failed(case: CaseRecord) -> bool:
    """Whether the case failed or died, whatever was expected of it."""
    return class_of(case.outcome, case.signal) in _FAILED_CLASSES


def is_bad(case: CaseRecord) -> bool:
    """Whether the case speaks against the run: unexpected, or failed with no expectation at hand."""
    if case.verdict in (Verdict.EXPECTED, Verdict.IMPROVED):
        return False
    if case.verdict in (Verdict.UNEXPECTED, Verdict.LATERAL):
        return True
    return failed(case)


def is_known(case: CaseRecord) -> bool:
    """Whether the case failed exactly as an expectation says."""
    return case.verdict is Verdict.EXPECTED and failed(case)


def outstanding(case: CaseRecord) -> bool:
    """Whether the case still has to run."""
    return OUTCOMES[case.outcome].outstanding


@dataclass(frozen=True)
class Cluster:
    """Cases that share a signature. ``shared`` are the axis values that all of them have and not every case
    of the run has; ``outside`` counts cases with the same shared values that ran and are not among them."""

    signature: str
    outcome: Outcome
    cause: str
    message: str
    count: int
    known: int
    shared: Mapping[str, str]
    outside: int
    cases: tuple[str, ...]

    @property
    def title(self) -> str:
        """One phrase: what the cases share."""
        cause = "" if self.cause in ("none", "") else f" ({self.cause})"
        cases = "1 case" if self.count == 1 else f"{self.count} cases share"
        return f"{cases}: {self.outcome}{cause}"


@dataclass(frozen=True)
class Tally:
    """Counts of a run. ``mark`` is `ok`, `bad` or `open` (nothing bad, but not everything is known)."""

    total: int
    outcomes: Mapping[Outcome, int]
    verdicts: Mapping[Verdict, int]
    bad: int
    known: int
    improved: int
    outstanding: int
    flaky: int
    mark: str
    sentence: str
    clusters: tuple[Cluster, ...] = ()
    seconds: float = 0.0
    problems: int = field(default=0)


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _list(words: Iterable[str]) -> str:
    items = list(words)
    if len(items) < 2:
        return "".join(items)
    return ", ".join(items[:-1]) + " and " + items[-1]


def _ways(cases: Iterable[CaseRecord]) -> str:
    """`11 crash (aperture_violation), 3 mismatch`: the outcomes of some cases, most frequent first."""
    counts: Counter[Outcome] = Counter()
    causes: dict[Outcome, Counter[str]] = {}
    for case in cases:
        counts[case.outcome] += 1
        causes.setdefault(case.outcome, Counter())[str(case.cause)] += 1
    parts = []
    rest = sum(count for _, count in counts.most_common()[_WAYS_SAID:])
    for outcome, count in counts.most_common(_WAYS_SAID):
        named = [cause for cause, _ in causes[outcome].most_common(3) if cause != "none"]
        parts.append(f"{count:,} {outcome}" + (f" ({', '.join(named)})" if named else ""))
    return _list([*parts, f"{rest:,} in other ways"] if rest else parts)


def _sentence(run: Run, bad: list[CaseRecord], counts: Mapping[str, int]) -> tuple[str, str]:
    """Mark and sentence of the run, for a person who reads nothing else."""
    total = len(run.cases)
    if not total:
        return "open", "The run has no cases."
    rest: list[str] = []
    if counts["known"]:
        rest.append(f"{_plural(counts['known'], 'case')} failed as expected")
    if counts["improved"]:
        rest.append(f"{counts['improved']:,} passed although a failure was expected: record it")
    if counts["outstanding"]:
        verb = "has" if counts["outstanding"] == 1 else "have"
        rest.append(f"{_plural(counts['outstanding'], 'case')} {verb} no verdict and must run again")
    if counts["unsupported"]:
        rest.append(f"{counts['unsupported']:,} cannot run on this machine")
    if counts["flaky"]:
        rest.append(f"{counts['flaky']:,} flaky")
    tail = f" {'; '.join(rest)}." if rest else ""
    tail = tail[:1] + tail[1:2].upper() + tail[2:]
    if bad:
        return "bad", f"{len(bad):,} of {_plural(total, 'case')} failed unexpectedly: {_ways(bad)}.{tail}"
    if counts["outstanding"] or not run.finished:
        start = "Nothing has failed unexpectedly so far." if counts["ran"] else "Nothing has run yet."
        return "open", start + tail
    if counts["known"] or counts["unsupported"] or counts["improved"]:
        return (
            "ok",
            f"{counts['passed']:,} of {_plural(total, 'case')} passed, nothing unexpected failed.{tail}",
        )
    return "ok", f"{'The only case' if total == 1 else f'All {total:,} cases'} passed.{tail}"


def _shared(cases: list[CaseRecord]) -> dict[str, str]:
    common = dict(cases[0].axes)
    for case in cases:
        for axis in [axis for axis, value in common.items() if case.axes.get(axis) != value]:
            del common[axis]
        if not common:
            break
    return common


def _importance(cluster: Cluster) -> tuple[bool, int, int, str]:
    """What failed before what has no verdict, unexpected before known, many before few."""
    unknown = OUTCOMES[cluster.outcome].klass is OutcomeClass.NO_VERDICT
    return unknown, cluster.known - cluster.count, -cluster.count, cluster.signature


def clusters(cases: Iterable[CaseRecord]) -> tuple[Cluster, ...]:
    """Clusters of the cases that failed or lost their verdict, largest first."""
    everything = list(cases)
    groups: dict[str, list[CaseRecord]] = {}
    values: dict[str, set[str]] = {}
    for case in everything:
        for axis, value in case.axes.items():
            values.setdefault(axis, set()).add(value)
        klass = class_of(case.outcome, case.signal)
        if klass in (OutcomeClass.PASSED, OutcomeClass.NOT_RUN):
            continue
        groups.setdefault(case.signature or f"{case.outcome}|{case.cause}", []).append(case)
    ran = [case for case in everything if class_of(case.outcome, case.signal) is not OutcomeClass.NOT_RUN]
    found = []
    for signature, members in groups.items():
        shared = {a: v for a, v in _shared(members).items() if len(values.get(a, ())) > 1}
        same = sum(all(case.axes.get(a) == v for a, v in shared.items()) for case in ran) if shared else len(ran)
        first = members[0]
        message = next((case.last.message for case in members if case.last and case.last.message), "")
        found.append(
            Cluster(
                signature=signature,
                outcome=first.outcome,
                cause=str(first.cause),
                message=message or first.reason,
                count=len(members),
                known=sum(is_known(case) for case in members),
                shared=shared,
                outside=max(0, same - len(members)),
                cases=tuple(case.id for case in members[:_PROOFS]),
            )
        )
    found.sort(key=_importance)
    return tuple(found)


def tally(run: Run) -> Tally:
    """Count a run. Pure; one pass over the cases and one per cluster."""
    outcomes = Counter(case.outcome for case in run.cases)
    verdicts = Counter(case.verdict for case in run.cases)
    bad = [case for case in run.cases if is_bad(case)]
    counts = {
        "known": sum(is_known(case) for case in run.cases),
        "improved": verdicts[Verdict.IMPROVED],
        "outstanding": sum(count for outcome, count in outcomes.items() if OUTCOMES[outcome].outstanding),
        "unsupported": outcomes[Outcome.UNSUPPORTED],
        "flaky": sum(case.stability.startswith("flaky") for case in run.cases),
        "passed": outcomes[Outcome.PASS] + outcomes[Outcome.WARN],
        "ran": sum(bool(case.attempts) for case in run.cases),
    }
    mark, sentence = _sentence(run, bad, counts)
    return Tally(
        total=len(run.cases),
        outcomes={outcome: outcomes[outcome] for outcome in Outcome if outcomes[outcome]},
        verdicts={verdict: verdicts[verdict] for verdict in Verdict if verdicts[verdict]},
        bad=len(bad),
        known=counts["known"],
        improved=counts["improved"],
        outstanding=counts["outstanding"],
        flaky=counts["flaky"],
        mark=mark,
        sentence=sentence,
        clusters=clusters(run.cases),
        seconds=sum(number(attempt.duration_s) for case in run.cases for attempt in case.attempts),
        problems=len(run.problems),
    )
