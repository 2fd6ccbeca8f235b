"""Findings that need more than one variable: pairs that hide the GPU, families that leave no solver, two
names for one setting, an argument whose variable is missing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rmcp.device.findings import Finding, error, warning
from rmcp.device.numbers import whole
from rmcp.device.values import MIOPEN_OFF

_FILTERS = ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_FAMILIES = ("GEMM", "WINOGRAD", "DIRECT", "FFT", "IMPLICIT_GEMM")
_SAME = (
    ("HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"),
    ("PYTORCH_HIP_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"),
)


def check_combinations(
    env: Mapping[str, str], args: Mapping[str, Any] | None, rocm: str | None, gfx: str | None
) -> list[Finding]:
    """All findings on combinations; arguments as for `check_environment`."""
    return [*_hidden_gpu(env), *_no_solver(env, gfx), *_two_names(env), *_channels_last(env, args, rocm)]


def is_rdna1(gfx: str | None) -> bool:
    """Whether the GPU is RDNA1 (gfx1010 to gfx1013); False when it is not known."""
    return gfx is not None and gfx.startswith("gfx101")


def _hidden_gpu(env: Mapping[str, str]) -> list[Finding]:
    found = [
        warning("hides-gpu", name, f"{name}={env[name]} hides every GPU", "remove it, or name a device")
        for name in ("ROCR_VISIBLE_DEVICES", *_FILTERS)
        if env.get(name, "0").strip() in ("", "-1")
    ]
    if found or "ROCR_VISIBLE_DEVICES" not in env:
        return found
    first = env["ROCR_VISIBLE_DEVICES"]
    left = len([one for one in first.split(",") if one.strip()])
    for name in _FILTERS:
        chosen = [one.strip() for one in env.get(name, "").split(",") if one.strip()]
        if chosen and (whole(chosen[0]) or 0) >= left:
            what = "one GPU, number 0" if left == 1 else f"{left} GPUs, numbered from 0"
            text = (
                f"ROCR_VISIBLE_DEVICES={first} leaves {what}, and {name}={env[name]} then finds no such GPU: "
                "the two filters are applied one after the other"
            )
            found.append(error("hides-gpu", name, text, f"keep one of the two, or set {name}=0"))
    return found


def _no_solver(env: Mapping[str, str], gfx: str | None) -> list[Finding]:
    names = {one: f"MIOPEN_DEBUG_CONV_{one}" for one in _FAMILIES}
    off = [one for one in _FAMILIES if env.get(names[one], "").strip().lower() in MIOPEN_OFF]
    if len(off) == len(_FAMILIES):
        text = "all five solver families of MIOpen are disabled: nothing is left that could run"
        return [error("no-solver", names[off[-1]], text, "leave one of " + ", ".join(_FAMILIES) + " on")]
    overridden = any(name.startswith("HSA_OVERRIDE_GFX_VERSION") for name in env)
    if set(_FAMILIES) - set(off) == {"IMPLICIT_GEMM"} and is_rdna1(gfx) and not overridden:
        text = f"only implicit GEMM is left, and none of its solvers is applicable on {gfx}"
        return [error("no-solver", names[off[-1]], text, "leave GEMM or DIRECT on")]
    return []


def _two_names(env: Mapping[str, str]) -> list[Finding]:
    found = []
    for group in _SAME:
        present = [name for name in group if name in env]
        if len({env[name] for name in present}) > 1:
            text = f"{' and '.join(present)} differ, and which one counts depends on the release"
            found.append(warning("overridden", present[1], text, "keep one of them"))
    return found


def _channels_last(env: Mapping[str, str], args: Mapping[str, Any] | None, rocm: str | None) -> list[Finding]:
    name = "PYTORCH_MIOPEN_SUGGEST_NHWC"
    if args is None or rocm is None or str(args.get("memory_format", "")) != "channels_last":
        return []
    if env.get(name) == "1":
        return []
    text = (
        f"memory_format: channels_last is inert: without {name}=1 torch hands MIOpen NCHW tensors "
        "(but for builds that turn it on themselves)"
    )
    return [warning("inert", name, text, f"add an env value with {name}=1")]
