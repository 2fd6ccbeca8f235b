"""Faults in what is reported: wrong numbers, odd exceptions, exhausted memory, torn and missing results."""

from __future__ import annotations

import os
import resource
import stat
from typing import Any, Callable, Dict, List


def nothing(ctx: Any) -> None:
    """No fault at all."""


def remark(ctx: Any) -> None:
    """A right result with a remark."""
    ctx.remark("the fault `remark` says so")


class _RaisesInStr(Exception):
    """An exception whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class _Unpicklable(Exception):
    """An exception that holds what no pickle can carry."""

    def __init__(self) -> None:
        super().__init__(lambda: None, os.scandir("/"))


def raise_exception(ctx: Any, what: str = "ValueError", size: int = 50 * 1024 * 1024) -> None:
    """Raise: a plain exception, one that raises in __str__, one no pickle can carry, one with a huge text."""
    if what == "raises-in-str":
        raise _RaisesInStr()
    if what == "unpicklable":
        raise _Unpicklable()
    if what == "huge":
        raise RuntimeError("m" * int(size))
    if what == "keyboard":
        raise KeyboardInterrupt()
    if what == "recursion":
        raise_exception(ctx, what, size)
    if what == "surrogate":
        raise RuntimeError("lone surrogate \udc80 and a NUL \0 in the text")
    raise ValueError("a plain exception")


# What torch says, by version and runtime.
_TEXTS = {
    "oom": (
        "HIP out of memory. Tried to allocate 20.00 GiB (GPU 0; 5.98 GiB total capacity; 4.00 GiB already "
        "allocated; 1.50 GiB free; 4.10 GiB reserved in total by PyTorch)"
    ),
    "illegal-address": "HIP error: an illegal memory access was encountered",
    "no-kernel": "HIP error: invalid device function",
    "miopen": "miopenStatusUnknownError",
    "assert": "HIP error: device-side assert triggered",
}


def runtime_error(ctx: Any, text: str = "oom") -> None:
    """Raise a RuntimeError with a text of torch's."""
    raise RuntimeError(_TEXTS[text])


def not_json(ctx: Any) -> Dict[str, Any]:
    """Return metrics that no JSON can hold."""
    return {"socket": object(), "set": {1, 2}}


def balloon(ctx: Any, size: int = 256 * 1024 * 1024) -> None:
    """Ask for more memory than the process may have, touching all of it: a real MemoryError."""
    limit = int(size)
    used = _virtual_bytes()
    resource.setrlimit(resource.RLIMIT_AS, (used + limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    kept: List[bytes] = []
    while True:
        kept.append(b"\1" * (limit // 8))


def _virtual_bytes() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def no_processes(ctx: Any) -> None:
    """Hit the limit of open files: OSError from the system, not from torch."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    while True:
        os.open(os.devnull, os.O_RDONLY)


def torn_result(ctx: Any, code: int = 0) -> None:
    """Write the beginning of something like a frame to the result pipe and leave."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        try:
            if fd > 2 and stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.set_blocking(fd, False)
                os.write(fd, b"\x00\x00\x01\x00\xde\xad\xbe\xef" + b'{"t":"result","err')
        except OSError:
            pass
    os._exit(int(code))


def numbers(ctx: Any, what: str = "wrong") -> None:
    """Numbers through `ctx.compare`: right, wrong, NaN, precise only to the loose tolerance, unwritten ..."""
    import torch

    from rmcp_torch.workloads import numerics

    ctx.phase("compare")
    random = torch.Generator().manual_seed(ctx.seed)
    right = torch.randn((1, 4, 24, 24), generator=random).double()
    bound = 1e-6
    actual = right.float()
    if what == "wrong":
        actual = torch.randn((1, 4, 24, 24), generator=random)
    elif what == "nan":
        actual[0, 1, 3, 3] = float("nan")
    elif what == "zero":
        actual.zero_()
    elif what == "unwritten":
        actual[0, :, 8:16] = numerics.GUARD
    elif what == "tile":
        actual[0, :, 8:16, 8:16] += 1.0
    elif what == "border":
        actual[0, :, 0] += 1.0
    elif what == "layout":
        actual = actual.transpose(2, 3)
    elif what == "channel":
        actual = actual[:, [1, 0, 2, 3]]
    elif what == "loose":
        actual += 5e-6
    ctx.compare("output", actual, right, bound)


KINDS: Dict[str, Callable[..., Any]] = {
    "none": nothing,
    "remark": remark,
    "raise": raise_exception,
    "runtime-error": runtime_error,
    "not-json": not_json,
    "balloon": balloon,
    "open-files": no_processes,
    "torn-result": torn_result,
    "numbers": numbers,
}
