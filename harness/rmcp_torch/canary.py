"""The canary: a fixed, tiny, known-good use of the device that needs no MIOpen or cuDNN; wrong means unwell."""

from __future__ import annotations

from typing import Any


def run(ctx: Any) -> None:
    """Fill, add, copy back, compare exactly. Raises RuntimeError when the numbers are wrong."""
    import torch

    ctx.phase("launch")
    values = torch.ones(1024, device=ctx.device) + 1
    ctx.phase("sync")
    ctx.synchronize()
    total = float(values.sum().cpu())
    if total != 2048.0:
        raise RuntimeError("the canary computed %r instead of 2048.0" % total)
