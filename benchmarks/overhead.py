"""What isolation costs: `pytest --rmcp-matrix` against a bare fork loop and against fresh interpreters.

    python benchmarks/overhead.py [--cases 500] [--noop 20000] [--plan 100000]

All figures are taken in turn within one run, the floor before and after, because machines are shared and
noisy: read the ratios. The floor is a loop in one process that imported torch: fork, the same convolution
forward and backward with one thread, waitpid. It checks no numbers, keeps no journal and would hang with its
first case. In-process is the same workload with its reference and its comparison, case after case in one
process without pytest: what `batch` costs beyond it is the price of a journal, a guard and a report per case.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

FLOOR = """
import os, sys, time
import torch
def case():
    torch.set_num_threads(1)
    conv = torch.nn.Conv2d(3, 16, 3, padding=1)
    x = torch.randn(1, 3, 32, 32, requires_grad=True)
    conv(x).sum().backward()
def loop(work, count):
    started = time.perf_counter()
    for _ in range(count):
        pid = os.fork()
        if pid == 0:
            try:
                work()
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
    return (time.perf_counter() - started) / count * 1e3
count = int(sys.argv[1])
loop(case, 5)
print(loop(lambda: None, count), loop(case, count))
"""

INPROCESS = """
import sys, time
import torch
from rmcp_torch.context import Context
from rmcp_torch.workloads import registry
torch.set_num_threads(1)
args = dict(n=1, c=3, h=32, w=32, k=16, kernel=3, padding=1, direction="backward")
def case(seed):
    registry.resolve("conv2d")(Context("cpu", seed, lambda message: None), **args)
for seed in range(10):
    case(seed)
count = int(sys.argv[1])
wall, cpu = time.perf_counter(), time.process_time()
for seed in range(10, 10 + count):
    case(seed)
print((time.perf_counter() - wall) / count * 1e3, (time.process_time() - cpu) / count * 1e3)
"""

# VmHWM and not ru_maxrss, which counts the largest child as well.
PEAK = """
import pathlib, pytest
@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    status = pathlib.Path("/proc/self/status").read_text()
    terminalreporter.write_line("peak " + status.split("VmHWM:")[1].split("kB")[0].strip() + " kB")
"""

FRESH = """
import torch
torch.set_num_threads(1)
conv = torch.nn.Conv2d(3, 16, 3, padding=1)
x = torch.randn(1, 3, 32, 32, requires_grad=True)
conv(x).sum().backward()
"""

CONV = """rmcp: 1
name: overhead
defaults:
  workload: conv2d
  device: cpu
  args: {{n: 1, c: 3, h: 32, w: 32, k: 16, kernel: 3, padding: 1, direction: backward}}
limits: {{cases: 1000000}}
axes:
  i: {{values: {{{values}}}}}
"""

NOOP = """rmcp: 1
name: noop
defaults: {{workload: noop, device: cpu}}
limits: {{cases: 1000000}}
axes:
  i: {{values: {{{values}}}}}
"""

PLAN = """rmcp: 1
name: plan
defaults: {{workload: noop, device: cpu}}
limits: {{cases: 1000000}}
axes:
  a: {{values: {{{a}}}}}
  b: {{values: {{{b}}}}}
  c: {{values: {{{c}}}}}
"""


@dataclass(frozen=True)
class Cost:
    """Milliseconds of wall and of processor time per further case; the whole run in s; pytest's peak in MB."""

    ms: float
    cpu_ms: float
    whole_s: float
    peak_mb: float


def values(count: int) -> str:
    """``count`` axis values that differ in nothing but their seed."""
    return ", ".join(f"i{number}: {{seed: {number}}}" for number in range(count))


def arguments(count: int, name: str) -> str:
    """``count`` values of the argument ``name``."""
    return ", ".join(f"{name}{number}: {{args: {{{name}: {number}}}}}" for number in range(count))


def floor(count: int) -> tuple[float, float]:
    """(bare fork, fork with convolution) in milliseconds per case."""
    words = [sys.executable, "-W", "ignore", "-c", FLOOR, str(count)]
    out = subprocess.run(words, capture_output=True, check=True)
    bare, conv = out.stdout.split()
    return float(bare), float(conv)


def in_process(count: int) -> tuple[float, float]:
    """(wall, processor) milliseconds per case of the workload in one process."""
    words = [sys.executable, "-W", "ignore", "-c", INPROCESS, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1] / "harness")}
    out = subprocess.run(words, capture_output=True, check=True, env=environment)
    wall, cpu = out.stdout.split()
    return float(wall), float(cpu)


def fresh(count: int) -> float:
    """Milliseconds of one fresh interpreter that imports torch and convolves."""
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH], check=True)
    return (time.perf_counter() - started) / count * 1e3


def matrix_run(folder: Path, text: str, *options: str) -> tuple[float, float, float]:
    """Wall seconds and processor seconds of a pytest run with all below it, and pytest's own peak memory in MB."""
    file = folder / "overhead.yaml"
    file.write_text(text)
    started, before = time.perf_counter(), _children_cpu()
    words = [sys.executable, "-m", "pytest", f"--rmcp-matrix={file}", "-q", "-p", "no:cacheprovider"]
    (folder / "conftest.py").write_text(PEAK)
    log = folder / "out.txt"
    with log.open("wb") as file:  # no pipe: its reader would wake up for every letter that pytest prints
        status = subprocess.run([*words, *options], cwd=folder, stdout=file, stderr=file, timeout=3600).returncode
    wall, cpu = time.perf_counter() - started, _children_cpu() - before
    out = log.read_text(errors="replace")
    if status != 0:
        sys.exit(f"the run failed with {status}:\n{out[-3000:]}")
    return wall, cpu, int(re.findall(r"peak (\d+) kB", out)[-1]) / 1024


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def per_case(folder: Path, make: str, count: int, *options: str) -> Cost:
    """What one further case costs: the second run takes the start-up out."""
    small = matrix_run(folder, make.format(values=values(10)), *options)
    large = matrix_run(folder, make.format(values=values(count)), *options)
    wall_ms, cpu_ms = ((many - few) / (count - 10) * 1e3 for few, many in zip(small[:2], large[:2], strict=True))
    return Cost(wall_ms, cpu_ms, large[0], large[2])


def main() -> None:
    """Print the table."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--cases", type=int, default=500, help="conv2d cases")
    parser.add_argument("--noop", type=int, default=0, help="do-nothing cases (20000 takes minutes)")
    parser.add_argument("--plan", type=int, default=0, help="cases of the plan")
    parser.add_argument("--fresh", type=int, default=3, help="fresh interpreters")
    parser.add_argument("--levels", default="fork,-n2,batch", help="which runs: fork, -n2, batch, exec")
    options = parser.parse_args()
    rows: list[tuple[str, float, str]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare, first = floor(100)
        runs: dict[str, tuple[str, ...]] = {"fork": (), "-n2": ("-n", "2")}
        runs |= {level: (f"--rmcp-isolation={level}",) for level in ("batch", "exec")}
        measured: dict[str, Cost] = {}
        alone_before = in_process(options.cases)
        for level in filter(None, options.levels.split(",")):
            count = options.cases if level != "exec" else 20
            measured[level] = per_case(folder, CONV, count, *runs[level])
        alone_after = in_process(options.cases)
        inside, inside_cpu = ((a + b) / 2 for a, b in zip(alone_before, alone_after, strict=True))
        bare_after, last = floor(100)
        base = (first + last) / 2
        bare = (bare + bare_after) / 2
        rows.append(("bare fork", bare, ""))
        rows.append((f"floor: fork + convolution (before {first:.1f}, after {last:.1f})", base, "1.00"))
        note = f"before {alone_before[0]:.2f}, after {alone_after[0]:.2f}; processor time {inside_cpu:.2f} ms"
        rows.append(("in-process: the workload without pytest", inside, note))
        for level, cost in measured.items():
            note = (
                f"{cost.ms / base:.2f} of the floor   {cost.ms - inside:+.2f} ms to in-process "
                f"(processor time {cost.cpu_ms:.2f}, {cost.cpu_ms - inside_cpu:+.2f} ms)   "
                f"whole run {cost.whole_s:.1f} s, runner {cost.peak_mb:.0f} MB"
            )
            rows.append((f"pytest --rmcp-matrix {level}", cost.ms, note))
        if options.fresh:
            one = fresh(options.fresh)
            rows.append(("one fresh interpreter per case", one, f"{one / base:.1f} of the floor"))
            for level, cost in measured.items():
                rows.append((f"  fresh / {level}", one / cost.ms, "times"))
        if options.noop:
            cost = per_case(folder, NOOP, options.noop)
            note = f"{cost.ms - bare:+.2f} ms to the bare fork, runner {cost.peak_mb:.0f} MB"
            rows.append((f"{options.noop} do-nothing cases", cost.ms, note))
        if options.plan:
            rows.append(plan(folder, options.plan))
    for label, number, note in rows:
        print(f"{label:60} {number:9.2f}  {note}")


def plan(folder: Path, count: int) -> tuple[str, float, str]:
    """Seconds and memory of `rmcp plan`."""
    side = round(count ** (1 / 3))
    file = folder / "plan.yaml"
    last = -(-count // (side * side))
    file.write_text(PLAN.format(a=arguments(side, "a"), b=arguments(side, "b"), c=arguments(last, "c")))
    started = time.perf_counter()
    words = [sys.executable, "-m", "rmcp.cli", "plan", str(file)]
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(sys.executable, words, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    assert os.waitstatus_to_exitcode(status) == 0
    return f"rmcp plan, {side * side * last} cases, seconds", wall, f"{usage.ru_maxrss / 1024:.0f} MB"


if __name__ == "__main__":
    main()
