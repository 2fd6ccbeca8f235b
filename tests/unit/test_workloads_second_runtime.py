"""Workloads and workarounds in the oldest supported PyTorch: the distribution's 1.13.1, by its own interpreter."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "harness"
SECOND_PYTHON = "/usr/bin/python3"

CONVOLUTIONS = """
from rmcp_torch.context import Context
from rmcp_torch.workloads import conv1d, conv2d, conv3d, determinism, inference, model, tensor_ops
import torch
torch.set_num_threads(1)
ctx = Context("cpu", 7, lambda frame: None)
base = dict(n=2, c=4, h=9, w=11, k=6, padding=1, direction="train")
for memory_format in ("contiguous", "channels_last", "preserve", "explicit"):
    for dtype in ("float32", "bfloat16"):
        conv2d.run(ctx, memory_format=memory_format, dtype=dtype, **base)
conv2d.run(ctx, transposed=True, stride=2, **base)
conv2d.run(ctx, autocast="bfloat16", **base)
conv1d.run(ctx, w=40, kernel=5, direction="train")
conv3d.run(ctx, direction="train")
determinism.run(ctx)
tensor_ops.run(ctx)
model.run(ctx, arch="unet", batch=2)
inference.run(ctx, arch="resnet")
assert len(ctx.checks) > 60
assert all(check["tight"] for check in ctx.checks), [check for check in ctx.checks if not check["tight"]]
"""

WORKAROUNDS = """
import copy
import torch
from rmcp_torch import patch_model, safe_conv2d
from rmcp_torch.workarounds import FUNCTIONS
torch.set_num_threads(1)
for name in FUNCTIONS:
    x, w = torch.randn(1, 2, 5, 4, dtype=torch.float64), torch.randn(2, 2, 3, 3, dtype=torch.float64)
    x.requires_grad_(True), w.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x, w: safe_conv2d(x, w, padding=1, workaround=name), (x, w), fast_mode=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        safe_conv2d(torch.randn(1, 2, 5, 5), torch.randn(2, 2, 3, 3), workaround=name)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding="same"), torch.nn.BatchNorm2d(4))
    patched = patch_model(copy.deepcopy(model), name)
    patched.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 6, 6)
    torch.testing.assert_close(copy.deepcopy(patched).eval()(x), model.eval()(x))
"""


@pytest.mark.runtime2
@pytest.mark.parametrize("code", [CONVOLUTIONS, WORKAROUNDS], ids=["convolutions", "workarounds"])
def test_in_the_oldest_supported_torch(code):
    environment = {**os.environ, "PYTHONPATH": str(HARNESS), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [SECOND_PYTHON, "-W", "ignore", "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
