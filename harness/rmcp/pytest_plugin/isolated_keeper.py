"""The runner's side of the holder: start it when it is needed, ask it, guard it, let it go, kill it."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Generator
from typing import Any, NoReturn

import pytest

from rmcp.pytest_plugin.isolated_child import open_descriptors
from rmcp.pytest_plugin.isolated_holder import fork_quietly, hold
from rmcp.pytest_plugin.isolated_watch import TestWatch
from rmcp_torch import cgroup, ladder, linux
from rmcp_torch.forking import Child, ChildEnds

STOP_S = 0.8  # for killing everything when told to stop: the session has to end in under 2 s
_RETIRE_S = 60.0  # for finalisers of wider fixtures when the session ends early
# A holder that guards answers this long after the budget of its test at the latest, an unkillable child included.
_LADDER_S = ladder.DUMP_GRACE_S + ladder.TERM_GRACE_S + ladder.KILL_GRACE_S + 5.0


class HolderProcess:
    """At most one living holder. ``plugin`` is unregistered in the holder, ``tee`` shows output as it comes."""

    def __init__(self, config: pytest.Config, plugin: object, tee: bool) -> None:
        self._config = config
        self._plugin = plugin
        self._tee = tee
        self._belongings = open_descriptors()
        self._child: Child | None = None
        self._pen: cgroup.Pen | None = None
        self._bystanders: set[int] = set()
        self._positions: dict[pytest.Item, int] = {}

    @property
    def alive(self) -> bool:
        """True while there is one."""
        return self._child is not None

    def note_descriptors(self) -> None:
        """What is open now belongs to the runner and not to the tests."""
        self._belongings = open_descriptors()

    def ask(
        self, item: pytest.Item, order: dict[str, Any], nextitem: pytest.Item | None, timeout: float
    ) -> dict[str, Any]:
        """Give it a command about ``item`` and guard it until it answers or dies: evidence, answer in ``result``."""
        position = self._position(item, item.session)
        following = None if nextitem is None else self._position(nextitem, item.session)
        if self._child is None:
            self._start(item.session)
        child = self._child
        assert child is not None
        budgets = ladder.Budgets(case=2 * timeout + _LADDER_S, silent=timeout, phases={"guarding": timeout + _LADDER_S})
        watch = TestWatch(child, budgets, self._bystanders, keep=True, tee=self._tee)
        child.command({**order, "item": position, "next": following})
        evidence = watch.run()
        if not evidence["alive"]:
            self._forget(child)
        return evidence

    def retire(self) -> None:
        """Let it tear down what it still has and go."""
        child = self._child
        if child is None:
            return
        os.close(child.command_w)
        child.command_w = -1
        TestWatch(child, ladder.Budgets(case=_RETIRE_S, silent=_RETIRE_S), self._bystanders, tee=self._tee).run()
        self._forget(child)

    def kill(self) -> None:
        """At once, with everything below it."""
        child = self._child
        if child is None:
            return
        self._child = None
        linux.kill_tree(child.pid, signal.SIGKILL)
        if self._pen is not None:
            self._pen.kill()
        watch = TestWatch(child, ladder.Budgets(case=0.0, silent=0.0, kill_grace=STOP_S), self._bystanders)
        watch.abort = True
        watch.run()
        self._forget(child)

    @contextlib.contextmanager
    def subreaper(self) -> Generator[None, None, None]:
        """Inherit what a child leaves behind while there is one; at other times orphans go their usual way."""
        linux.become_subreaper()
        try:
            yield
        finally:
            if self._child is None:
                linux.become_subreaper(False)

    def _forget(self, child: Child) -> None:
        child.close()
        self._child = None
        if self._pen is not None:
            self._pen.kill()
            self._pen.remove()
            self._pen = None
        linux.become_subreaper(False)

    def _position(self, item: pytest.Item, session: pytest.Session) -> int:
        """Index of the item in the list that the holder inherited; an item that it cannot know needs a new one."""
        if self._child is None or item not in self._positions:
            self.retire()
            self._positions = {each: index for index, each in enumerate(session.items)}
            if item not in self._positions:
                self._positions[item] = len(session.items)
                session.items.append(item)
        return self._positions[item]

    def _start(self, session: pytest.Session) -> None:
        self._bystanders = set(linux.children(os.getpid()))
        linux.become_subreaper()
        factory: Any = getattr(self._config, "_tmp_path_factory", None)
        if factory is not None and any("tmp_path_factory" in getattr(it, "fixturenames", ()) for it in session.items):
            factory.getbasetemp()  # made here, or every child makes a numbered folder of its own and drops the oldest

        pen = self._pen = cgroup.new_pen(os.environ)

        def entry(ends: ChildEnds) -> NoReturn:
            hold(ends, self._config, session, self._plugin, self._belongings, self._tee, pen)

        self._child = fork_quietly(entry)
