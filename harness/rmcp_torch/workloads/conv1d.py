"""1-d convolution on the device under test (audio, EEG, time series), checked against fp64."""

from __future__ import annotations

from typing import Any, Optional

from rmcp_torch.workloads import _convolution
from rmcp_torch.workloads._convolution import Extent, Problem, extent
from rmcp_torch.workloads.reference import Geometry


def run(
    ctx: Any,
    n: int = 1,
    c: int = 32,
    w: int = 256,
    k: int = 64,
    kernel: Extent = 16,
    stride: Extent = 1,
    padding: Extent = 0,
    dilation: Extent = 1,
    groups: int = 1,
    bias: bool = True,
    transposed: bool = False,
    output_padding: Extent = 0,
    dtype: str = "float32",
    direction: str = "forward",
    benchmark: Optional[bool] = None,
    deterministic: Optional[bool] = None,
    tf32: bool = False,
    autocast: str = "",
    repeat: int = 1,
) -> None:
    """One conv1d of an input (n, c, w) with k filters; arguments as in the workload `conv2d`."""
    geometry = Geometry(
        extent(kernel, 1),
        extent(stride, 1),
        extent(padding, 1),
        extent(dilation, 1),
        groups,
        bool(transposed),
        extent(output_padding, 1),
    )
    problem = Problem(n, c, (w,), k, geometry, bias, dtype, "contiguous", direction, autocast or "", tf32)
    _convolution.run(ctx, problem, repeat, benchmark, deterministic)
