"""Reads what an attempt left in its directory, bounded, and finds the lines of it that tell the story."""

from __future__ import annotations

import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rmcp.runs.model import AttemptRecord, Run

STREAMS = {
    "stderr": "stderr.txt",
    "stdout": "stdout.txt",
    "stacks": "stacks.txt",
    "kernel": "kernel.log",
    "tasks": "tasks.json",
    "repro": "repro.py",
}
READ_LIMIT = 256 * 1024  # bytes of one file; the capture itself keeps at most 96 KiB of a stream

# Lines worth an eye in a crash log. Not the classification (that is outcome/'s): what is marked for people.
_GUILTY = re.compile(
    r"HSA_STATUS_ERROR|aborting with (?:error|status)|Memory access fault by GPU|HW Exception by GPU"
    r"|MIOpen(?:\(HIP\))? ?Error|miopenStatus(?!Success)|rocBLAS error|hipError(?!_t)|HIP error|CUDA error"
    r"|no kernel image|invalid device function|out of memory|Out of memory|OutOfMemory|Device-side assertion"
    r"|Fatal Python error|Segmentation fault|Bus error|Illegal instruction|core dumped|page fault"
    r"|GPU reset|VRAM is lost|ring \S+ timeout|wedged|in page starting at address|PROTECTION_FAULT_STATUS"
    r"|NVRM: Xid|oom-kill|Killed process|double free|corrupted|Assertion .* failed|stack smashing"
    r"|^\s*(?:\w+\.)*\w*(?:Error|Exception|Interrupt)\b(?::|$)"
)
_NUMBERS = re.compile(r"0x[0-9a-fA-F]+|[0-9]+")
_MOST_ALIKE = 3  # enough to see that it repeats; more would hide the next line that matters


@dataclass(frozen=True)
class Texts:
    """The texts of one attempt; a stream that was not kept is missing from ``streams``."""

    streams: dict[str, str]


def _read(path: Path, limit: int) -> str | None:
    """Head and tail of a regular file; None when there is none or it cannot be read."""
    try:
        # O_NONBLOCK: a fifo that someone put there must not hold the report up.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            return None
        if info.st_size <= limit:
            return os.read(handle, limit).decode("utf-8", "backslashreplace")
        head = os.pread(handle, limit // 2, 0)
        tail = os.pread(handle, limit // 2, info.st_size - limit // 2)
        note = f"\n[... {info.st_size - len(head) - len(tail)} bytes ...]\n".encode()
        return (head + note + tail).decode("utf-8", "backslashreplace")
    except OSError:
        return None
    finally:
        os.close(handle)


def read_texts(run: Run, attempt: AttemptRecord, streams: tuple[str, ...] = tuple(STREAMS)) -> Texts:
    """The texts of ``attempt``; only files inside the run's directory are read."""
    found: dict[str, str] = {}
    if not attempt.directory:
        return Texts(found)
    # A run that was sent by someone else may name any path: `..` must not reach this machine's files.
    folder = Path(os.path.normpath(run.path / attempt.directory))
    if not folder.is_relative_to(os.path.normpath(run.path)):
        return Texts(found)
    for name in streams:
        text = _read(folder / STREAMS[name], READ_LIMIT)
        if text:
            found[name] = text
    return Texts(found)


def guilty_lines(text: str, needles: tuple[str, ...] = ()) -> tuple[int, ...]:
    """Indexes (from 0) of the lines that name a fault, or hold one of ``needles`` (address, kernel ...).

    Of lines that differ in their numbers only (a device assertion prints one per thread) the first few are marked.
    """
    marked = []
    shapes: Counter[str] = Counter()
    sought = tuple(needle for needle in needles if len(needle) >= 6)  # shorter ones are found everywhere
    for index, line in enumerate(text.split("\n")):
        if _GUILTY.search(line) or any(needle in line for needle in sought):
            shape = _NUMBERS.sub("#", line)
            shapes[shape] += 1
            if shapes[shape] <= _MOST_ALIKE:
                marked.append(index)
    return tuple(marked)


def needles_of(attempt: AttemptRecord) -> tuple[str, ...]:
    """Words of the judgement that are worth looking for in the texts: address, kernel, library, status."""
    return tuple(str(value) for value in attempt.fields.values() if isinstance(value, str))
