"""Does the same convolution give the same bits twice? Two runs of it on the device, compared bit for bit."""

from __future__ import annotations

from typing import Any, Dict, Optional

import torch

from rmcp_torch.workloads import _convolution, measure, numerics
from rmcp_torch.workloads._convolution import Extent, Problem, extent
from rmcp_torch.workloads.reference import Geometry


def run(
    ctx: Any,
    n: int = 1,
    c: int = 16,
    h: int = 44,
    w: int = 44,
    k: int = 32,
    kernel: Extent = 3,
    stride: Extent = 1,
    padding: Extent = 1,
    dilation: Extent = 1,
    groups: int = 1,
    bias: bool = True,
    memory_format: str = "contiguous",
    dtype: str = "float32",
    direction: str = "backward",
    benchmark: Optional[bool] = None,
    deterministic: Optional[bool] = True,
    repeat: int = 5,
    workaround: str = "none",
) -> None:
    """A conv2d run ``repeat`` times (at least twice) on the same input, arguments as in `conv2d`.

    The first run is compared with the fp64 reference, the others with the first, bit for bit: a difference is a
    mismatch with the fingerprint `non-deterministic` if ``deterministic`` was asked for, and a remark otherwise
    (atomic additions may come in any order).
    """
    geometry = Geometry(extent(kernel, 2), extent(stride, 2), extent(padding, 2), extent(dilation, 2), groups)
    problem = Problem(n, c, (h, w), k, geometry, bias, dtype, memory_format, direction, workaround=workaround)
    _convolution.validate(problem)
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, benchmark, deterministic)
    host = _convolution.inputs(ctx.seed, problem)
    ctx.phase("reference")
    wanted = _convolution.references(host, problem, ctx.beat)
    ctx.phase("launch")
    step = _convolution.Step(host, problem, ctx.device)
    first: Dict[str, torch.Tensor] = {}
    worst: Dict[str, float] = {}
    for _ in range(max(2, repeat)):
        ctx.phase("launch")
        got = step()
        ctx.phase("sync")
        ctx.synchronize()
        if not first:
            first = {name: value.detach().clone() for name, value in got.items()}
            continue
        for name, value in got.items():
            worst[name] = max(worst.get(name, 0.0), numerics.bit_difference(first[name], value))
    step.observe(ctx)
    ctx.phase("compare")
    _convolution.check(ctx, first, wanted, problem)
    for name, difference in worst.items():
        if difference and not deterministic:
            ctx.remark("%s differs between runs, by up to %.3g" % (name, difference))
        elif difference:
            ctx.checks.append(numerics.non_deterministic(name + "_again", difference))
        ctx.metric("difference_" + name, difference)
