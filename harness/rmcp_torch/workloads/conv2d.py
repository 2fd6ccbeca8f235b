"""2-d convolution on the device under test: forward, gradients and one train step, checked against fp64."""

from __future__ import annotations

from typing import Any, Optional

from rmcp_torch.workloads import _convolution
from rmcp_torch.workloads._convolution import Extent, Problem, extent
from rmcp_torch.workloads.reference import Geometry

# Imported by the zygote, so that a case with a workaround does not pay for it.
WARM = ("rmcp_torch.workarounds.modules",)


def run(
    ctx: Any,
    n: int = 1,
    c: int = 3,
    h: int = 32,
    w: int = 32,
    k: int = 16,
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
    workaround: str = "none",
) -> None:
    """One conv2d of an input (n, c, h, w) with k filters; every result is compared with an fp64 reference.

    ``kernel``, ``stride``, ``padding``, ``dilation``, ``output_padding``: an int or (height, width).
    ``groups`` = c makes it depthwise, n = 0 is an empty batch, ``transposed`` a conv_transpose2d.
    ``direction``: `forward`; `backward` adds the gradients of input, weight and bias; `train` adds one SGD
    step. ``memory_format``: `contiguous`; `channels_last` (input and weight); `preserve` (the input keeps the
    NHWC strides in which it arrives, the weight is contiguous); `explicit` (it arrives as NHWC and
    `.contiguous()` is called on it). ``benchmark`` and ``deterministic`` set torch.backends.cudnn (MIOpen on
    ROCm: benchmark chooses Find instead of immediate mode). ``tf32`` lets a GPU round fp32 products to TF32.
    ``autocast`` names the dtype to which torch.autocast may go, '' for none. ``repeat``: timed iterations.
    ``workaround``: see rmcp_torch.workarounds. Raises ValueError for arguments that make no convolution.
    """
    geometry = Geometry(
        extent(kernel, 2),
        extent(stride, 2),
        extent(padding, 2),
        extent(dilation, 2),
        groups,
        bool(transposed),
        extent(output_padding, 2),
    )
    problem = Problem(
        n, c, (h, w), k, geometry, bias, dtype, memory_format, direction, autocast or "", tf32, workaround
    )
    _convolution.run(ctx, problem, repeat, benchmark, deterministic)
