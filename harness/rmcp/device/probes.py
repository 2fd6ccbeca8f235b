"""Questions to programs that may hang: the vendors' tools and the PyTorch of an interpreter, each in a
bounded child."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.device.bounded import Ended, run_bounded

TOOL_S = 10.0  # rocminfo takes 0.1 to 2 s; on a wedged GPU it never returns
TORCH_S = 60.0  # a cold `import torch` from a slow disk takes over 20 s, the first HIP call some more
_TOOLS = (
    ("rocminfo",),
    ("rocm-smi", "--showproductname"),
    ("amd-smi", "list"),
    ("nvidia-smi", "-L"),
)
_TOOL_FOLDERS = ("/opt/rocm/bin", "/usr/lib/wsl/lib")  # where they are when they are not in PATH
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

# Runs in the probed interpreter (Python 3.8 or later). One JSON line per stage, so that a hang leaves what
# came before.
_TORCH_PROBE = r"""
import json, sys
def say(**facts):
    sys.stdout.write("\nRMCP" + json.dumps(facts) + "\n")
    sys.stdout.flush()
say(stage="import", python=sys.version.split()[0])
try:
    import torch
except ImportError as error:
    absent = getattr(error, "name", None) == "torch" or str(error) == "No module named torch"  # Python 2
    say(error="%s: %s" % (type(error).__name__, error), absent=absent)
    sys.exit(0)
version = torch.version
builds = dict(hip=getattr(version, "hip", None), cuda=getattr(version, "cuda", None))
say(stage="devices", torch=torch.__version__, **builds)
kind = "cuda"
if not torch.cuda.is_available() and hasattr(torch, "xpu") and torch.xpu.is_available():
    kind = "xpu"
count = torch.cuda.device_count() if kind == "cuda" else torch.xpu.device_count()
devices = []
for index in range(count):
    one = getattr(torch, kind).get_device_properties(index)
    gfx = getattr(one, "gcnArchName", "").split(":")[0] if torch.version.hip else ""
    devices.append(dict(name=one.name, memory=one.total_memory, gfx=gfx))
archs = torch.cuda.get_arch_list() if kind == "cuda" and count else []
say(stage="canary", devices=devices, archs=archs, kind=kind if count else "cpu")
try:
    total = (torch.ones(64, device=kind if count else "cpu") + 1).sum().item()
    say(stage="libraries", canary=total == 128.0, sum=total)
except Exception as error:
    say(stage="libraries", canary=False, canary_error=str(error).strip().splitlines()[0][:300])
wanted = ("libamdhip64", "libhsa-runtime64", "libMIOpen", "librocblas", "libcudart", "libcudnn")
found = set()
try:
    with open("/proc/self/maps") as maps:
        for line in maps:
            path = line[line.find("/"):].strip() if "/" in line else ""
            if path.rpartition("/")[2].startswith(wanted):
                found.add(path)
except OSError:
    pass
say(stage="", libraries=sorted(found))
"""


@dataclass(frozen=True)
class Tool:
    """What a vendor's tool answered. ``status``: ok, missing, failed or hung; ``lines`` its useful first
    lines."""

    name: str
    status: str
    path: str = ""
    seconds: float = 0.0
    returncode: int | None = None
    lines: tuple[str, ...] = ()
    wedged: bool = False
    agents: tuple[str, ...] = ()  # rocminfo: gfx names of the GPU agents


@dataclass(frozen=True)
class Torch:
    """The PyTorch of one interpreter. ``status``: ok, absent, broken, hung or died; ``stage`` where it
    stopped.

    ``canary``: whether a tiny kernel (on the CPU where there is no device) gave the right sum; None: not
    asked.
    """

    python: str
    status: str
    stage: str = ""
    python_version: str = ""
    torch: str = ""
    hip: str = ""
    cuda: str = ""
    kind: str = "cpu"
    devices: tuple[Mapping[str, Any], ...] = ()
    archs: tuple[str, ...] = ()
    canary: bool | None = None
    libraries: tuple[str, ...] = ()
    detail: str = ""
    seconds: float = 0.0
    this: bool = False  # the interpreter that runs rmcp


@dataclass(frozen=True)
class Probed:
    """All answers."""

    tools: tuple[Tool, ...] = ()
    torches: tuple[Torch, ...] = ()
    problems: tuple[str, ...] = field(default=())


Run = Callable[[Sequence[str], float], Ended]


def probe_all(
    interpreters: Iterable[str], *, tool_s: float = TOOL_S, torch_s: float = TORCH_S, run: Run = run_bounded
) -> Probed:
    """Ask every tool and every interpreter, two at a time; takes at most about half the sum of the
    deadlines."""
    pythons = list(interpreters)
    # Two at a time: several torch imports at once would only slow one another down.
    with ThreadPoolExecutor(max_workers=2) as pool:
        torches = [pool.submit(probe_torch, python, deadline_s=torch_s, run=run) for python in pythons]
        tools = [pool.submit(probe_tool, argv, deadline_s=tool_s, run=run) for argv in _TOOLS]
        limit = torch_s * max(1, len(pythons)) + tool_s * len(_TOOLS) + 10.0
        return Probed(
            tuple(one.result(timeout=limit) for one in tools),
            tuple(one.result(timeout=limit) for one in torches),
        )


def probe_tool(argv: Sequence[str], *, deadline_s: float = TOOL_S, run: Run = run_bounded) -> Tool:
    """Run one tool for at most ``deadline_s`` seconds."""
    name = argv[0]
    path = shutil.which(name) or next(
        (f"{folder}/{name}" for folder in _TOOL_FOLDERS if os.access(f"{folder}/{name}", os.X_OK)), None
    )
    if path is None:
        return Tool(name, "missing")
    ended = run([path, *argv[1:]], deadline_s)
    if ended.missing:
        return Tool(name, "failed", path, lines=(ended.missing,))
    text = _ANSI.sub("", ended.stdout + "\n" + ended.stderr)
    lines = tuple(line.strip() for line in text.splitlines() if re.search(r"[A-Za-z0-9]", line))
    status = "hung" if ended.timed_out else "ok" if ended.returncode == 0 else "failed"
    agents = (
        tuple(re.findall(r"^\s*Name:\s+(gfx[0-9a-f]+)\s*$", text, re.MULTILINE)) if name == "rocminfo" else ()
    )
    return Tool(
        name, status, path, round(ended.seconds, 2), ended.returncode, lines[:8], ended.wedged, agents
    )


def probe_torch(python: str, *, deadline_s: float = TORCH_S, run: Run = run_bounded) -> Torch:
    """Ask one interpreter about its PyTorch: version, build, devices, a tiny kernel, the libraries it
    mapped."""
    ended = run([python, "-c", _TORCH_PROBE], deadline_s)
    this = os.path.abspath(python) == os.path.abspath(sys.executable)
    if ended.missing:
        return Torch(python, "broken", detail=f"cannot be started: {ended.missing}", this=this)
    facts: dict[str, Any] = {}
    for line in ended.stdout.splitlines():
        if line.startswith("RMCP{"):
            try:
                facts.update(json.loads(line[4:]))
            except ValueError:
                continue
    said = [
        line
        for line in (ended.stderr + "\n" + ended.stdout).splitlines()
        if line.strip() and not line.startswith("RMCP{")
    ]
    detail = str(facts.get("canary_error") or facts.get("error") or "")
    if ended.timed_out:
        status, detail = "hung", f"no answer within {deadline_s:g} s"
    elif facts.get("absent"):
        status = "absent"
    elif facts.get("error"):
        status = "broken"
    elif facts.get("stage") != "" or ended.returncode != 0:
        status, detail = "died", f"{_ending(ended)}{': ' + said[-1].strip()[:300] if said else ''}"
    else:
        status = "ok"
    return Torch(
        python=python,
        status=status,
        stage=str(facts.get("stage", "start")),
        python_version=str(facts.get("python", "")),
        torch=str(facts.get("torch", "")),
        hip=str(facts.get("hip") or ""),
        cuda=str(facts.get("cuda") or ""),
        kind=str(facts.get("kind", "cpu")),
        devices=tuple(facts.get("devices", ())),
        archs=tuple(facts.get("archs", ())),
        canary=facts.get("canary"),
        libraries=tuple(facts.get("libraries", ())),
        detail=detail,
        seconds=round(ended.seconds, 2),
        this=this,
    )


def interpreters(environ: Mapping[str, str], extra: Iterable[str] = ()) -> list[str]:
    """This interpreter, the active venv's and conda's, `python3` of PATH, /usr/bin/python3, and ``extra``;
    once each."""
    found = [sys.executable, *extra]
    found += [f"{environ[name]}/bin/python" for name in ("VIRTUAL_ENV", "CONDA_PREFIX") if environ.get(name)]
    on_path = shutil.which("python3", path=environ.get("PATH"))
    found += [on_path] if on_path else []
    found.append("/usr/bin/python3")
    once: dict[tuple[str, str], str] = {}
    for path in found:
        if os.access(path, os.X_OK) or path in extra:
            # python and python3 of one folder are one interpreter; a venv's link and its base are two.
            once.setdefault((os.path.realpath(Path(path).parent), os.path.realpath(path)), path)
    return list(once.values())


def _ending(ended: Ended) -> str:
    if ended.returncode is not None and ended.returncode < 0:
        return f"killed by signal {-ended.returncode}"
    return f"exit code {ended.returncode}"
