"""Convolution references: fp64 on the CPU by im2col and matrix products, with the error each number may have.

Another algorithm than the one under test, and closed-form gradients instead of autograd. Every product is
computed twice, from the values and from their magnitudes: the second yields |A||B|, which scales the error
bound of the first (Higham, Accuracy and Stability of Numerical Algorithms, 2002, section 3.5).
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional, Tuple

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


class Pair(NamedTuple):
    """Reference and componentwise error bound, both fp64 on the CPU and of the result's shape."""

    value: torch.Tensor
    bound: torch.Tensor


def convolution(
    x: torch.Tensor,
    w: torch.Tensor,
    b: Optional[torch.Tensor],
    g: Optional[torch.Tensor],
    geometry: Geometry,
    dtype: torch.dtype,
    tf32: bool = False,
) -> Dict[str, Pair]:
    """References of ``y = conv2d(x, w) + b`` and, for an output gradient ``g``, of its gradients.

    ``x`` (n, c, h, w), ``w`` (k, c/groups, kh, kw), ``b`` (k) or None, ``g`` like y or None; on the CPU and
    already rounded to ``dtype``, the dtype under test. ``tf32`` says that fp32 products may be rounded to 10
    bits of mantissa. Keys: output, grad_x, grad_w, grad_b.
    """
    products = _Products(x, w, b, g, geometry)
    values = products.compute()
    products.to_magnitudes()
    magnitudes = products.compute()
    terms = products.terms()
    return {
        name: Pair(values[name], magnitudes[name].mul_(numerics.relative_bound(terms[name], dtype, tf32)))
        for name in values
    }


class _Products:
    """The operands as fp64 matrices, and the products that make output and gradients of them.

    Memory is touched as little as possible: in a fresh child every new page costs a fault, and for small
    convolutions the faults, not the arithmetic, are the price of a reference.
    """

    def __init__(
        self,
        x: torch.Tensor,
        w: torch.Tensor,
        b: Optional[torch.Tensor],
        g: Optional[torch.Tensor],
        geometry: Geometry,
    ) -> None:
        self.geometry, self.x_shape, self.w_shape = geometry, tuple(x.shape), tuple(w.shape)
        self.n, self.k, groups = x.shape[0], w.shape[0], geometry.groups
        self.out = geometry.out_size(x.shape[2], x.shape[3])
        self.pixels, self.reduction = self.out[0] * self.out[1], w.shape[1] * w.shape[2] * w.shape[3]
        # torch's unfold refuses an empty batch, of which nothing is left to compute.
        columns = geometry.unfold(_double(x)) if self.n else _double(x)
        self.columns = columns.reshape(self.n, groups, self.reduction, self.pixels)
        self.w = _double(w).view(groups, self.k // groups, self.reduction)
        self.b = None if b is None else _double(b).view(1, self.k, 1, 1)
        self.g = None if g is None else _double(g).reshape(self.n, groups, self.k // groups, self.pixels)
        self._scratch: Optional[torch.Tensor] = None

    def to_magnitudes(self) -> None:
        """Replace every operand by its absolute values, in place."""
        for operand in (self.columns, self.w, self.b, self.g):
            if operand is not None:
                operand.abs_()

    def terms(self) -> Dict[str, int]:
        """How many terms each number of a result is the sum of."""
        taps = self.geometry.kernel[0] * self.geometry.kernel[1]
        positions = self.n * self.pixels
        return {
            "output": self.reduction + 1,
            "grad_x": self.k // self.geometry.groups * taps,
            "grad_w": positions,
            "grad_b": positions,
        }

    def compute(self) -> Dict[str, torch.Tensor]:
        """Output and gradients from the operands as they are now."""
        made = {"output": torch.matmul(self.w, self.columns).view((self.n, self.k) + self.out)}
        if self.b is not None:
            made["output"] += self.b
        if self.g is None:
            return made
        self._scratch = torch.matmul(self.w.transpose(1, 2), self.g, out=self._scratch)
        columns = self._scratch.view(self.n, -1, self.pixels)
        size = (self.x_shape[2], self.x_shape[3])
        made["grad_x"] = self.geometry.fold(columns, size) if self.n else self.g.new_zeros(self.x_shape)
        product = torch.matmul(self.g, self.columns.transpose(2, 3))
        made["grad_w"] = (product if self.n == 1 else product.sum(0)).view(self.w_shape)
        if self.b is not None:
            made["grad_b"] = self.g.sum((0, 3)).view(self.k)
        return made


def _double(x: torch.Tensor) -> torch.Tensor:
    """A contiguous fp64 copy on the CPU."""
    return x.detach().to(device="cpu", dtype=torch.float64, memory_format=torch.contiguous_format, copy=True)
