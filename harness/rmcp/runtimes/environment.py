"""The environment a case starts from: the parent's, minus what hides evidence or belongs to the runner, plus
the case's own. Pure: takes mappings, returns mappings."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from rmcp.device.environment import evidence_hiding

# Of the runner itself: they would differ between runner and worker, so the same case would see two
# environments.
_RUNNERS = ("PYTEST_", "COV_CORE_", "RMCP_")
_INTERCEPTS = "RMCP_HIP_"  # of the preloaded library: a user's choice like LD_PRELOAD itself
# Of the runner's interpreter: another interpreter with them imports the runner's packages, or does not start.
_INTERPRETER = (
    "PYTHONPATH",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "PYTHONUSERBASE",
    "PYTHONPLATLIBDIR",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "CONDA_DEFAULT_ENV",
    "__PYVENV_LAUNCHER__",
)

SEARCH_PATHS = ("PATH", "LD_LIBRARY_PATH")
MIOPEN_PATHS = {"MIOPEN_USER_DB_PATH": "db", "MIOPEN_CUSTOM_CACHE_DIR": "cache"}


def base_environment(parent: Mapping[str, str], *, own_interpreter: bool = True) -> dict[str, str]:
    """``parent`` without what silences or diverts fault messages, and without the runner's own variables.

    With ``own_interpreter`` false also without the variables that bind to the runner's Python.
    """
    hiding = evidence_hiding()
    base = {}
    for name, value in parent.items():
        values = hiding.get(name, ())
        ours = name.startswith(_RUNNERS) and not name.startswith(_INTERCEPTS)
        if ours or "*" in values or value in values:
            continue
        if not own_interpreter and name in _INTERPRETER:
            continue
        base[name] = value
    return base


def merged(base: Mapping[str, str], env: Mapping[str, str | None]) -> dict[str, str]:
    """``base`` with the case's variables; None removes one."""
    out = dict(base)
    for name, value in env.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = value
    return out


def private_miopen(root: Path, runtime: str, env: Mapping[str, str | None]) -> dict[str, str]:
    """MIOpen's two folders, private to this (runtime, env): find-db records that were made under one solver
    filter would leak into the next. What the case sets (or removes) itself is left alone."""
    text = "\0".join([runtime, *(f"{k}={v}" if v is not None else f"-{k}" for k, v in sorted(env.items()))])
    tag = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return {name: str(root / f"miopen-{tag}" / sub) for name, sub in MIOPEN_PATHS.items() if name not in env}


def with_prefix(base: Mapping[str, str], prefix: str) -> dict[str, str]:
    """``base`` with an unpacked ROCm put before everything: programs, libraries, and the variables by which
    ROCm's parts find each other. Works for libraries that are found by RUNPATH or by the loader's default; a
    library with the old DT_RPATH still wins, so the run records what was really mapped."""
    out = dict(base)
    _put_first(out, SEARCH_PATHS[0], f"{prefix}/bin")
    _put_first(out, SEARCH_PATHS[1], f"{prefix}/lib", f"{prefix}/lib64")
    out.update(ROCM_PATH=prefix, ROCM_HOME=prefix, HIP_PATH=prefix)
    return out


def _put_first(env: dict[str, str], name: str, *folders: str) -> None:
    rest = env.get(name, "")
    env[name] = os.pathsep.join([*folders, *([rest] if rest else [])])
