"""A pytest session that runs matrices: collects their cases, runs them, ends with summary and reports."""

from __future__ import annotations

import functools
import os
import secrets
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.pytest_plugin.finishing import Finished, finish_run, update_expectations
from rmcp.pytest_plugin.interrupts import Interrupts
from rmcp.pytest_plugin.items import (
    CaseItem,
    MatrixFile,
    command_again,
    nothing_left,
    printable,
    report_data,
    status_of,
)
from rmcp.pytest_plugin.options import options_of
from rmcp.pytest_plugin.progress import Progress, span
from rmcp.pytest_plugin.summary import Line, axis_table, outcome_counts, signature_lines
from rmcp.pytest_plugin.workers import die_with_controller, is_controller, is_worker, stop_workers
from rmcp.runs.writer import RunDirectory, open_run
from rmcp.session.active import ActiveRun, create
from rmcp.session.options import RunOptions
from rmcp.session.prepare import Prepared, prepare
from rmcp.session.remarks import remarks
from rmcp.session.runner import CaseResult
from rmcp.words import Outcome, Verdict

_REMARKS = 6  # lines; the plan has all
_LOOKAHEAD = 64  # following cases that the lane may prepare for


def register(config: pytest.Config) -> None:
    """Load the matrices and register the session; a user's mistake becomes a usage error (exit code 4)."""
    die_with_controller(config)
    try:
        options = options_of(config)
        prepared = prepare(options)
    except UserError as error:
        raise pytest.UsageError(str(error)) from None
    config.pluginmanager.register(MatrixSession(config, options, prepared), "rmcp-matrix")


class MatrixSession:
    """The plugin object of one session; on an xdist worker it runs cases, on the controller it only reports."""

    def __init__(self, config: pytest.Config, options: RunOptions, prepared: list[Prepared]) -> None:
        self._config = config
        self._options = options
        self._prepared = prepared
        self._cases: list[Case] = []
        self._owner: list[Prepared] = []
        self._active: dict[int, ActiveRun] = {}
        self._runs: dict[int, RunDirectory] = {}
        self._token = getattr(config, "workerinput", {}).get("rmcp_token") or secrets.token_hex(8)
        self._lines: list[Line] = []
        self._next = 0  # index of the item that a sequential run takes next
        self._axes: dict[tuple[Any, ...], dict[str, str]] = {}  # equal axes of many cases are one dict
        self._started = time.monotonic()
        self._interrupts = Interrupts(self._abort)
        self._progress: Progress | None = None
        self._finished: list[Finished] = []
        self._troubles: list[str] = []

    # -- collection -------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self, session: pytest.Session) -> bool | None:
        """Make the items; pytest's own collection of files does not run, and xdist's controller collects nothing."""
        if is_controller(session.config):
            return None
        marks = bool(session.config.option.markexpr)
        for prepared in self._prepared:
            cases = list(prepared.cases)
            session.config.hook.pytest_rmcp_modify_cases(config=session.config, cases=cases)
            path = prepared.matrix.path
            file = MatrixFile.from_parent(session, path=path, nodeid=path.name)
            items: list[pytest.Item] = []
            for case in cases:
                # Given as text, so that pytest >= 9.2 splits it into name and parameters as it does when --lf reads
                # it back from the cache.
                item = CaseItem.from_parent(
                    file, name=case.id, nodeid=f"{file.nodeid}::{case.id}",
                    case=case, position=len(self._cases), run_case=self._run_item,
                    again=functools.partial(command_again, prepared.matrix, self._options),
                )  # fmt: skip
                if marks:
                    item.add_marker(pytest.mark.rmcp(**dict(case.axes)))
                self._cases.append(case)
                self._owner.append(prepared)
                items.append(item)
            session.items.extend(items)
            report = pytest.CollectReport(file.nodeid, "passed", None, items)  # type: ignore[arg-type]
            session.ihook.pytest_collectreport(report=report)
        hook = session.config.hook
        hook.pytest_collection_modifyitems(session=session, config=session.config, items=session.items)
        hook.pytest_collection_finish(session=session)
        session.testscollected = len(session.items)
        return True

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write manifest and plan before the first case; under xdist the controller does it for all."""
        if session.config.option.collectonly or is_worker(session.config) or not session.items:
            return
        self._create_runs([item.position for item in session.items if isinstance(item, CaseItem)])

    def _create_runs(self, positions: list[int]) -> None:
        for index, prepared in enumerate(self._prepared):
            cases = [self._cases[position] for position in positions if self._owner[position] is prepared]
            if cases:
                try:
                    self._runs[index] = create(prepared, cases, self._options)
                except UserError as error:
                    raise pytest.UsageError(str(error)) from None

    # -- xdist ------------------------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker how to find the run that the controller is going to make."""
        node.workerinput["rmcp_token"] = self._token

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, node: Any, ids: list[str]) -> None:
        """The first worker's collection is what is planned (xdist insists that all are the same)."""
        if self._runs or self._config.option.collectonly:
            return
        if not self._cases:
            for prepared in self._prepared:
                cases = list(prepared.cases)
                self._config.hook.pytest_rmcp_modify_cases(config=self._config, cases=cases)
                self._cases.extend(cases)
                self._owner.extend([prepared] * len(cases))
        wanted = set(ids)
        positions = [
            position
            for position, case in enumerate(self._cases)
            if f"{self._owner[position].matrix.path.name}::{case.id}" in wanted
        ]
        self._create_runs(positions)
        for index, run in self._runs.items():
            link = self._handshake(index)
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(run.path.resolve(), link)

    def _handshake(self, index: int) -> Path:
        return self._options.out / f".handshake-{self._token}-{index}"

    # -- running ----------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Guard the loop with our signal handlers and the progress line."""
        if session.config.option.collectonly:
            return (yield)
        self._interrupts.install()
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and not is_worker(session.config):
            # While a case runs, pytest has descriptor 1 captured; here it is still the terminal.
            stream = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="replace")
            live = bool(reporter.isatty) and not is_controller(session.config)
            plain = not reporter.isatty and not is_controller(session.config)
            self._progress = Progress(stream, len(session.items), live=live, plain=plain)
        try:
            return (yield)
        finally:
            if self._progress is not None:
                self._progress.clear()

    def _run_item(self, item: CaseItem) -> CaseResult:
        position = item.position
        index = self._prepared.index(self._owner[position])
        if self._progress is not None:
            self._progress.begin(item.case.id)
        case = item.case
        if item.deadline is not None:
            from dataclasses import replace

            case = replace(case, timeout=replace(case.timeout, case=item.deadline))
        result = self._activate(index).case(case, self._upcoming(item))
        self._config.hook.pytest_rmcp_case_finished(config=self._config, result=result)
        return result

    def _upcoming(self, item: CaseItem) -> list[Case]:
        items = item.session.items
        start = self._position_in(items, item) + 1
        return [other.case for other in items[start : start + _LOOKAHEAD] if isinstance(other, CaseItem)]

    def _position_in(self, items: list[pytest.Item], item: CaseItem) -> int:
        """Index in the (possibly reordered, deselected) item list; sequential runs find it at once."""
        guess = self._next
        if not (guess < len(items) and items[guess] is item):
            guess = items.index(item)
        self._next = guess + 1
        return guess

    def _activate(self, index: int) -> ActiveRun:
        active = self._active.get(index)
        if active is None:
            worker = getattr(self._config, "workerinput", None)
            run = self._runs.get(index)
            if run is None:
                run = self._runs[index] = open_run(self._handshake(index).resolve())
            reset = self._config.hook.pytest_rmcp_reset_command(config=self._config, device="") or ()
            name = worker["workerid"] if worker else "main"
            active = self._active[index] = ActiveRun(
                self._prepared[index], run, self._options, name, tick=self._tick, reset_command=reset
            )
        return active

    def _tick(self) -> None:
        if self._progress is not None:
            self._progress.tick()

    def _abort(self) -> None:
        for active in self._active.values():
            active.abort()

    # -- reports ----------------------------------------------------------------------------------

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Let the result travel with the report."""
        report = yield
        if isinstance(item, CaseItem) and call.when == "call" and item.result is not None:
            # pytest lets plugins put attributes on a report; xdist carries them over.
            report.__dict__["rmcp"] = report_data(item.result)
            item.result = None  # the evidence is on disk; pytest keeps items to the end
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> Any:
        """One letter and one word per outcome."""
        data = getattr(report, "rmcp", None)
        return status_of(data) if data is not None and report.when == "call" else None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count, on whichever process shows the results."""
        reporter = self._config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.stats.get("", []).clear()  # quiet set-ups and teardowns, else kept by the thousands
        data = getattr(report, "rmcp", None)
        if data is None or is_worker(self._config):
            return
        axes = self._axes.setdefault(tuple(data["axes"].items()), data["axes"])
        told = data["verdict"] != Verdict.EXPECTED.value or data["outcome"] == Outcome.WARN.value
        message = data["message"] if told else ""
        line = Line(data["id"], axes, data["outcome"], data["verdict"], data["signature"], message)
        self._lines.append(line)
        if line.outcome == "pass":
            # pytest keeps every report to its end; of a pass nothing more is needed.
            report.__dict__.pop("rmcp", None)
        if self._progress is not None:
            self._progress.end(line.verdict in (Verdict.UNEXPECTED.value, Verdict.LATERAL.value))

    @pytest.hookimpl(optionalhook=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """pytest-timeout's value becomes the case's deadline; its own timer would kill the runner."""
        if not isinstance(item, CaseItem):
            return None
        item.deadline = float(settings.timeout)
        return True

    # -- the end ----------------------------------------------------------------------------------

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self) -> None:
        """Stop the workers as well: they wait for cases, not for us."""
        stop_workers(self._config)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Close the runs, write the reports, settle the exit code."""
        if is_worker(session.config):
            self._close(finished=False)
            self._interrupts.restore()
            return
        if is_controller(session.config):
            for index in list(self._runs):
                self._handshake(index).unlink(missing_ok=True)
        self._finish_runs()
        self._interrupts.restore()
        session.exitstatus = self._exit_code(int(exitstatus))

    def _close(self, finished: bool) -> None:
        for active in self._active.values():
            active.close(finished)
        self._active.clear()

    def _finish_runs(self) -> None:
        self._close(finished=True)
        if self._config.option.collectonly:
            return
        for index, run in self._runs.items():
            if is_controller(self._config):
                with run.journal("controller") as journal:
                    journal.finish()
            self._troubles.extend(run.trouble)
            finished = finish_run(run, self._config.hook.pytest_rmcp_run_finished.get_hookimpls() != [])
            self._troubles.extend(finished.troubles)
            self._finished.append(finished)
            if finished.run is not None:
                self._config.hook.pytest_rmcp_run_finished(
                    config=self._config, run=finished.run, reports=finished.reports
                )
            if self._options.update_expectations:
                self._troubles.extend(update_expectations(run.path, self._prepared[index].matrix))

    def _exit_code(self, status: int) -> int:
        """pytest's codes: 1 unexpected results, 2 outstanding ones, else what pytest says."""
        if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) or not self._finished:
            return status
        if any(finished.unexpected for finished in self._finished):
            return int(pytest.ExitCode.TESTS_FAILED)
        return int(pytest.ExitCode.INTERRUPTED if any(f.outstanding for f in self._finished) else pytest.ExitCode.OK)

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Outcomes per axis value, what failed by signature, where the reports are."""
        write = terminalreporter.write_line
        if self._lines:
            terminalreporter.section("rmcp", "=")
            for row in axis_table(self._lines):
                write(row)
            counts = outcome_counts(self._lines)
            if counts:
                write("")
                write("  ".join(f"{number} {outcome}" for outcome, number in counts))
            rows = signature_lines(self._lines)
            if rows:
                write("")
                for row in rows:
                    write(row)
        if not self._cases and not is_controller(self._config):
            for prepared in self._prepared:
                write(nothing_left(prepared.matrix, self._options), yellow=True)
        for line in self._remarks():
            write(line, yellow=True)
        for trouble in self._troubles:
            write(trouble, yellow=True)
        for finished in self._finished:
            for line in finished.annotations:
                write(line)
            write("")
            write(f"{finished.name}: {finished.sentence} ({span(time.monotonic() - self._started)})", bold=True)
            for kind, path in finished.reports.items():
                write(f"  {kind:8} {os.path.relpath(path)}")
            if finished.again:
                write(f"  again    {printable(finished.again)}")

    def _remarks(self) -> list[str]:
        """What is probably not meant in the matrices' environments, the first few with their place."""
        if not self._finished:
            return []
        found = [line for prepared in self._prepared for line in remarks(prepared.matrix)]
        if len(found) > _REMARKS:
            found[_REMARKS:] = [f"and {len(found) - _REMARKS} more remarks on variables; `rmcp plan` shows them all"]
        return found
