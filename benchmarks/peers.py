"""rmcp's isolation of ordinary tests beside pytest-forked, -isolate, -isolated, -fkit and -xdist, in one run.

    python benchmarks/peers.py [--tools rmcp,forked] [--faults sigsegv,flood] [--keep DIR] [--json FILE]

Every tool gets a virtual environment of its own. Every fault of tests/integration/faults runs alone between two
healthy tests under every tool; a watchdog ends what never ends. Then healthy tests are timed (`--faults none`: only
that).
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
import xml.etree.ElementTree as ElementTree
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
FAULTS = REPOSITORY / "tests" / "integration" / "faults"
_INSTALL_S = 300.0  # one pip install
_WATCHDOG_S = 25.0  # for one fault file: a 5 s hang, start-up, and patience
_HEALTHY = 60  # tests of the timing where each gets a fresh interpreter
_HEALTHY_FORKED = 600  # and where they do not: what one costs must stand out from the noise of a start
_PATIENCE_S = 300.0  # for the timing: 60 fresh interpreters on a busy machine


@dataclass(frozen=True)
class Tool:
    """What to install and how to ask for isolation with a timeout of 5 s and 2 GiB of memory, where it can."""

    install: tuple[str, ...]
    options: tuple[str, ...]
    healthy: int = _HEALTHY_FORKED


TOOLS = {
    "rmcp": Tool(("pytest", str(REPOSITORY)), ("--rmcp-isolate", "--rmcp-timeout=5", "--rmcp-memory=2GiB")),
    # Both are broken on pytest 9.2: every test fails there.
    "forked": Tool(("pytest==9.1.1", "pytest-forked"), ("--forked",)),
    "isolate": Tool(
        ("pytest==9.1.1", "pytest-isolate"), ("--isolate", "--isolate-timeout=5", f"--isolate-mem-limit={2 * 1024**3}")
    ),
    # These two pay a fresh interpreter per test out of their timeout.
    "isolated": Tool(("pytest", "pytest-isolated"), ("--isolated", "--isolated-timeout=8"), _HEALTHY),
    "fkit": Tool(("pytest", "pytest-fkit"), ("--fkit", "--fkit-mode=isolate", "--fkit-timeout=8"), _HEALTHY),
    "xdist": Tool(("pytest", "pytest-xdist", "pytest-timeout"), ("-n2", "--timeout=5")),
}


@dataclass
class Cell:
    """One fault under one tool. ``end``: ok, wrong, neighbour, dead (no report at all) or hung (watchdog)."""

    end: str
    signal: str = ""  # "name", "number" or ""
    stderr: str = ""  # "right" test of the JUnit file, "wrong" test, or "" when it is lost
    leaked: int = 0
    wall_s: float = 0.0


@dataclass
class Column:
    """All that one tool did."""

    tool: str
    cells: dict[str, Cell] = field(default_factory=dict)
    ms_per_case: float = 0.0  # wall
    cpu_ms_per_case: float = 0.0  # of the runner and all below it that was waited for
    versions: str = ""
    trouble: str = ""


def expectation(name: str) -> dict[str, str]:
    """EXPECT of a fault file."""
    for node in ast.parse((FAULTS / f"test_{name}.py").read_text("utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXPECT":
            found: dict[str, str] = ast.literal_eval(node.value)
            return found
    raise SystemExit(f"{name} has no EXPECT")


def prepare(folder: Path, tool: Tool) -> Path:
    """A virtual environment with the tool; its interpreter."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        argv = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *tool.install]
        subprocess.run(argv, check=True, timeout=_INSTALL_S)
    return python


def versions(python: Path, tool: Tool) -> str:
    """What really was installed: "pytest 9.1.1, pytest-forked 1.7.5"."""
    names = [re.split("[=<>]", word)[0] if "/" not in word else "pytest-rmcp" for word in tool.install]
    code = "import sys, importlib.metadata as m; print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep=', ')"
    return subprocess.run([python, "-c", code, *names], capture_output=True, text=True, timeout=60).stdout.strip()


def living(token: str) -> list[int]:
    """Processes that were started with the token in their environment."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and token.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                stat = Path(f"/proc/{entry}/stat").read_text()
                if stat.rpartition(")")[2].split()[0] not in "ZX":
                    found.append(int(entry))
        except OSError:
            continue
    return found


def run_file(
    python: Path, tool: Tool, file: Path, folder: Path, watchdog_s: float = _WATCHDOG_S
) -> tuple[float, bool, Path, int]:
    """Wall seconds, whether the watchdog had to bite, JUnit file, processes left behind."""
    token = f"rmcp-peers-{time.time_ns()}"
    junit = folder / "junit.xml"
    junit.unlink(missing_ok=True)
    argv = [
        str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={junit}", *tool.options, file.name,
    ]  # fmt: skip
    # The file lies in a folder with a configuration of its own: some tools refuse -c, others lose what is elsewhere.
    (folder / "pytest.ini").write_text("[pytest]\n")
    if file.parent != folder:
        shutil.copy(file, folder)
    environment = {**os.environ, "RMCP_PEERS_TOKEN": token, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    began = time.monotonic()
    with open(folder / "out.txt", "wb") as out:
        runner = subprocess.Popen(
            argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
        try:
            runner.wait(timeout=watchdog_s)
            hung = False
        except subprocess.TimeoutExpired:
            hung = True
        wall = time.monotonic() - began
        if not hung:
            time.sleep(0.3)  # what is only on its way out is not left behind
        left = [pid for pid in living(token) if pid != runner.pid]
        give_up = time.monotonic() + 5.0
        while time.monotonic() < give_up and (pids := living(token)):
            for pid in pids:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.02)
        runner.poll()
    return wall, hung, junit, len(left)


def judge(name: str, junit: Path, wall: float, hung: bool, left: int) -> Cell:
    """Hold the JUnit file against the expectation."""
    expected = expectation(name)
    if hung:
        return Cell("hung", leaked=left, wall_s=wall)
    try:
        cases = {case.get("name", ""): case for case in ElementTree.parse(junit).iter("testcase")}
    except (OSError, ElementTree.ParseError):
        return Cell("dead", leaked=left, wall_s=wall)
    texts = {test: "".join(case.itertext()) + str([e.attrib for e in case.iter()]) for test, case in cases.items()}

    def state(test: str) -> str:
        case = cases.get(test)
        if case is None:
            return "missing"
        if case.find("failure") is not None or case.find("error") is not None:
            return "failed"
        return "skipped" if case.find("skipped") is not None else "passed"

    wanted = {"error": "failed", "xfailed": "skipped"}.get(expected["verdict"], expected["verdict"])
    end = "ok" if state("test_fault") == wanted else "wrong"
    if end == "ok" and not state("test_before") == state("test_after") == "passed":
        end = "neighbour"
    cell = Cell(end, leaked=left, wall_s=wall)
    text = texts.get("test_fault", "")
    if "signal" in expected:
        number = int(getattr(signal, expected["signal"]))
        if expected["signal"] in text:
            cell.signal = "name"
        elif re.search(rf"(signal|code|status)\D{{0,6}}-?{number}\b", text):
            cell.signal = "number"
    if "stderr" in expected:
        mark = re.sub(r"\\x\w\w", "", expected["stderr"]).strip()
        if mark in text:
            cell.stderr = "right"
        elif any(mark in other for other in texts.values()):
            cell.stderr = "wrong"
    return cell


def milliseconds(python: Path, tool: Tool, folder: Path) -> tuple[float, float]:
    """Milliseconds of wall and of processor time of one more healthy test that does nothing; nan: never ended."""
    best = []
    for number in (1, tool.healthy):
        file = folder / f"test_healthy_{number}.py"
        file.write_text("".join(f"def test_{index}(): pass\n" for index in range(number)))
        tries = []
        for _ in range(2):
            before = _children_cpu()
            wall, hung, _junit, _left = run_file(python, tool, file, folder, _PATIENCE_S)
            if hung:
                return math.nan, math.nan
            tries.append((wall, _children_cpu() - before))
        best.append([min(values) for values in zip(*tries, strict=True)])
    wall_ms, cpu_ms = ((many - one) / (tool.healthy - 1) * 1000 for one, many in zip(*best, strict=True))
    return wall_ms, cpu_ms


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def table(columns: list[Column], names: list[str]) -> str:
    """All results side by side."""
    short = {"right": "J", "wrong": "X", "": "-"}
    lines = ["| fault | " + " | ".join(column.tool for column in columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name in names:
        expected, row = expectation(name), []
        for column in columns:
            cell = column.cells.get(name)
            if cell is None:
                row.append("")
                continue
            word = cell.end if cell.end in ("ok", "neighbour") else cell.end.upper()
            marks = {"name": "N", "number": "#", "": "-"}[cell.signal] if "signal" in expected else ""
            marks += short[cell.stderr] if "stderr" in expected else ""
            row.append(" ".join(filter(None, (word, marks, "L" if cell.leaked else ""))))
        lines.append(f"| {name} | " + " | ".join(row) + " |")
    sums = {
        "versions": lambda c: c.versions,
        "right": lambda c: f"{sum(cell.end == 'ok' for cell in c.cells.values())} of {len(c.cells)}",
        "runner dead or hung": lambda c: str(sum(cell.end in ("dead", "hung") for cell in c.cells.values())),
        "signal by name": lambda c: _share(c, "signal", "name"),
        "stderr in JUnit of the right test": lambda c: _share(c, "stderr", "right"),
        "stderr in another test": lambda c: _share(c, "stderr", "wrong"),
        "left processes behind": lambda c: str(sum(bool(cell.leaked) for cell in c.cells.values())),
        "wall s of all": lambda c: f"{sum(cell.wall_s for cell in c.cells.values()):.0f}",
        "ms per healthy case": lambda c: f"{c.ms_per_case:.1f}",
        "CPU ms per healthy case": lambda c: f"{c.cpu_ms_per_case:.1f}",
    }
    for title, count in sums.items():
        lines.append(f"| **{title}** | " + " | ".join(c.trouble or count(c) for c in columns) + " |")
    return "\n".join(lines)


def _share(column: Column, key: str, value: str) -> str:
    asked = [name for name in column.cells if key in expectation(name)]
    return f"{sum(getattr(column.cells[name], key) == value for name in asked)} of {len(asked)}"


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tools", default=",".join(TOOLS), help="only these, separated by commas")
    parser.add_argument("--faults", default="", help="only these, separated by commas")
    parser.add_argument("--keep", type=Path, help="folder for the virtual environments, used again next time")
    parser.add_argument("--json", type=Path, help="write every cell there as well")
    args = parser.parse_args(argv)
    names = sorted(path.stem.removeprefix("test_") for path in FAULTS.glob("test_*.py"))
    if args.faults:
        names = [name for name in args.faults.split(",") if name in names]
    columns = []
    with tempfile.TemporaryDirectory(prefix="rmcp-peers-") as scratch:
        root = args.keep or Path(scratch)
        for title in args.tools.split(","):
            tool, column = TOOLS[title], Column(title)
            columns.append(column)
            folder = Path(scratch) / f"run-{title}"
            folder.mkdir()
            try:
                python = prepare(root / title, tool)
            except (subprocess.SubprocessError, OSError) as error:
                column.trouble = f"not installed: {type(error).__name__}"
                continue
            column.versions = versions(python, tool)
            for name in names:
                wall, hung, junit, left = run_file(python, tool, FAULTS / f"test_{name}.py", folder)
                column.cells[name] = judge(name, junit, wall, hung, left)
                print(f"{title:9} {name:22} {column.cells[name]}", file=sys.stderr)
            column.ms_per_case, column.cpu_ms_per_case = milliseconds(python, tool, folder)
            if args.json:
                args.json.write_text(json.dumps([asdict(each) for each in columns], indent=1))
    print(table(columns, names))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
