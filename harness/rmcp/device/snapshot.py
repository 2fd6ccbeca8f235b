"""What the collector read: files of /proc and /sys as text. From the running machine, a captured tree or a
saved file."""

from __future__ import annotations

import json
import os
import re
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.device.bounded import kill_tree, start_bounded
from rmcp.device.numbers import whole
from rmcp.errors import UserError

FORMAT = 1  # of a saved snapshot
_STALL_S = 3.0  # reading sysfs of a card in runtime suspend wakes it, which takes up to a second
_EXIT_S = 0.1  # from the end of output to the end of a process that ends by itself
_RESTARTS = 4  # files that hang, before the rest of the machine is left unread
_MAX_TOTAL = 16 * 1024 * 1024  # bytes of collector output; a big server gives about 1 MB
_COLLECTOR = Path(__file__).with_name("collector.py")
# Kernel command lines can hold passwords and addresses; only these words are kept, the rest is counted.
_CMDLINE = re.compile(
    r"(amdgpu|amdkfd|radeon|nvidia|nouveau|i915|xe|drm|ttm|vfio(-pci)?|pci|pcie_aspm|pcie_ports)([.=].*)?"
    r"|(amd_iommu|intel_iommu|iommu|swiotlb|nomodeset|mitigations|transparent_hugepage|hugepages|isolcpus"
    r"|nohz_full|preempt|lockdown|efi|module_blacklist|modprobe\.blacklist|nomodule|numa_balancing|mem)(=.*)?"
)


@dataclass(frozen=True)
class Snapshot:
    """``files``: path relative to the root -> text; ``problems``: what could not be read, one line each."""

    files: Mapping[str, str]
    problems: tuple[str, ...] = ()
    wedged: tuple[str, ...] = field(default=())  # files whose read did not return

    def get(self, path: str) -> str:
        """The stripped text of a file; empty when it is absent or could not be read."""
        return self.files.get(path, "").strip()

    def below(self, folder: str) -> Iterator[tuple[str, str]]:
        """(path relative to ``folder``, stripped text) of every file under it."""
        prefix = folder.rstrip("/") + "/"
        for path, text in self.files.items():
            if path.startswith(prefix):
                yield path[len(prefix) :], text.strip()

    def children(self, folder: str) -> list[str]:
        """Names directly under ``folder``, sorted with numbers as numbers."""
        names = {path.partition("/")[0] for path, _ in self.below(folder)}
        return sorted(names, key=lambda name: (whole(name) is None, whole(name) or 0, name))

    def as_dict(self) -> dict[str, Any]:
        """The saved form. The command line is reduced to words about devices."""
        files = dict(self.files)
        if "proc/cmdline" in files:
            files["proc/cmdline"] = relevant_cmdline(files["proc/cmdline"])[0] + "\n"
        files = {
            path: _first_cpu(text) if path == "proc/cpuinfo" else text for path, text in sorted(files.items())
        }
        return {
            "rmcp_host": FORMAT,
            "problems": list(self.problems),
            "wedged": list(self.wedged),
            "files": files,
        }


def relevant_cmdline(text: str) -> tuple[str, int]:
    """(the words of a kernel command line that matter for devices, how many others there were)."""
    words = text.split()
    kept = [word for word in words if _CMDLINE.fullmatch(word)]
    return " ".join(kept), len(words) - len(kept)


def read_snapshot(path: Path) -> Snapshot:
    """A snapshot that `rmcp doctor --save` wrote. Raises UserError when it is none or of a newer format."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a saved host: {error}. Make one with `rmcp doctor --save FILE`."
        ) from error
    if not isinstance(raw, dict) or not isinstance(raw.get("files"), dict):
        raise UserError(
            f"{path} is not a saved host: it has no `files`. Make one with `rmcp doctor --save FILE`."
        )
    if raw.get("rmcp_host") != FORMAT:
        raise UserError(
            f"{path} has format {raw.get('rmcp_host')!r}; this rmcp reads {FORMAT}. Use a newer rmcp."
        )
    files = {str(name): str(text) for name, text in raw["files"].items()}
    return Snapshot(files, tuple(map(str, raw.get("problems", ()))), tuple(map(str, raw.get("wedged", ()))))


def take_snapshot(root: Path, *, deadline_s: float) -> Snapshot:
    """Read the machine under ``root`` (a folder, or a saved snapshot file) within ``deadline_s`` seconds.

    Reads happen in a child. A file that does not answer within 3 s is skipped by a fresh child and named in
    ``problems`` and ``wedged``. Raises UserError when ``root`` does not exist.
    """
    if root.is_file():
        return read_snapshot(root)
    if not root.is_dir():
        raise UserError(
            f"no such folder or file: {root}. Give the root of a captured tree or a saved host file."
        )
    end = time.monotonic() + deadline_s
    files: dict[str, str] = {}
    problems: list[str] = []
    wedged: list[str] = []
    for _ in range(_RESTARTS + 1):
        stall = min(_STALL_S, max(0.05, deadline_s / 3))
        stuck = _collect(root, wedged, files, problems, stall, end)
        if stuck is None:
            return Snapshot(files, tuple(dict.fromkeys(problems)), tuple(wedged))
        if time.monotonic() >= end:
            problems.append(f"stopped after {deadline_s:g} s while reading {stuck or 'the first file'}")
            break
        problems.append(f"{stuck or 'the collector'} did not answer within {stall:g} s")
        wedged.append(stuck)
    return Snapshot(files, tuple(dict.fromkeys(problems)), tuple(wedged))


def _collect(
    root: Path, skip: list[str], files: dict[str, str], problems: list[str], stall_s: float, end: float
) -> str | None:
    """One run of the collector; None when it finished, else the path it was stuck at."""
    process = start_bounded([sys.executable, "-I", "-S", str(_COLLECTOR), str(root), *skip])
    trying, buffer, total, done = "", b"", 0, False
    assert process.stdout is not None
    assert process.stderr is not None
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        while not done and total <= _MAX_TOTAL:
            if not selector.select(min(stall_s, max(0.0, end - time.monotonic()))):
                break
            chunk = os.read(fd, 65536)
            if not chunk:
                break
            total += len(chunk)
            *lines, buffer = (buffer + chunk).split(b"\n")
            for line in lines:
                said = json.loads(line)
                trying = said.get("try", trying)
                done = done or bool(said.get("done"))
                if "text" in said:
                    files[said["path"]] = said["text"]
                elif "error" in said:
                    problems.append(f"{said['path']}: {said['error']}")
    early = not done and not _still_runs(process)  # a bug or a kill, no stuck read
    kill_tree(process)
    if early:
        problems.append(f"the collector ended early: {_last_line(process.stderr.fileno())}")
    process.stdout.close()
    process.stderr.close()
    return None if done or early else trying


def _still_runs(process: subprocess.Popen[bytes]) -> bool:
    """Whether it is alive a moment after its output ended; it closes stdout a little before it is reaped."""
    try:
        process.wait(timeout=_EXIT_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _last_line(fd: int) -> str:
    os.set_blocking(fd, False)
    try:
        lines = os.read(fd, 65536).decode("utf-8", "replace").splitlines()
    except OSError:
        lines = []
    return lines[-1].strip() if lines else "silently"


def _first_cpu(text: str) -> str:
    """/proc/cpuinfo reduced to the first processor's lines and one line for each other."""
    first, _, rest = text.partition("\n\n")
    others = [line for line in rest.splitlines() if line.startswith(("processor", "physical id", "core id"))]
    return first + "\n\n" + "\n".join(others) + "\n"
