"""The command that starts a case's interpreter, as text for people (`rmcp plan --explain`) and for bug
reports."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import rmcp_torch
from rmcp.matrix.model import Case
from rmcp.runtimes.argv import HostDevices, launch

PACKAGE_DIR = Path(os.path.abspath(rmcp_torch.__file__)).parent


def start_command(
    case: Case,
    *,
    mounts: Sequence[Path] = (),
    base_env: Mapping[str, str] | None = None,
    host: HostDevices | None = None,
    token: str = "XXXXXXXX",
) -> str:
    """The exact command line of the zygote of ``case``: on this machine with the variables that differ from
    ours, for an image the engine's command. ``token`` stands for the random end of a container's name; the
    private MIOpen folders, which lie inside a run, are left out. Raises UserError like ``launch``."""
    plan = launch(
        case.runtime,
        case.env,
        base_env=dict(os.environ) if base_env is None else base_env,
        package_dir=PACKAGE_DIR,
        mounts=mounts,
        host=host,
        token=token,
    )
    control = "stdio" if plan.control == "stdio" else "FD"
    return plan.shell("zygote", "--control", control)
