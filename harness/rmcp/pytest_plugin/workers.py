"""pytest-xdist: who is controller, who is worker, and what happens to one when the other is gone."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from rmcp_torch import linux


def is_worker(config: pytest.Config) -> bool:
    """True in an xdist worker."""
    return hasattr(config, "workerinput")


def is_controller(config: pytest.Config) -> bool:
    """True in a process that distributes to xdist workers."""
    return not is_worker(config) and config.pluginmanager.hasplugin("dsession")


def die_with_controller(config: pytest.Config) -> None:
    """Let the kernel end a worker whose controller was killed; its zygotes notice and take their cases along."""
    if is_worker(config):
        linux.die_with_parent(signal.SIGKILL)


def stop_workers(config: pytest.Config) -> None:
    """Ask every worker below this controller to stop its case and finish."""
    if not is_controller(config):
        return
    session: Any = config.pluginmanager.get_plugin("dsession")
    for node in list(getattr(session, "_active_nodes", ())):
        pid = (getattr(node, "workerinfo", None) or {}).get("pid")
        if pid:
            linux.kill_quietly(int(pid), signal.SIGTERM)
