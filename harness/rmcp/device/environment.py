"""Checks an environment before it is believed: what is read by nothing, changes nothing, hides the GPU or the evidence.

Pure: takes mappings, returns findings. Positions in a matrix file are added by the caller.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from rmcp.device.knowledge import Knowledge, Variable, knowledge
from rmcp.device.values import invalid, same_value

__all__ = ["Finding", "Level", "check_environment", "evidence_hiding", "tested_variables"]

_CLOSE = (
    0.86  # difflib ratio: HSA_ENABLE_SMDA finds HSA_ENABLE_SDMA, two real neighbours do not find each other
)
_FAMILIES = ("GEMM", "WINOGRAD", "DIRECT", "FFT", "IMPLICIT_GEMM")
_SECRET_WORDS = frozenset(
    {
        "TOKEN",
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWD",
        "PASS",
        "PWD",
        "CREDENTIAL",
        "CREDENTIALS",
        "AUTH",
        "KEY",
        "APIKEY",
        "COOKIE",
    }
)
_URL_WITH_USER = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/\s:@]+:[^/\s@]+@", re.IGNORECASE)


class Level(str, Enum):
    """``error``: no case with it can mean what was intended; ``warning``: probably not what was meant; ``info``."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Finding:
    """One remark on one variable. ``kind`` is a stable word for filters: read-by-nothing, no-op, inert, invalid,
    never-runs, misspelt, unknown, hides-gpu, hides-evidence, misread, version, override, no-solver, overridden."""

    level: Level
    variable: str
    message: str
    suggestion: str = ""
    kind: str = ""


def check_environment(
    env: Mapping[str, str | None],
    *,
    args: Mapping[str, Any] | None = None,
    rocm: str | None = None,
    gfx: str | None = None,
) -> list[Finding]:
    """Remarks on ``env`` (None: the variable is removed), worst first within the order of the variables.

    ``args`` are the workload's arguments where they are known, ``rocm`` the version of the runtime ("6.2"), ``gfx``
    the real GPU ("gfx1010"); what is not known is not assumed.
    """
    base = knowledge()
    given = {name: value for name, value in env.items() if value is not None}
    findings: list[Finding] = []
    for name, value in given.items():
        variable = base.find(name)
        if variable is None:
            findings += _unknown(base, name)
        else:
            findings += _one(variable, name, value, given, args, rocm, gfx)
    findings += _hidden_gpu(given)
    findings += _no_solver(given, gfx)
    findings += _two_names(given)
    findings += _channels_last(given, args, rocm)
    return findings


def evidence_hiding() -> dict[str, tuple[str, ...]]:
    """Variables that hide evidence and the values that do ("*": every value); isolation removes these from a child."""
    return {name: one.hides for name, one in knowledge().variables.items() if one.hides}


def tested_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that is recorded: by prefix, sorted, never a name that sounds like a secret."""
    prefixes = knowledge().tested_prefixes
    kept = {}
    for name in sorted(env):
        if name.startswith(prefixes) and not _SECRET_WORDS & set(re.split(r"[_\W]+", name.upper())):
            kept[name] = _URL_WITH_USER.sub(r"\1***@", env[name])
    return kept


def _one(
    variable: Variable,
    name: str,
    value: str,
    env: Mapping[str, str],
    args: Mapping[str, Any] | None,
    rocm: str | None,
    gfx: str | None,
) -> list[Finding]:
    if variable.read == "X":
        if variable.cuda and rocm is None:
            return []  # it may well be a CUDA runtime
        use = f"use {variable.instead}" if variable.instead else "remove it"
        return [Finding(Level.WARNING, name, f"no effect: {variable.effect}", use, "read-by-nothing")]
    if variable.never and value.strip().lower() not in variable.never_unless:
        use = f"use {variable.instead}" if variable.instead else "remove it"
        return [Finding(Level.ERROR, name, f"{name}={value}: {variable.never}", use, "never-runs")]
    problem = invalid(variable, value)
    if problem is not None:
        return [
            Finding(
                Level.ERROR if problem.fatal else Level.WARNING,
                name,
                f"{name}={value}: {problem.text}",
                problem.fix,
                "invalid",
            )
        ]
    found = _version(variable, name, rocm)
    why = next((text for known, text in variable.noop.items() if same_value(variable, value, known)), None)
    if why is None and rocm is not None:
        why = next(
            (
                f"{known} is the default since ROCm {since}"
                for since, known in variable.default_from.items()
                if _parts(rocm) >= _parts(since) and same_value(variable, value, known)
            ),
            None,
        )
    if why is not None:
        found.append(
            Finding(
                Level.WARNING,
                name,
                f"{name}={value} changes nothing: {why}",
                f"remove it, or give another value ({variable.values})",
                "no-op",
            )
        )
    wrong = next(
        (text for known, text in variable.misread.items() if same_value(variable, value, known)), None
    )
    if wrong is not None:
        found.append(
            Finding(
                Level.WARNING, name, f"{name}={value}: {wrong}", f"values are: {variable.values}", "misread"
            )
        )
    if variable.hides and (
        "*" in variable.hides or any(same_value(variable, value, one) for one in variable.hides)
    ):
        found.append(
            Finding(
                Level.WARNING,
                name,
                f"{name}={value} hides evidence: {variable.effect}",
                "remove it: rmcp would call the crash unknown",
                "hides-evidence",
            )
        )
    found += _partner(variable, name, env, args)
    if variable.kind == "gfx3":
        found += _override(name, value, gfx)
    if (
        name.startswith("MIOPEN_DEBUG_CONV_IMPLICIT_GEMM")
        and why is None
        and _is_rdna1(gfx)
        and "HSA_OVERRIDE_GFX_VERSION" not in env
    ):
        found.append(
            Finding(
                Level.WARNING,
                name,
                f"{name}={value} changes nothing on {gfx}: no implicit-GEMM solver is applicable there",
                "remove it",
                "no-op",
            )
        )
    return found


def _version(variable: Variable, name: str, rocm: str | None) -> list[Finding]:
    if rocm is None:
        return []
    if variable.since and _parts(rocm) < _parts(variable.since):
        return [
            Finding(
                Level.WARNING,
                name,
                f"not read by ROCm {rocm}: {name} exists since {variable.since}",
                "remove it for this runtime",
                "version",
            )
        ]
    if variable.until and _parts(rocm) >= _parts(variable.until):
        return [
            Finding(
                Level.WARNING,
                name,
                f"not read by ROCm {rocm}: {name} was removed in {variable.until}",
                "remove it for this runtime",
                "version",
            )
        ]
    return []


def _partner(
    variable: Variable, name: str, env: Mapping[str, str], args: Mapping[str, Any] | None
) -> list[Finding]:
    found = [
        Finding(Level.WARNING, name, f"inert: {why}", f"set {partner} too", "inert")
        for partner, why in variable.needs_env.items()
        if partner not in env
    ]
    needs = variable.needs_args
    if needs is None:
        return found
    if args is None:
        return [
            *found,
            Finding(Level.INFO, name, f"only with the right argument: {needs.why}", needs.fix, "inert"),
        ]
    values = [str(args[one]).lower() for one in needs.names if one in args]
    if needs.value not in values:
        found.append(Finding(Level.WARNING, name, f"inert: {needs.why}", needs.fix, "inert"))
    return found


def _override(name: str, value: str, gfx: str | None) -> list[Finding]:
    major, minor, step = (int(part) for part in value.split("."))
    spoof = f"gfx{major}{minor:x}{step:x}"
    if gfx is None:
        if spoof == "gfx1030":
            return [
                Finding(
                    Level.INFO,
                    name,
                    "10.3.0 runs gfx1030 (RDNA2) code; on RDNA1 that is another instruction set and faults with every wheel for ROCm 5.3 and later",
                    "compare with an env without it on a build that has gfx1010 kernels",
                    "override",
                )
            ]
        return []
    if spoof == gfx:
        return [Finding(Level.INFO, name, f"{value} is what the GPU is anyway ({gfx})", "remove it", "no-op")]
    if gfx[:-2] != spoof[:-2]:
        return [
            Finding(
                Level.WARNING,
                name,
                f"{value} makes {gfx} run code of {spoof}, another family: GPU resets and segmentation faults have been reported for that",
                "use a build with kernels for " + gfx,
                "override",
            )
        ]
    if _is_rdna1(gfx) and spoof.startswith("gfx103"):
        return [
            Finding(
                Level.WARNING,
                name,
                f"{value} makes {gfx} (RDNA1) run {spoof} (RDNA2) code, another instruction set: every wheel for ROCm 5.3 and later faults with it",
                f"use a build with kernels for {gfx}; torch 1.13.1 for ROCm 5.2 is the last one known to get through",
                "override",
            )
        ]
    return []


def _unknown(base: Knowledge, name: str) -> list[Finding]:
    if not name.startswith(base.tested_prefixes) and not difflib.get_close_matches(
        name, base.variables, 1, 0.93
    ):
        return []
    close = difflib.get_close_matches(name, base.variables, 1, _CLOSE)
    if close:
        return [Finding(Level.WARNING, name, f"{name} is not known", f"did you mean {close[0]}?", "misspelt")]
    if name.startswith(base.checked_prefixes):
        return [
            Finding(
                Level.INFO,
                name,
                f"{name} is not in the knowledge base ({base.version})",
                "check its spelling; nothing is known about it",
                "unknown",
            )
        ]
    return []


def _hidden_gpu(env: Mapping[str, str]) -> list[Finding]:
    found = []
    filters = ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
    for name in filters:
        if name in env and env[name].strip() in ("", "-1"):
            found.append(
                Finding(
                    Level.WARNING,
                    name,
                    f"{name}={env[name]} hides every GPU",
                    "remove it, or name a device",
                    "hides-gpu",
                )
            )
    if "ROCR_VISIBLE_DEVICES" not in env or found:
        return found
    left = len([one for one in env["ROCR_VISIBLE_DEVICES"].split(",") if one.strip()])
    for name in filters[1:]:
        indices = [one.strip() for one in env.get(name, "").split(",") if one.strip()]
        if indices and all(one.isdigit() and int(one) >= left for one in indices):
            found.append(
                Finding(
                    Level.ERROR,
                    name,
                    f"ROCR_VISIBLE_DEVICES={env['ROCR_VISIBLE_DEVICES']} leaves {left} GPU{'s' * (left != 1)}, numbered from 0, "
                    f"and {name}={env[name]} then chooses none of them: the GPU is hidden",
                    f"keep one of the two, or set {name}=0",
                    "hides-gpu",
                )
            )
    return found


def _no_solver(env: Mapping[str, str], gfx: str | None) -> list[Finding]:
    off = [
        one
        for one in _FAMILIES
        if env.get(f"MIOPEN_DEBUG_CONV_{one}", "").strip().lower()
        in ("0", "off", "no", "false", "disable", "disabled")
    ]
    last = f"MIOPEN_DEBUG_CONV_{off[-1]}" if off else ""
    if len(off) == len(_FAMILIES):
        return [
            Finding(
                Level.ERROR,
                last,
                "every solver family is disabled: MIOpen has nothing left to run",
                "leave one of " + ", ".join(_FAMILIES) + " on",
                "no-solver",
            )
        ]
    if (
        len(off) == len(_FAMILIES) - 1
        and "IMPLICIT_GEMM" not in off
        and _is_rdna1(gfx)
        and "HSA_OVERRIDE_GFX_VERSION" not in env
    ):
        return [
            Finding(
                Level.ERROR,
                last,
                f"only implicit GEMM is left, and {gfx} has no implicit-GEMM solver",
                "leave GEMM or DIRECT on",
                "no-solver",
            )
        ]
    return []


def _two_names(env: Mapping[str, str]) -> list[Finding]:
    found = []
    for group in (
        ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
        ("PYTORCH_HIP_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"),
    ):
        present = [name for name in group if name in env]
        if len({env[name] for name in present}) > 1:
            found.append(
                Finding(
                    Level.WARNING,
                    present[1],
                    f"{' and '.join(present)} differ; which one counts depends on the release",
                    "keep one of them",
                    "overridden",
                )
            )
    return found


def _channels_last(env: Mapping[str, str], args: Mapping[str, Any] | None, rocm: str | None) -> list[Finding]:
    name = "PYTORCH_MIOPEN_SUGGEST_NHWC"
    if (
        args is None
        or rocm is None
        or str(args.get("memory_format", "")) != "channels_last"
        or env.get(name) == "1"
    ):
        return []
    return [
        Finding(
            Level.WARNING,
            name,
            "memory_format: channels_last is inert: without PYTORCH_MIOPEN_SUGGEST_NHWC=1 torch hands MIOpen NCHW (builds that turn it on themselves excepted)",
            f"set {name}=1 in an env value to test NHWC",
            "inert",
        )
    ]


def _is_rdna1(gfx: str | None) -> bool:
    return gfx is not None and gfx.startswith("gfx101")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
