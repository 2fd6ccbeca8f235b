"""Convolution on the device under test: forward, gradients and one train step, checked against fp64."""

from __future__ import annotations

from typing import Any, Dict, List, Optional, Tuple, Union

import torch
import torch.nn.functional as F

from rmcp_torch.workloads import measure, numerics, reference
from rmcp_torch.workloads.reference import Geometry, Wanted

DIRECTIONS = ("forward", "backward", "train")
MEMORY_FORMATS = ("contiguous", "channels_last", "preserve", "explicit")
_LEARNING_RATE = 0.125  # a power of two: the step itself rounds once
IntPair = Union[int, List[int], Tuple[int, int]]


def pair(value: IntPair) -> Tuple[int, int]:
    """An int or two ints -> (height, width)."""
    if isinstance(value, (list, tuple)):
        if len(value) != 2:
            raise ValueError("expected one number or two (height, width), got %r" % (value,))
        return int(value[0]), int(value[1])
    return int(value), int(value)


def run(
    ctx: Any,
    n: int = 1,
    c: int = 3,
    h: int = 32,
    w: int = 32,
    k: int = 16,
    kernel: IntPair = 3,
    stride: IntPair = 1,
    padding: IntPair = 0,
    dilation: IntPair = 1,
    groups: int = 1,
    bias: bool = True,
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
    """One ``conv2d`` of input (n, c, h, w) with k filters; every result is compared with an fp64 reference.

    ``kernel``, ``stride``, ``padding``, ``dilation``: an int or (height, width). ``direction``: `forward`;
    `backward` adds the gradients of input, weight and bias; `train` adds one SGD step. ``memory_format``:
    `contiguous`; `channels_last` (input and weight); `preserve` (the input keeps the NHWC strides in which it
    arrives, the weight is contiguous); `explicit` (it arrives as NHWC and `.contiguous()` is called on it).
    ``benchmark`` and ``deterministic`` set torch.backends.cudnn; ``autocast`` names the lower dtype to which
    torch.autocast may go, '' for none; ``repeat`` timed iterations; ``workaround`` see rmcp_torch.workarounds.
    """
    _validate(direction, memory_format, groups, c, k)
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, benchmark, deterministic, tf32)
    geometry = Geometry(pair(kernel), pair(stride), pair(padding), pair(dilation), groups)
    kind = numerics.dtype_of(dtype)
    low = numerics.dtype_of(autocast) if autocast else kind
    host = _inputs(ctx.seed, (n, c, h, w), (k, c // groups) + geometry.kernel, bias, geometry, kind, direction)
    ctx.phase("reference")
    wanted = _references(host, geometry, low, tf32, direction, kind)
    ctx.phase("launch")
    device = _arrange(host, ctx.device, memory_format)
    if ctx.device != "cpu":  # whose allocator would hand out fresh pages anyway
        numerics.poison([value.value.shape for value in wanted.values()], low, ctx.device)
    module = _convolution(workaround, geometry)
    step = _Step(module, device, memory_format, direction, ctx.device, autocast)
    got = measure.timed(ctx, step, repeat)
    measure.observe_conv(ctx, device["x"], device["w"], device["b"], geometry, workaround)
    ctx.phase("compare")
    halo = max(geometry.padding[0], geometry.padding[1], 1)
    hints = {"dtype": low, "tf32": tf32, "groups": groups, "halo": halo}
    for name, (value, bound) in wanted.items():
        ctx.compare(name, got[name], value, bound, **hints)


def _validate(direction: str, memory_format: str, groups: int, c: int, k: int) -> None:
    if direction not in DIRECTIONS:
        raise ValueError("direction %r is none of %s" % (direction, ", ".join(DIRECTIONS)))
    if memory_format not in MEMORY_FORMATS:
        raise ValueError("memory_format %r is none of %s" % (memory_format, ", ".join(MEMORY_FORMATS)))
    if c % groups or k % groups:
        raise ValueError("groups=%d must divide c=%d and k=%d" % (groups, c, k))


def _inputs(
    seed: int,
    x_shape: Tuple[int, int, int, int],
    w_shape: Tuple[int, ...],
    bias: bool,
    geometry: Geometry,
    dtype: torch.dtype,
    direction: str,
) -> Dict[str, Optional[torch.Tensor]]:
    """Input, weight, bias and output gradient on the CPU, rounded to ``dtype``; the same for every device."""
    out = geometry.out_size(x_shape[2], x_shape[3])
    if min(out) < 1:
        raise ValueError("kernel %s does not fit into the padded input %s" % (geometry.kernel, x_shape))
    # A generator of its own: torch.manual_seed also queues seeding of every other backend, which costs milliseconds.
    random = torch.Generator().manual_seed(seed)
    made: Dict[str, Optional[torch.Tensor]] = {
        "x": torch.randn(x_shape, generator=random),
        "w": torch.randn(w_shape, generator=random),
        "b": torch.randn(w_shape[0], generator=random) if bias else None,
        "g": torch.randn((x_shape[0], w_shape[0]) + out, generator=random) if direction != "forward" else None,
    }
    if dtype is torch.float32:
        return made
    return {name: None if value is None else value.to(dtype) for name, value in made.items()}


def _references(
    host: Dict[str, Optional[torch.Tensor]],
    geometry: Geometry,
    low: torch.dtype,
    tf32: bool,
    direction: str,
    dtype: torch.dtype,
) -> Dict[str, Wanted]:
    """What each result must be. Under autocast the operands are first rounded to the lower dtype."""
    x, w, b, g = (value if value is None else value.to(low) for value in (host[name] for name in "xwbg"))
    wanted = reference.convolution(x, w, b, g, geometry, low, tf32)  # type: ignore[arg-type]
    if direction == "train":
        for name, gradient in (("w", wanted["grad_w"]), ("b", wanted.get("grad_b"))):
            start = host[name]
            if gradient is not None and start is not None:
                wanted["new_" + name] = _stepped(start.double(), gradient, dtype)
    return wanted


def _stepped(start: torch.Tensor, gradient: Wanted, dtype: torch.dtype) -> Wanted:
    """The parameter after one SGD step: the gradient's error, scaled, plus the rounding of the sum."""
    value = start - _LEARNING_RATE * gradient.value

    def bound() -> torch.Tensor:
        rounding = (start.abs() + _LEARNING_RATE * gradient.value.abs()) * numerics.relative_bound(1, dtype)
        return gradient.bound() * _LEARNING_RATE + rounding

    return Wanted(value, bound)


def _arrange(host: Dict[str, Optional[torch.Tensor]], device: str, memory_format: str) -> Dict[str, Any]:
    """Operands on the device in the strides of ``memory_format``, requiring gradients where there is one."""
    placed: Dict[str, Any] = {}
    for name, value in host.items():
        if value is None:
            placed[name] = None
            continue
        nhwc = name in ("x", "g") and memory_format != "contiguous" or memory_format == "channels_last" and name == "w"
        if nhwc:
            value = value.contiguous(memory_format=torch.channels_last)
        placed[name] = value if device == "cpu" else value.to(device, memory_format=torch.preserve_format)
    if host["g"] is not None:
        for name in "xwb":
            if placed[name] is not None:
                placed[name].requires_grad_(True)
    return placed


def _convolution(workaround: str, geometry: Geometry) -> Any:
    """A function (x, w, b) -> y: torch's own convolution or one of the workarounds."""
    if workaround == "none":
        return lambda x, w, b: F.conv2d(
            x, w, b, geometry.stride, geometry.padding, geometry.dilation, geometry.groups
        )
    from rmcp_torch.workarounds import convolution

    return convolution(workaround, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)


class _Step:
    """One iteration; calling it returns the results by name."""

    def __init__(
        self, convolution: Any, operands: Dict[str, Any], memory_format: str, direction: str, device: str, autocast: str
    ) -> None:
        self.convolution, self.operands, self.direction = convolution, operands, direction
        self.explicit, self.device, self.autocast = memory_format == "explicit", device, autocast

    def __call__(self) -> Dict[str, torch.Tensor]:
        x, w, b, g = (self.operands[name] for name in "xwbg")
        with measure.autocast(self.device, self.autocast):
            y = self.convolution(x.contiguous() if self.explicit else x, w, b)
        if self.direction == "forward":
            return {"output": y}
        leaves = [leaf for leaf in (x, w, b) if leaf is not None]
        gradients = measure.gradients(y, leaves, g.to(y.dtype))
        got = dict(zip(("output", "grad_x", "grad_w", "grad_b"), (y,) + gradients))
        if self.direction == "train":
            for name, leaf in (("w", w), ("b", b)):
                if leaf is not None:
                    got["new_" + name] = self._stepped(leaf, got["grad_" + name])
        return got

    @staticmethod
    def _stepped(leaf: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        parameter = leaf.detach().clone().requires_grad_(True)
        parameter.grad = gradient.to(leaf.dtype)
        torch.optim.SGD([parameter], lr=_LEARNING_RATE).step()
        return parameter.detach()
