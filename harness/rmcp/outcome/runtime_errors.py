"""Finds HIP and CUDA runtime statuses in a line: by text, by name or by number (the tables are in `patterns`). Pure."""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rmcp.outcome.patterns import (
    DRIVER_NAMES,
    OLD_HIP_NUMBERS,
    RUNTIME_ERRORS,
    RUNTIME_PREFIX,
    Pattern,
    Rank,
    RuntimeStatus,
)
from rmcp.words import Cause

# Literals of which every line with a runtime status has one.
RUNTIME_NEEDLES = (
    *(
        f"{flavour}{word}"
        for flavour in ("CUDA", "Cuda", "cuda", "HIP", "Hip", "hip", "ROCm", "ROCM", "MUSA", "GPU")
        for word in (
            " error",
            " Error",
            " ERROR",
            "Error",
            " runtime ",
            " driver ",
            " API ",
            " kernel error",
            " failure",
            " Failure",
            " failed with error",
            " exception",
        )
    ),
    "Error_t(",
    "Success (",
    "(): ",
    "CUDA_ERROR_",
    "HIP_ERROR_",
    "ROCM_ERROR_",
    "Triton Error",
    "Program hit ",
    " error encountered: ",
    *(f"{lead}{text}" for lead in ("Error ", "Error: ", "error: '") for text in ("invalid", "an illegal", "no kernel", "out of memory", "unspecified")),
    "DriverError(",
    "CudaAPIError: [",
    "THCudaCheck FAIL",
    *(text for status in RUNTIME_ERRORS for text in status.texts if status.distinct),
)
_NAMED = re.compile(
    r"(?P<full>(?P<kind>hipError|cudaError|CUDA_ERROR_|HIP_ERROR_|ROCM_ERROR_)(?P<name>[A-Z]\w+))"
    r"(?P<tail>\s*[:)]|'\s*\(\d+\)|\s*\(\d+\)|['\"]\s*:\d+|\"\s*\(\d+\)|(?= (?:at|in) (?:line|file|function|\S+\.(?:cu|cuh|cpp|hip|c|cc|h|hpp))\b)|(?= (?:initialization error|out of memory|invalid [a-z ]+|unspecified launch failure)\s*$)|\s*!*\s*$)"
)
# A status inside the exception of a binding: AMDGPU.jl's HIPError(code X, text), cudarc's DriverError(X, text),
# compute-sanitizer's `Program hit X (error N) due to "text"`, the collective tests' `Test HIP failure file:1 'X'`.
_BOUND = re.compile(
    r"(?:HIPError\(code |DriverError\(|Program hit |Test (?:HIP|CUDA) failure \S+:\d+ ')(?P<full>(?P<kind>hipError|cudaError|CUDA_ERROR_)(?P<name>[A-Z]\w+))(?:(?=,)|'|(?: \(error \d+\))? due to \"[^\"\n]+\"[^\n]*)"
)
_NAME_LEAD = re.compile(
    r"(?:results in|\[ERROR\]|[Ee]rror\w*|ERROR|[Ff]ail\w*|[Rr]eturned|[Cc]ode|[Ss]tatus|\bwhat\(\)|with|[Ee]xception)[^\w]{0,6}(?:code|status|with|number)?[\s=:(\d'\"]*$|->\s*$|:\s*$|\(\s*$"
    r"|\b(?:HIP|CUDA) error in file \S+ line \d+:?\s*$"  # AMReX
)
# A bare number: hipError_t(98) of XLA and TensorFlow, `Check failed: err == hipSuccess (98 vs. 0)` of glog,
# `hipModuleGetFunction(): 500` of hashcat.
_NUMBERED = re.compile(
    r"\b(?P<a>hip|cuda)Error_t\((?P<na>\d{1,4})\)|Check failed: [^\n]{1,80}? == (?P<b>hip|cuda)Success \((?P<nb>\d{1,4}) vs\. 0\)"
    r"|\b(?P<d>Cuda)APIError: \[(?P<nd>\d{1,4})\]|^(?P<c>hip|cuda|cu)[A-Z]\w+\(\): (?P<nc>\d{1,4})\s*$"
)
# torch 2.7 and later add where to read about a status; where its own line is lost, this one names it.
# A text with its place and no runtime's name: HIP samples' macro, rocm-examples, bitsandbytes.
_PLACED = (
    r"(?:\bAn )?\b[Ee]rror(?: encountered)?:? ?(?P<q>[\"']?)(?P<text>{texts})(?P=q)(?:\s*\(\d+\))? at (?:line \d+ in file )?"
    r"(?P<file>[^\s\"']*\.(?:hip|cu|cuh|cpp|cc|h|hpp)\b)"
)
# HIP's own tests and hashcat, which print the text and nothing before it but the call.
_TOLD = (
    r"^Error: (?P<text>invalid device function|invalid kernel file|unspecified launch failure|an illegal memory access was encountered)\s*$"
    r"|^(?P<call>hip|cuda?)[A-Z]\w+\(\): (?P<text2>{texts})\s*$"
)
_OLD_TORCH = re.compile(r"THCudaCheck FAIL file=\S+ line=\d+ error=\d+ : (?P<text>[a-z][^\n]+)")  # torch up to 1.4
_TRITON = re.compile(r"Triton Error \[(CUDA|HIP)\]")
_HINT = re.compile(r"Search for `(?P<name>(?:cuda|hip)Error[A-Z]\w+)' in https?://")


@dataclass(frozen=True)
class Status:
    """A runtime status on a line; ``start`` and ``end`` are positions of the whole message in the line."""

    pattern: Pattern
    cause: Cause
    fields: Mapping[str, Any]
    start: int
    end: int
    text: str
    rank: Rank


@lru_cache(maxsize=1)
def _tables() -> tuple[
    re.Pattern[str],
    re.Pattern[str],
    dict[str, RuntimeStatus],
    dict[int, RuntimeStatus],
    dict[str, RuntimeStatus],
]:
    by_text = {text: status for status in RUNTIME_ERRORS for text in status.texts}
    ordered = sorted(by_text, key=len, reverse=True)
    every = "(?i:" + "|".join(re.escape(text) for text in ordered) + ")"
    distinct = "|".join(re.escape(text) for text in ordered if by_text[text].distinct)
    prefixed = re.compile(RUNTIME_PREFIX + rf"(?P<text>{every})?")
    alone = re.compile(rf"(?P<text>{distinct})")
    by_text |= {text.lower(): status for text, status in by_text.items()}
    by_code = {status.code: status for status in RUNTIME_ERRORS}
    by_code |= {old: by_code[new] for old, new in OLD_HIP_NUMBERS.items()}
    by_name: dict[str, RuntimeStatus] = {}
    for status in RUNTIME_ERRORS:
        by_name["hip" + status.hip] = status
        if status.cuda:
            by_name["cuda" + status.cuda] = status
        by_name.setdefault("cuda" + status.hip, status)
        by_name.setdefault("hip" + status.cuda, status)
    return prefixed, alone, by_text, by_code, by_name


@lru_cache(maxsize=1)
def _told() -> re.Pattern[str]:
    texts = sorted((text for status in RUNTIME_ERRORS for text in status.texts), key=len, reverse=True)
    return re.compile(_TOLD.format(texts="|".join(re.escape(text) for text in texts)))


@lru_cache(maxsize=1)
def _placed() -> re.Pattern[str]:
    texts = sorted((text for status in RUNTIME_ERRORS for text in status.texts), key=len, reverse=True)
    return re.compile(_PLACED.format(texts="|".join(re.escape(text) for text in texts)))


def runtime_error(line: str, joined: str) -> Status | None:
    """The first runtime status that a line carries. ``joined`` is the line with what follows it, for wrapped ones."""
    prefixed, alone, by_text, by_code, _ = _tables()
    triton = _TRITON.search(line)
    if triton is not None:  # the same length, so that positions stay right
        found = runtime_error(_TRITON.sub(r"Triton  \1 error ", line), joined)
        return replace(found, start=min(triton.start(), found.start)) if found is not None else None
    hint = _HINT.search(line)
    if hint is not None:
        shorter = line[: hint.start()]
        return runtime_error(shorter, shorter) or _hinted(hint)
    bound = _BOUND.search(line)
    if bound is not None:
        status = _by_name(bound)
        if status is not None:
            return _status(status, "HIP" if bound["kind"] == "hipError" else "CUDA", line, bound.start(), bound.end())
    named = _named(line)
    for match in prefixed.finditer(line):
        text = match["text"]
        number = int(match["number"]) if match["number"] else None
        status = by_text.get((text or "").lower()) or by_code.get(number or 0)
        if status is None:
            if text is None and number is None and line[match.start() :].rstrip().endswith(":"):
                wrapped = prefixed.match(joined, match.start())
                status = by_text.get((wrapped["text"] or "").lower() if wrapped else "")
            if status is None:
                continue
        if text is None and number is not None and not 0 < number < 1100:
            continue
        if named is not None and named.start <= match.start():
            return named
        return _status(status, match["flavour"], line, match.start(), max(match.end(), match.start() + 1))
    if named is not None:
        return named
    numbered = _NUMBERED.search(line)
    if numbered is not None:
        kind = numbered["a"] or numbered["b"] or numbered["c"] or numbered["d"]
        status = by_code.get(int(numbered["na"] or numbered["nb"] or numbered["nc"] or numbered["nd"]))
        if status is not None:
            flavour = "HIP" if kind == "hip" else "CUDA"
            return _status(status, flavour, line, numbered.start(), numbered.end())
    old = _OLD_TORCH.search(line)
    if old is not None and (known := by_text.get(old["text"].strip().lower())):
        return _status(known, "CUDA", line, old.start(), old.end())
    told = _told().search(line)
    if told is not None:
        flavour = "CUDA" if told["call"] in ("cu", "cuda") else "HIP"
        return _status(by_text[told["text"] or told["text2"]], flavour, line, told.start(), told.end())
    placed = _placed().search(line)
    if placed is not None:
        flavour = "CUDA" if placed["file"].endswith((".cu", ".cuh")) else "HIP"
        return _status(by_text[placed["text"]], flavour, line, placed.start(), placed.end())
    for match in alone.finditer(line):
        before = line[: match.start()]
        flavour = "HIP" if re.search(r"\bHIP\b|\bhip|ROCm|ROCM", before) else "CUDA"
        if "ROCm-capable" in match["text"]:
            flavour = "HIP"
        return _status(by_text[match["text"]], flavour, line, match.start(), match.end())
    return _other(line)


_UNKNOWN_TEXT = re.compile(
    r"(?:^|[:>\])] ?|\s)(?P<flavour>CUDA|HIP|ROCm|Triton) [Ee]rror(?: \[\w+\])?:\s+(?P<detail>(?!(?:CU|HIP)BLAS|s\b)[A-Za-z][^\n]{2,200})"
)


def _other(line: str) -> Status | None:
    """`CUDA error: <a text that the table does not have>`: an exception, whatever it says."""
    found = _UNKNOWN_TEXT.search(line)
    if found is None:
        return None
    named = re.match(r"[A-Z_]+(?= in \w+\()", found["detail"])  # Cycles up to 2.7: CUDA error: OUT_OF_MEMORY in cuMemAlloc(...)
    status = _tables()[3].get(DRIVER_NAMES.get(named.group(), 0)) if named else None
    if status is not None:
        return _status(status, found["flavour"], line, found.start(), found.end())
    pattern = Pattern("runtime-other", Cause.PYTHON_EXCEPTION_OTHER, "", (), "", "", "runtime")
    return Status(pattern, pattern.cause, {}, found.start(), len(line), found.group(), Rank.WEAK)


def _by_name(match: re.Match[str]) -> RuntimeStatus | None:
    """The status of a constant, from its prefix (``kind``) and the rest of its name."""
    *_, by_code, by_name = _tables()
    kind = match["kind"]
    if not kind.endswith("_"):
        return by_name.get(kind.removesuffix("Error") + match["name"])
    code = DRIVER_NAMES.get(match["name"])
    return by_code.get(code) if code is not None else by_name.get("hip" + match["name"])


def _hinted(hint: re.Match[str]) -> Status | None:
    status = _tables()[4].get(hint["name"].replace("Error", "", 1))
    if status is None:
        return None
    flavour = "HIP" if hint["name"].startswith("hip") else "CUDA"
    found = _status(status, flavour, hint.group(), 0, len(hint.group()))
    return replace(found, start=hint.start(), end=hint.end(), rank=min(found.rank, Rank.DOWNSTREAM))


def _named(line: str) -> Status | None:
    for match in _NAMED.finditer(line):
        tail = match["tail"].strip()
        lead = _NAME_LEAD.search(line[: match.start()])
        if not (lead or (tail == ":" and match.start() == 0)):
            continue
        kind = match["kind"]
        status = _by_name(match)
        if status is None:
            continue
        flavour = "HIP" if kind.lower().startswith(("hip", "rocm")) else "CUDA"
        whole = lead is not None and lead.group().startswith(("HIP", "CUDA"))
        return _status(status, flavour, line, lead.start() if lead and whole else match.start(), match.end())
    return None


def _status(status: RuntimeStatus, flavour: str, line: str, start: int, end: int) -> Status:
    hip = flavour.lower() in ("hip", "rocm")
    name = f"hipError{status.hip}" if hip else f"cudaError{status.cuda or status.hip}"
    fields: dict[str, Any] = {"hip_error" if hip else "cuda_error": name}
    if status.code >= 700:
        fields["code"] = status.code
    if status.cause is Cause.ILLEGAL_INSTRUCTION:
        fields["where"] = "gpu"
    pattern = Pattern(f"runtime-{status.code}", status.cause, "", (), "", "", "runtime")
    # A status that only says "it failed" is often what is left of a fault that another line names.
    rank = Rank.DOWNSTREAM if status.cause is Cause.PYTHON_EXCEPTION_OTHER else Rank.PRIMARY
    return Status(pattern, status.cause, fields, start, end, line[start:end], rank)
