"""Checks an environment before it is believed: what is read by nothing, changes nothing, hides the GPU or the
evidence. Pure: takes mappings, returns findings. Positions in a matrix file are added by the caller.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import Any

from rmcp.device.combinations import check_combinations, is_rdna1
from rmcp.device.findings import Finding, Level, error, info, warning
from rmcp.device.knowledge import Knowledge, Variable, knowledge
from rmcp.device.values import invalid, same_value

__all__ = [
    "Finding",
    "Level",
    "check_environment",
    "evidence_hiding",
    "tested_variables",
    "without_hidden_evidence",
]

_CLOSE = (
    0.86  # difflib ratio: HSA_ENABLE_SMDA finds HSA_ENABLE_SDMA, two real neighbours do not find each other
)
_VERY_CLOSE = 0.93  # for names without a prefix of ours, which are most likely something else
_SECRET_WORDS = frozenset(
    (
        *("TOKEN", "SECRET", "SECRETS", "PASSWORD", "PASSWD", "PASS", "PWD", "CREDENTIAL", "CREDENTIALS"),
        *("AUTH", "KEY", "KEYS", "APIKEY", "COOKIE"),
    )
)
_URL_WITH_USER = re.compile(r"\b([a-z][a-z0-9+.-]*://)[^/\s:@]*:?[^/\s@]*@", re.IGNORECASE)


def check_environment(
    env: Mapping[str, str | None],
    *,
    args: Mapping[str, Any] | None = None,
    rocm: str | None = None,
    gfx: str | None = None,
) -> list[Finding]:
    """Remarks on ``env`` (None: the variable is removed), in the order of its variables, combinations last.

    ``args`` are the workload's arguments where they are known, ``rocm`` the version of the runtime ("6.2";
    None: unknown or no ROCm), ``gfx`` the real GPU ("gfx1010"). What is not known is not assumed.
    """
    base = knowledge()
    given = {name: value for name, value in env.items() if value is not None}
    found: list[Finding] = []
    for name, value in given.items():
        variable = base.find(name)
        if variable is None:
            found += _unknown(base, name)
        else:
            found += _known(variable, name, value, given, args, rocm, gfx)
    return found + check_combinations(given, args, rocm, gfx)


def evidence_hiding() -> dict[str, tuple[str, ...]]:
    """Variables that hide evidence and the values that do so ("*": every value)."""
    return {name: one.hides for name, one in knowledge().variables.items() if one.hides}


def without_hidden_evidence(env: Mapping[str, str]) -> tuple[dict[str, str], tuple[str, ...]]:
    """(``env`` without the variables that hide evidence at their present value, the names that were
    removed)."""
    hiding = [
        name for name, values in evidence_hiding().items() if name in env and _hides(name, env[name], values)
    ]
    return {name: value for name, value in env.items() if name not in hiding}, tuple(hiding)


def tested_variables(env: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that is recorded: by prefix, sorted, never a name that sounds like a
    secret."""
    prefixes = knowledge().tested_prefixes
    return {
        name: _URL_WITH_USER.sub(r"\1***@", env[name])
        for name in sorted(env)
        if name.startswith(prefixes) and not _SECRET_WORDS & set(re.split(r"[_\W]+", name.upper()))
    }


def _known(
    variable: Variable,
    name: str,
    value: str,
    env: Mapping[str, str],
    args: Mapping[str, Any] | None,
    rocm: str | None,
    gfx: str | None,
) -> list[Finding]:
    shown = f"{name}={value}"
    use = variable.instead or "remove it"
    if variable.read == "X":
        if variable.cuda and rocm is None:
            return []  # it may well be a CUDA runtime
        return [warning("read-by-nothing", name, f"{name} has no effect: {variable.effect}", use)]
    if variable.never and value.strip().lower() not in variable.never_unless:
        return [error("never-runs", name, f"{shown}: {variable.never}", use)]
    problem = invalid(variable, value)
    if problem is not None:
        tell = error if problem.fatal else warning
        return [tell("invalid", name, f"{shown}: {problem.text}", problem.fix)]
    found = _version(variable, name, rocm)
    idle = _no_op(variable, name, value, env, rocm, gfx)
    if idle:
        found.append(warning("no-op", name, f"{shown} changes nothing: {idle}", _other_value(variable)))
    elif any(same_value(variable, value, known) for known in variable.usual):
        found.append(info("no-op", name, f"{shown} is the default", "fine for contrast; else leave it out"))
    wrong = next((text for known, text in variable.misread.items() if same_value(variable, value, known)), "")
    if wrong:
        found.append(warning("misread", name, f"{shown} {wrong}", f"values are: {variable.values}"))
    if _hides(name, value, variable.hides):
        found.append(
            warning("hides-evidence", name, f"{shown} hides evidence: {variable.effect}", "remove it")
        )
    if not idle:
        found += _partner(variable, name, env, args)
    if variable.kind == "gfx3":
        found += _override(name, value, gfx)
    return found


def _no_op(
    variable: Variable, name: str, value: str, env: Mapping[str, str], rocm: str | None, gfx: str | None
) -> str:
    """Why the value changes nothing, or an empty string."""
    for known, text in variable.noop.items():
        if same_value(variable, value, known):
            return text
    for since, known in variable.default_from.items():
        if rocm is not None and _parts(rocm) >= _parts(since) and same_value(variable, value, known):
            return f"{known} is the default since ROCm {since}"
    overridden = any(one.startswith("HSA_OVERRIDE_GFX_VERSION") for one in env)
    if "implicit-GEMM" in variable.effect and is_rdna1(gfx) and not overridden:
        return f"no implicit-GEMM solver is applicable on {gfx}"
    return ""


def _other_value(variable: Variable) -> str:
    return f"remove it; values are: {variable.values}"


def _hides(name: str, value: str, values: tuple[str, ...]) -> bool:
    variable = knowledge().variables.get(name)
    return variable is not None and any(one == "*" or same_value(variable, value, one) for one in values)


def _version(variable: Variable, name: str, rocm: str | None) -> list[Finding]:
    if rocm is None:
        return []
    gone = ""
    if variable.since and _parts(rocm) < _parts(variable.since):
        gone = f"it exists since {variable.since}"
    elif variable.until and _parts(rocm) >= _parts(variable.until):
        gone = f"it was removed in {variable.until}"
    if not gone:
        return []
    return [
        warning(
            "version", name, f"{name} is not read by ROCm {rocm}: {gone}", "leave it out for this runtime"
        )
    ]


def _partner(
    variable: Variable, name: str, env: Mapping[str, str], args: Mapping[str, Any] | None
) -> list[Finding]:
    found = [
        warning("inert", name, f"{name} is inert: {why}", f"set {partner} too")
        for partner, why in variable.needs_env.items()
        if partner not in env
    ]
    needs = variable.needs_args
    if needs is None:
        return found
    if args is None:
        return [*found, info("inert", name, f"{name} depends on an argument: {needs.why}", needs.fix)]
    if needs.value not in [str(args[one]).lower() for one in needs.names if one in args]:
        found.append(warning("inert", name, f"{name} is inert: {needs.why}", needs.fix))
    return found


def _override(name: str, value: str, gfx: str | None) -> list[Finding]:
    major, minor, step = (int(part) for part in value.strip().split("."))
    spoof = f"gfx{major}{minor:x}{step:x}"
    shown = f"{name}={value}"
    if gfx is None:
        if spoof != "gfx1030":
            return []
        text = (
            f"{shown} loads gfx1030 (RDNA2) code. An RX 5000 card (RDNA1) has another instruction set and "
            "faults on it with every PyTorch wheel for ROCm 5.3 and later"
        )
        return [info("override", name, text, "on RDNA1 use a build with gfx1010 kernels and no override")]
    if spoof == gfx:
        return [info("no-op", name, f"{shown} is what the GPU is anyway ({gfx})", "remove it")]
    if gfx[:-2] != spoof[:-2]:
        text = f"{shown} makes {gfx} run code of {spoof}, another family; others got GPU resets and SIGSEGV"
        return [warning("override", name, text, f"use a build with kernels for {gfx}")]
    if is_rdna1(gfx) and spoof.startswith("gfx103"):
        text = (
            f"{shown} makes {gfx} (RDNA1) run {spoof} (RDNA2) code, another instruction set: "
            "every wheel for ROCm 5.3 and later faults with it"
        )
        fix = (
            f"use a build with kernels for {gfx}; torch 1.13.1 for ROCm 5.2 is the last that is known to work"
        )
        return [warning("override", name, text, fix)]
    return []


def _unknown(base: Knowledge, name: str) -> list[Finding]:
    ours = name.startswith(base.tested_prefixes)
    close = difflib.get_close_matches(name, base.variables, 1, _CLOSE if ours else _VERY_CLOSE)
    if close:
        return [warning("misspelt", name, f"{name} is not a known variable", f"did you mean {close[0]}?")]
    if name.startswith(base.checked_prefixes):
        text = f"{name} is not in the knowledge base of {base.version}"
        return [info("unknown", name, text, "check the spelling; nothing is known about it")]
    return []


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"[0-9]{1,9}", version)[:2])
