"""The convolution experiment behind conv1d, conv2d and conv3d: inputs, references, one step on the device, checks."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn.functional as F

from rmcp_torch.workloads import measure, numerics, reference
from rmcp_torch.workloads.reference import Geometry, Wanted

DIRECTIONS = ("forward", "backward", "train")
MEMORY_FORMATS = ("contiguous", "channels_last", "preserve", "explicit")
_LEARNING_RATE = 0.125  # a power of two: scaling the gradient rounds nothing
_CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
_FORWARD = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
Extent = Union[int, List[int], Tuple[int, ...]]


def extent(value: Extent, dims: int) -> Tuple[int, ...]:
    """An int, or one int per spatial dimension -> a tuple of ``dims`` ints."""
    if isinstance(value, (list, tuple)):
        if len(value) != dims:
            raise ValueError("expected one number or %d of them, got %r" % (dims, value))
        return tuple(int(part) for part in value)
    return (int(value),) * dims


class Problem(NamedTuple):
    """What is computed: input (n, c, *size), k filters, and how it is laid out and called."""

    n: int
    c: int
    size: Tuple[int, ...]
    k: int
    geometry: Geometry
    bias: bool = True
    dtype: str = "float32"
    memory_format: str = "contiguous"
    direction: str = "forward"
    autocast: str = ""
    tf32: bool = False
    workaround: str = "none"

    @property
    def weight_shape(self) -> Tuple[int, ...]:
        """Of a convolution (k, c/groups, ...), of a transposed one (c, k/groups, ...)."""
        first, second = (self.c, self.k) if self.geometry.transposed else (self.k, self.c)
        return (first, second // self.geometry.groups) + self.geometry.kernel

    @property
    def low(self) -> torch.dtype:
        """The dtype in which the convolution is computed: autocast's, or the operands'."""
        return numerics.dtype_of(self.autocast or self.dtype)


def validate(problem: Problem) -> None:
    """Raise ValueError for what no convolution can be."""
    groups = problem.geometry.groups
    if problem.direction not in DIRECTIONS:
        raise ValueError("direction %r is none of %s" % (problem.direction, ", ".join(DIRECTIONS)))
    if problem.memory_format not in MEMORY_FORMATS:
        raise ValueError(
            "memory_format %r is none of %s" % (problem.memory_format, ", ".join(MEMORY_FORMATS))
        )
    if problem.memory_format != "contiguous" and len(problem.size) == 1:
        raise ValueError(
            "memory_format %r: torch has no channels-last layout for 1-d" % problem.memory_format
        )
    if problem.c % groups or problem.k % groups:
        raise ValueError("groups=%d must divide c=%d and k=%d" % (groups, problem.c, problem.k))
    out = problem.geometry.out_size(problem.size)
    if min(out) < 1:
        raise ValueError(
            "kernel %s does not fit into the padded input %s" % (problem.geometry.kernel, problem.size)
        )


def run(
    ctx: Any, problem: Problem, repeat: int, benchmark: Optional[bool], deterministic: Optional[bool]
) -> None:
    """The whole case: every result is compared with its fp64 reference."""
    validate(problem)
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, benchmark, deterministic, problem.tf32)
    host = inputs(ctx.seed, problem)
    ctx.phase("reference")
    wanted = references(host, problem, ctx.beat)
    ctx.phase("launch")
    if ctx.device != "cpu":  # whose allocator would hand out fresh pages anyway
        numerics.poison([value.value.shape for value in wanted.values()], problem.low, ctx.device)
    step = Step(host, problem, ctx.device)
    got = measure.timed(ctx, step, repeat)
    step.observe(ctx)
    ctx.phase("compare")
    check(ctx, got, wanted, problem)


def check(ctx: Any, got: Dict[str, torch.Tensor], wanted: Dict[str, Wanted], problem: Problem) -> None:
    """Compare every wanted result."""
    geometry = problem.geometry
    hints = {"dtype": problem.low, "tf32": problem.tf32, "groups": geometry.groups}
    halo = max(1, max(geometry.padding))
    for name, (value, bound) in wanted.items():
        ctx.compare(name, got[name], value, bound, halo=halo, **hints)


def inputs(seed: int, problem: Problem) -> Dict[str, Optional[torch.Tensor]]:
    """Input x, weight w, bias b and output gradient g on the CPU, rounded to the dtype; the same for every device."""
    # A generator of its own: torch.manual_seed also queues seeding of every other backend, which costs milliseconds.
    random = torch.Generator().manual_seed(seed)
    out = problem.geometry.out_size(problem.size)
    backward = problem.direction != "forward"
    made: Dict[str, Optional[torch.Tensor]] = {
        "x": torch.randn((problem.n, problem.c) + problem.size, generator=random),
        "w": torch.randn(problem.weight_shape, generator=random),
        "b": torch.randn(problem.k, generator=random) if problem.bias else None,
        "g": torch.randn((problem.n, problem.k) + out, generator=random) if backward else None,
    }
    dtype = numerics.dtype_of(problem.dtype)
    if dtype is torch.float32:
        return made
    return {name: None if value is None else value.to(dtype) for name, value in made.items()}


def references(
    host: Dict[str, Optional[torch.Tensor]], problem: Problem, beat: Callable[[], None]
) -> Dict[str, Wanted]:
    """What each result must be. Under autocast the operands are first rounded to the lower dtype."""
    x, w, b, g = (value if value is None else value.to(problem.low) for value in map(host.get, "xwbg"))
    assert x is not None
    assert w is not None
    wanted = reference.convolution(x, w, b, g, problem.geometry, problem.low, problem.tf32, beat)
    if problem.direction == "train":
        dtype = numerics.dtype_of(problem.dtype)
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


class Step:
    """One iteration on the device; calling it returns the results by name."""

    def __init__(self, host: Dict[str, Optional[torch.Tensor]], problem: Problem, device: str) -> None:
        self.problem, self.device = problem, device
        self.operands = {name: self._place(name, value) for name, value in host.items()}
        self.leaves = [self.operands[name] for name in "xwb" if self.operands[name] is not None]
        if problem.direction != "forward":
            for leaf in self.leaves:
                leaf.requires_grad_(True)
        self.convolution = self._convolution()

    def _place(self, name: str, value: Optional[torch.Tensor]) -> Any:
        """An operand on the device in the strides of the memory format."""
        if value is None:
            return None
        value = value.detach()  # the reference keeps the original, which must not take part in autograd
        wish = self.problem.memory_format
        if wish != "contiguous" and (name in "xg" or (wish == "channels_last" and name == "w")):
            value = value.contiguous(memory_format=_CHANNELS_LAST[value.dim()])
        return value if self.device == "cpu" else value.to(self.device)

    def _convolution(self) -> Any:
        """A function (x, w, b) -> y: torch's own convolution or one of the workarounds."""
        geometry, dims = self.problem.geometry, len(self.problem.size)
        if self.problem.workaround != "none":
            if dims != 2 or geometry.transposed:
                raise ValueError("workarounds are for conv2d without `transposed`")
            from rmcp_torch.workarounds import convolution

            return convolution(self.problem.workaround, geometry)
        if geometry.transposed:
            return lambda x, w, b: _TRANSPOSED[dims](
                x,
                w,
                b,
                geometry.stride,
                geometry.padding,
                geometry.output_padding,
                geometry.groups,
                geometry.dilation,
            )
        return lambda x, w, b: _FORWARD[dims](
            x, w, b, geometry.stride, geometry.padding, geometry.dilation, geometry.groups
        )

    def __call__(self) -> Dict[str, torch.Tensor]:
        x, w, b, g = (self.operands[name] for name in "xwbg")
        with measure.autocast(self.device, self.problem.autocast):
            y = self.convolution(x.contiguous() if self.problem.memory_format == "explicit" else x, w, b)
        if self.problem.direction == "forward":
            return {"output": y}
        gradients = measure.gradients(y, self.leaves, g.to(y.dtype))
        got = dict(zip(("output", "grad_x", "grad_w", "grad_b"), (y,) + gradients))
        if self.problem.direction == "train":
            for name, leaf in (("w", w), ("b", b)):
                if leaf is not None:
                    got["new_" + name] = self._sgd(leaf, got["grad_" + name])
        return got

    @staticmethod
    def _sgd(leaf: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
        # By hand, as SGD does it: the first step of a torch.optim optimizer imports half of torch._dynamo.
        return leaf.detach().add(gradient.to(leaf.dtype), alpha=-_LEARNING_RATE)

    def observe(self, ctx: Any) -> None:
        """Keep which backend torch selects for these operands."""
        x, w, b = (self.operands[name] for name in "xwb")
        if self.problem.autocast:
            x, w, b = (value if value is None else value.to(self.problem.low) for value in (x, w, b))
        measure.observe_conv(ctx, x, w, b, self.problem.geometry)
        if self.problem.workaround != "none":
            ctx.observe("workaround", self.problem.workaround)
