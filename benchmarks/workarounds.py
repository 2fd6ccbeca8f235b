"""What each workaround costs: median time of forward plus backward, relative to torch's own convolution.

    python benchmarks/workarounds.py [--device cuda] [--repeat 15] [--threads 1]

Prints a Markdown table; docs/workarounds.md holds the CPU's. Needs torch. On the CPU with one thread it is processor
time, which a busy machine changes little; on a GPU the device is synchronised around every iteration.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "harness"))

import torch

from rmcp_torch.workarounds.functional import FUNCTIONS
from rmcp_torch.workarounds.modules import safe_conv2d

# name -> (input, weight, arguments): a first layer, the boundary's shape, a body, a depthwise and a pointwise one
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = {
    "3→16 @32": ((1, 3, 32, 32), (16, 3, 3, 3), {"padding": 1}),
    "16→32 @64": ((1, 16, 64, 64), (32, 16, 3, 3), {"padding": 1}),
    "64→64 @56 n4": ((4, 64, 56, 56), (64, 64, 3, 3), {"padding": 1}),
    "depthwise 96 @56": ((4, 96, 56, 56), (96, 1, 3, 3), {"padding": 1, "groups": 96}),
    "1x1 64→256 @28": ((4, 64, 28, 28), (256, 64, 1, 1), {}),
}


def measure(shape: str, device: str, repeat: int, clock: Callable[[], float]) -> dict[str, float]:
    """Median seconds of one forward and backward of ``shape`` by workaround; taken in turns, so that noise hits all."""
    size, kernel, arguments = SHAPES[shape]
    x = torch.randn(size, device=device, requires_grad=True)
    w = torch.randn(kernel, device=device, requires_grad=True)
    b = torch.randn(kernel[0], device=device, requires_grad=True)
    taken: dict[str, list[float]] = {name: [] for name in FUNCTIONS}
    for turn in range(repeat + 2):  # two to warm up
        for name, seconds in taken.items():
            began = clock()
            y = safe_conv2d(x, w, b, workaround=name, **arguments)
            torch.autograd.grad(y.sum(), (x, w, b))
            if device != "cpu":
                getattr(torch, device.split(":")[0]).synchronize()
            if turn >= 2:
                seconds.append(clock() - began)
    return {name: statistics.median(seconds) for name, seconds in taken.items()}


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {options.device}, {options.threads} thread(s), {platform.machine()}\n")
    print("| workaround | " + " | ".join(SHAPES) + " |")
    print("|---|" + "---|" * len(SHAPES))
    clock = time.process_time if options.device == "cpu" and options.threads == 1 else time.perf_counter
    found = {shape: measure(shape, options.device, options.repeat, clock) for shape in SHAPES}
    print("| none | " + " | ".join(f"{found[shape]['none'] * 1e3:.2f} ms" for shape in SHAPES) + " |")
    for name in FUNCTIONS:
        if name != "none":
            ratios = (found[shape][name] / found[shape]["none"] for shape in SHAPES)
            print(f"| {name} | " + " | ".join(f"{ratio:.1f}x" for ratio in ratios) + " |")


if __name__ == "__main__":
    main()
