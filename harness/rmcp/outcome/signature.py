"""Signatures: one short key for one way to fail, the same whatever the addresses, pids and paths were. Pure."""

from __future__ import annotations

import re

from rmcp.outcome.judgement import SIGNATURE_RULE
from rmcp.words import Cause, Outcome

RULE = SIGNATURE_RULE
_UNKNOWN = "?"  # stands for a part that the evidence does not have
_LENGTH = 120  # characters of one part; a C++ kernel name can be kilobytes long

# Order matters: longest and most special first. Each is replaced by a word that says what stood there.
_NORMALISE: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]"), ""),
    (re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][\w.+@~-]+){2,}[\\/]?"), "<path>"),
    (re.compile(r"\b0[xX][0-9a-fA-F_]+\b|\(nil\)"), "<addr>"),
    (re.compile(r"\b[0-9a-fA-F]{4}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]\b"), "<pci>"),
    (re.compile(r"\bnode-\d+\b"), "node-<n>"),
    (re.compile(r"\b(pid|tid|PID)([:= ]+)\d+"), r"\1\2<n>"),
    (re.compile(r"\b\d+(?:\.\d+)?\s*(?:[KMGT]i?B|bytes)\b"), "<size>"),
    (re.compile(r"(?<![\w<])\d+(?:\.\d+)?(?![\w>])"), "<n>"),
)
_TEMPLATE_NUMBERS = re.compile(r"(?<=[<,( ])-?\d+[uUlL]*(?=[>,) ])")


def normalise(text: str) -> str:
    """The text without what differs between two runs of the same crash: addresses, pids, node ids, paths, numbers."""
    for pattern, word in _NORMALISE:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def normalise_kernel(name: str) -> str:
    """A kernel name without argument list, template numbers, ``.kd`` suffix and unrolling counters."""
    name = name.strip().removesuffix(".kd")
    if name.startswith("_Z"):
        return name[:_LENGTH]  # mangled: already without addresses, and stable for one build of the kernel
    name = re.sub(r"^(?:void|__global__)\s+", "", name)
    cut = name.find("(")
    if cut > 0 and not name.startswith("("):
        name = name[:cut]
    name = _TEMPLATE_NUMBERS.sub("#", name)
    return re.sub(r"_\d+$", "_#", name)[:_LENGTH]  # XLA and Triton number their fusions per compilation


def signature(
    outcome: Outcome,
    cause: Cause,
    signal: str | None,
    layer: str,
    guilty: str,
    phase: str,
) -> str:
    """``outcome|cause|signal|layer|guilty kernel or frame|phase``, `?` where the evidence has nothing."""
    parts = (str(outcome), str(cause), signal or "", layer, guilty, phase)
    return "|".join((part or _UNKNOWN).replace("|", "/") for part in parts)


def signature_of(
    *,
    outcome: Outcome,
    cause: Cause = Cause.NONE,
    signal: str | None = None,
    layer: str = "",
    kernel: str = "",
    frame: str = "",
    phase: str = "",
) -> tuple[str, tuple[str, ...]]:
    """Signature and its alternative titles.

    The titles are the same key with less and less detail: without the kernel name, without layer and phase.
    Two crashes of which one log has the kernel's name and the other has not share such a title.
    """
    if outcome in (Outcome.PASS, Outcome.NOT_RUN, Outcome.BLOCKED, Outcome.UNSUPPORTED):
        return "", ()
    guilty = normalise_kernel(kernel) if kernel else normalise(frame)[:_LENGTH]
    best = signature(outcome, cause, signal, layer, guilty, phase)
    titles = (
        signature(outcome, cause, signal, layer, "", phase),
        signature(outcome, cause, signal, "", "", ""),
    )
    return best, tuple(title for title in dict.fromkeys(titles) if title != best)


def same(a: str, b: str) -> bool:
    """True when two signatures can be the same failure: every part is equal, or unknown in one of them.

    Two *different* kernel names are two failures; a name beside an unknown one is the same failure.
    """
    if not a or not b:
        return a == b
    left, right = a.split("|"), b.split("|")
    return len(left) == len(right) and all(x == y or _UNKNOWN in (x, y) for x, y in zip(left, right, strict=True))


def cluster(signatures: list[str]) -> dict[str, str]:
    """Signature -> representative: a signature with unknown parts joins the one fuller signature it fits.

    When it fits several that differ from each other it stays alone: a guess would merge two crashes.
    """
    unique = sorted(set(signatures), key=lambda s: (s.count(_UNKNOWN), s))
    heads: list[str] = []
    found: dict[str, str] = {}
    for item in unique:
        fitting = [head for head in heads if same(item, head)]
        if len(fitting) == 1:
            found[item] = fitting[0]
        else:
            found[item] = item
            heads.append(item)
    return found
