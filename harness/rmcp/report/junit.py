"""JUnit XML by our own writer: valid against the Jenkins xUnit and the Windy Road schemas."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from rmcp.report.evidence import read_texts
from rmcp.report.facts import title_of
from rmcp.report.files import write_atomically
from rmcp.report.plain import number, one_line, xml_text
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import Outcome, Verdict

_BODY_LIMIT = 16 * 1024  # characters of evidence in one test case
_TOTAL_LIMIT = 32 * 1024 * 1024  # characters of evidence in one file; Jenkins and GitLab choke on more
_SYSTEM_ERR_LIMIT = 64 * 1024  # characters of the suite's system-err

_FAILURES = {Outcome.MISMATCH, Outcome.ERROR, Outcome.TAINTED}
_ERRORS = {
    Outcome.CRASH,
    Outcome.HANG,
    Outcome.TIMEOUT,
    Outcome.OOM,
    Outcome.NO_RESULT,
    Outcome.UNKILLABLE,
    Outcome.LOST,
    Outcome.COLLATERAL,
    Outcome.HARNESS_ERROR,
    Outcome.BLOCKED,
    Outcome.NOT_RUN,
}


@dataclass(frozen=True)
class JUnitCase:
    """One test case as JUnit sees it. ``kind`` is `` (passed), `failure`, `error` or `skipped`."""

    name: str
    classname: str
    seconds: float
    kind: str = ""
    type: str = ""
    message: str = ""
    body: str = ""


def kind_of(case: CaseRecord) -> str:
    """`failure`, `error`, `skipped` or `` (passed); the mapping that docs/reports.md states."""
    if case.outcome is Outcome.UNSUPPORTED:
        return "skipped"
    if case.outcome in _ERRORS or case.outcome in _FAILURES:
        if case.verdict is Verdict.EXPECTED:
            return "skipped"  # an expected failure, as pytest's own xfail
        return "failure" if case.outcome in _FAILURES else "error"
    if case.verdict in (Verdict.IMPROVED, Verdict.UNEXPECTED):
        return "failure"  # an unexpected pass must be recorded, or it hides the next regression
    return ""


def message_of(case: CaseRecord) -> str:
    """One line for people: outcome, cause, what was said."""
    last = case.last
    words = [str(case.outcome)]
    if str(case.cause) != "none":
        words.append(f"({case.cause})")
    if kind_of(case) == "failure" and case.outcome in (Outcome.PASS, Outcome.WARN):
        words.append("although a failure was expected: record it in the expectations")
    if case.verdict is Verdict.EXPECTED and case.reason:
        words.append(f"as expected: {case.reason}")
    else:
        said = (last.message if last and last.message else "") or case.reason
        if said:
            words.append(f"- {said}")
    return one_line(" ".join(words), 500)


def _facts(case: CaseRecord, attempt: AttemptRecord) -> Iterator[str]:
    yield f"case: {one_line(case.id)}"
    yield f"outcome: {attempt.outcome}  cause: {attempt.cause}"
    yield f"verdict: {case.verdict}  stability: {one_line(case.stability)}"
    if attempt.signal or attempt.exit_code is not None:
        ended = f"killed by {attempt.signal}" if attempt.signal else f"exit status {attempt.exit_code}"
        phase = one_line(attempt.phase or "?")
        yield f"ended: {one_line(ended)} in phase {phase} after {number(attempt.duration_s):.3f} s"
    if attempt.signature:
        yield f"signature: {one_line(attempt.signature, 500)}"
    for note in attempt.notes[:20]:
        yield f"note: {one_line(note)}"
    for check in attempt.checks[:20]:
        yield (
            f"check {one_line(check.get('name', '?'), 80)}: max_abs={one_line(check.get('max_abs'), 40)}"
            f" bound={one_line(check.get('bound'), 40)} {one_line(check.get('fingerprint', ''), 80)}"
        )


def _body(run: Run, case: CaseRecord, attempt: AttemptRecord, limit: int) -> str:
    parts = ["\n".join(_facts(case, attempt))]
    texts = read_texts(run, attempt, ("stderr", "stacks", "kernel")).streams if limit > 0 else {}
    share = max(1, limit // max(1, len(texts)))
    for stream, text in texts.items():
        parts.append(f"--- {stream} ---\n{xml_text(text, share)}")
    return "\n".join(parts)


def _attribute(value: object, limit: int = 500) -> str:
    return quoteattr(xml_text(one_line(value, limit), 2 * limit) or "?")


def _retries(case: CaseRecord) -> Iterator[str]:
    """Earlier attempts in the Surefire dialect; the Windy Road schema does not know these elements."""
    good = (Outcome.PASS, Outcome.WARN)
    prefix = "flaky" if case.outcome in good else "rerun"
    for attempt in case.attempts:
        if attempt is case.last or attempt.outcome in good:
            continue
        kind = "Failure" if attempt.outcome in _FAILURES else "Error"
        yield (
            f"    <{prefix}{kind} type={_attribute(attempt.cause)}"
            f" message={_attribute(attempt.message or attempt.outcome)}>"
            f"{escape(xml_text(f'attempt {attempt.number}: {attempt.outcome}', 200))}</{prefix}{kind}>\n"
        )


def _testcase(run: Run, case: CaseRecord, limit: int, retries: bool) -> Iterator[str]:
    # `workload.runtime` groups sensibly in every JUnit viewer that splits class names at dots.
    classname = f"{case.workload}.{case.runtime.get('name', 'this')}"
    kind, last = kind_of(case), case.last
    head = (
        f"  <testcase name={_attribute(case.id, 2000)} classname={_attribute(classname)}"
        f' time="{number(case.duration_s):.3f}"'
    )
    extra = "".join(_retries(case)) if retries else ""
    if not kind and not extra:
        yield head + "/>\n"
        return
    yield head + ">\n"
    if kind:
        # The message of a skipped case says the outcome too; Windy Road's schema allows it no `type`.
        label = case.outcome if str(case.cause) == "none" else case.cause
        named = "" if kind == "skipped" else f" type={_attribute(label)}"
        yield f"    <{kind}{named} message={_attribute(message_of(case))}>"
        if last and kind != "skipped":
            yield escape(xml_text(_body(run, case, last, limit), _BODY_LIMIT * 2))
        yield f"</{kind}>\n"
    yield extra
    yield "  </testcase>\n"


def _timestamp(run: Run) -> str:
    starts = [a.wall_start for case in run.cases for a in case.attempts[:1] if number(a.wall_start) > 0]
    try:
        moment = datetime.datetime.fromtimestamp(min(starts, default=0.0), datetime.timezone.utc)
    except (OverflowError, OSError, ValueError):
        moment = datetime.datetime.fromtimestamp(0, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def _properties(run: Run) -> Iterator[tuple[str, str]]:
    yield "rmcp.run", run.id
    for name, value in sorted(run.facts.items()):
        if isinstance(value, (str, int, float)):
            yield f"fact.{name}", str(value)
    for runtime, facts in run.runtimes.items():
        for name, value in sorted(facts.items()):
            if isinstance(value, (str, int, float)):
                yield f"runtime.{runtime}.{name}", str(value)


def render_junit(run: Run, retries: bool = False) -> Iterator[str]:
    """The document in pieces.

    With ``retries`` the failed attempts that did not decide are written too, in the Surefire dialect that
    Jenkins reads (and the Windy Road schema refuses).
    """
    kinds = [kind_of(case) for case in run.cases]
    name = title_of(run)
    host = str(run.facts.get("host") or run.facts.get("hostname") or "localhost")
    yield '<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n'
    yield (
        f' <testsuite name={_attribute(name)} package="rmcp" id="0" timestamp="{_timestamp(run)}"'
        f' hostname={_attribute(host)} tests="{len(kinds)}" failures="{kinds.count("failure")}"'
        f' errors="{kinds.count("error")}" skipped="{kinds.count("skipped")}"'
        f' time="{sum(number(case.duration_s) for case in run.cases):.3f}">\n'
    )
    yield "  <properties>\n"
    for key, value in _properties(run):
        yield f"   <property name={_attribute(key)} value={_attribute(value)}/>\n"
    yield "  </properties>\n"
    spent = 0
    for case in run.cases:
        for piece in _testcase(run, case, _BODY_LIMIT if spent < _TOTAL_LIMIT else 0, retries):
            spent += len(piece)
            yield piece
    yield "  <system-out></system-out>\n  <system-err>"
    yield escape(xml_text("\n".join(f"{p.where}: {p.what}" for p in run.problems), _SYSTEM_ERR_LIMIT))
    yield "</system-err>\n </testsuite>\n</testsuites>\n"


def write_junit(run: Run, path: Path, retries: bool = False) -> None:
    """Write the JUnit file of ``run`` atomically."""
    write_atomically(path, encoded(render_junit(run, retries)))


def encoded(pieces: Iterable[str]) -> Iterator[bytes]:
    """UTF-8; what cannot be encoded is shown as an escape, never raised."""
    for piece in pieces:
        yield piece.encode("utf-8", "backslashreplace")
