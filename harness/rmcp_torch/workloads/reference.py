"""Convolution references: fp64 on the CPU by im2col and matrix products, with the error each number may have.

Another algorithm than the one under test, and closed-form gradients instead of autograd. The same products of
the operands' magnitudes yield |A||B|, which scales the componentwise error bound (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, section 3.5); they are computed only when a cheaper look is not enough.
"""

from __future__ import annotations

from functools import partial
from typing import Callable, Dict, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F

from rmcp_torch.workloads import numerics


class Geometry(NamedTuple):
    """A 2-d convolution: kernel, stride, padding and dilation as (height, width), and its groups."""

    kernel: Tuple[int, int]
    stride: Tuple[int, int]
    padding: Tuple[int, int]
    dilation: Tuple[int, int]
    groups: int

    def out_size(self, h: int, w: int) -> Tuple[int, int]:
        """Height and width of the output for an input of ``h`` x ``w``."""
        return (
            (h + 2 * self.padding[0] - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1,
            (w + 2 * self.padding[1] - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.stride[1] + 1,
        )

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """(n, c, h, w) -> (n, c*kh*kw, oh*ow)."""
        return F.unfold(x, self.kernel, self.dilation, self.padding, self.stride)

    def fold(self, columns: torch.Tensor, size: Tuple[int, int]) -> torch.Tensor:
        """The transpose of `unfold`: (n, c*kh*kw, oh*ow) -> (n, c, h, w), overlaps summed."""
        return F.fold(columns, size, self.kernel, self.dilation, self.padding, self.stride)


class Wanted(NamedTuple):
    """What a result must be: ``value`` (fp64, on the CPU, the result's shape), ``bound`` a function that returns
    the componentwise error bound (same shape)."""

    value: torch.Tensor
    bound: Callable[[], torch.Tensor]


def convolution(
    x: torch.Tensor,
    w: torch.Tensor,
    b: Optional[torch.Tensor],
    g: Optional[torch.Tensor],
    geometry: Geometry,
    dtype: torch.dtype,
    tf32: bool = False,
) -> Dict[str, Wanted]:
    """References of ``y = conv2d(x, w) + b`` and, for an output gradient ``g``, of its gradients.

    ``x`` (n, c, h, w), ``w`` (k, c/groups, kh, kw), ``b`` (k) or None, ``g`` like y or None; on the CPU and
    already rounded to ``dtype``, the dtype under test. ``tf32`` says that fp32 products may be rounded to 10
    bits of mantissa. Keys: output, grad_x, grad_w, grad_b.
    """
    made = _products(x, w, b, g, geometry, magnitudes=False)
    bounds: Dict[str, torch.Tensor] = {}
    terms = _terms(x, w, geometry)

    def bound(name: str) -> torch.Tensor:
        if not bounds:
            bounds.update(_products(x, w, b, g, geometry, magnitudes=True))
        return bounds[name] * numerics.relative_bound(terms[name], dtype, tf32)

    return {name: Wanted(value, partial(bound, name)) for name, value in made.items()}


def _terms(x: torch.Tensor, w: torch.Tensor, geometry: Geometry) -> Dict[str, int]:
    """How many terms each number of a result is the sum of."""
    out = geometry.out_size(x.shape[2], x.shape[3])
    positions = x.shape[0] * out[0] * out[1]
    taps = geometry.kernel[0] * geometry.kernel[1]
    return {
        "output": w.shape[1] * taps + 1,
        "grad_x": w.shape[0] // geometry.groups * taps,
        "grad_w": positions,
        "grad_b": positions,
    }


def _products(
    x: torch.Tensor,
    w: torch.Tensor,
    b: Optional[torch.Tensor],
    g: Optional[torch.Tensor],
    geometry: Geometry,
    magnitudes: bool,
) -> Dict[str, torch.Tensor]:
    """Output and gradients in fp64, of the operands or of their magnitudes.

    Image by image, so that memory is one image's columns; and with few buffers, because in a fresh child each
    new page costs a fault, and for small convolutions faults and not arithmetic are the price of a reference.
    """
    double = _magnitude if magnitudes else _double
    n, k, groups = x.shape[0], w.shape[0], geometry.groups
    size = (x.shape[2], x.shape[3])
    out = geometry.out_size(*size)
    pixels, reduction = out[0] * out[1], w[0].numel() if k else 0
    weight = double(w).view(groups, k // groups, reduction)
    made = {"output": torch.empty((n, k) + out, dtype=torch.float64)}
    if g is not None:
        made["grad_x"] = torch.empty(x.shape, dtype=torch.float64)
        made["grad_w"] = (torch.empty if n else torch.zeros)(w.shape, dtype=torch.float64)
    for image in range(n):
        columns = geometry.unfold(double(x[image : image + 1])).view(groups, reduction, pixels)
        torch.bmm(weight, columns, out=made["output"][image].view(groups, k // groups, pixels))
        if g is None:
            continue
        grad = double(g[image]).view(groups, k // groups, pixels)
        grad_w = made["grad_w"].view(groups, k // groups, reduction)
        if image:
            grad_w.baddbmm_(grad, columns.transpose(1, 2))
        else:
            torch.bmm(grad, columns.transpose(1, 2), out=grad_w)
        columns = torch.bmm(weight.transpose(1, 2), grad, out=columns)
        folded = geometry.fold(columns.view(1, -1, pixels), size)
        if n == 1:
            made["grad_x"] = folded
        else:
            made["grad_x"][image] = folded[0]
    if g is not None and b is not None:
        made["grad_b"] = (g.abs() if magnitudes else g).sum((0, 2, 3), dtype=torch.float64)
    if b is not None:
        made["output"] += double(b).view(1, k, 1, 1)
    return made


def _double(x: torch.Tensor) -> torch.Tensor:
    """Contiguous fp64."""
    return x.to(torch.float64).contiguous()


def _magnitude(x: torch.Tensor) -> torch.Tensor:
    """Contiguous fp64 absolute values."""
    return x.to(torch.float64).abs().contiguous()
