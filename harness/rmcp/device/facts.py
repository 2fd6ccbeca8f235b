"""What this machine is: GPUs, driver, kernel, CPU, ROCm. Standard library only; every read bounded.

`host_facts` reads (in a child, see snapshot.py) and `facts_of` interprets; the second is pure, so that a
captured tree or a saved host is a test.
"""

from __future__ import annotations

import dataclasses
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.device.gpus import Gpu, find_gpus
from rmcp.device.numbers import whole
from rmcp.device.parameters import meaning
from rmcp.device.snapshot import Snapshot, relevant_cmdline, take_snapshot

# Bits of /proc/sys/kernel/tainted (kernel Documentation/admin-guide/tainted-kernels.rst).
_TAINT = {
    0: "proprietary module",
    1: "module forced in",
    2: "out of specification",
    3: "module forced out",
    4: "machine check",
    5: "bad page",
    6: "user request",
    7: "kernel died (oops)",
    8: "ACPI table overridden",
    9: "kernel warning",
    10: "staging driver",
    11: "firmware bug worked around",
    12: "out-of-tree module",
    13: "unsigned module",
    14: "soft lockup",
    15: "live-patched",
}


@dataclass(frozen=True)
class Cpu:
    """The processor. ``cores`` is None where the kernel does not tell; memory in bytes."""

    model: str = ""
    logical: int = 0
    cores: int | None = None
    memory_bytes: int = 0
    memory_limit_bytes: int | None = None
    virtual_machine: bool = False


@dataclass(frozen=True)
class ModuleParameter:
    """One amdgpu module parameter as the kernel has it, and what that value does."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Access:
    """A device file: whether this user may read and write it, its mode and group number."""

    path: str
    usable: bool
    mode: str = ""
    gid: int | None = None


@dataclass(frozen=True)
class HostFacts:
    """Everything that is known of the machine. Strings are empty and sequences are too where nothing was
    found."""

    hostname: str = ""
    boot_id: str = ""
    kernel: str = ""
    distribution: str = ""
    cmdline: str = ""  # only the words that matter for devices
    taint: int = 0
    taint_reasons: tuple[str, ...] = ()
    lockdown: str = ""
    secure_boot: bool | None = None
    container: str = ""
    cpu: Cpu = Cpu()
    gpus: tuple[Gpu, ...] = ()
    amdgpu_version: str = ""
    parameters: tuple[ModuleParameter, ...] = ()
    rocm: str = ""  # of the system; torch wheels carry their own ROCm, so it need not be the tested one
    rocm_installations: Mapping[str, str] = field(default_factory=dict)
    nvidia_driver: str = ""
    access: tuple[Access, ...] = ()
    problems: tuple[str, ...] = ()
    wedged: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The facts as JSON-able values."""
        return dataclasses.asdict(self)

    def parameter(self, name: str) -> str | None:
        """Value of an amdgpu module parameter; None when it is not known."""
        return next((one.value for one in self.parameters if one.name == name), None)


def host_facts(root: Path = Path("/"), *, deadline_s: float) -> HostFacts:
    """The facts of the machine under ``root``, read within ``deadline_s`` seconds.

    ``root`` may be a captured tree or a file that `rmcp doctor --save` wrote. What did not answer is in
    ``problems`` and ``wedged``. Raises UserError when ``root`` does not exist.
    """
    return facts_of(take_snapshot(root, deadline_s=deadline_s))


def facts_of(snap: Snapshot) -> HostFacts:
    """Interpret a snapshot. Pure; a file that makes no sense is a line in ``problems``, never an
    exception."""
    problems = list(snap.problems)
    installations = {
        "/" + path.removesuffix("/.info/version"): text.strip()
        for path, text in sorted(snap.files.items())
        if path.startswith("opt/rocm") and path.endswith("/.info/version")
    }
    taint = whole(snap.get("proc/sys/kernel/tainted")) or 0
    return HostFacts(
        hostname=snap.get("proc/sys/kernel/hostname"),
        boot_id=snap.get("proc/sys/kernel/random/boot_id"),
        kernel=snap.get("proc/sys/kernel/osrelease"),
        distribution=_os_release(snap.get("etc/os-release")).get("PRETTY_NAME", ""),
        cmdline=relevant_cmdline(snap.get("proc/cmdline"))[0],
        taint=taint,
        taint_reasons=tuple(text for bit, text in _TAINT.items() if taint >> bit & 1),
        lockdown="".join(re.findall(r"\[(\w+)\]", snap.get("sys/kernel/security/lockdown"))),
        secure_boot=_secure_boot(snap),
        container="podman"
        if "run/.containerenv" in snap.files
        else "docker"
        if ".dockerenv" in snap.files
        else "",
        cpu=_cpu(snap),
        gpus=find_gpus(snap, problems),
        amdgpu_version=snap.get("sys/module/amdgpu/version"),
        parameters=tuple(
            ModuleParameter(name, value, meaning(name, value))
            for name, value in sorted(snap.below("sys/module/amdgpu/parameters"))
        ),
        rocm=installations.get("/opt/rocm") or next(iter(installations.values()), ""),
        rocm_installations=installations,
        nvidia_driver=_nvidia(snap.get("proc/driver/nvidia/version")),
        access=tuple(
            _access("/" + path, text) for path, text in sorted(snap.files.items()) if path.startswith("dev/")
        ),
        problems=tuple(problems),
        wedged=snap.wedged,
    )


def flat(facts: HostFacts, runtime_facts: Mapping[str, Any]) -> dict[str, Any]:
    """The machine's names in the expression language: gfx, rocm, hip, cuda, torch, python, kernel, linux,
    driver, device, device_name, device_memory_gb, host, machine, cpu, cores.

    A name that is absent is unknown, None is known to be absent (``rocm`` of a CPU build).
    ``runtime_facts`` are what a runtime's zygote reported (torch, hip, cuda, python, device, device_name,
    gfx, memory, pci). ``rocm`` is what torch was built with, because a wheel carries its own libraries and
    the system's version is not the tested one.
    """
    given = {
        name: runtime_facts[name]
        for name in ("torch", "hip", "cuda", "python", "device_name")
        if name in runtime_facts
    }
    flat_facts: dict[str, Any] = {
        **given,
        "kernel": facts.kernel,
        "linux": facts.kernel,
        "host": facts.hostname,
        "machine": platform.machine(),
        "cpu": facts.cpu.model,
        "cores": facts.cpu.cores or facts.cpu.logical,
    }
    hip = runtime_facts.get("hip")
    if "hip" in runtime_facts:
        flat_facts["rocm"] = ".".join(re.findall(r"\d+", str(hip))[:2]) if hip else None
    if "device" not in runtime_facts:
        return flat_facts
    device = str(runtime_facts["device"]).partition(":")[0]
    flat_facts["device"] = device = "rocm" if device == "cuda" and hip else device
    gpu = _tested_gpu(facts, device, str(runtime_facts.get("pci") or ""))
    # The kernel's word goes first: what the runtime reports may be an override's.
    told = str(runtime_facts.get("gfx") or "").partition(":")[0]
    flat_facts["gfx"] = ((gpu.gfx if gpu else "") or told or None) if device == "rocm" else None
    memory = runtime_facts.get("memory") or (gpu.vram_bytes if gpu else None)
    if isinstance(memory, int) and device != "cpu":
        flat_facts["device_memory_gb"] = round(memory / 2**30, 1)
    driver = {"rocm": facts.amdgpu_version or facts.kernel, "cuda": facts.nvidia_driver}.get(device)
    if driver:
        flat_facts["driver"] = driver
    return flat_facts


def _tested_gpu(facts: HostFacts, device: str, pci: str) -> Gpu | None:
    vendor = {"rocm": "amd", "cuda": "nvidia", "xpu": "intel"}.get(device)
    candidates = [gpu for gpu in facts.gpus if gpu.vendor == vendor]
    pinned = [gpu for gpu in candidates if pci and gpu.pci == pci]
    if len(candidates) > 1 and not pinned:
        return None  # which of them was used is not known
    return next(iter(pinned or candidates), None)


def _cpu(snap: Snapshot) -> Cpu:
    text = snap.get("proc/cpuinfo")
    lines = [line.partition(":") for line in text.splitlines()]
    pairs = [(key.strip(), value.strip()) for key, _, value in lines]
    first = dict(reversed(pairs))
    logical = sum(1 for key, _ in pairs if key == "processor") or _count(
        snap.get("sys/devices/system/cpu/online")
    )
    cores: set[tuple[str, str]] = set()
    package = ""
    for key, value in pairs:
        if key == "physical id":
            package = value
        elif key == "core id":
            cores.add((package, value))
    memory = re.search(r"MemTotal:\s+([0-9]{1,20}) kB", snap.get("proc/meminfo"))
    limit = snap.get("sys/fs/cgroup/memory.max")
    return Cpu(
        model=first.get("model name") or first.get("Model") or first.get("CPU part", ""),
        logical=logical,
        cores=len(cores) or None,
        memory_bytes=int(memory[1]) * 1024 if memory else 0,
        memory_limit_bytes=whole(limit),
        virtual_machine="hypervisor" in first.get("flags", "").split(),
    )


def _count(ranges: str) -> int:
    """How many numbers a kernel list such as ``0-3,8`` holds."""
    total = 0
    for low, high in re.findall(r"([0-9]{1,9})(?:-([0-9]{1,9}))?", ranges):
        total += int(high or low) - int(low) + 1
    return total


def _os_release(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {key: value.strip().strip("\"'") for key, _, value in pairs}


def _secure_boot(snap: Snapshot) -> bool | None:
    """The EFI variable: four bytes of attributes, then one byte."""
    text = snap.files.get("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
    return None if not text else text[-1] == "\x01"


def _nvidia(text: str) -> str:
    found = re.search(r"NVIDIA.*Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)\s", text)
    return found[1] if found else ""


def _access(path: str, text: str) -> Access:
    said = dict(part.partition("=")[::2] for part in text.split())
    return Access(path, said.get("rw") == "1", said.get("mode", ""), whole(said.get("gid", "")))
