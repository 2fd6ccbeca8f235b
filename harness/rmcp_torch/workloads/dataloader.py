"""DataLoader workers beside a device in use: forked or spawned, pinned or not; every batch is looked at."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

_WORKER_TIMEOUT_S = 30.0  # a worker that says nothing for so long is stuck; the case's own budget is larger


def run(
    ctx: Any,
    workers: int = 2,
    start: str = "fork",
    batches: int = 8,
    batch: int = 4,
    edge: int = 32,
    pin: bool = False,
    use_device_first: bool = True,
) -> None:
    """Load ``batches`` batches of ``batch`` images (3, edge, edge) by ``workers`` processes and sum them on the device.

    ``start``: fork, spawn or forkserver. With ``use_device_first`` the device has already worked when the workers
    start, the order that breaks with a forked GPU context. ``pin`` copies through pinned memory. Image i holds the
    number i: a lost, doubled or spoiled batch gives another sum. ValueError for another ``start``.
    """
    if start not in ("fork", "spawn", "forkserver"):
        raise ValueError("start %r is none of fork, spawn, forkserver" % start)
    ctx.phase("setup")
    count = int(batches) * int(batch)
    numbers = torch.arange(count, dtype=torch.float32)
    # A storage of its own: torch 1.13 cannot send two tensors that share one to a spawned worker.
    images = numbers.view(-1, 1, 1, 1).expand(count, 3, int(edge), int(edge)).contiguous()
    if use_device_first:
        torch.ones(8, device=ctx.device).add_(1.0).sum().item()
    loader = DataLoader(
        TensorDataset(images, numbers),
        batch_size=int(batch),
        num_workers=int(workers),
        multiprocessing_context=start if workers else None,
        pin_memory=bool(pin) and ctx.device != "cpu",
        timeout=_WORKER_TIMEOUT_S if workers else 0,
    )
    ctx.phase("launch")
    total = torch.zeros((), dtype=torch.float64, device=ctx.device)
    seen = 0
    began = time.perf_counter()
    for picture, label in loader:
        ctx.phase("launch")
        on_device = picture.to(ctx.device, non_blocking=bool(pin))
        total += on_device.mean((1, 2, 3)).double().sum() + label.to(ctx.device).double().sum()
        seen += picture.shape[0]
    ctx.phase("sync")
    ctx.synchronize()
    ctx.metric("load_s", round(time.perf_counter() - began, 6))
    ctx.phase("compare")
    expected = torch.tensor([2.0 * float(numbers.double().sum()), float(count)], dtype=torch.float64)
    actual = torch.stack((total.cpu(), torch.tensor(float(seen), dtype=torch.float64)))
    ctx.compare("sum", actual, expected, 1e-6 * max(1.0, float(expected[0])), dtype=torch.float32)
