"""What kind of wrong? Names a difference between a result and its reference; computed only after a check failed.

A fingerprint is a hint for people and part of a signature; it never decides whether a result is right. The words:
non-finite, unwritten, all-zero, wrong-layout, wrong-channel, wrong-group, border-only, tile-local,
precision-only, non-deterministic (see workloads/determinism.py), wrong-shape, and wrong-values for the rest.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, List, NamedTuple, Optional, Tuple

import torch

_CLEAR_FACTOR = 10.0  # an element this far over its bound is clearly off; nearer ones may be rounding
_SAME = 0.05  # a rearranged reference explains the result if 95 % of the error's norm disappears
_MOSTLY = 0.9  # share of elements off for a channel or a tile to count as wholly wrong; chance hits allowed
_LOCAL = 0.5  # a region that holds more than half of the image is not local
_PRECISION = 0.05  # relative error norm up to which a wrong result still looks like the right one
_MAX_CHANNELS = 2048  # matching channels costs their square
_TILES = (64, 32, 16, 8, 4)  # edges of output tiles that GPU kernels use, in pixels
PICTURE_EDGE = 32  # rows and columns of an error map at most


class Found(NamedTuple):
    """``word``, one line of ``detail``, share of elements over their bound (0..1), error map or None."""

    word: str
    detail: str
    fraction_off: float
    picture: Optional[List[str]]


def identify(
    got: torch.Tensor,
    reference: torch.Tensor,
    bound: Any,
    groups: int = 1,
    halo: int = 1,
    guard: Optional[float] = None,
) -> Found:
    """Name the difference. ``got`` and ``reference`` are fp64 on the CPU and of one shape, ``bound`` a number or
    a tensor of that shape. ``groups`` of the convolution, ``halo`` the width in pixels of the border that padding
    reaches, ``guard`` the value with which memory was filled before."""
    error = (got - reference).abs()
    limit = bound if isinstance(bound, torch.Tensor) else torch.full_like(error, float(bound))
    over = ~(error <= limit)
    fraction = float(over.double().mean())
    word, detail = _name(got, reference, error, ~(error <= limit * _CLEAR_FACTOR), groups, halo, guard)
    return Found(word, detail, fraction, picture(error, limit))


def _name(
    got: torch.Tensor,
    reference: torch.Tensor,
    error: torch.Tensor,
    off: torch.Tensor,
    groups: int,
    halo: int,
    guard: Optional[float],
) -> Tuple[str, str]:
    total = got.numel()
    odd = ~torch.isfinite(got) & torch.isfinite(reference)
    if bool(odd.any()):
        nans = int(torch.isnan(got).sum())
        infinite = int(odd.sum()) - nans
        return "non-finite", "%d NaN and %d infinite of %d" % (nans, infinite, total) + _where(odd)
    if guard is not None:
        untouched = got == guard
        if bool(untouched.any()):
            return "unwritten", "%d of %d still hold the guard value" % (
                int(untouched.sum()),
                total,
            ) + _where(untouched)
    if not bool(got.any()) and bool(reference.any()):
        return "all-zero", "every one of %d elements is 0" % total
    layout = _rearranged(got, reference)
    if layout:
        return "wrong-layout", "equals the reference when " + layout
    channel = _channels(got, reference, off, groups)
    if channel is not None:
        return channel
    region = _region(off, halo)
    if region is not None:
        return region
    scale = float(reference.norm())
    relative = float(error.norm()) / scale if scale else math.inf
    if relative <= _PRECISION:
        return "precision-only", "relative error %.2g, spread over the tensor" % relative
    offset = _constant_offset(got, reference)
    return "wrong-values", "relative error %.2g%s" % (relative, offset)


def _where(mask: torch.Tensor) -> str:
    """The first place, as text."""
    first = torch.nonzero(mask)[0].tolist()
    return ", first at %s" % (first,)


def _explains(got: torch.Tensor, candidate: torch.Tensor, error_norm: float) -> bool:
    return float((got - candidate).norm()) <= _SAME * error_norm


def _rearranged(got: torch.Tensor, reference: torch.Tensor) -> str:
    """In which words the reference must be rearranged to give the result; '' when it does not."""
    error_norm = float((got - reference).norm())
    dims, shape = got.dim(), tuple(got.shape)
    if dims < 2 or dims > 5 or not error_norm:
        return ""
    # A buffer written in one order and read in another.
    if dims >= 3:
        last = (0,) + tuple(range(2, dims)) + (1,)
        as_written_last = reference.permute(last).reshape(shape)
        if _explains(got, as_written_last, error_norm):
            return "its channels-last buffer is read as channels-first"
        moved = (shape[0],) + shape[2:] + (shape[1],)
        back = (0, dims - 1) + tuple(range(1, dims - 1))
        if _explains(got, reference.reshape(moved).permute(back), error_norm):
            return "its channels-first buffer is read as channels-last"
    for order in itertools.permutations(range(dims)):
        fits = order != tuple(range(dims)) and tuple(shape[d] for d in order) == shape
        if fits and _explains(got, reference.permute(order), error_norm):
            return "its dimensions are permuted as %s" % (order,)
    for count in (1, 2):
        for flipped in itertools.combinations(range(max(0, dims - 2), dims), count):
            if _explains(got, reference.flip(flipped), error_norm):
                return "it is flipped along %s" % (flipped,)
    return ""


def _channels(
    got: torch.Tensor, reference: torch.Tensor, off: torch.Tensor, groups: int
) -> Optional[Tuple[str, str]]:
    """Whole channels wrong, maybe swapped; whole groups when the wrong channels are those of groups."""
    if got.dim() < 3 or got.shape[1] < 2 or got.shape[1] > _MAX_CHANNELS:
        return None
    count = got.shape[1]
    others = [d for d in range(got.dim()) if d != 1]
    share = off.double().mean(others)
    bad = [index for index in range(count) if float(share[index]) >= _MOSTLY]
    if not bad or any(0.0 < float(value) < _MOSTLY for value in share):
        return None
    a, b = got.transpose(0, 1).reshape(count, -1), reference.transpose(0, 1).reshape(count, -1)
    distance = torch.cdist(a[bad], b)
    nearest = distance.argmin(1)
    own = (a - b).norm(dim=1)
    swapped = [
        (index, int(nearest[row]))
        for row, index in enumerate(bad)
        if int(nearest[row]) != index and float(distance[row, nearest[row]]) <= _SAME * float(own[index])
    ]
    by_group = _whole_groups(bad, count, groups)
    if len(swapped) == len(bad):
        pairs = ", ".join("%d holds %d" % pair for pair in swapped[:8])
        return ("wrong-group" if by_group else "wrong-channel"), "channels are swapped: " + pairs
    if len(bad) == count:
        return None
    if by_group:
        return "wrong-group", "groups %s of %d are wrong" % (by_group, groups)
    return "wrong-channel", "%d of %d channels are wrong: %s" % (len(bad), count, bad[:16])


def _whole_groups(bad: List[int], count: int, groups: int) -> List[int]:
    """Groups whose channels are all bad, if those are all the bad channels there are."""
    if groups < 2 or count % groups or groups == count:
        return []
    size = count // groups
    hit = sorted({index // size for index in bad})
    return hit if (len(hit) * size == len(bad) and len(hit) * size < count) or len(hit) == groups else []


def _region(off: torch.Tensor, halo: int) -> Optional[Tuple[str, str]]:
    """Errors on the border only, or inside tiles only."""
    if off.dim() < 3 or not bool(off.any()):
        return None
    flat = off.reshape(-1, *off.shape[-2:]).any(0) if off.dim() > 3 else off.any(0)
    if flat.dim() == 1:
        flat = flat.unsqueeze(0)
    h, w = flat.shape
    inner = flat[halo : h - halo, halo : w - halo] if h > 2 * halo else flat[:, halo : w - halo]
    if inner.numel() and not bool(inner.any()):
        return "border-only", "every wrong pixel is within %d of the edge" % halo
    rows, columns = torch.nonzero(flat.any(1)).flatten(), torch.nonzero(flat.any(0)).flatten()
    top, bottom, left, right = int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
    box = (bottom - top + 1) * (right - left + 1)
    if box <= _LOCAL * h * w and float(flat[top : bottom + 1, left : right + 1].double().mean()) >= _LOCAL:
        return "tile-local", "all wrong pixels are in rows %d..%d, columns %d..%d" % (
            top,
            bottom,
            left,
            right,
        )
    for edge in _TILES:
        tiled = _tiles(flat, edge)
        if tiled is not None:
            return "tile-local", "wrong are %d of %d tiles of %d x %d pixels" % (
                tiled[0],
                tiled[1],
                edge,
                edge,
            )
    return None


def _tiles(flat: torch.Tensor, edge: int) -> Optional[Tuple[int, int]]:
    """(tiles hit, tiles) when the errors fill some aligned tiles and spare the others."""
    h, w = flat.shape
    if h < 2 * edge and w < 2 * edge:
        return None
    padded = torch.nn.functional.pad(flat.double()[None, None], (0, -w % edge, 0, -h % edge))
    ones = torch.nn.functional.pad(torch.ones(1, 1, h, w, dtype=torch.float64), (0, -w % edge, 0, -h % edge))
    share = torch.nn.functional.avg_pool2d(padded, edge) / torch.nn.functional.avg_pool2d(ones, edge)
    hit = share > 0
    if int(hit.sum()) <= _LOCAL * hit.numel() and float(share[hit].min()) >= _MOSTLY:
        return int(hit.sum()), hit.numel()
    return None


def _constant_offset(got: torch.Tensor, reference: torch.Tensor) -> str:
    """A remark when each channel is off by one constant, as when a bias is missing or added twice."""
    if got.dim() < 3:
        return ""
    delta = got - reference
    mean = delta.mean([d for d in range(delta.dim()) if d != 1], keepdim=True)
    if float((delta - mean).norm()) <= _SAME * float(delta.norm()):
        return "; each channel is off by a constant: look at the bias"
    return ""


def picture(error: torch.Tensor, limit: torch.Tensor) -> Optional[List[str]]:
    """Error map of an image-like tensor: rows of digits, at most 32 x 32, the worst of all images and channels.

    0: within the bound; d: up to 10**d times the bound; 9: more, or not finite. None for vectors.
    """
    if error.dim() < 2 or not error.numel():
        return None
    tiny = torch.finfo(torch.float64).tiny
    ratio = torch.nan_to_num(error / limit.clamp_min(tiny), nan=math.inf, posinf=math.inf)
    worst = ratio.reshape(-1, *ratio.shape[-2:]).amax(0)
    levels = torch.where(worst <= 1.0, torch.zeros_like(worst), worst.log10().ceil().clamp(1.0, 9.0))
    h, w = min(PICTURE_EDGE, levels.shape[0]), min(PICTURE_EDGE, levels.shape[1])
    small = torch.nn.functional.adaptive_max_pool2d(levels[None, None], (h, w))[0, 0]
    return ["".join(str(int(value)) for value in row) for row in small.tolist()]
