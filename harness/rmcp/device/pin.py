"""From a device's name as torch says it (``cuda:1``) to one physical GPU: its lock's name and the variables
that show a child that GPU and no other. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rmcp.device.facts import HostFacts
from rmcp.device.gpus import Gpu
from rmcp.device.lock import CPU
from rmcp.device.numbers import whole
from rmcp.errors import UserError

# Variables that choose GPUs; who sets one wants to choose himself.
VISIBLE = (
    "ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL", "ZE_AFFINITY_MASK",
)  # fmt: skip

_DEVICE = re.compile(r"(cpu|cuda|rocm|hip|xpu)(?::([0-9]{1,4}))?")


@dataclass(frozen=True)
class Pin:
    """``device``: what the pinned child calls it; ``name``: the lock's name, a PCI address where it is known;
    ``env``: variables to set in the child; ``gpu``: its facts, None for the CPU or when sysfs shows no
    GPU; ``among``: how many GPUs it was chosen from, 0 where sysfs shows none."""

    device: str
    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    gpu: Gpu | None = None
    among: int = 0


def pin(facts: HostFacts, device: str, env: Mapping[str, str], *, hip: bool | None = None) -> Pin:
    """Pin ``device`` ("cpu", "cuda", "cuda:1", "rocm:0", "xpu"); without a number: number 0.

    The number counts what ``env`` (the parent's environment) leaves visible, as torch would. ``hip`` says
    whether the runtime's torch is a ROCm build; None: decided by which vendor's GPUs there are. Raises
    UserError when the device does not exist.
    """
    found = _DEVICE.fullmatch(device.strip().lower())
    if found is None:
        raise UserError(f"{device!r} is no device; write cpu, cuda, cuda:1, rocm:0 or xpu")
    kind, number = found[1], int(found[2] or 0)
    if kind == "cpu":
        return Pin(CPU, CPU)
    if kind == "xpu":
        return _intel(facts, number, env)
    amd = _amd_order(facts)
    nvidia = [gpu for gpu in facts.gpus if gpu.vendor == "nvidia" and not gpu.driver.startswith("vfio")]
    rocm = hip if hip is not None else kind != "cuda" or (bool(amd) and not nvidia)
    if rocm:
        return _amd(amd, number, env, device)
    return _nvidia(nvidia, number, env, device)


def _amd(gpus: Sequence[Gpu], number: int, env: Mapping[str, str], device: str) -> Pin:
    if not gpus:  # WSL, or a container without /sys: torch may still see one
        return Pin(f"cuda:{number}", f"cuda:{number}")
    left = _filtered(list(enumerate(gpus)), env.get("ROCR_VISIBLE_DEVICES"))
    left = [(index, gpu) for index, (_, gpu) in enumerate(left)]  # HIP counts anew
    second = env.get("HIP_VISIBLE_DEVICES", env.get("CUDA_VISIBLE_DEVICES"))
    left = _filtered(left, second)
    index, gpu = _choose(left, number, device, "ROCm", gpus)
    # Both names: HIP reads either, and two different ones would be ambiguous.
    shown = {"HIP_VISIBLE_DEVICES": str(index), "CUDA_VISIBLE_DEVICES": str(index)}
    return Pin("cuda:0", gpu.pci or f"cuda:{number}", shown, gpu, len(left))


def _nvidia(gpus: Sequence[Gpu], number: int, env: Mapping[str, str], device: str) -> Pin:
    if not gpus:
        return Pin(f"cuda:{number}", f"cuda:{number}")
    left = _filtered(list(enumerate(gpus)), env.get("CUDA_VISIBLE_DEVICES"))
    index, gpu = _choose(left, number, device, "CUDA", gpus)
    # CUDA's own order is by speed; facts are in PCI order.
    shown = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": str(index)}
    return Pin("cuda:0", gpu.pci or f"cuda:{number}", shown, gpu, len(left))


def _intel(facts: HostFacts, number: int, env: Mapping[str, str]) -> Pin:
    gpus = [gpu for gpu in facts.gpus if gpu.vendor == "intel"]
    if number >= len(gpus) or "ZE_AFFINITY_MASK" in env:
        return Pin(f"xpu:{number}", f"xpu:{number}")
    return Pin("xpu:0", gpus[number].pci, {"ZE_AFFINITY_MASK": str(number)}, gpus[number], len(gpus))


def _amd_order(facts: HostFacts) -> list[Gpu]:
    """ROCm numbers GPUs as the KFD topology does."""
    nodes = [(gpu.kfd_node, gpu) for gpu in facts.gpus if gpu.vendor == "amd" and gpu.kfd_node is not None]
    return [gpu for _, gpu in sorted(nodes, key=lambda pair: pair[0])]


def _filtered(gpus: list[tuple[int, Gpu]], visible: str | None) -> list[tuple[int, Gpu]]:
    """What a list of indices or UUIDs leaves, in its order; what is invalid ends it, as the runtimes do."""
    if visible is None:
        return gpus
    left = []
    for word in (one.strip() for one in visible.split(",")):
        by_uuid = [pair for pair in gpus if pair[1].unique_id and word.lower() in _uuids(pair[1])]
        index = whole(word)
        if index is not None and index < len(gpus):
            left.append(gpus[index])
        elif by_uuid:
            left.append(by_uuid[0])
        else:
            break
    return left


def _uuids(gpu: Gpu) -> tuple[str, str]:
    return gpu.unique_id.lower(), f"gpu-{gpu.unique_id.lower()}"


def _choose(
    left: list[tuple[int, Gpu]], number: int, device: str, stack: str, every: Sequence[Gpu]
) -> tuple[int, Gpu]:
    if number < len(left):
        return left[number]
    shown = "; ".join(f"{index} = {gpu.name} ({gpu.pci})" for index, (_, gpu) in enumerate(left)) or "none"
    hidden = len(every) - len(left)
    why = f", {hidden} hidden by *_VISIBLE_DEVICES" if hidden else ""
    raise UserError(f"there is no device {device}: {stack} sees {shown}{why}. `rmcp doctor` lists the GPUs")
