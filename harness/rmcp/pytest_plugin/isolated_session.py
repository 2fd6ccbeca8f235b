"""The plugin object of a session with isolated tests: holder, attempts, retries, reports, interrupts."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from rmcp.errors import UserError
from rmcp.isolation.evidence import captured_from
from rmcp.pytest_plugin.interrupts import Interrupts
from rmcp.pytest_plugin.isolated_child import to_wire, xfail_of
from rmcp.pytest_plugin.isolated_fresh import run_fresh
from rmcp.pytest_plugin.isolated_keeper import STOP_S, HolderProcess
from rmcp.pytest_plugin.isolated_policy import MARK, Limits, debugging, limits_of, wants_isolation
from rmcp.pytest_plugin.isolated_reports import Place, Seen, compose, judged, passed, remarks_of
from rmcp.pytest_plugin.isolated_virgin import Virginity
from rmcp.pytest_plugin.isolated_wire import restored, warning_from_wire
from rmcp.pytest_plugin.isolated_workers import kill_workers, worker_pids
from rmcp.pytest_plugin.workers import is_controller, is_worker, stop_workers
from rmcp.words import Outcome
from rmcp_torch import linux

NAME = "rmcp-isolated"
_DEADLINE = pytest.StashKey[float]()


class RmcpWarning(pytest.PytestWarning):
    """Something that an isolated test left behind, or a failed attempt before one that passed."""


class IsolatedSession:
    """One per process that runs tests."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._virginity = Virginity()
        self._tee = config.getoption("capture", "fd") in ("no", "tee-sys")
        self._holder = HolderProcess(config, self, self._tee)
        self._wishes: dict[str, Any] = {}
        self._unfit: dict[str, str] = {}  # wider fixtures after which no fork is safe, and why
        self._interrupts = Interrupts(self._holder.kill)

    # -- session ----------------------------------------------------------------------------------

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self) -> None:
        """Descriptors of the runner are told from those of tests: no test is imported yet."""
        self._holder.note_descriptors()

    @pytest.hookimpl
    def pytest_report_header(self) -> str:
        """How tests are isolated, or why not."""
        if debugging(self._config):
            return "rmcp: tests are not isolated, because a debugger needs this terminal"
        option = self._config.option
        budget = f"{option.rmcp_timeout:g} s" if option.rmcp_timeout else "from mark, pytest-timeout or default"
        return f"rmcp: one guarded child process per test, timeout {budget}"

    @pytest.hookimpl
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """A mark that makes no sense is a usage error, told before anything runs."""
        try:
            for item in session.items:
                if item.get_closest_marker(MARK) is not None:
                    limits_of(item, None)
        except UserError as error:
            raise pytest.UsageError(str(error)) from None

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Own the stop signals while tests run; let the holder go before coverage is combined."""
        if threading.current_thread() is threading.main_thread() and not _matrix(self._config):
            self._interrupts.install()
        if is_worker(self._config):
            linux.die_with_parent(signal.SIGKILL)
        try:
            result = yield
            self._holder.retire()
            return result
        finally:
            self._holder.kill()
            self._interrupts.restore()

    @pytest.hookimpl
    def pytest_keyboard_interrupt(self) -> None:
        """The workers of xdist wait for tests, not for us; one that does not answer at once is killed."""
        if _matrix(self._config) or not is_controller(self._config):
            return
        stop_workers(self._config)
        killer = threading.Timer(STOP_S, kill_workers, [worker_pids(self._config)])
        killer.daemon = True
        killer.start()

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool | None:
        """pytest-timeout's value becomes the deadline of the child; its own timer would kill the runner."""
        if not wants_isolation(item):
            return None
        item.stash[_DEADLINE] = float(settings.timeout)
        return True

    # -- one item ---------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Run an isolated item in a child; everything else goes its usual way."""
        if not wants_isolation(item):
            self._holder.retire()
            return None
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        wires = self._attempts(item, limits_of(item, item.stash.get(_DEADLINE, None)))
        self._finish(item, nextitem, wires)
        for wire in wires:
            report = self._config.hook.pytest_report_from_serializable(config=self._config, data=restored(wire))
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        self._answer_wishes(item.session)
        return True

    def _answer_wishes(self, session: pytest.Session) -> None:
        """A test may end the session; in its child it could only wish for it."""
        for name in ("shouldstop", "shouldfail"):
            if name in self._wishes and not getattr(session, name):
                setattr(session, name, self._wishes[name])
        if "exit" in self._wishes:
            pytest.exit(self._wishes["exit"]["reason"], self._wishes["exit"]["returncode"])

    def _attempts(self, item: pytest.Item, limits: Limits) -> list[dict[str, Any]]:
        """Run it until it passes or the retries are used up. Earlier attempts stay visible."""
        history: list[str] = []
        while True:
            seen = self._attempt(item, limits)
            attempt, judgement = judged(seen, len(history) + 1)
            if judgement.outcome is not Outcome.PASS and not seen.xfail:
                seen = replace(seen, xfail=xfail_of(item))  # it died before it could say what its marks accept
            reports = compose(seen, attempt, judgement, _place(item))
            fine = passed(judgement, reports)
            if fine or len(history) >= limits.retries:
                break
            history.append(f"attempt {len(history) + 1} failed: {_summary(reports)}")
        if fine:
            notes = [f"passed only at attempt {len(history) + 1}; {note}" for note in history]
            for note in (*notes, *remarks_of(attempt, judgement, "")):
                self._warn(item, note)
        for report in reports if history else ():
            report["sections"] = [*report["sections"], ["rmcp: earlier attempts", "\n".join(history)]]
        self._wishes = seen.evidence.get("result") or {}
        return reports

    def _attempt(self, item: pytest.Item, limits: Limits) -> Seen:
        why = self._virginity.lost() or self._unfit_fixture(item)
        if why is not None:
            return self._fresh(item, limits, why)
        order = {"t": "run", "timeout": limits.timeout, "memory": limits.memory}
        evidence = self._holder.ask(item, order, None, limits.timeout)
        result = evidence["result"] or {}
        if "unfit" in result:
            names = ", ".join(result["fixtures"])
            why = f"after its wider fixtures ({names}) {result['unfit']}"
            for name in result["fixtures"]:
                self._unfit[name] = why
            self._holder.retire()
            return self._fresh(item, limits, why)
        if "evidence" not in result:
            return Seen(evidence, place="setup")
        self._replay(item, [*result["warnings"], *result["child_warnings"]], result["extras"])
        before = {} if self._tee else {name: captured_from(evidence[name]) for name in ("stdout", "stderr")}
        return Seen(
            result["evidence"], result["reports"], result["outputs"], result["xfail"], result["fixtures_s"],
            before=before,
        )  # fmt: skip

    def _fresh(self, item: pytest.Item, limits: Limits, why: str) -> Seen:
        with self._holder.subreaper():
            evidence, watch = run_fresh(item, timeout=limits.timeout, memory=limits.memory, tee=self._tee)
        self._replay(item, watch.warnings, watch.extras)
        return Seen(evidence, watch.reports, watch.outputs, watch.xfail, why_fresh=why)

    def _unfit_fixture(self, item: pytest.Item) -> str | None:
        names = getattr(item, "fixturenames", ())
        return next((self._unfit[name] for name in names if name in self._unfit), None) if self._unfit else None

    def _replay(self, item: pytest.Item, warned: list[dict[str, Any]], extras: list[dict[str, Any]]) -> None:
        """Warnings and side reports of the child, said once more here."""
        hook = self._config.hook
        for wire in warned:
            hook.pytest_warning_recorded.call_historic(kwargs=warning_from_wire(wire))
        for wire in extras:
            report = hook.pytest_report_from_serializable(config=self._config, data=restored(wire))
            item.ihook.pytest_runtest_logreport(report=report)

    def _warn(self, item: pytest.Item, text: str) -> None:
        message = RmcpWarning(text)
        lineno = (item.location[1] or 0) + 1
        record = warnings.WarningMessage(message, RmcpWarning, str(item.path), lineno)
        arguments = {"warning_message": record, "when": "runtest", "nodeid": item.nodeid, "location": None}
        self._config.hook.pytest_warning_recorded.call_historic(kwargs=arguments)

    # -- after the item ---------------------------------------------------------------------------

    def _finish(self, item: pytest.Item, nextitem: pytest.Item | None, reports: list[dict[str, Any]]) -> None:
        """Tear down the wider fixtures that the next item does not need, here and in the holder."""
        following = nextitem if nextitem is not None and wants_isolation(nextitem) else None
        if self._holder.alive and (following is None or following.parent is not item.parent):
            timeout = limits_of(item, item.stash.get(_DEADLINE, None)).timeout
            evidence = self._holder.ask(item, {"t": "finish"}, following, timeout)
            result = evidence["result"]
            if result is None:
                seen = Seen(evidence, place="teardown", xfail=xfail_of(item))
                attempt, judgement = judged(seen)
                _merge_teardown(reports, compose(seen, attempt, judgement, _place(item))[-1])
            else:
                self._replay(item, result["warnings"], [])
                if "report" in result:
                    _merge_teardown(reports, result["report"])
                self._add_output(reports, evidence)
            if following is None:
                self._holder.retire()
        self._finish_here(item, nextitem, reports)

    def _finish_here(self, item: pytest.Item, nextitem: pytest.Item | None, reports: list[dict[str, Any]]) -> None:
        """Fixtures that tests without isolation set up in this process end here, not in a child."""
        state: Any = item.session._setupstate
        if not state.stack:
            return
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
        if call.excinfo is not None:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            _merge_teardown(reports, to_wire(self._config, report))

    def _add_output(self, reports: list[dict[str, Any]], evidence: dict[str, Any]) -> None:
        if self._tee or not reports:
            return
        for name in ("stdout", "stderr"):
            text = captured_from(evidence[name]).text()
            if text:
                reports[-1]["sections"] = [*reports[-1]["sections"], [f"Captured {name} teardown", text]]


def _place(item: pytest.Item) -> Place:
    return Place(item.nodeid, item.location, str(item.path), dict.fromkeys(item.keywords, 1))


def _summary(reports: list[dict[str, Any]]) -> str:
    """One line about the first failed report."""
    for report in reports:
        if report["outcome"] == "failed":
            representation = report.get("longrepr")
            if isinstance(representation, dict):
                return f"{report['when']}: {(representation.get('reprcrash') or {}).get('message', '')}"[:500]
            return f"{report['when']}: {representation}"[:500]
    return ""


def _merge_teardown(reports: list[dict[str, Any]], failure: dict[str, Any]) -> None:
    """A failed teardown of wider fixtures belongs to the last test that used them."""
    for index, report in enumerate(reports):
        if report["when"] == "teardown":
            if report["outcome"] == "failed":
                text = str(failure.get("longrepr") or {})
                report["sections"] = [*report["sections"], ["rmcp: wider fixtures failed as well", text]]
            else:
                reports[index] = {**failure, "sections": [*report["sections"], *failure.get("sections", ())]}
            return
    reports.append(failure)


def _matrix(config: pytest.Config) -> bool:
    return config.option.rmcp_matrix is not None or config.option.rmcp_resume is not None


def register(config: pytest.Config) -> None:
    """Isolate this session's tests, unless someone wants to debug them interactively."""
    if not config.pluginmanager.hasplugin(NAME):
        config.pluginmanager.register(IsolatedSession(config), NAME)
