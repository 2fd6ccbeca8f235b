"""Runs made in code: every outcome, hostile texts, and as many cases as one likes."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmcp.runs.model import AttemptRecord, CaseRecord, Problem, Run
from rmcp.words import OUTCOMES, Cause, DeviceEvent, Outcome, Verdict

CLOCK = 1_790_000_000.0  # a fixed wall clock: reports of equal runs are equal

# What a failure looks like: cause, signal, message, stderr.
_LOOKS: dict[Outcome, tuple[Cause, str | None, str, str]] = {
    Outcome.CRASH: (
        Cause.APERTURE_VIOLATION,
        "SIGABRT",
        "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory beyond the largest "
        "legal address.",
        "MIOpen(HIP): Warning [SQLiteBase] Missing system database file: gfx1010_18.kdb\n"
        ":0:rocdevice.cpp            :2985: 1234567890 us: [pid:4242 tid:0x7f0c4b7fe640] "
        "Callback: Queue 0x7f0b00000000 aborting with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: "
        "The agent attempted to access memory beyond the largest legal address. code: 0x29\n"
        "Fatal Python error: Aborted\n\nCurrent thread 0x00007f0cf2c01740 (most recent call first):\n"
        '  File "torch/nn/modules/conv.py", line 456 in _conv_forward\nAborted (core dumped)\n',
    ),
    Outcome.HANG: (Cause.GPU_HANG_RESET, None, "no heartbeat for 45 s in phase sync", "waiting\n"),
    Outcome.TIMEOUT: (Cause.NONE, None, "120 s are over, still in phase launch", "MIOpen: compiling ...\n"),
    Outcome.MISMATCH: (
        Cause.NONE,
        None,
        "output: 12.5 % of values are off, worst 0.91 against a bound of 0.0004 (halo)",
        "",
    ),
    Outcome.ERROR: (
        Cause.MIOPEN_ERROR,
        None,
        "RuntimeError: miopenStatusUnknownError",
        "MIOpen Error: /src/hipoc/hipoc_program.cpp:304: Code object build failed.\n",
    ),
    Outcome.OOM: (
        Cause.OUT_OF_MEMORY,
        None,
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 9.00 GiB",
        "",
    ),
    Outcome.NO_RESULT: (Cause.NONE, None, "exit status 0 without a result", ""),
    Outcome.UNKILLABLE: (
        Cause.NONE,
        None,
        "not reaped 20 s after SIGKILL: state D in kfd_process_destroy",
        "",
    ),
    Outcome.TAINTED: (Cause.GPU_HANG_RESET, None, "right result, but the kernel log names a GPU reset", ""),
}


def attempt(number: int = 1, outcome: Outcome = Outcome.PASS, **changes: Any) -> AttemptRecord:
    """An attempt of this outcome as it would look."""
    cause, signal, message, _ = _LOOKS.get(outcome, (Cause.NONE, None, "", ""))
    phases = (
        ("import", 0.0),
        ("setup", 0.4),
        ("reference", 0.45),
        ("launch", 0.9),
        ("sync", 1.0),
        ("compare", 1.3),
    )
    ended = {Outcome.CRASH: 5, Outcome.HANG: 5, Outcome.ERROR: 4}.get(outcome, 6)
    values: dict[str, Any] = {
        "number": number,
        "outcome": outcome,
        "cause": cause,
        "signal": signal,
        "exit_code": None if signal else 0,
        "signature": "" if outcome is Outcome.PASS else f"{outcome}|{cause}|{signal or ''}|hip|naive_conv_fwd|sync",
        "message": message,
        "phase": phases[ended - 1][0],
        "phases": phases[:ended],
        "duration_s": 1.5 + number,
        "maxrss_kb": 640_000,
        "wall_start": CLOCK,
        "observed": {"torch": "2.13.0", "conv_backend": "Miopen"},
        "metrics": {"first_s": 0.25, "median_s": 0.011} if outcome in (Outcome.PASS, Outcome.WARN) else {},
        "source": "stderr" if cause is not Cause.NONE else "",
        "device": DeviceEvent.FAULT if outcome is Outcome.CRASH else DeviceEvent.NONE,
    }
    if outcome is Outcome.MISMATCH:
        picture = tuple("0" * 5 + "9" * 3 + "4" * 2 + "0" * 6 for _ in range(12))
        values["checks"] = (
            {
                "name": "output",
                "tight": False,
                "loose": False,
                "max_abs": 0.91,
                "bound": 4e-4,
                "fraction_off": 0.125,
                "fingerprint": "halo",
                "picture": picture,
            },
        )
    return AttemptRecord(**{**values, **changes})


def case(axes: Mapping[str, str], outcome: Outcome = Outcome.PASS, **changes: Any) -> CaseRecord:
    """A conv2d case of these axis values."""
    name = f"conv2d[{'/'.join(axes.values())}]"
    verdict = Verdict.EXPECTED if OUTCOMES[outcome].klass.value == "passed" else Verdict.UNEXPECTED
    if OUTCOMES[outcome].klass.value in ("no verdict", "not run"):
        verdict = Verdict.NO_VERDICT
    never = outcome in (Outcome.NOT_RUN, Outcome.BLOCKED, Outcome.UNSUPPORTED)
    attempts = changes.pop("attempts", () if never else (attempt(1, outcome),))
    last = attempts[-1] if attempts else None
    rest = {axis: value for axis, value in axes.items() if axis != "runtime"}
    values: dict[str, Any] = {
        "id": name,
        "key": hashlib.sha256(name.encode("utf-8", "replace")).hexdigest(),
        "row": hashlib.sha256(repr(sorted(rest.items())).encode("utf-8", "replace")).hexdigest(),
        "workload": "conv2d",
        "axes": dict(axes),
        "args": {
            "n": 1,
            "c": 3,
            "h": 32,
            "w": 32,
            "k": 16,
            "kernel": 3,
            "padding": 1,
            "dtype": axes.get("dtype", "float32"),
        },
        "env": {"HSA_ENABLE_SDMA": "0"} if axes.get("env") == "no-sdma" else {},
        "runtime": {"name": axes.get("runtime", "this")},
        "outcome": outcome,
        "cause": last.cause if last else Cause.NONE,
        "signal": last.signal if last else None,
        "signature": last.signature if last else "",
        "verdict": verdict,
        "attempts": attempts,
        "reason": "needs a ROCm device" if outcome is Outcome.UNSUPPORTED else "",
    }
    return CaseRecord(**{**values, **changes})


def run_of(cases: Sequence[CaseRecord], path: Path | str = "/nonexistent/run", **changes: Any) -> Run:
    """A finished run of these cases."""
    values: dict[str, Any] = {
        "id": "20260921-141320.000-abcd",
        "path": Path(path),
        "manifest": {"format": 1, "matrix": {"name": "conv2d", "path": "conv2d.yaml"}, "created": CLOCK},
        "cases": tuple(cases),
        "facts": {
            "host": "bench",
            "kernel": "6.8.0",
            "gfx": "gfx1010",
            "gpu": "AMD Radeon RX 5600 XT",
            "cmdline": "amdgpu.noretry=0",
        },
        "runtimes": {
            "this": {
                "python": "3.11.9",
                "torch": "2.13.0",
                "rocm": "6.2",
                "device_name": "AMD Radeon RX 5600 XT",
            }
        },
        "compare_axes": ("runtime",),
        "finished": True,
    }
    return Run(**{**values, **changes})


def every_outcome(path: Path | str = "/nonexistent/run") -> Run:
    """A run that holds every outcome, an expected failure, an unexpected pass, a flaky case and a problem."""
    cases = [case({"runtime": "this", "dtype": "float32", "shape": f"s-{o}"}, o) for o in Outcome]
    axes = {"runtime": "this", "dtype": "float16"}
    cases += [
        case(
            {**axes, "shape": "known"},
            Outcome.CRASH,
            verdict=Verdict.EXPECTED,
            reason="coherent memory default of ROCm 6.2+",
        ),
        case({**axes, "shape": "better"}, Outcome.PASS, verdict=Verdict.IMPROVED),
        case(
            {**axes, "shape": "flaky"},
            Outcome.PASS,
            attempts=(attempt(1, Outcome.CRASH), attempt(2, Outcome.MISMATCH), attempt(3)),
            stability="flaky 2/3",
        ),
    ]
    return run_of(cases, path, problems=(Problem("journal/main.jsonl:17", "torn last line"),))


def store_texts(run: Run, texts: Mapping[str, str]) -> Run:
    """Give every attempt that did not pass a folder with these files (and its look's stderr)."""
    cases = []
    for index, item in enumerate(run.cases):
        attempts = []
        for one in item.attempts:
            look = _LOOKS.get(one.outcome)
            if one.outcome is Outcome.PASS:
                attempts.append(one)
                continue
            relative = f"attempts/case-{index}/{one.number}"
            (run.path / relative).mkdir(parents=True, exist_ok=True)
            files = {"stderr.txt": look[3] if look else "", **texts}
            for name, text in files.items():
                if text:
                    (run.path / relative / name).write_bytes(text.encode("utf-8", "surrogatepass"))
            attempts.append(dataclasses.replace(one, directory=relative))
        cases.append(dataclasses.replace(item, attempts=tuple(attempts)))
    return dataclasses.replace(run, cases=tuple(cases))


def large(count: int, seed: int = 1, runtime: str = "this", fail: float = 0.15) -> Iterator[CaseRecord]:
    """``count`` cases over five axes; failures cluster on values, as real ones do."""
    dice = random.Random(seed)
    axes = {
        "env": [f"env{i}" for i in range(10)],
        "memory_format": ["contiguous", "channels_last"],
        "dtype": ["float32", "float16", "bfloat16"],
        "shape": [f"c{c}-h{h}-k{k}" for c in (3, 16, 32, 64, 128, 256) for h in range(7, 231, 4) for k in (1, 3, 5, 7)],
    }
    shapes = -(-count // 60)
    axes["shape"] = axes["shape"][:shapes] + [f"s{i}" for i in range(max(0, shapes - len(axes["shape"])))]
    ways = (Outcome.CRASH, Outcome.HANG, Outcome.MISMATCH, Outcome.ERROR, Outcome.OOM)
    for values in itertools.islice(itertools.product(*axes.values()), count):
        bad = (
            values[2] == "float16" and values[1] == "channels_last" and dice.random() < 4 * fail
        ) or dice.random() < fail / 4
        outcome = dice.choice(ways) if bad else Outcome.PASS
        named = {"runtime": runtime, **dict(zip(axes, values, strict=True))}
        seconds = round(dice.lognormvariate(-4, 0.7), 6)
        yield case(
            named,
            outcome,
            attempts=(
                attempt(1, outcome, duration_s=round(dice.lognormvariate(0, 0.7), 3), metrics={"median_s": seconds}),
            ),
        )


# (name, what it was, what it is); None: not in that run. Together they hold every change class.
EVERY_CHANGE: tuple[tuple[str, Outcome | None, Outcome | None], ...] = (
    ("regression", Outcome.PASS, Outcome.CRASH),
    ("regression-silent", Outcome.PASS, Outcome.MISMATCH),
    ("worse", Outcome.ERROR, Outcome.CRASH),
    ("worse-warn", Outcome.PASS, Outcome.WARN),
    ("lateral", Outcome.CRASH, Outcome.MISMATCH),
    ("lateral-back", Outcome.MISMATCH, Outcome.ERROR),
    ("lateral-word", Outcome.CRASH, Outcome.HANG),
    ("fix", Outcome.HANG, Outcome.PASS),
    ("better", Outcome.CRASH, Outcome.ERROR),
    ("signature", Outcome.CRASH, Outcome.CRASH),
    ("new", None, Outcome.CRASH),
    ("gone", Outcome.PASS, None),
    ("disabled", Outcome.PASS, Outcome.UNSUPPORTED),
    ("enabled", Outcome.UNSUPPORTED, Outcome.CRASH),
    ("probably-flaky", Outcome.PASS, Outcome.CRASH),
    ("no-verdict", Outcome.PASS, Outcome.LOST),
    ("perf", Outcome.PASS, Outcome.PASS),
    ("unchanged", Outcome.PASS, Outcome.PASS),
    ("unchanged-crash", Outcome.CRASH, Outcome.CRASH),
    ("unchanged-blocked", Outcome.BLOCKED, Outcome.BLOCKED),
)


def pair_of_every_change(seed: int = 2) -> tuple[list[CaseRecord], list[CaseRecord]]:
    """Cases of two runtimes, `5.2` and `6.2`, one pair per line of EVERY_CHANGE."""
    dice = random.Random(seed)
    sides: tuple[list[CaseRecord], list[CaseRecord]] = ([], [])
    for name, *outcomes in EVERY_CHANGE:
        for index, (runtime, outcome) in enumerate(zip(("5.2", "6.2"), outcomes, strict=True)):
            if outcome is None:
                continue
            one = attempt(1, outcome)
            if name == "signature" and index:
                one = attempt(1, outcome, signature="crash|segfault|SIGSEGV|torch|im2col|launch", cause=Cause.SEGFAULT)
            if name == "perf":
                times = [round((0.01 + 0.02 * index) * dice.uniform(0.95, 1.05), 5) for _ in range(9)]
                one = attempt(1, outcome, metrics={"median_s": sorted(times)[4], "samples_s": times})
            more: dict[str, Any] = {"attempts": (one,)} if outcome not in (Outcome.UNSUPPORTED, Outcome.BLOCKED) else {}
            if name == "probably-flaky":  # never failed in three attempts, then once in three
                ways = (Outcome.PASS, Outcome.CRASH, Outcome.PASS) if index else (Outcome.PASS,) * 3
                more = {
                    "attempts": tuple(attempt(n, way) for n, way in enumerate(ways, 1)),
                    "deciding": 1 if index else -1,
                    "stability": "flaky 1/3" if index else "confirmed 3/3",
                }
            sides[index].append(case({"runtime": runtime, "dtype": "float32", "shape": name}, outcome, **more))
    return sides
