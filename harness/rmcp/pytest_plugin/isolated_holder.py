"""The holder: a process between runner and tests that keeps module- and session-scoped fixtures alive.

It is forked from the runner before the first isolated test, sets up the wider fixtures of each test once, forks and
guards one child per test, and tears the wider fixtures down when pytest would. When such a fixture crashes or hangs,
the holder dies of it and not the runner; the next test gets a new one.
"""

from __future__ import annotations

import gc
import os
import signal
import time
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

from rmcp.pytest_plugin.isolated_child import ChildHooks, detach, live, save_coverage, to_wire
from rmcp.pytest_plugin.isolated_virgin import Virginity
from rmcp.pytest_plugin.isolated_watch import TestWatch
from rmcp.pytest_plugin.isolated_wire import Voice, flush_streams, warning_to_wire
from rmcp_torch import child as child_module
from rmcp_torch import ladder, linux
from rmcp_torch.cgroup import Pen
from rmcp_torch.forking import Child, ChildEnds, fork_child
from rmcp_torch.frames import Decoder

_COMMAND_BYTES = 64 * 1024


def fork_quietly(entry: Callable[[ChildEnds], NoReturn]) -> Child:
    """Fork a guarded child that keeps the open files of this process. Python's remark on threads is no news here."""
    flush_streams()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*fork.. may lead to deadlocks", category=DeprecationWarning)
        return fork_child(entry, close_inherited=False)


class HolderHooks:
    """The plugin of the holder. ``job`` is set before pytest's protocol is called for an item."""

    def __init__(self, config: pytest.Config, ends: ChildEnds, tee: bool, virginity: Virginity) -> None:
        self.config = config
        self.ends = ends
        self.voice = Voice(ends)
        self.tee = tee
        self.virginity = virginity
        self.job: dict[str, Any] = {}
        self.items: list[pytest.Item] = []
        self.answer: dict[str, Any] = {}
        self.parent = os.getppid()
        self.orphaned = False
        self.acting = True  # not in the children, which inherit this object
        self.child_hooks = ChildHooks(config)
        self.warnings: list[dict[str, Any]] = []
        self.pen: Pen | None = None

    # -- the loop ---------------------------------------------------------------------------------

    def serve(self) -> None:
        """One command after the other until the runner closes the pipe."""
        decoder = Decoder(self.ends.marker)
        while True:
            data = os.read(self.ends.command_fd, _COMMAND_BYTES)
            if not data:
                return
            for command in decoder.feed(data):
                self.job = command
                self.answer, self.warnings = {}, []  # the latter also without what registration replayed
                item = self.items[command["item"]]
                self.voice.send({"t": "phase", "name": "fixtures"})
                try:
                    # Through pytest's own hook, so that everything that wraps a test wraps its wider fixtures as well.
                    item.ihook.pytest_runtest_protocol(item=item, nextitem=self._next())
                except BaseException as raised:
                    self.answer["broken"] = child_module.describe(raised, "fixtures")
                flush_streams()
                self.voice.send({"t": "result", "error": None, "warnings": self.warnings, **self.answer})

    def farewell(self, session: pytest.Session) -> None:
        """The runner let go (the session ended early, or a test without isolation is next): tear down what is left."""
        state: Any = session._setupstate
        if state.stack:
            pytest.CallInfo.from_call(lambda: state.teardown_exact(None), when="teardown")
            save_coverage()
        flush_streams()

    def _next(self) -> pytest.Item | None:
        index = self.job.get("next")
        return None if index is None else self.items[index]

    # -- hooks ------------------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """The work of one command, inside the wrappers of all plugins."""
        if not self.acting:
            return None
        if self.job["t"] == "finish":
            self._finish(item, nextitem)
        else:
            self._run(item)
        return True

    @pytest.hookimpl
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        """Warnings of wider fixtures."""
        if self.acting:
            self.warnings.append(warning_to_wire(warning_message, when, nodeid, location))

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """Deadlines are kept from outside."""
        return True

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        """There is no timer."""
        return True

    # -- work -------------------------------------------------------------------------------------

    def _run(self, item: pytest.Item) -> None:
        started = time.monotonic()
        new = set_up_wider(item)
        flush_streams()
        reason = self.virginity.lost()
        if reason is not None:
            self.answer = {"unfit": reason, "fixtures": new}
            return
        spent = time.monotonic() - started
        # The runner now only guards the guard.
        self.voice.send({"t": "phase", "name": "guarding"})
        bystanders = set(linux.children(os.getpid()))
        memory = self.job["memory"]
        own = [self.ends.command_fd, self.ends.result_fd, self.ends.stacks_fd]

        def entry(ends: ChildEnds) -> NoReturn:
            for fd in own:
                os.close(fd)
            self.acting = False
            live(ends, item, self.child_hooks, stop_at=item.parent, memory=memory)

        child = fork_quietly(entry)
        seconds = float(self.job["timeout"])
        watch = TestWatch(child, ladder.Budgets(case=seconds, silent=seconds), bystanders, tee=self.tee, pen=self.pen)
        # A runner that dies closes our command pipe: then the child and all that it started go first. Dying with
        # the runner at once, as at other times, would leave a daemon of the child behind.
        linux.die_with_parent(0)
        try:
            evidence = watch.run(self.ends.command_fd, self._orphaned)
        finally:
            child.close()
            linux.die_with_parent(signal.SIGKILL)
        if self.orphaned or os.getppid() != self.parent:
            if self.pen is not None and self.pen.kill_others(()) and self.pen.leave():
                self.pen.remove()
            os._exit(0)
        found = watch.found()
        self.answer = {"evidence": evidence, **found, "child_warnings": found.pop("warnings"), "fixtures_s": spent}
        del self.answer["warnings"]
        self.voice.send({"t": "phase", "name": "fixtures"})

    def _orphaned(self) -> bool:
        """News on the command pipe while a child runs: the runner sends nothing then, so it is the end."""
        self.orphaned = True
        return True

    def _finish(self, item: pytest.Item, nextitem: pytest.Item | None) -> None:
        """Tear down what the next item does not need. A failure becomes a teardown report."""
        state: Any = item.session._setupstate
        call = pytest.CallInfo.from_call(lambda: state.teardown_exact(nextitem), when="teardown")
        if call.excinfo is not None:
            report = item.ihook.pytest_runtest_makereport(item=item, call=call)
            self.answer = {"report": to_wire(self.config, report)}
        if nextitem is None:
            self.answer.update(save_coverage())


def set_up_wider(item: pytest.Item) -> list[str]:
    """Set up the collectors above the item and its fixtures of wider than function scope, as pytest would.

    Failures are remembered by pytest itself and raised again in the child, which reports them. Returns the names
    of the fixtures that were set up now.
    """
    state: Any = item.session._setupstate
    failure = (Exception, pytest.skip.Exception, pytest.fail.Exception)
    try:
        state.setup(item.parent)
    except failure:
        return []
    new = []
    request: Any = getattr(item, "_request", None)
    info: Any = getattr(item, "_fixtureinfo", None)
    state.stack[item] = ([], None)  # pytest gives no fixtures to an item that is not being set up
    try:
        for name in getattr(item, "fixturenames", ()) if request and info else ():
            definitions = info.name2fixturedefs.get(name)
            if not definitions or definitions[-1].scope == "function":
                continue
            fresh = definitions[-1].cached_result is None
            request.getfixturevalue(name)
            if fresh:
                new.append(name)
    except failure:
        pass
    finally:
        state.stack.pop(item, None)
    return new


def forget_inherited(session: pytest.Session) -> None:
    """What the runner has set up is its own to tear down."""
    state: Any = session._setupstate
    for finalizers, _failure in state.stack.values():
        del finalizers[:]


def hold(
    ends: ChildEnds, config: pytest.Config, session: pytest.Session, plugin: object,
    belongings: dict[int, tuple[int, int]], tee: bool, pen: Pen | None,
) -> NoReturn:  # fmt: skip
    """Life of the holder, in its pen where there is one."""
    detach(config, belongings)
    child_module.prepare(ends, False)
    linux.become_subreaper()
    config.pluginmanager.unregister(plugin)
    hooks = HolderHooks(config, ends, tee, Virginity())
    hooks.pen = pen if pen is not None and pen.enter() else None
    hooks.items = list(session.items)
    forget_inherited(session)
    config.pluginmanager.register(hooks, "rmcp-isolated-holder")
    config.pluginmanager.register(hooks.child_hooks, "rmcp-isolated-child")
    # A collection in a child would write to every object of the session, and so copy the page that it lies on.
    gc.collect()
    gc.freeze()
    hooks.serve()
    hooks.farewell(session)
    child_module.leave(ends, {}, False)
