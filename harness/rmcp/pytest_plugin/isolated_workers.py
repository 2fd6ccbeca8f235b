"""xdist workers that do not answer when the session is told to stop."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from rmcp_torch import linux


def kill_workers(pids: list[int]) -> None:
    """Their holders notice it, kill what they guard and leave."""
    mine = set(linux.children(os.getpid()))
    for pid in pids:
        if pid in mine:
            linux.kill_quietly(pid, signal.SIGKILL)


def worker_pids(config: pytest.Config) -> list[int]:
    """Process ids of the workers that this controller started here, also of those that are not up yet."""
    session: Any = config.pluginmanager.get_plugin("dsession")
    manager = getattr(session, "nodemanager", None)
    pids = []
    for gateway in getattr(manager, "group", None) or ():
        process: Any = getattr(getattr(gateway, "_io", None), "popen", None)
        if process is not None:
            pids.append(int(process.pid))
    return pids
