"""Inference of a small network on the device, against fp64 on the CPU."""

from __future__ import annotations

import copy
from typing import Any, Optional

import torch

from rmcp_torch.workloads import measure
from rmcp_torch.workloads.model import build, compare_all, place


def run(
    ctx: Any,
    arch: str = "cnn",
    batch: int = 1,
    edge: int = 64,
    width: int = 8,
    memory_format: str = "contiguous",
    autocast: str = "",
    benchmark: Optional[bool] = None,
    deterministic: Optional[bool] = None,
    repeat: int = 3,
    workaround: str = "none",
) -> None:
    """``repeat`` forward passes of ``arch`` in eval mode without gradients; arguments as in `model`."""
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, benchmark, deterministic)
    model, x, _target = build(ctx.seed, arch, batch, edge, width)
    model.eval()
    with torch.no_grad():
        ctx.phase("reference")
        wanted = {"output": copy.deepcopy(model).double()(x.double())}
        ctx.phase("launch")
        model, x = place(model, x, ctx.device, memory_format, workaround)

        def step() -> torch.Tensor:
            with measure.autocast(ctx.device, autocast):
                y: torch.Tensor = model(x)
            return y

        got = {"output": measure.timed(ctx, step, repeat)}
        ctx.phase("compare")
        compare_all(ctx, got, wanted, autocast)
