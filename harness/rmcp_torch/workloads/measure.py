"""What every workload records besides its numbers: time, memory, switches and the backend that really ran."""

from __future__ import annotations

import contextlib
import time
from typing import Any, Callable, ContextManager, List, Optional, Sequence, Tuple, TypeVar

import torch

T = TypeVar("T")

MOST_SAMPLES = 64  # seconds kept per case: enough for a bootstrap of a median, about 600 bytes of a journal's line
_NOTHING = contextlib.nullcontext()


def set_backend_flags(
    device: str, benchmark: Optional[bool], deterministic: Optional[bool], tf32: bool = False
) -> None:
    """Set torch.backends.cudnn (MIOpen on ROCm); None is torch's default, off. Set each time, because with
    `batch` isolation the case before may have left them on. TF32 is off unless asked for: a float32 case tests
    float32. Nothing of this concerns the CPU."""
    if device.split(":", 1)[0] == "cpu":
        return
    torch.backends.cudnn.benchmark = bool(benchmark)
    torch.backends.cudnn.deterministic = bool(deterministic)
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32


def autocast(device: str, dtype: str) -> ContextManager[Any]:
    """torch.autocast to ``dtype`` on the device, or nothing for ''."""
    if not dtype:
        return _NOTHING
    return torch.autocast(device.split(":", 1)[0], dtype=getattr(torch, dtype))


def gradients(
    output: torch.Tensor, leaves: Sequence[torch.Tensor], gradient: torch.Tensor
) -> Tuple[torch.Tensor, ...]:
    """Gradients of ``leaves`` for the gradient ``gradient`` of ``output``, by torch's own autograd engine.

    The engine is called directly where it can be: torch.autograd.grad of torch 2 first imports sympy and half
    a thousand more modules to compare two shapes, which costs 0.5 s in every child, or a zygote that forks slower.
    """
    engine = getattr(torch.autograd.Variable, "_execution_engine", None)
    if engine is None:
        return torch.autograd.grad(output, leaves, gradient)
    return tuple(
        engine.run_backward((output,), (gradient,), False, False, tuple(leaves), False, accumulate_grad=False)
    )


def timed(ctx: Any, step: Callable[[], T], repeat: int = 1) -> T:
    """Run ``step`` ``repeat`` times, each to the device's end; keep the first result and the median time.

    The first iteration is kept as `first_s` (it pays for compiling and searching), the median of the
    others as `median_s`; with ``repeat`` 1 both are the same. `samples_s` lists those others in the order in
    which they ran (seconds, to the microsecond, at most 64 spread evenly over a longer run), so that two runs
    can be compared with an interval. `peak_bytes` is the device allocator's peak.
    """
    reset_peak(ctx.device)
    seconds: List[float] = []
    kept: Optional[T] = None
    for index in range(max(1, repeat)):
        if index:
            ctx.phase("launch")
        began = time.perf_counter()
        result = step()
        if index == 0:
            kept = result
            ctx.phase("sync")
        ctx.synchronize()
        seconds.append(time.perf_counter() - began)
    ctx.metric("first_s", round(seconds[0], 6))
    later = sorted(seconds[1:] or seconds)
    ctx.metric("median_s", round(later[len(later) // 2], 6))
    if len(seconds) > 1:
        ctx.metric("samples_s", [round(each, 6) for each in spread(seconds[1:], MOST_SAMPLES)])
    peak = peak_bytes(ctx.device)
    if peak is not None:
        ctx.metric("peak_bytes", peak)
    assert kept is not None
    return kept


def spread(values: Sequence[T], most: int) -> List[T]:
    """At most ``most`` of the values, evenly spaced and in order; the first is always among them."""
    if len(values) <= most:
        return list(values)
    return [values[index * len(values) // most] for index in range(most)]


def _memory_module(device: str) -> Any:
    kind = device.split(":", 1)[0]
    module = getattr(torch, kind, None) if kind != "cpu" else None
    return module if hasattr(module, "max_memory_allocated") else None


def reset_peak(device: str) -> None:
    """Forget the allocator's peak of this device, where it keeps one."""
    module = _memory_module(device)
    if module is not None and hasattr(module, "reset_peak_memory_stats"):
        module.reset_peak_memory_stats()


def peak_bytes(device: str) -> Optional[int]:
    """Peak of the device allocator since `reset_peak`; None on the CPU (the runner records its peak RSS)."""
    module = _memory_module(device)
    return None if module is None else int(module.max_memory_allocated())


def observe_conv(ctx: Any, x: Any, w: Any, b: Any, geometry: Any) -> None:
    """Keep the convolution backend that torch selects for these operands, in words such as `Mkldnn`."""
    select = getattr(torch._C, "_select_conv_backend", None)
    if select is None:
        return
    extra = geometry.output_padding or (0,) * len(geometry.kernel)
    try:
        backend = select(
            x,
            w,
            b,
            geometry.stride,
            geometry.padding,
            geometry.dilation,
            geometry.transposed,
            extra,
            geometry.groups,
        )
    except (RuntimeError, TypeError) as error:  # a private function: never let it fail a case
        ctx.observe("conv_backend", "unknown: %s" % str(error).splitlines()[0][:200])
        return
    ctx.observe("conv_backend", str(backend).rsplit(".", 1)[-1])
