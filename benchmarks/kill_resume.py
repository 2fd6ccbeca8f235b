"""Kills the runner with SIGKILL at random points, resumes, and counts what was lost: it should be nothing.

    python benchmarks/kill_resume.py [--kills 300] [--cases 60] [--seed 1] [--isolation batch] [--workers 2]

The point is a random number of cases that were started, and a random part of a case's time after that: a point in
time alone would often miss the run, because machines are noisy. For every kill: no process may be left two
seconds later and no control group after the resume, the resumed run must have exactly one row per planned case, all of
them passed, and the case that was in flight must show its `lost` attempt besides the good one.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from rmcp_torch import cgroup

MATRIX = """rmcp: 1
name: kills
defaults: {{workload: noop, device: cpu, timeout: {{case: 30s, silent: 20s}}}}
axes:
  i: {{values: {{{values}}}}}
"""
TOKEN = "KILL_RESUME_TOKEN"


def pytest_words(*options: str) -> list[str]:
    """The command that runs a matrix."""
    plugins = ["-p", "rmcp.plugin", "-p", "no:cacheprovider"]
    if "-n" in options:
        plugins += ["-p", "xdist.plugin"]
    return [sys.executable, "-m", "pytest", "-q", *plugins, *options]


def with_token(token: str) -> list[int]:
    """Living processes that inherited the token."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if f"{TOKEN}={token}".encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except OSError:
                continue
    return found


def pens_of(pid: int) -> list[str]:
    """Control groups that a runner made and nobody removed."""
    place = cgroup.base(os.environ)
    return [name for name in os.listdir(place) if f"-{pid}-" in name and name.startswith("rmcp-")] if place else []


def unharmed(folder: Path, options: list[str]) -> tuple[float, float]:
    """Seconds until the run directory is there, and until the end, of a run that nobody kills."""
    out = folder / "whole"
    started = time.monotonic()
    words = pytest_words("--rmcp-matrix=kills.yaml", f"--rmcp-out={out}", *options)
    runner = subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL)
    while not (out / "latest").exists() and runner.poll() is None:
        time.sleep(0.005)
    begun = time.monotonic() - started
    if runner.wait(300) != 0:
        sys.exit("the run that nobody kills failed")
    return begun, time.monotonic() - started


def wait_for(runner: subprocess.Popen[bytes], out: Path, starts: int) -> None:
    """Until the journals of the run hold this many STARTs (0: until there is a run), or the runner is gone."""
    give_up = time.monotonic() + 120.0
    while runner.poll() is None and time.monotonic() < give_up:
        journals = list((out / "latest" / "journal").glob("*.jsonl"))
        if sum(path.read_bytes().count(b'"kind":"start"') for path in journals) >= starts and (out / "latest").exists():
            return
        time.sleep(0.001)


def one_kill(folder: Path, starts: int, later_s: float, number: int, options: list[str]) -> Counter[str]:
    """Run, kill ``later_s`` seconds after so many STARTs, resume; what was seen as counts, problems with a '!'."""
    seen: Counter[str] = Counter()
    token = f"{os.getpid()}-{number}"
    environment = {**os.environ, TOKEN: token}
    out = folder / f"out{number}"
    words = pytest_words("--rmcp-matrix=kills.yaml", f"--rmcp-out={out}", *options)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    runner = subprocess.Popen(words, cwd=folder, env=environment, **quiet)
    wait_for(runner, out, starts)
    try:
        runner.wait(later_s)
        seen["finished before the kill"] += 1
    except subprocess.TimeoutExpired:
        runner.send_signal(signal.SIGKILL)
        runner.wait(10)
    give_up = time.monotonic() + 2.0
    while (left := with_token(token)) and time.monotonic() < give_up:
        time.sleep(0.02)
    pens = pens_of(runner.pid)  # the runner dies while its zygote imports: then the zygote dies as well, at once
    if left:
        seen["! processes left after 2 s"] += len(left)
    if not (out / "latest").exists():
        seen["killed before the run began"] += 1
        return seen
    resumed = subprocess.run(
        pytest_words("--rmcp-resume", f"--rmcp-out={out}", *options), cwd=folder, env=environment,
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if resumed.returncode not in (0, 5):
        seen[f"! resume ended with {resumed.returncode}"] += 1
        print(resumed.stdout[-2000:], resumed.stderr[-1000:], file=sys.stderr)
    if pens:
        swept, idle = not pens_of(runner.pid), resumed.returncode == 5
        word = "swept by the resume" if swept else "left for the next run" if idle else "left"
        seen[f"{'' if swept or idle else '! '}empty control groups {word}"] += len(pens)
    exported = subprocess.run(
        [sys.executable, "-m", "rmcp.cli", "export", str((out / "latest").resolve()), "--format", "jsonl"],
        cwd=folder, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    rows = [json.loads(line) for line in exported.stdout.splitlines()]
    keys = Counter(row["key"] for row in rows)
    planned = json.loads((out / "latest" / "run.json").read_text())["plan"]["cases"]
    if len(keys) != planned:
        seen["! cases without a row"] += planned - len(keys)
    if len(rows) != len(keys):
        seen["! cases with two rows"] += len(rows) - len(keys)
    for row in rows:
        outcomes = [attempt["outcome"] for attempt in row["attempts"]]
        if row["outcome"] != "pass":
            seen[f"! a case that ended as {row['outcome']}"] += 1
        if "lost" in outcomes:
            seen["lost attempts, run again"] += 1
            if outcomes[-1] != "pass":
                seen["! lost and not run again"] += 1
    seen["resumed to the end"] += 1
    return seen


def main() -> None:
    """Print the counts; exit with 1 when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--isolation", default="fork", help="fork, batch or exec")
    parser.add_argument("--workers", default="", help="also give -n to pytest")
    options = parser.parse_args()
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # others cost a second per start
    rng = random.Random(options.seed)
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        values = ", ".join(f"i{number}: {{}}" for number in range(options.cases))
        (folder / "kills.yaml").write_text(MATRIX.format(values=values))
        extra = ["-n", options.workers] if options.workers else []
        extra.append(f"--rmcp-isolation={options.isolation}")
        begun, whole = unharmed(folder, extra)
        per_case = (whole - begun) / options.cases
        for number in range(options.kills):
            total += one_kill(folder, rng.randint(0, options.cases), rng.uniform(0.0, per_case), number, extra)
            if number % 10 == 9:
                print(number + 1, dict(total), file=sys.stderr, flush=True)
    level = options.isolation + (f" -n{options.workers}" if options.workers else "")
    print(f"{options.kills} kills in runs of {options.cases} cases, {level}: {whole:.1f} s each, from {begun:.1f} s on")
    for what, count in sorted(total.items()):
        print(f"{count:6}  {what}")
    sys.exit(any(what.startswith("!") for what in total))


if __name__ == "__main__":
    main()
