"""A test in a freshly started pytest, for a runner from which no working child can be forked any more.

The runner's side starts the same interpreter with the same arguments; the other side collects the one item and
then is the same child that a fork would have been.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from typing import Any, NoReturn

import pytest

from rmcp.pytest_plugin.isolated_child import ChildHooks, detach, live
from rmcp.pytest_plugin.isolated_watch import TestWatch
from rmcp.pytest_plugin.isolated_wire import Voice, flush_streams
from rmcp_torch import child as child_module
from rmcp_torch import ladder, linux
from rmcp_torch.forking import ChildEnds, fork_child

VARIABLE = "RMCP_ISOLATED_FRESH"
_START_S = 120.0  # interpreter, imports of the test's module and collection; `import torch` alone takes seconds
# What belongs to the runner: reports, caches, temporary folders, distribution, debuggers.
_NOT_OURS = (
    "xmlpath", "log_file", "report_log", "htmlpath", "basetemp", "cacheclear", "lf", "failedfirst", "newfirst",
    "stepwise", "stepwise_skip", "stepwise_reset", "usepdb", "trace", "setuponly", "setupplan", "json_report",
    "rmcp_matrix", "rmcp_resume", "maxfail",
)  # fmt: skip
_STARTED = "import sys; sys.path[:] = {path!r}; import pytest; raise SystemExit(pytest.main({args!r}))"


# -- the runner's side --------------------------------------------------------------------------------


def run_fresh(item: pytest.Item, *, timeout: float, memory: int | None, tee: bool) -> tuple[dict[str, Any], TestWatch]:
    """Run one item in a new interpreter under the same guard: evidence and what was collected."""
    config = item.config
    order = {
        "nodeid": item.nodeid, "file": str(item.path), "memory": memory, "timeout": timeout,
    }  # fmt: skip
    args = [str(arg) for arg in config.invocation_params.args]
    if config.pluginmanager.hasplugin("xdist"):
        args += ["-n", "0"]
    if config.pluginmanager.hasplugin("_cov"):
        args += ["--cov-append", "--cov-report="]  # its start erases what other processes have saved otherwise
    flags: list[str] = getattr(subprocess, "_args_from_interpreter_flags", list)()
    argv = [sys.executable, *flags, "-c", _STARTED.format(path=list(sys.path), args=args)]
    folder = str(config.invocation_params.dir)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_CURRENT_TEST")}

    def entry(ends: ChildEnds) -> NoReturn:
        fds = [ends.command_fd, ends.result_fd, ends.stacks_fd]
        for fd in fds:
            os.set_inheritable(fd, True)
        environment[VARIABLE] = json.dumps({**order, "fds": fds, "marker": ends.marker.hex()})
        os.chdir(folder)
        os.execve(sys.executable, argv, environment)

    flush_streams()
    bystanders = set(linux.children(os.getpid()))
    child = fork_child(entry)
    budgets = ladder.Budgets(
        case=_START_S + timeout, silent=timeout, phases={"start": _START_S, "import": _START_S, "collect": _START_S}
    )
    watch = TestWatch(child, budgets, bystanders, tee=tee)
    try:
        evidence = watch.run()
    except BaseException:
        linux.kill_tree(child.pid, 9)
        raise
    finally:
        child.close()
    if evidence["result"] is None and evidence["exit_code"] and not watch.reports and not watch.xfail:
        begun = [name for name, _at in evidence["phases"] if name == "setup"]
        if not begun and evidence["deadline"] is None:
            text = f"the fresh interpreter ended with exit status {evidence['exit_code']} before the test began"
            evidence["result"] = {"broken": {"type": "rmcp", "message": text, "traceback": text}}
    return evidence, watch


# -- the other side -----------------------------------------------------------------------------------


def register_fresh(config: pytest.Config) -> None:
    """Make this pytest the child that the environment variable describes."""
    order = json.loads(os.environ.pop(VARIABLE))
    for name in _NOT_OURS:
        if hasattr(config.option, name):
            setattr(config.option, name, os.devnull if name == "log_file" else 0 if name == "maxfail" else None)
    config.args[:] = [order["file"]]
    config.pluginmanager.register(FreshHooks(config, order), "rmcp-isolated-fresh")


class FreshHooks:
    """Collects the one item and becomes its child."""

    def __init__(self, config: pytest.Config, order: dict[str, Any]) -> None:
        self._config = config
        self._order = order
        command_fd, result_fd, stacks_fd = order["fds"]
        self._ends = ChildEnds(command_fd, result_fd, stacks_fd, bytes.fromhex(order["marker"]))
        for fd in order["fds"]:
            os.set_inheritable(fd, False)
        self._trouble: list[str] = []
        self._ends.send({"t": "phase", "name": "collect"})

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        """The runner shows everything; this process writes what the test writes and nothing else."""
        detach(self._config, {})

    @pytest.hookimpl
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember why the item may be missing."""
        if report.failed:
            self._trouble.append(report.longreprtext)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> Generator[None, None, None]:
        """Whatever others sort out, this item stays."""
        wanted = [item for item in items if item.nodeid == self._order["nodeid"]][:1]
        yield
        items[:] = wanted

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """From here on the same as in a forked child."""
        self._config.pluginmanager.unregister(self)
        flush_streams()
        Voice(self._ends).send_and_wait({"t": "cut", "when": "start"})  # what pytest's start wrote is not the test's
        self._ends.send({"t": "deadline", "seconds": self._order["timeout"]})
        hooks = ChildHooks(self._config)
        self._config.pluginmanager.register(hooks, "rmcp-isolated-child")
        live(self._ends, item, hooks, stop_at=None, memory=self._order["memory"], fresh=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Only reached when the item was not found."""
        text = "\n".join(self._trouble) or f"{self._order['nodeid']} was not collected by the fresh interpreter"
        broken = {"type": "rmcp", "message": text.strip().splitlines()[-1], "traceback": text}
        self._ends.send({"t": "result", "error": None, "broken": broken})
        child_module.leave(self._ends, {}, True)
