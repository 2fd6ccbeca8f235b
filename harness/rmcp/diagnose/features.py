"""A case as features: its axis values, the facts of its runtime, its arguments and what follows from them.

A feature value is a text (categories), a number or a `Version` (ordered), or a bool. The derived shape
features are the quantities in which kernels fail: areas, GEMM sizes, bytes, kinds of convolution.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Any, TypeAlias

_VERSION = re.compile(r"v?(\d+(?:\.\d+)+)")
_BYTES = {  # bytes of one element
    "float64": 8, "double": 8, "int64": 8, "complex64": 8, "float32": 4, "float": 4, "int32": 4,
    "float16": 2, "half": 2, "bfloat16": 2, "int16": 2, "int8": 1, "uint8": 1,
}  # fmt: skip
_FACTS = ("gfx", "rocm", "torch", "kernel", "device", "host")  # the names that the expression language knows


@total_ordering
@dataclass(frozen=True)
class Version:
    """A version as the matrix wrote it (5.10 stays 5.10), ordered by its numbers."""

    text: str
    numbers: tuple[int, ...] = field(default=(), compare=False)

    @classmethod
    def parse(cls, text: str) -> Version | None:
        """The version at the start of ``text``, or None when it does not look like one."""
        found = _VERSION.match(text)
        return cls(text, tuple(int(part) for part in found.group(1).split("."))) if found else None

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return (self.numbers, self.text) < (other.numbers, other.text)

    def __str__(self) -> str:
        return self.text


Value: TypeAlias = "str | int | float | bool | Version"
Features: TypeAlias = "Mapping[str, Value]"


def features_of(
    axes: Mapping[str, str],
    args: Mapping[str, Any],
    facts: Mapping[str, Any] | None = None,
    env: Mapping[str, str | None] | None = None,
) -> dict[str, Value]:
    """Features of one case; ``facts`` are those of its runtime (see `facts_of`), ``env`` its environment
    patch.

    An axis wins over an argument of its name. A variable is the feature ``$NAME``, `unset` where it is taken
    out.
    """
    found: dict[str, Value] = {"$" + name: "unset" if value is None else value for name, value in (env or {}).items()}
    for name, value in (facts or {}).items():
        if name in _FACTS and value not in (None, ""):
            found[name] = Version.parse(str(value)) or str(value)
    for name, value in args.items():
        if isinstance(value, (str, int, float, bool)):
            found[name] = value
        elif isinstance(value, (list, tuple)):
            found[name] = "x".join(str(part) for part in value)
    found.update(_shape_features(args))
    for name, text in axes.items():
        # An axis whose values are the argument's own numbers stays numeric: it can then be compared.
        if not (name in args and str(args[name]) == text):
            found[name] = Version.parse(text) or text
    return found


def facts_of(runtime: Mapping[str, Any], host: Mapping[str, Any]) -> dict[str, Any]:
    """The expression language's facts out of a runtime's report and the host's: gfx, rocm, torch, kernel,
    ..."""
    merged: dict[str, Any] = {}
    for source in (host, runtime):
        for name in _FACTS:
            value = source.get(name)
            if isinstance(value, (str, int, float)) and str(value):
                merged[name] = str(value)
    if "rocm" not in merged and runtime.get("hip"):
        merged["rocm"] = str(runtime["hip"])
    gpus = host.get("gpus")
    first = gpus[0] if isinstance(gpus, (list, tuple)) and gpus and isinstance(gpus[0], Mapping) else {}
    if "gfx" not in merged and first.get("gfx") and runtime.get("device") == "rocm":
        merged["gfx"] = str(first["gfx"])
    if isinstance(runtime.get("torch"), Mapping) and runtime["torch"].get("version"):
        merged["torch"] = str(runtime["torch"]["version"])
    return merged


def _pair(value: Any, default: int) -> tuple[int, int]:
    """An argument such as ``kernel`` that is one number or a pair of them; ``default`` for anything else."""
    if isinstance(value, (list, tuple)):
        numbers = [_number(part, default) for part in value] or [default]
        return numbers[0], numbers[-1]
    return _number(value, default), _number(value, default)


def _number(value: Any, default: int) -> int:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else default


def _shape_features(args: Mapping[str, Any]) -> dict[str, Value]:
    """What follows from the arguments of a convolution; empty when these are not the arguments of one."""
    if not all(isinstance(args.get(name), int) for name in ("c", "h", "w", "k")):
        return {}
    n, c, h, w, k = (_number(args.get(name), 1) for name in ("n", "c", "h", "w", "k"))
    kh, kw = _pair(args.get("kernel"), 1)
    (sh, sw), (ph, pw) = _pair(args.get("stride"), 1), _pair(args.get("padding"), 0)
    dh, dw = _pair(args.get("dilation"), 1)
    groups = args.get("groups") or 1
    groups = groups if isinstance(groups, int) and groups > 0 else 1
    oh = max(0, (h + 2 * ph - dh * (kh - 1) - 1) // max(1, sh) + 1)
    ow = max(0, (w + 2 * pw - dw * (kw - 1) - 1) // max(1, sw) + 1)
    width = _BYTES.get(str(args.get("dtype", "float32")).removeprefix("torch."), 4)
    return {
        "h*w": h * w,
        "out_h*out_w": oh * ow,
        "is_1x1": kh == kw == 1,
        "strided": max(sh, sw) > 1,
        "dilated": max(dh, dw) > 1,
        "grouped": groups > 1,
        "depthwise": groups > 1 and groups == c,
        "square": h == w,
        "gemm_m": k // groups,
        "gemm_n": n * oh * ow,
        "gemm_k": (c // groups) * kh * kw,
        "input_bytes": n * c * h * w * width,
        "weight_bytes": k * (c // groups) * kh * kw * width,
        "pow2_hw": _power_of_two(h) and _power_of_two(w),
        "pow2_c": _power_of_two(c),
        "pow2_k": _power_of_two(k),
    }


def _power_of_two(number: int) -> bool:
    return number > 0 and math.log2(number).is_integer()
