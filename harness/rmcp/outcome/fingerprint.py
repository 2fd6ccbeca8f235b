"""Which ROCm runtime printed an abort line: read from the source line number in ``rocdevice.cpp:LINE``. Pure.

The number is the line of the format text in that release's source; it was read from the release tags and is
printed exact or one less. It says which *runtime* printed the line, and so whether that is the one the case meant
to load: PyTorch wheels carry their own copy, whatever ``/opt/rocm`` holds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_BELOW, _ABOVE = 1, 1  # printed lines differ from the tag by -1 (mostly), 0 or +1


@dataclass(frozen=True)
class Release:
    """The line of the abort message in rocdevice.cpp of one ROCm release."""

    rocm: str
    line: int


RELEASES: tuple[Release, ...] = (
    Release("4.0", 2302),
    Release("4.1", 2324),
    Release("4.2", 2533),
    Release("4.3", 2514),
    Release("4.5", 2589),
    Release("5.0", 2603),
    Release("5.1", 2614),
    Release("5.1", 2615),
    Release("5.2", 2652),
    Release("5.3.0", 2660),
    Release("5.3.1 or later 5.3", 2648),
    Release("5.4", 2673),
    Release("5.5", 2789),
    Release("5.6", 2770),
    Release("5.6", 2777),
    Release("5.7", 2691),
    Release("6.0", 2727),
    Release("6.1.0", 2880),
    Release("6.1.2", 2894),
    Release("6.2", 2985),
)
_NEWER_FROM = 2992  # 2993 to 3672 have been seen in logs of 6.3 and later
_LINE = re.compile(r":0:\s*rocdevice\.cpp\s*:\s*(\d{3,5})\s*:")


def runtimes(line: int) -> tuple[str, ...]:
    """The ROCm releases whose source has the abort message at ``line``, nearest first; empty when none is known."""
    near = [r for r in RELEASES if r.line - _BELOW <= line <= r.line + _ABOVE]
    if near:
        # One less than the tag is the usual reading, so that distance counts as none.
        near.sort(key=lambda r: (min(abs(r.line - 1 - line), abs(r.line - line)), r.rocm))
        return tuple(dict.fromkeys(r.rocm for r in near))
    return ("6.3 or newer",) if line >= _NEWER_FROM else ()


def runtime_of_line(line: int) -> str:
    """The releases of a line number as text, empty when not known."""
    return " or ".join(runtimes(line))


def source_line(text: str) -> int | None:
    """The number in the first ``:0:rocdevice.cpp:LINE:`` of a text."""
    found = _LINE.search(text)
    return int(found.group(1)) if found else None


def warning(hint: str, meant: str) -> str:
    """A sentence when the runtime that printed (``hint``, as in `Recognition.runtime_hint`) is not the one the case
    meant to load (``meant``: a ROCm version such as ``5.2`` or ``6.2.4``), else ''."""
    if not hint or not meant:
        return ""
    wanted = _numbers(meant)
    if not wanted:
        return ""
    for name in hint.split(" or "):
        if name == "newer":
            continue
        if name.startswith("later"):
            name = name.removeprefix("later ")
        known = _numbers(name)
        if "newer" in hint and wanted[:2] >= known[:2]:
            return ""
        if known[: min(len(known), len(wanted), 2)] == wanted[: min(len(known), len(wanted), 2)]:
            return ""
    return (
        f"the abort line was printed by the HIP runtime of ROCm {hint}, but this case meant to load ROCm {meant}: "
        "another copy of libamdhip64 was loaded (a PyTorch wheel carries its own)"
    )


def _numbers(text: str) -> tuple[int, ...]:
    found = re.match(r"\s*(\d+(?:\.\d+)*)", text)
    return tuple(int(part) for part in found.group(1).split(".")) if found else ()
