"""The operations below a convolution: allocation, copies, elementwise, matrix products, reductions; all checked."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple

import torch
import torch.nn.functional as F

from rmcp_torch.workloads import measure, numerics
from rmcp_torch.workloads.reference import Wanted


class _Op(NamedTuple):
    """``compute`` maps operands a, b (any device) to the result; ``terms`` is the length of its sums for edge
    ``size``; ``exact`` says that nothing may be rounded."""

    compute: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    terms: Callable[[int], int] = lambda size: 1
    exact: bool = False


def _strided(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    out = torch.empty_like(a.t()).t()
    out.copy_(a)
    return out


# Every op takes two square matrices of edge `size`; reductions are over whole rows or the whole matrix.
_OPS: Dict[str, _Op] = {
    "alloc": _Op(lambda a, b: torch.zeros_like(a).add_(1.0).mul_(0.0).add_(a), exact=True),
    "copy": _Op(lambda a, b: a.clone(), exact=True),
    "strided-copy": _Op(_strided, exact=True),
    "transpose": _Op(lambda a, b: a.t().contiguous(), exact=True),
    "roundtrip": _Op(lambda a, b: a.cpu().to(a.device), exact=True),
    "cat": _Op(lambda a, b: torch.cat((a, b), 1), exact=True),
    "index": _Op(lambda a, b: a[torch.arange(a.shape[0] - 1, -1, -1, device=a.device)], exact=True),
    "sort": _Op(lambda a, b: a.sort(1)[0], exact=True),
    "relu": _Op(lambda a, b: a.relu(), exact=True),
    "add": _Op(lambda a, b: a + b),
    "mul": _Op(lambda a, b: a * b),
    "fma": _Op(lambda a, b: torch.addcmul(a, a, b), terms=lambda size: 3),
    "exp": _Op(lambda a, b: a.exp(), terms=lambda size: 8),
    "tanh": _Op(lambda a, b: a.tanh(), terms=lambda size: 8),
    "softmax": _Op(lambda a, b: a.softmax(1), terms=lambda size: size),
    "matmul": _Op(lambda a, b: a @ b, terms=lambda size: size),
    "matmul-t": _Op(lambda a, b: a.t() @ b.t(), terms=lambda size: size),
    "bmm": _Op(lambda a, b: torch.bmm(a.expand(3, -1, -1), b.expand(3, -1, -1)), terms=lambda size: size),
    "linear": _Op(lambda a, b: F.linear(a, b, a[0]), terms=lambda size: size + 1),
    "matvec": _Op(lambda a, b: torch.mv(a, b[0]), terms=lambda size: size),
    "sum": _Op(lambda a, b: a.sum(), terms=lambda size: size * size),
    "sum-rows": _Op(lambda a, b: a.sum(1), terms=lambda size: size),
    "sum-columns": _Op(lambda a, b: a.sum(0), terms=lambda size: size),
    "mean": _Op(lambda a, b: a.mean(), terms=lambda size: size * size),
    "max": _Op(lambda a, b: a.max(1)[0], exact=True),
    "cumsum": _Op(lambda a, b: a.cumsum(1), terms=lambda size: size),
    "norm": _Op(lambda a, b: a.norm(), terms=lambda size: size * size),
}
# Magnitudes of the terms of ops whose sums may cancel; the others' result is its own scale.
_MAGNITUDES = (
    "add",
    "fma",
    "matmul",
    "matmul-t",
    "bmm",
    "linear",
    "matvec",
    "sum",
    "sum-rows",
    "sum-columns",
    "mean",
    "cumsum",
)


def run(
    ctx: Any, op: str = "matmul", size: int = 256, dtype: str = "float32", tf32: bool = False, repeat: int = 1
) -> None:
    """One operation on square matrices of edge ``size``, compared with the same in fp64 on the CPU.

    ``op``: alloc, copy, strided-copy, transpose, roundtrip, cat, index, sort, relu, add, mul, fma, exp, tanh,
    softmax, matmul, matmul-t, bmm, linear, matvec, sum, sum-rows, sum-columns, mean, max, cumsum, norm.
    Copies and selections must be exact; the rest has the error bound of a sum of its length. ValueError for
    another ``op``.
    """
    found = _OPS.get(op)
    if found is None:
        raise ValueError("op %r is none of %s" % (op, ", ".join(_OPS)))
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, None, None, tf32)
    kind = numerics.dtype_of(dtype)
    random = torch.Generator().manual_seed(ctx.seed)
    a, b = (torch.randn((size, size), generator=random).to(kind) for _ in range(2))
    ctx.phase("reference")
    wanted = _reference(op, found, a, b, size, kind, tf32)
    ctx.phase("launch")
    if ctx.device != "cpu":
        numerics.poison([wanted.value.shape], kind, ctx.device)
    on_device = (a.to(ctx.device), b.to(ctx.device))
    got = measure.timed(ctx, lambda: found.compute(*on_device), repeat)
    ctx.phase("compare")
    ctx.compare(op, got, wanted.value, wanted.bound, dtype=kind, tf32=tf32)


def _reference(
    op: str, found: _Op, a: torch.Tensor, b: torch.Tensor, size: int, kind: torch.dtype, tf32: bool
) -> Wanted:
    value = found.compute(a.double(), b.double())

    def bound() -> torch.Tensor:
        if found.exact:
            return torch.zeros_like(value)
        scale = found.compute(a.double().abs(), b.double().abs()) if op in _MAGNITUDES else value
        relative = numerics.relative_bound(found.terms(size), kind, tf32)
        return scale.abs() * relative + numerics.underflow(kind)

    return Wanted(value, bound)
