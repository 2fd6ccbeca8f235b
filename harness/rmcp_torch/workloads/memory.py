"""Device memory: fill it with patterns, read them back, on the device and on the host; every byte is looked at."""

from __future__ import annotations

from typing import Any, Callable, Dict, List

import torch

from rmcp_torch.workloads import measure

_WORD_BYTES = 4  # patterns are written as 32-bit words
_CHUNK_WORDS = 16 * 1024 * 1024  # compared on the host in pieces of 64 MiB


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word


def _constant(word: int) -> Callable[[int, int, str], torch.Tensor]:
    return lambda start, count, device: torch.full((count,), _signed(word), dtype=torch.int32, device=device)


def _address(start: int, count: int, device: str) -> torch.Tensor:
    """Each word holds its own index: finds address lines that are stuck or swapped."""
    return torch.arange(start, start + count, dtype=torch.int32, device=device)


def _hashed(start: int, count: int, device: str) -> torch.Tensor:
    """A cheap mix of the index: every bit changes from word to word. Wraps in 32 bits, everywhere the same."""
    index = torch.arange(start, start + count, dtype=torch.int32, device=device)
    return index.mul_(_signed(2654435761)).add_(12345)  # Knuth's multiplicative hash, modulo 2**32


PATTERNS: Dict[str, Callable[[int, int, str], torch.Tensor]] = {
    "zeros": _constant(0x00000000),
    "ones": _constant(0xFFFFFFFF),
    "xaa": _constant(0xAAAAAAAA),
    "x55": _constant(0x55555555),
    "address": _address,
    "hash": _hashed,
}


def run(ctx: Any, megabytes: int = 64, blocks: int = 4, pattern: str = "all", copies: int = 1) -> None:
    """Fill ``blocks`` blocks of ``megabytes`` MiB together with ``pattern`` and read them back.

    Each block is compared on the device, then copied to the host and compared there; with ``copies`` it is
    first copied that often from block to block on the device. ``pattern``: zeros, ones, xaa, x55, address,
    hash or all. A difference is a mismatch; its detail says how many words and where the first one is.
    """
    wanted = list(PATTERNS) if pattern == "all" else [pattern]
    for name in wanted:
        if name not in PATTERNS:
            raise ValueError("pattern %r is none of all, %s" % (name, ", ".join(PATTERNS)))
    words = int(megabytes) * 1024 * 1024 // _WORD_BYTES // max(1, int(blocks))
    ctx.phase("setup")
    measure.reset_peak(ctx.device)
    held = [torch.empty(words, dtype=torch.int32, device=ctx.device) for _ in range(max(1, int(blocks)))]
    for name in wanted:
        ctx.phase("launch")
        for index, block in enumerate(held):
            block.copy_(PATTERNS[name](index * words, words, ctx.device))
        _shuffle(held, int(copies))
        ctx.phase("sync")
        ctx.synchronize()
        ctx.phase("compare")
        for where, count, first in (
            ("device", *_differences(name, held, words, ctx.device)),
            ("host", *_differences(name, held, words, "cpu")),
        ):
            ctx.checks.append(_check(name + "-" + where, count, first, len(held) * words))
    peak = measure.peak_bytes(ctx.device)
    if peak is not None:
        ctx.metric("peak_bytes", peak)
    ctx.metric("bytes", len(held) * words * _WORD_BYTES)


def _shuffle(held: List[torch.Tensor], copies: int) -> None:
    """Copy every block away and back, on the device."""
    for _ in range(copies):
        for block in held:
            there = block.clone()
            block.zero_()
            block.copy_(there)


def _differences(name: str, held: List[torch.Tensor], words: int, device: str) -> Any:
    """(words that differ, index of the first or -1), compared on ``device``."""
    count, first = 0, -1
    for index, block in enumerate(held):
        for begin in range(0, words, _CHUNK_WORDS):
            size = min(_CHUNK_WORDS, words - begin)
            expected = PATTERNS[name](index * words + begin, size, device)
            wrong = block[begin : begin + size].to(device) != expected
            bad = int(wrong.sum())
            if bad and first < 0:
                first = index * words + begin + int(torch.nonzero(wrong)[0])
            count += bad
    return count, first


def _check(name: str, count: int, first: int, total: int) -> Dict[str, Any]:
    right = count == 0
    detail = "" if right else "%d of %d words differ, the first at word %d" % (count, total, first)
    return {
        "name": name,
        "tight": right,
        "loose": right,
        "fraction_off": count / max(1, total),
        "fingerprint": "" if right else "wrong-values",
        "detail": detail,
    }
