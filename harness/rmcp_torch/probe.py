"""The probe workload: which device this runtime would use, asked in a child because asking initialises it."""

from __future__ import annotations

from typing import Any, Dict


def build_of(torch: Any) -> Dict[str, Any]:
    """Versions of a torch and of what it was built for: torch, hip, cuda, xpu, git; touches no device."""
    version = torch.version
    return {
        "torch": str(torch.__version__),
        "hip": getattr(version, "hip", None),
        "cuda": getattr(version, "cuda", None),
        "xpu": getattr(version, "xpu", None),
        "git": getattr(version, "git_version", None),
    }


def run(ctx: Any, device: str = "auto") -> Dict[str, Any]:
    """Resolve ``auto`` and describe the device.

    Keys: those of `build_of`, device, device_name, memory (bytes), count, capability, arch_list, gfx (ROCm only).
    """
    import torch

    ctx.phase("launch")
    resolved = device
    if device == "auto":
        resolved = "cpu"
        if torch.cuda.is_available():
            resolved = "cuda"
        elif hasattr(torch, "xpu") and torch.xpu.is_available():
            resolved = "xpu"
    facts: Dict[str, Any] = {**build_of(torch), "device": resolved}
    if resolved.startswith("cuda"):
        properties = torch.cuda.get_device_properties(resolved if ":" in resolved else 0)
        facts.update(
            device_name=properties.name,
            memory=properties.total_memory,
            count=torch.cuda.device_count(),
            capability="%d.%d" % (properties.major, properties.minor),
            arch_list=list(torch.cuda.get_arch_list()),
        )
        if facts["hip"]:  # on CUDA the same property holds the card's name
            facts["gfx"] = str(getattr(properties, "gcnArchName", "")).split(":")[0] or None
    elif resolved.startswith("xpu"):
        facts["device_name"] = torch.xpu.get_device_name(0)
    return facts
