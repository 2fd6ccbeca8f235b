"""The probe workload: which device this runtime would use, asked in a child because asking initialises it."""

from __future__ import annotations

from typing import Any, Dict


def run(ctx: Any, device: str = "auto") -> Dict[str, Any]:
    """Resolve ``auto`` and describe the device. Keys: device, device_name, gfx, capability, memory, count."""
    import torch

    ctx.phase("launch")
    resolved = device
    if device == "auto":
        resolved = "cpu"
        if torch.cuda.is_available():
            resolved = "cuda"
        elif hasattr(torch, "xpu") and torch.xpu.is_available():
            resolved = "xpu"
    facts: Dict[str, Any] = {"device": resolved}
    if resolved.startswith("cuda"):
        properties = torch.cuda.get_device_properties(resolved if ":" in resolved else 0)
        facts.update(
            device_name=properties.name,
            memory=properties.total_memory,
            count=torch.cuda.device_count(),
            capability="%d.%d" % (properties.major, properties.minor),
            arch_list=list(torch.cuda.get_arch_list()),
        )
        gcn = getattr(properties, "gcnArchName", None)
        if gcn:
            facts["gfx"] = str(gcn).split(":")[0]
    elif resolved.startswith("xpu"):
        facts["device_name"] = torch.xpu.get_device_name(0)
    return facts
