"""From what the guards saw of one attempt to pytest reports. Pure: JSON in, JSON out.

A test passes only when all its phase reports came, the child said farewell and the exit status is 0; whatever else
happened becomes a failed report that says what it was.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rmcp.attempt import Attempt, Captured, PythonError
from rmcp.isolation.evidence import attempt_from, captured_from
from rmcp.outcome.judge import judge
from rmcp.outcome.judgement import Judgement
from rmcp.words import Outcome

PHASES = ("setup", "call", "teardown")
_TEXT_LIMIT = 16_000  # characters of one stream in the text of a failure; the section has up to 96 KiB
_MACHINERY = ("/_pytest/", "/pluggy/", "/rmcp/pytest_plugin/", "/rmcp_torch/forking.py", "/bin/pytest", "<frozen ru")
_HANGS = (Outcome.HANG, Outcome.TIMEOUT, Outcome.UNKILLABLE)
_FINE = (Outcome.PASS, Outcome.WARN)
_NO_XFAIL = (Outcome.HARNESS_ERROR, Outcome.NOT_RUN)


@dataclass(frozen=True)
class Seen:
    """One attempt: evidence of the child (or of the holder, when that died), reports and outputs by phase.

    ``place`` is where a death counts when no phase had begun: `setup` or `teardown`. ``why_fresh`` says why the
    test ran in a fresh interpreter. ``before`` and ``after`` are outputs of the wider fixtures.
    """

    evidence: Mapping[str, Any]
    reports: Sequence[Mapping[str, Any]] = ()
    outputs: Mapping[str, Any] = field(default_factory=dict)
    xfail: Mapping[str, Any] = field(default_factory=dict)
    fixtures_s: float = 0.0
    place: str = "setup"
    why_fresh: str = ""
    before: Mapping[str, Captured] = field(default_factory=dict)
    after: Mapping[str, Captured] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """What a report says of its test besides the result."""

    nodeid: str
    location: tuple[str, int | None, str]
    path: str
    keywords: Mapping[str, Any]


def judged(seen: Seen, number: int = 1) -> tuple[Attempt, Judgement]:
    """Attempt and judgement. The texts of all phases count: the line that names a fault may precede it by far."""
    attempt = attempt_from(seen.evidence, number=number, level="exec" if seen.why_fresh else "fork")
    result = seen.evidence.get("result") or {}
    broken = result.get("broken")

    def whole(name: str, rest: Captured) -> Captured:
        parts = [captured_from(seen.outputs[when][name]).data() for when in PHASES if when in seen.outputs]
        return Captured(tail=b"".join(parts) + rest.data())

    attempt = replace(attempt, stdout=whole("stdout", attempt.stdout), stderr=whole("stderr", attempt.stderr))
    if broken and broken["type"] == "KeyboardInterrupt":
        # Raised by the test: the runner was told nothing, or it would have killed the child.
        attempt = replace(attempt, error=PythonError(**broken))
    elif broken:
        attempt = replace(attempt, harness=f"pytest could not run the test: {broken['type']}: {broken['message']}")
    arrived = [report.get("when") for report in seen.reports]
    if attempt.result and not broken and "exit" not in result and arrived not in (list(PHASES), ["setup", "teardown"]):
        attempt = replace(attempt, result=False)
    return attempt, judge(attempt)


def passed(judgement: Judgement, reports: Sequence[Mapping[str, Any]]) -> bool:
    """True when neither the process nor any report failed."""
    return judgement.outcome in _FINE and all(report["outcome"] != "failed" for report in reports)


def compose(seen: Seen, attempt: Attempt, judgement: Judgement, place: Place) -> list[dict[str, Any]]:
    """The reports of one attempt in the order of their phases, with outputs, remarks and, if need be, the failure."""
    reports = [dict(report) for report in seen.reports]
    if seen.fixtures_s and reports:
        reports[0]["duration"] = reports[0].get("duration", 0.0) + seen.fixtures_s
        reports[0]["start"] = reports[0].get("start", 0.0) - seen.fixtures_s
    if judgement.outcome not in _FINE:
        _put_failure(reports, seen, attempt, judgement, place)
    _put_outputs(reports, seen, attempt)
    remarks = remarks_of(attempt, judgement, seen.why_fresh)
    if remarks:
        for report in reports:
            report["sections"] = [*report.get("sections", ()), ["rmcp", "\n".join(remarks)]]
    data = {
        "outcome": judgement.outcome.value, "cause": judgement.cause.value, "signal": attempt.signal,
        "signature": judgement.signature, "level": attempt.level,
    }  # fmt: skip
    for report in reports:
        report["rmcp_isolated"] = data
    return reports


def remarks_of(attempt: Attempt, judgement: Judgement, why_fresh: str) -> list[str]:
    """What is worth a line although it changes nothing."""
    remarks = list(dict.fromkeys((*judgement.notes, *attempt.remarks)))
    if why_fresh:
        remarks.insert(0, f"ran in a freshly started interpreter, because {why_fresh}")
    return remarks


def _put_failure(
    reports: list[dict[str, Any]], seen: Seen, attempt: Attempt, judgement: Judgement, place: Place
) -> None:
    """Turn the phase in which it died into a failed report, and complete the three phases around it."""
    phases = {report["when"]: report for report in reports}
    begun = [phase.name for phase in attempt.phases if phase.name in PHASES]
    when = begun[-1] if begun else seen.place
    if when in phases:
        # Every report is there, and then it died: the test itself is to blame, not its teardown.
        when = "call" if "call" in phases else "setup"
    since = max((phase.at for phase in attempt.phases if phase.name == when), default=0.0)
    report = {
        "nodeid": place.nodeid, "location": list(place.location), "keywords": dict(place.keywords),
        "outcome": "failed", "longrepr": None, "when": when, "sections": [], "user_properties": [],
        "duration": max(0.0, attempt.duration_s - since), "start": attempt.wall_start + since,
        "stop": attempt.wall_start + attempt.duration_s, "$report_type": "TestReport",
    }  # fmt: skip
    earlier = phases.get(when)
    if earlier is not None:
        report.update({name: earlier[name] for name in ("sections", "user_properties", "keywords") if name in earlier})
    head = headline(attempt, judgement, when)
    text = failure_text(seen, attempt, judgement, head)
    accepted = seen.xfail.get("hang" if judgement.outcome in _HANGS else "crash")
    if accepted and judgement.outcome not in _NO_XFAIL:
        report["outcome"] = "skipped"
        report["wasxfail"] = "; ".join(filter(None, (str(seen.xfail.get("reason", "")), f"rmcp: {head}")))
    if earlier is not None and earlier["outcome"] == "failed":
        # It had failed already; that stays, and this is added.
        earlier["sections"] = [*earlier.get("sections", ()), ["rmcp: then the process died", text]]
        return
    report["longrepr"] = longrepr(place, head, text)
    phases[when] = report
    for name, needed in (("setup", when != "setup"), ("teardown", True)):
        if name not in phases and needed:
            phases[name] = {
                **report, "when": name, "outcome": "passed", "longrepr": None, "sections": [], "duration": 0.0,
                "start": report["stop"], "user_properties": report["user_properties"],
            }  # fmt: skip
            phases[name].pop("wasxfail", None)
    reports[:] = [phases[name] for name in PHASES if name in phases]


def headline(attempt: Attempt, judgement: Judgement, when: str) -> str:
    """One line: outcome, signal with its number, cause, phase, what was read."""
    words = [str(judgement.outcome)]
    outcome, message = judgement.outcome, judgement.message
    if attempt.signal and outcome not in _HANGS:
        words.append(f"by {attempt.signal} ({_number(attempt.signal)})")
        message = message.partition(": ")[2]  # the judge names the signal once more
    elif attempt.exit_code and outcome not in _HANGS:
        words.append(f"exit status {attempt.exit_code}")
    words.append(f"in {when}")
    if judgement.cause.value != "none":
        words.append(f"[{judgement.cause}]")
    status = judgement.fields.get("hsa_status") or judgement.fields.get("status")
    if status:
        words.append(str(status))
    return f"{' '.join(words)}: {message}" if message else " ".join(words)


def _number(name: str) -> str:
    number = getattr(signal, name, None)
    return "?" if number is None else str(int(number))


def failure_text(seen: Seen, attempt: Attempt, judgement: Judgement, head: str) -> str:
    """The failure for people: headline, times, guilty line, exception of pytest itself, stderr, stacks."""
    lines = [f"rmcp: {head}", f"after {attempt.duration_s:.2f} s, process {attempt.pid}"]
    # The words of pytest-forked, for whoever searches logs for them.
    if attempt.signal and not attempt.sent:
        lines.append(f"running the test CRASHED with signal {_number(attempt.signal)} ({attempt.signal})")
    elif judgement.outcome is Outcome.NO_RESULT:
        lines.append(f"running the test EXITED with status {attempt.exit_code}")
    if attempt.deadline is not None:
        deadline = attempt.deadline
        sent = ", ".join(f"{each.signal} at {each.at:.2f} s" for each in attempt.sent)
        lines.append(f"budget of {deadline.budget_s:g} s spent in phase {deadline.phase!r}; sent {sent or 'nothing'}")
    if seen.why_fresh:
        lines.append(f"ran in a freshly started interpreter, because {seen.why_fresh}")
    line = str(judgement.fields.get("line", "")).strip()
    if line:
        lines.append(f"said: {line}")
    broken = (seen.evidence.get("result") or {}).get("broken")
    if broken:
        lines.append(shorten(own_frames(broken["traceback"])))
    for task in attempt.tasks[:4]:
        lines.append(f"task {task.tid} {task.name}: state {task.state} {task.wchan}".rstrip())
    out, err, stacks = attempt.stdout.text(), attempt.stderr.text(), own_frames(attempt.stacks)
    for title, text in (("stderr", err), ("stdout", out), ("stacks", stacks)):
        if text.strip():
            lines += [f"----- {title} -----", shorten(text.rstrip())]
    return "\n".join(lines) + "\n"


def own_frames(stacks: str) -> str:
    """A traceback or faulthandler dump without the frames of pytest and rmcp below the test."""
    kept, skipping = [], False
    for line in stacks.splitlines():
        if not line.startswith(("  File ", "    ")):
            skipping = False
        elif line.startswith("  File ") and any(part in line for part in _MACHINERY):
            if not skipping:
                kept.append("  ... pytest")
            skipping = True
            continue
        elif line.startswith("  File "):
            skipping = False
        if not skipping:
            kept.append(line)
    return "\n".join(kept)


def longrepr(place: Place, head: str, text: str) -> dict[str, Any]:
    """pytest's own wire format of a failure, so that the short summary shows the headline."""
    crash = {"path": place.path, "lineno": (place.location[1] or 0) + 1, "message": f"rmcp: {head}"}
    entry = {"type": "ReprEntryNative", "data": {"lines": [text]}}
    return {
        "reprcrash": crash,
        "reprtraceback": {"reprentries": [entry], "extraline": None, "style": "native"},
        "sections": [],
        "chain": None,
    }


def shorten(text: str) -> str:
    """At most 16,000 characters, half from each end."""
    if len(text) <= _TEXT_LIMIT:
        return text
    half = _TEXT_LIMIT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out]\n{text[-half:]}"


def _put_outputs(reports: list[dict[str, Any]], seen: Seen, attempt: Attempt) -> None:
    """What was written in each phase, as pytest attaches it: every report has the sections up to its phase."""
    rest = {"stdout": captured_from(seen.evidence["stdout"]), "stderr": captured_from(seen.evidence["stderr"])}
    known = [report["when"] for report in reports]
    open_phases = [when for when in known if when not in seen.outputs]
    # Text after the last cut belongs to the phase that never ended, or to the exit.
    last = open_phases[0] if open_phases else (known[-1] if known else "call")
    if not open_phases and "call" in known:
        last = "call"
    collected: list[list[str]] = []
    for report in reports:
        when = report["when"]
        for name in ("stdout", "stderr"):
            parts = []
            if when == "setup" and name in seen.before:
                parts.append(seen.before[name].text())
            if when in seen.outputs:
                parts.append(captured_from(seen.outputs[when][name]).text())
            if when == last:
                parts.append(rest[name].text())
            if when == "teardown" and name in seen.after:
                parts.append(seen.after[name].text())
            text = "".join(parts)
            if text:
                collected.append([f"Captured {name} {when}", text])
        report["sections"] = [*collected, *report.get("sections", ())]
