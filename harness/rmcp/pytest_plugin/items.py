"""Matrix cases as pytest items: stable node ids, a report text that says why, outcomes in pytest's own terms."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rmcp.matrix.document import Matrix
from rmcp.matrix.model import Case
from rmcp.session.options import RunOptions
from rmcp.session.runner import CaseResult
from rmcp.words import OUTCOMES, Outcome, OutcomeClass, Verdict, class_of

_SECTION_LIMIT = 16_000  # characters of stdout or stderr in a report; all of it lies in the run directory


class CaseFailed(Exception):
    """A case that did not do what is expected of it; carries the result for the report."""

    def __init__(self, result: CaseResult) -> None:
        super().__init__(headline(result))
        self.result = result


class MatrixFile(pytest.File):
    """The matrix file as the parent of its cases."""

    def collect(self) -> list[pytest.Item]:
        """The cases are given to it from outside; there is nothing to find."""
        return []


class CaseItem(pytest.Item):
    """One case. ``run_case`` is set by the session and returns the result; ``again`` makes the command that runs
    the case once more."""

    def __init__(
        self,
        *,
        case: Case,
        position: int,
        run_case: Callable[[CaseItem], CaseResult],
        again: Callable[[Case], str],
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self._again = again
        self.case = case
        self.position = position
        self.deadline: float | None = None
        self.result: CaseResult | None = None
        self._run_case = run_case

    def runtest(self) -> None:
        """Run the case; raise what pytest understands as failure, skip or expected failure."""
        result = self.result = self._run_case(self)
        self._add_output(result)
        if result.outcome in (Outcome.UNSUPPORTED, Outcome.BLOCKED, Outcome.NOT_RUN):
            pytest.skip(printable(f"{result.outcome}: {result.reason}"))
        if result.verdict is Verdict.EXPECTED:
            if class_of(result.outcome, result.signal) is not OutcomeClass.PASSED:
                pytest.xfail(printable(result.reason or result.message))
            return
        raise CaseFailed(result)

    def _add_output(self, result: CaseResult) -> None:
        if result.evidence is None or result.outcome is Outcome.PASS:
            return
        for name, stream in (("stdout", result.evidence.stdout), ("stderr", result.evidence.stderr)):
            text = stream.text()
            if text:
                self.add_report_section("call", name, shorten(text))

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The failure as text: what happened, what it printed, how to see it again."""
        if isinstance(excinfo.value, CaseFailed):
            return failure_text(excinfo.value.result, self._again(self.case))
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the case stands: the matrix file."""
        return self.path, None, self.name


def command_again(matrix: Matrix, options: RunOptions, case: Case) -> str:
    """The `rmcp run` command for this one case."""
    from rmcp.report.repro import run_command

    return run_command(str(matrix.path), case.id, case.runtime.name, vars(options), matrix.runtimes)


def nothing_left(matrix: Matrix, options: RunOptions) -> str:
    """Why there is nothing to run: what narrowed the matrix, and where to look."""
    given = {name: getattr(options, name) for name in ("profile", "select", "shard")}
    narrowed = [f"--rmcp-{name}={value}" for name, value in given.items() if value]
    by = " under " + " ".join(narrowed) if narrowed else ""
    return f"matrix {matrix.name!r} has no case{by}; `rmcp plan {matrix.path}` shows those that it has"


def headline(result: CaseResult) -> str:
    """One line: outcome, cause, signal with its number, message."""
    words = [str(result.outcome)]
    if result.cause.value != "none":
        words.append(f"({result.cause})")
    if result.signal:
        number = getattr(signal, result.signal, None)
        words.append(f"{result.signal} ({int(number)})" if number is not None else result.signal)
    if result.message:
        words.append(f"- {result.message}")
    return printable(" ".join(words))


def failure_text(result: CaseResult, again: str) -> str:
    """Several lines: headline, verdict, phases, exception, stacks, and the command that runs the case ``again``."""
    lines = [headline(result)]
    if result.verdict is Verdict.IMPROVED:
        lines.append(f"good news: this was expected to fail ({result.reason}); record it with `rmcp expect update`")
    elif result.verdict in (Verdict.LATERAL, Verdict.UNEXPECTED) and result.reason:
        lines.append(f"{result.verdict}: {result.reason}")
    if result.stability != "single":
        lines.append(f"stability: {result.stability}")
    evidence = result.evidence
    if evidence is not None:
        if evidence.predecessors and result.stability == "context-dependent":
            lines.append("it failed after these cases in the same process, and passes alone:")
            lines += [f"  {name}" for name in evidence.predecessors]
        if evidence.deadline is not None:
            lines.append(
                f"deadline: {evidence.deadline.kind} budget of {evidence.deadline.budget_s:g} s spent in phase "
                f"{evidence.deadline.phase!r} after {evidence.deadline.at:.1f} s"
            )
        if evidence.leaked:
            lines.append("left behind and killed: " + ", ".join(f"{p.pid} {p.command}" for p in evidence.leaked[:5]))
        for check in evidence.checks:
            if not check.tight:
                lines.append(
                    f"{check.name}: max error {check.max_abs} against a bound of {check.bound} {check.fingerprint} "
                    f"{check.detail}".rstrip()
                )
        if evidence.error is not None:
            lines.append(shorten(evidence.error.traceback.rstrip() or evidence.error.message))
        for title, text in (("stderr", evidence.stderr.text()), ("stacks", evidence.stacks)):
            if text.strip():
                lines += [f"--- {title} ---", shorten(text.rstrip())]
    if result.record is not None and result.record.directory:
        lines.append(f"evidence: {result.record.directory}")
    lines.append(f"again: {again}")
    return printable("\n".join(lines))


def printable(text: str) -> str:
    """The text with what no UTF-8 stream can carry (lone surrogates) shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def shorten(text: str) -> str:
    """At most 16,000 printable characters, half from each end."""
    text = printable(text)
    if len(text) <= _SECTION_LIMIT:
        return text
    half = _SECTION_LIMIT // 2
    return f"{text[:half]}\n[{len(text) - 2 * half} characters left out; the run directory has them]\n{text[-half:]}"


def report_data(result: CaseResult) -> dict[str, Any]:
    """What travels with a pytest report, also from an xdist worker to its controller."""
    return {
        "id": result.case.id,
        "axes": result.case.axes if isinstance(result.case.axes, dict) else dict(result.case.axes),
        "outcome": result.outcome.value,
        "cause": result.cause.value,
        "verdict": result.verdict.value,
        "signal": result.signal,
        "signature": printable(result.signature),
        "stability": result.stability,
        "message": printable(result.message[:300]),
    }


def status_of(data: dict[str, Any]) -> tuple[str, str, tuple[str, dict[str, bool]]]:
    """pytest's (category, letter, (word, markup)) of a case."""
    outcome = Outcome(data["outcome"])
    info = OUTCOMES[outcome]
    if data["verdict"] == Verdict.IMPROVED.value:
        return "improved", "!", ("IMPROVED", {"cyan": True})
    expected = data["verdict"] == Verdict.EXPECTED.value
    passed = info.klass is OutcomeClass.PASSED
    word = outcome.value.upper()
    if expected and not passed:
        return f"expected {outcome}", info.letter.lower() if info.letter.isalpha() else info.letter, (
            f"expected {word}",  # pytest adds the reason in brackets
            {"yellow": True},
        )
    # `error` is a category of pytest's own, for broken set-ups.
    category = "case error" if outcome is Outcome.ERROR else outcome.value
    color = "green" if passed else "yellow" if info.klass is OutcomeClass.NOT_RUN else "red"
    return category, info.letter, (word, {color: True})
