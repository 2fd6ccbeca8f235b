"""Real faults of a GPU on demand: what `matrices/selftest-gpu.yaml` runs, to prove the harness on a real card.

The kernels are made by torch's own runtime compiler (``torch.cuda.jiterator``, torch 1.11 and newer, CUDA and ROCm),
so nothing but torch is needed. A fault may reset the device, and what else runs on it may die: run it alone.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

# Elementwise bodies; x is the element. The wild address lies in no allocation of any driver: user space ends far below.
_WILD = "0x00007ff000000008ull"
_BODIES = {
    "right": "return x + x;",
    "wild-read": "return *(volatile float *)(%s + (unsigned long long)(x * 4096.0f));" % _WILD,
    "wild-write": "*(volatile float *)(%s + (unsigned long long)(x * 4096.0f)) = x; return x;" % _WILD,
    "trap": "\n#ifdef __HIPCC__\n__builtin_trap();\n#else\n__trap();\n#endif\nreturn x;",
    # The condition depends on memory that the compiler may not reason about, so the loop stays.
    "endless": "volatile float y = x; while (y < 1.0e30f) { y = y * 0.5f; } return y;",
}
_ELEMENTS = 1024  # more than one wave or warp, less than anything that takes time
_CHUNK_BYTES = 1 << 30  # small against any GPU's memory, large enough to be done in seconds
_CHUNKS = 1024  # 1 TiB: more than any GPU has


def _kernel(ctx: Any, kind: str) -> Any:
    """Launch the elementwise kernel ``kind`` on ones (float32) and return its output; the launch is asynchronous."""
    import torch

    function = torch.cuda.jiterator._create_jit_fn("template <typename T> T rmcp_fault(T x) { %s }" % _BODIES[kind])
    values = torch.ones(_ELEMENTS, device=ctx.device)
    ctx.phase("launch")
    return function(values)


def right(ctx: Any) -> None:
    """No fault: the same way of making a kernel, with right numbers."""
    import torch

    ctx.compare("doubled", _kernel(ctx, "right"), torch.full((_ELEMENTS,), 2.0, dtype=torch.float64), 0.0)


def kernel(ctx: Any, body: str, late: bool = False) -> None:
    """A faulty kernel. ``late``: return before the device has run it, as most code does."""
    _kernel(ctx, body)
    if not late:
        ctx.phase("sync")
        ctx.synchronize()


def index_outside(ctx: Any) -> None:
    """An index far outside a tensor: the device-side assertion of torch's own kernel."""
    import torch

    table = torch.zeros(4, device=ctx.device)
    where = torch.full((_ELEMENTS,), 10_000_000, device=ctx.device)
    ctx.phase("launch")
    picked = table[where]
    ctx.phase("sync")
    float(picked.sum())


def too_large(ctx: Any) -> None:
    """Ask for more memory than any device has, at once."""
    import torch

    torch.empty(1 << 50, dtype=torch.uint8, device=ctx.device)


def until_full(ctx: Any) -> None:
    """Fill the device's memory piece by piece, until there is none left."""
    import torch

    held = []
    for _ in range(_CHUNKS):
        held.append(torch.empty(_CHUNK_BYTES, dtype=torch.uint8, device=ctx.device).fill_(1))
        ctx.beat()


KINDS: Dict[str, Callable[..., Any]] = {
    "right": right,
    "kernel": kernel,
    "index-outside": index_outside,
    "too-large": too_large,
    "until-full": until_full,
}


def run(ctx: Any, kind: str, **options: Any) -> Any:
    """Commit the fault ``kind`` on ``ctx.device``. ValueError for an unknown kind or a device without such kernels."""
    fault = KINDS.get(kind)
    if fault is None:
        raise ValueError("no GPU fault is called %r; known: %s" % (kind, ", ".join(sorted(KINDS))))
    if not str(ctx.device).startswith("cuda"):
        raise ValueError("these faults need a CUDA or ROCm device, this case runs on %s" % ctx.device)
    return fault(ctx, **options)
