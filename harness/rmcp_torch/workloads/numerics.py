"""Is a result right? Error bounds by dtype and length of the sums, and the comparison with a reference.

Bounds. A sum of K products, computed in any order with unit roundoff u, differs from the exact one by at most
gamma_K * sum|a_i b_i| with gamma_K = K u / (1 - K u) (Higham, Accuracy and Stability of Numerical Algorithms,
2002, section 3.1). For long sums that worst case is far above what happens; with rounding errors of mean zero
lambda * sqrt(K) * u takes its place, lambda a small constant (Higham and Mary, SIAM J. Sci. Comput. 41(5),
2019). The smaller of the two is used, with the accumulator's u, plus the rounding of the stored result.
RMS thresholds are those of MIOpenDriver (GetDefaultTolerance in driver/conv_driver.hpp), the RMS itself is
defined as in MIOpen's test/verify.hpp.
"""

from __future__ import annotations

import math
from typing import Any, Dict, Optional, Tuple

import torch

# Factor of the probabilistic bound: an honest sum exceeds 4 with probability 2 exp(-8), before other slack.
_LAMBDA = 4.0
# Winograd and FFT algorithms are not componentwise stable: MIOpenDriver allows them ten times as much.
LOOSE_FACTOR = 10.0
# Units of roundoff of the largest number: below the componentwise bound of any sum of 27 terms or more.
_FEW = 8.0
# "pass if rms <= MIOpenDriver's value x 10": its value is for whole sums in the driver's own small data range.
_RMS_SLACK = 10.0
# A finite value that no workload here produces by chance; float16, bfloat16 and float32 hold it in full or rounded.
GUARD = -12288.0

# dtype -> (unit roundoff of the accumulator, of the stored result, RMS threshold of MIOpenDriver)
_U16, _UBF16, _U32, _U64 = 2.0**-11, 2.0**-8, 2.0**-24, 2.0**-53
_UTF32 = 2.0**-11
_PRECISION: Dict[torch.dtype, Tuple[float, float, float]] = {
    torch.float16: (_U32, _U16, 8.2e-3),
    torch.bfloat16: (_U32, _UBF16, 6.56e-2),
    torch.float32: (_U32, _U32, 1.5e-6),
    torch.float64: (_U64, _U64, 1e-14),
}


def dtype_of(name: str) -> torch.dtype:
    """The torch dtype called ``name`` (`float32`, `float16`, `bfloat16`, `float64` ...); ValueError otherwise."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError("torch has no dtype %r" % name)
    return found


def unit_roundoff(dtype: torch.dtype) -> float:
    """Half the distance from 1 to the next number of ``dtype``."""
    return _PRECISION[dtype][1]


def relative_bound(terms: int, dtype: torch.dtype, tf32: bool = False) -> float:
    """Largest error of a sum of ``terms`` products stored in ``dtype``, relative to the sum of magnitudes."""
    accumulator, stored, _ = _PRECISION[dtype]
    terms = max(terms, 1)
    growth = min(float(terms), _LAMBDA * math.sqrt(terms)) * accumulator
    products = 2.0 * _UTF32 if tf32 and dtype is torch.float32 else 0.0
    # Twice the rounding of the result: backends may store the sum and add the bias in a second step.
    return growth / (1.0 - min(growth, 0.5)) + products + 2.0 * stored


def underflow(dtype: torch.dtype) -> float:
    """Absolute error that numbers below the normal range may have: a device may flush them to zero."""
    return float(torch.finfo(dtype).tiny)


def rms_limit(dtype: torch.dtype, tf32: bool = False) -> float:
    """RMS error up to which a result counts as tight, for tensors of ``dtype``."""
    if tf32 and dtype is torch.float32:
        dtype = torch.float16  # the same ten bits of mantissa
    return _RMS_SLACK * _PRECISION.get(dtype, _PRECISION[torch.float32])[2]


def poison(shapes: Any, dtype: torch.dtype, device: str) -> None:
    """Fill and free blocks of these shapes, so that an allocator that reuses them hands out guard values.

    An output that the kernel never wrote then shows `GUARD` instead of last run's right answer.
    """
    blocks = [torch.full(shape, GUARD, dtype=dtype, device=device) for shape in shapes]
    del blocks


def compare(
    name: str,
    actual: torch.Tensor,
    reference: torch.Tensor,
    bound: Any,
    *,
    dtype: Optional[torch.dtype] = None,
    tf32: bool = False,
    groups: int = 1,
    halo: int = 1,
    loose_factor: float = LOOSE_FACTOR,
    rms_tight: Optional[float] = None,
) -> Dict[str, Any]:
    """One check, as a dict with the fields of `Check`: name, tight, loose, max_abs, bound, rms, fingerprint ...

    ``actual`` (any device, layout, dtype) is held against ``reference`` (same shape, on the CPU). ``bound`` is
    a number, a tensor of that shape, or a function that returns one: the largest honest error. ``dtype``
    (default: actual's) chooses the RMS threshold; ``groups`` and ``halo`` (width of the border that padding
    reaches, in pixels) help to name a failure.

    Tight: the RMS error within MIOpen's, and every element within its bound; where results are stored as
    precisely as they are summed, an error of a few ulps of the largest number is tight too, and then the bound
    is not even computed. Loose: within ``loose_factor`` times that. Fingerprint and picture cost more and are
    made only when a check is not tight.
    """
    if tuple(actual.shape) != tuple(reference.shape):
        detail = "shape %s, expected %s" % (tuple(actual.shape), tuple(reference.shape))
        return _check(name, False, False, fingerprint="wrong-shape", detail=detail)
    if not reference.numel():
        return _check(name, True, True, max_abs=0.0, bound=0.0, rms=0.0, fraction_off=0.0)
    kind = dtype or actual.dtype
    reference = reference.to(torch.float64)
    # copy=True: the error is formed in place, because fresh memory is what a small comparison costs.
    error = actual.detach().to(device="cpu", dtype=torch.float64, copy=True).sub_(reference)
    norm = float(torch.linalg.vector_norm(error))
    max_abs = float(torch.linalg.vector_norm(error, math.inf))
    largest = float(torch.linalg.vector_norm(reference, math.inf))
    rms = norm / (math.sqrt(error.numel()) * max(largest, 2.0**-1022))
    rms_allowed = rms_limit(kind, tf32) if rms_tight is None else rms_tight
    shown = _few_ulps(kind) * largest if callable(bound) else 0.0
    if max_abs <= shown and rms <= rms_allowed:
        return _check(name, True, True, max_abs=max_abs, bound=shown, rms=rms, fraction_off=0.0)
    limit = bound() if callable(bound) else bound
    shown = float(limit.max()) if isinstance(limit, torch.Tensor) else float(limit)
    error.abs_()
    # NaN is within nothing.
    if bool(torch.le(error, limit).all()) and rms <= rms_allowed:
        return _check(name, True, True, max_abs=max_abs, bound=shown, rms=rms, fraction_off=0.0)
    from rmcp_torch.workloads import fingerprints

    loose = bool(torch.le(error, limit * loose_factor).all()) and rms <= rms_allowed * loose_factor
    got = actual.detach().to(device="cpu", dtype=torch.float64)
    found = fingerprints.identify(
        got, reference, limit, groups=groups, halo=halo, guard=_stored(GUARD, actual.dtype)
    )
    return _check(
        name,
        False,
        loose,
        max_abs=max_abs if math.isfinite(max_abs) else None,
        bound=shown,
        rms=rms if math.isfinite(rms) else None,
        fraction_off=found.fraction_off,
        fingerprint="precision-only" if loose else found.word,
        detail=found.detail,
        picture=found.picture,
    )


def bit_difference(first: torch.Tensor, second: torch.Tensor) -> float:
    """0 when both tensors hold the same bits, NaN in the same places included; else the largest difference."""
    if torch.equal(first, second):
        return 0.0
    a, b = (value.detach().to(device="cpu", dtype=torch.float64) for value in (first, second))
    both = torch.isnan(a) & torch.isnan(b)
    difference = torch.where(both, torch.zeros_like(a), (a - b).abs())
    worst = float(difference.max())
    return worst if math.isfinite(worst) else float(torch.finfo(torch.float64).max)


def non_deterministic(name: str, difference: float) -> Dict[str, Any]:
    """The check of a result that changed between two runs on the same input."""
    detail = "two runs on the same input differ by up to %.3g" % difference
    return _check(
        name, False, False, max_abs=difference, bound=0.0, fingerprint="non-deterministic", detail=detail
    )


def _few_ulps(dtype: torch.dtype) -> float:
    """Error relative to the largest number up to which nothing more is asked; 0 for dtypes stored with less
    precision than they are summed with, where small numbers must be right too."""
    accumulator, stored, _ = _PRECISION.get(dtype, (0.0, 1.0, 0.0))
    return _FEW * accumulator if accumulator == stored else 0.0


def _stored(value: float, dtype: torch.dtype) -> float:
    return float(torch.tensor(value, dtype=dtype)) if dtype.is_floating_point else value


def _check(name: str, tight: bool, loose: bool, **fields: Any) -> Dict[str, Any]:
    check: Dict[str, Any] = {"name": name, "tight": tight, "loose": loose}
    check.update(fields)
    return check
