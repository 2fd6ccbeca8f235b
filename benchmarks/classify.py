"""How fast is `rmcp.outcome.recognise`? MB/s on four kinds of large logs: python benchmarks/classify.py [MB]."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable

from rmcp.outcome.recognise import recognise

_WORDS = (
    "loading",
    "model",
    "slot",
    "update_slots",
    "id",
    "task",
    "prompt",
    "progress",
    "metrics",
    "throughput",
    "tokens/s",
    "Running",
    "reqs",
    "epoch",
    "loss",
    "step",
    "file",
    "python",
    "torch",
    "worker",
    "cache",
    "usage",
    "GPU",
    "CPU",
    "kernel",
    "default",
    "process",
    "memory",
    "request",
    "failed=0",
    "timeout=30",
)


def ordinary(rng: random.Random) -> str:
    """A server's log line."""
    return f"INFO 02-21 10:31:{rng.randrange(60):02d} [metrics.py:{rng.randrange(999)}] " + " ".join(
        rng.choices(_WORDS, k=14)
    )


def warnings(rng: random.Random) -> str:
    """A benign warning on every line: each is a candidate that has to be looked at."""
    return (
        f"MIOpen(HIP): Warning [IsEnoughWorkspace] [GetSolutionsFallback AI] Solver <GemmFwdRest>, workspace required: "
        f"{rng.randrange(10**9)}, provided ptr: 0 size: {rng.randrange(9)}"
    )


def errors(rng: random.Random) -> str:
    """The word `error` on every line, never a cause."""
    return f"step {rng.randrange(10**6)} error={rng.random():.6f} failed_requests={rng.randrange(9)} " + " ".join(
        rng.choices(_WORDS, k=6)
    )


def noise(rng: random.Random) -> str:
    """Letters without meaning."""
    return "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=100))


def build(line: Callable[[random.Random], str], megabytes: int) -> bytes:
    """A log of that kind: 4 MB of distinct lines, repeated."""
    rng = random.Random(7)
    block = "\n".join(line(rng) for _ in range(40_000)).encode() + b"\n"
    return (block * (megabytes * 1_000_000 // len(block) + 1))[: megabytes * 1_000_000]


def main() -> None:
    """Print one row per kind, without and with a fault at the very end."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    fault = b"\nMemory access fault by GPU node-1 (Agent handle: 0x55) on address 0x7f00. Reason: Unknown.\n"
    for line in (ordinary, warnings, errors, noise):
        data = build(line, megabytes)
        for label, text, expected in (
            ("clean", data, "none"),
            ("fault last", data + fault, "memory_access_fault"),
        ):
            wall, cpu = time.perf_counter(), time.process_time()
            found = recognise(text)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            assert str(found.cause) == expected, (line.__name__, label, found)
            rates = f"{megabytes / cpu:6.0f} MB/s of CPU time, {megabytes / wall:6.0f} MB/s by the clock"
            print(f"{line.__name__:10s} {label:11s} {megabytes:5d} MB {rates}")


if __name__ == "__main__":
    main()
