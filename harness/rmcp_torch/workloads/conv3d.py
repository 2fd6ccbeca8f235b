"""3-d convolution on the device under test (video, volumes), checked against fp64."""

from __future__ import annotations

from typing import Any, Optional

from rmcp_torch.workloads import _convolution
from rmcp_torch.workloads._convolution import Extent, Problem, extent
from rmcp_torch.workloads.reference import Geometry


def run(
    ctx: Any,
    n: int = 1,
    c: int = 3,
    d: int = 8,
    h: int = 16,
    w: int = 16,
    k: int = 8,
    kernel: Extent = 3,
    stride: Extent = 1,
    padding: Extent = 0,
    dilation: Extent = 1,
    groups: int = 1,
    bias: bool = True,
    transposed: bool = False,
    output_padding: Extent = 0,
    memory_format: str = "contiguous",
    dtype: str = "float32",
    direction: str = "forward",
    benchmark: Optional[bool] = None,
    deterministic: Optional[bool] = None,
    tf32: bool = False,
    autocast: str = "",
    repeat: int = 1,
) -> None:
    """One conv3d of an input (n, c, d, h, w) with k filters; arguments as in `conv2d`, extents (d, h, w)."""
    geometry = Geometry(
        extent(kernel, 3),
        extent(stride, 3),
        extent(padding, 3),
        extent(dilation, 3),
        groups,
        bool(transposed),
        extent(output_padding, 3),
    )
    problem = Problem(
        n, c, (d, h, w), k, geometry, bias, dtype, memory_format, direction, autocast or "", tf32
    )
    _convolution.run(ctx, problem, repeat, benchmark, deterministic)
