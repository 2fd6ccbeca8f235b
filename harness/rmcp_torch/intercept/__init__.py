"""Another device memory under an unchanged program, two ways.

As LD_PRELOAD, for whole processes (built by `rmcp build-intercept`, an axis value like any other):

    preload: {env: {LD_PRELOAD: "${matrix_dir}/libhip_intercept.so", RMCP_HIP_ALLOC: uncached}}

and as PyTorch's pluggable allocator, which needs no preloading and touches torch's own allocations only:

    from rmcp_torch.intercept import use_allocator
    use_allocator("libhip_intercept.so", "uncached")      # before the first tensor on the device
"""

from __future__ import annotations

import ctypes
import os
from typing import Any, Optional

MODES = ("default", "fine", "uncached", "contiguous")
SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hip_intercept.c")


def use_allocator(library: str, mode: str = "default", log: Optional[str] = None) -> Any:
    """Make the compiled ``library`` PyTorch's allocator for the rest of the process; returns the allocator.

    ``mode`` is the kind of device memory, ``log`` a file to which every call is appended. PyTorch's caching
    allocator is out of the way then: every allocation reaches the driver, which is slow, and exact.
    Raises ValueError for an unknown mode, RuntimeError when this torch has no pluggable allocators (before
    2.0), was not built for a GPU, or has already allocated on it, OSError when ``library`` cannot be loaded.
    """
    import torch

    if mode not in MODES:
        raise ValueError("mode %r is none of %s" % (mode, ", ".join(MODES)))
    path = os.path.abspath(library)
    ctypes.CDLL(path)  # the loader's message about a wrong file is clearer than torch's
    memory = torch.cuda.memory
    if not hasattr(memory, "CUDAPluggableAllocator"):
        raise RuntimeError("torch %s has no pluggable allocators; they came with 2.0" % torch.__version__)
    if getattr(torch.version, "hip", None) is None:
        raise RuntimeError("this torch is not built for ROCm; there is no hipMalloc to stand in for")
    # Read by the library at its first call, which is after this.
    os.environ["RMCP_HIP_ALLOC"] = mode
    if log is not None:
        os.environ["RMCP_HIP_LOG"] = log
    allocator = memory.CUDAPluggableAllocator(path, "rmcp_hip_alloc", "rmcp_hip_free")
    memory.change_current_allocator(allocator)
    return allocator
