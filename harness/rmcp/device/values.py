"""How the readers of environment variables parse a value: what is invalid, and which texts mean the same."""

from __future__ import annotations

import re
from dataclasses import dataclass

from rmcp.device.knowledge import Variable
from rmcp.device.numbers import whole

_MIOPEN_ON = ("1", "on", "yes", "true", "enable", "enabled")
MIOPEN_OFF = ("0", "off", "no", "false", "disable", "disabled")
# Keys of the caching allocator's option string, torch 1.13 to 2.13 (c10/cuda/CUDAAllocatorConfig and its
# successor).
_ALLOC_KEYS = frozenset(
    {
        "backend",
        "expandable_segments",
        "garbage_collection_threshold",
        "graph_capture_record_stream_reuse",
        "max_non_split_rounding_mb",
        "max_split_size_mb",
        "per_process_memory_fraction",
        "pinned_num_register_threads",
        "pinned_reserve_segment_size_mb",
        "pinned_use_background_threads",
        "pinned_use_cuda_host_register",
        "pinned_use_hip_host_register",
        "release_lock_on_cudamalloc",
        "release_lock_on_hipmalloc",
        "roundup_power2_divisions",
    }
)
_GFX3_LIMITS = (63, 255, 255)  # libhsakmt topology.c


@dataclass(frozen=True)
class Invalid:
    """Why a value is invalid and what to write; ``fatal``: the reader fails on it rather than ignoring it."""

    text: str
    fix: str
    fatal: bool = False


def invalid(variable: Variable, value: str) -> Invalid | None:
    """Why the reader of ``variable`` does not accept ``value``; None when it does."""
    text = value.strip()
    fix = f"values are: {variable.values}"
    if variable.kind == "flag" and text not in variable.accepts:
        return Invalid("not recognised, so it equals the default", fix)
    if (
        variable.kind == "clr-bool"
        and not re.match(r"[+-]?\d", text)
        and text not in ("true", "false")  # strcmp and atoi: "True" is 0
    ):
        return Invalid("HIP reads this as 0", fix)
    if variable.kind == "miopen-bool" and text.lower() not in _MIOPEN_ON + MIOPEN_OFF:
        return Invalid(
            "ignored by old MIOpen, and from about 6.x on it throws miopenStatusInvalidValue",
            "write 0 or 1",
            True,
        )
    if variable.kind == "miopen-word" and text.upper() not in variable.accepts:
        if _integer(text) is None:
            return Invalid("MIOpen throws std::invalid_argument on this word", fix, True)
        return Invalid("not one of MIOpen's numbers", fix)
    if variable.kind == "enum" and text.upper() not in variable.accepts:
        return Invalid("not a value that MIOpen knows", fix)
    if variable.kind == "clr-int" and re.fullmatch(r"[+-]?[0-9]{1,20}", text) is None:
        read = re.match(r"[+-]?[0-9]{1,9}", text)  # atoi: 0x10 is 0
        return Invalid(f"HIP reads this as {int(read[0]) if read else 0}", "write a decimal number")
    if variable.kind in ("int", "clr-int"):
        return _invalid_int(variable, text, fix)
    if variable.kind == "gfx3":
        return _invalid_gfx3(text)
    if variable.kind == "gfx" and not re.fullmatch(r"gfx[0-9a-f]{3,5}(:[a-z+:-]+)?", text):
        return Invalid("not the name of an architecture", "write a name such as gfx1010")
    if variable.kind == "indices":
        odd = [
            one
            for one in text.split(",")
            if not re.fullmatch(r"-1|\d+|(GPU|MIG)-[0-9A-Za-z/-]+", one.strip())
        ]
        if text and odd:
            return Invalid(
                f"{odd[0].strip()!r} is neither an index nor a UUID: it and what follows are ignored",
                "write indices such as 0 or 0,1",
            )
    if variable.kind == "alloc-conf":
        return _invalid_alloc(text)
    return None


def same_value(variable: Variable, value: str, known: str) -> bool:
    """Whether the reader takes ``value`` for ``known``."""
    text = value.strip()
    if variable.kind == "miopen-bool":
        for words in (_MIOPEN_ON, MIOPEN_OFF):
            if known in words:
                return text.lower() in words
    if variable.kind == "clr-bool":
        return _clr_bool(text) == _clr_bool(known)
    if variable.kind in ("int", "clr-int") and _integer(text) is not None:
        return _integer(text) == _integer(known)
    return text.upper() == known.upper()


def _clr_bool(text: str) -> bool:
    number = re.match(r"[+-]?[0-9]{1,20}", text)
    return text == "true" or (number is not None and int(number[0]) != 0)


def _integer(text: str) -> int | None:
    try:
        return int(text, 0)
    except ValueError:
        return whole(text)


def _invalid_int(variable: Variable, text: str, fix: str) -> Invalid | None:
    number = _integer(text)
    if number is None:
        return Invalid("not a number", fix)
    if (variable.min is not None and number < variable.min) or (
        variable.max is not None and number > variable.max
    ):
        return Invalid("out of range", fix)
    return None


def _invalid_gfx3(text: str) -> Invalid | None:
    fix = "write major.minor.step in decimal, for example 10.1.0 for gfx1010 or 10.3.0 for gfx1030"
    named = re.fullmatch(r"gfx([0-9]{1,2})([0-9a-f])([0-9a-f])", text)
    if named:
        fix = f"write {named[1]}.{int(named[2], 16)}.{int(named[3], 16)}"
    parts = re.fullmatch(r"([0-9]{1,9})\.([0-9]{1,9})\.([0-9]{1,9})", text)
    bad = 'the runtime prints "HSA_OVERRIDE_GFX_VERSION ... is invalid" and fails to start'
    if parts is None or any(
        int(part) > limit for part, limit in zip(parts.groups(), _GFX3_LIMITS, strict=True)
    ):
        return Invalid(bad, fix, True)
    return None


def _invalid_alloc(text: str) -> Invalid | None:
    # Values may hold commas inside brackets: roundup_power2_divisions:[256:1,512:2]
    for item in re.sub(r"\[[^\]]*\]", "[]", text).split(","):
        key, colon, _ = item.strip().partition(":")
        if not item.strip():
            continue
        if not colon:
            return Invalid(
                f"{item.strip()!r} has no value; torch raises on it",
                "write key:value, for example max_split_size_mb:128",
                True,
            )
        if key not in _ALLOC_KEYS:
            return Invalid(
                f"{key!r} is not an option of the allocator; torch raises on unknown ones",
                "known: " + ", ".join(sorted(_ALLOC_KEYS)),
                True,
            )
    return None
