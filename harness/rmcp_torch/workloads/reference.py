"""Convolution references: fp64 on the CPU by im2col and matrix products, with the error each number may have.

Another algorithm than the one under test, and closed-form gradients instead of autograd. The same products of
the operands' magnitudes yield |A||B|, which scales the componentwise error bound (Higham, Accuracy and
Stability of Numerical Algorithms, 2002, section 3.5); they are computed only when a cheaper look is not enough.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F

from rmcp_torch.workloads import numerics

Ints = Tuple[int, ...]

# fp64 numbers of columns at a time, 4 MiB: what a core's cache holds. The columns of a whole large image would be
# read from memory by every product, and every page of them is a fault in a fresh child. Measured with gradients on
# 64 filters of 3 x 3 x 64 over 160 x 160 pixels, one core: 0.15 s instead of 0.25 s with MKL, 2.0 s instead of 4.5 s
# with the reference BLAS that Debian's PyTorch 1.13 finds when no other is installed.
_BAND = 512 * 1024
_LEAST_POSITIONS = 256  # a product of fewer columns is slower again


class Geometry(NamedTuple):
    """A 1-, 2- or 3-d convolution: extents per spatial dimension, groups, and whether it is transposed."""

    kernel: Ints
    stride: Ints
    padding: Ints
    dilation: Ints
    groups: int = 1
    transposed: bool = False
    output_padding: Ints = ()

    @property
    def taps(self) -> int:
        """Positions of the kernel."""
        product = 1
        for part in self.kernel:
            product *= part
        return product

    def out_size(self, size: Ints) -> Ints:
        """Spatial size of the output for an input of spatial size ``size``."""
        if self.transposed:
            extra = self.output_padding or (0,) * len(size)
            return tuple(
                (size[i] - 1) * self.stride[i]
                - 2 * self.padding[i]
                + self.dilation[i] * (self.kernel[i] - 1)
                + extra[i]
                + 1
                for i in range(len(size))
            )
        return tuple(
            (size[i] + 2 * self.padding[i] - self.dilation[i] * (self.kernel[i] - 1) - 1) // self.stride[i]
            + 1
            for i in range(len(size))
        )

    def unfold(self, x: torch.Tensor) -> torch.Tensor:
        """(1, c, *size) -> (1, c*taps, positions): the columns that every output position sees."""
        if len(self.kernel) == 2:
            return F.unfold(x, self.kernel, self.dilation, self.padding, self.stride)
        if len(self.kernel) == 1:
            return self._flat().unfold(x.unsqueeze(2))
        padded = F.pad(x, [part for edge in reversed(self.padding) for part in (edge, edge)])
        out = self.out_size(tuple(x.shape[2:]))
        taps = [padded[(slice(None), slice(None)) + where] for where in self._slices(out)]
        return torch.stack(taps, 2).reshape(1, x.shape[1] * self.taps, -1)

    def fold(self, columns: torch.Tensor, size: Ints) -> torch.Tensor:
        """The transpose of `unfold`: (1, c*taps, positions) -> (1, c, *size), overlaps summed."""
        if len(self.kernel) == 2:
            return F.fold(columns, size, self.kernel, self.dilation, self.padding, self.stride)
        if len(self.kernel) == 1:
            return self._flat().fold(columns, (1,) + size).squeeze(2)
        out = self.out_size(size)
        channels = columns.shape[1] // self.taps
        padded = columns.new_zeros((1, channels) + tuple(s + 2 * p for s, p in zip(size, self.padding)))
        taps = columns.view((1, channels, self.taps) + out)
        for index, where in enumerate(self._slices(out)):
            padded[(slice(None), slice(None)) + where] += taps[:, :, index]
        inner = tuple(slice(p, p + s) for s, p in zip(size, self.padding))
        return padded[(slice(None), slice(None)) + inner]

    def _flat(self) -> "Geometry":
        """A 1-d convolution as a 2-d one of height 1."""
        return Geometry(
            (1,) + self.kernel, (1,) + self.stride, (0,) + self.padding, (1,) + self.dilation, self.groups
        )

    def _slices(self, out: Ints) -> Iterator[Tuple[slice, ...]]:
        """For every tap of the kernel, where in the padded input the output positions see it."""
        for tap in itertools.product(*(range(part) for part in self.kernel)):
            starts = [t * d for t, d in zip(tap, self.dilation)]
            yield tuple(
                slice(start, start + (count - 1) * step + 1, step)
                for start, count, step in zip(starts, out, self.stride)
            )


class Wanted(NamedTuple):
    """What a result must be: ``value`` is fp64 on the CPU in the result's shape; ``bound`` is a function that
    returns the componentwise error bound, a tensor of the same shape."""

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
    beat: Optional[Callable[[], None]] = None,
) -> Dict[str, Wanted]:
    """References of ``y = conv(x, w) + b`` and, for an output gradient ``g``, of its gradients.

    ``x`` (n, c, *size), ``w`` (k, c/groups, *kernel), transposed (c, k/groups, *kernel), ``b`` (k) or None,
    ``g`` like y or None; on the CPU and already rounded to ``dtype``, the dtype under test. ``tf32`` says that
    fp32 products may be rounded to 10 bits of mantissa; ``beat`` is called between images. Keys: output,
    grad_x, grad_w, grad_b.
    """
    products = _transposed_products if geometry.transposed else _products
    made = products(x, w, b, g, geometry, False, beat)
    terms = _terms(x, w, geometry)
    magnitudes: Dict[str, torch.Tensor] = {}

    def bound(name: str) -> torch.Tensor:
        if not magnitudes:
            magnitudes.update(products(x, w, b, g, geometry, True, beat))
        relative = numerics.relative_bound(terms[name], dtype, tf32)
        return magnitudes[name] * relative + numerics.underflow(dtype)

    return {name: Wanted(value, partial(bound, name)) for name, value in made.items()}


def _terms(x: torch.Tensor, w: torch.Tensor, geometry: Geometry) -> Dict[str, int]:
    """How many terms each number of a result is the sum of."""
    size = tuple(x.shape[2:])
    positions, inputs = x.shape[0], x.shape[0]
    for part, given in zip(geometry.out_size(size), size):
        positions, inputs = positions * part, inputs * given
    across, along = w.shape[1] * geometry.taps, w.shape[0] // geometry.groups * geometry.taps
    if geometry.transposed:
        return {"output": along + 1, "grad_x": across, "grad_w": inputs, "grad_b": positions}
    return {"output": across + 1, "grad_x": along, "grad_w": positions, "grad_b": positions}


def _transposed_products(
    x: torch.Tensor,
    w: torch.Tensor,
    b: Optional[torch.Tensor],
    g: Optional[torch.Tensor],
    geometry: Geometry,
    magnitudes: bool,
    beat: Optional[Callable[[], None]] = None,
) -> Dict[str, torch.Tensor]:
    """A transposed convolution is the input gradient of a plain one, whose output is our input."""
    plain = geometry._replace(transposed=False, output_padding=())
    shape = (x.shape[0], w.shape[1] * geometry.groups) + geometry.out_size(tuple(x.shape[2:]))
    dual = _products(x.new_zeros(shape) if g is None else g, w, None, x, plain, magnitudes, beat)
    made = {"output": dual["grad_x"]}
    if g is not None:
        made.update(grad_x=dual["output"], grad_w=dual["grad_w"])
    return _with_bias(made, b, g, magnitudes)


def _products(
    x: torch.Tensor,
    w: torch.Tensor,
    b: Optional[torch.Tensor],
    g: Optional[torch.Tensor],
    geometry: Geometry,
    magnitudes: bool,
    beat: Optional[Callable[[], None]] = None,
) -> Dict[str, torch.Tensor]:
    """Output and gradients in fp64, of the operands or of their magnitudes.

    Image by image, so that memory is one image's columns; and with few buffers, because in a fresh child each
    new page costs a fault, and for small convolutions faults and not arithmetic are the price of a reference.
    """
    double = _magnitude if magnitudes else _double
    n, k, groups, size = x.shape[0], w.shape[0], geometry.groups, tuple(x.shape[2:])
    # The output's size is g's where there is one: a transposed convolution may leave rows that no tap sees.
    out = geometry.out_size(size) if g is None else tuple(g.shape[2:])
    weight = double(w).view(groups, k // groups, -1 if k else w.shape[1] * geometry.taps)
    reduction = weight.shape[2]
    made = {"output": torch.empty((n, k) + out, dtype=torch.float64)}
    if g is not None:
        made["grad_x"] = torch.empty(x.shape, dtype=torch.float64)
        made["grad_w"] = (torch.empty if n else torch.zeros)(w.shape, dtype=torch.float64)
    bands = _bands(out, x.shape[1] * geometry.taps)
    for image in range(n):
        if image and beat is not None:
            beat()
        if len(bands) > 1:
            here = {name: value if name == "grad_w" else value[image] for name, value in made.items()}
            gradient = None if g is None else g[image]
            _by_bands(x[image : image + 1], weight, gradient, geometry, double, bands, beat, here, image == 0)
            continue
        columns = geometry.unfold(double(x[image : image + 1])).view(groups, reduction, -1)
        torch.bmm(weight, columns, out=made["output"][image].view(groups, k // groups, -1))
        if g is None:
            continue
        grad = double(g[image]).view(groups, k // groups, -1)
        grad_w = made["grad_w"].view(groups, k // groups, reduction)
        if image:
            grad_w.baddbmm_(grad, columns.transpose(1, 2))
        else:
            torch.bmm(grad, columns.transpose(1, 2), out=grad_w)
        columns = torch.bmm(weight.transpose(1, 2), grad, out=columns)
        folded = geometry.fold(columns.view(1, groups * reduction, -1), size)
        if n == 1:
            made["grad_x"] = folded
        else:
            made["grad_x"][image] = folded[0]
    return _with_bias(made, b, g, magnitudes)


def _bands(out: Ints, rows: int) -> List[Tuple[int, int]]:
    """Cuts the output's first dimension so that ``rows`` by the positions of a part stay within _BAND numbers."""
    along = 1
    for part in out[1:]:
        along *= part
    if not rows or not along or not out[0]:
        return [(0, out[0])]
    step = max(1, max(_BAND // rows, _LEAST_POSITIONS) // along)
    step = -(-out[0] // -(-out[0] // step))  # parts of equal size
    return [(start, min(start + step, out[0])) for start in range(0, out[0], step)]


def _by_bands(
    x: torch.Tensor,
    weight: torch.Tensor,
    g: Optional[torch.Tensor],
    geometry: Geometry,
    double: Callable[[torch.Tensor], torch.Tensor],
    bands: List[Tuple[int, int]],
    beat: Optional[Callable[[], None]],
    made: Dict[str, torch.Tensor],
    first: bool,
) -> None:
    """The products of one image (1, c, *size), part by part along its first dimension; the results go into
    ``made``, whose ``grad_w`` is begun by the ``first`` image and added to by the others."""
    groups, filters, reduction = weight.shape
    inner = geometry._replace(padding=(0,) * len(geometry.padding))
    edges = [part for edge in reversed(geometry.padding) for part in (edge, edge)]
    padded = F.pad(double(x), edges)
    rows = made["output"].view((groups, filters) + tuple(made["output"].shape[1:]))
    grad_padded = None if g is None else torch.zeros_like(padded)
    reach = geometry.dilation[0] * (geometry.kernel[0] - 1) + 1
    for start, stop in bands:
        if start and beat is not None:
            beat()
        seen = slice(start * geometry.stride[0], (stop - 1) * geometry.stride[0] + reach)
        part = padded[:, :, seen]
        columns = inner.unfold(part).view(groups, reduction, -1)
        here = rows[:, :, start:stop]
        here.copy_(torch.bmm(weight, columns).view(here.shape))
        if g is None or grad_padded is None:
            continue
        grad = double(g.view(rows.shape)[:, :, start:stop]).reshape(groups, filters, -1)
        grad_w = made["grad_w"].view(groups, filters, reduction)
        if first and start == 0:
            torch.bmm(grad, columns.transpose(1, 2), out=grad_w)
        else:
            grad_w.baddbmm_(grad, columns.transpose(1, 2))
        columns = torch.bmm(weight.transpose(1, 2), grad, out=columns)
        grad_padded[:, :, seen] += inner.fold(columns.view(1, groups * reduction, -1), tuple(part.shape[2:]))
    if grad_padded is not None:
        inside = tuple(slice(p, p + s) for p, s in zip(geometry.padding, x.shape[2:]))
        made["grad_x"].copy_(grad_padded[(0, slice(None)) + inside])


def _with_bias(
    made: Dict[str, torch.Tensor], b: Optional[torch.Tensor], g: Optional[torch.Tensor], magnitudes: bool
) -> Dict[str, torch.Tensor]:
    if b is None:
        return made
    spatial = made["output"].dim() - 2
    made["output"] += (_magnitude if magnitudes else _double)(b).view((1, -1) + (1,) * spatial)
    if g is not None:
        dims = [0] + list(range(2, 2 + spatial))
        made["grad_b"] = (g.abs() if magnitudes else g).sum(dims, dtype=torch.float64)
    return made


def _double(x: torch.Tensor) -> torch.Tensor:
    """Contiguous fp64."""
    return x.to(torch.float64).contiguous()


def _magnitude(x: torch.Tensor) -> torch.Tensor:
    """Contiguous fp64 absolute values."""
    return x.to(torch.float64).abs().contiguous()
