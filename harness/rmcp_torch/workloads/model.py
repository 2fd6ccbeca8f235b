"""A short training of a small network on the device: its numbers against fp64 on the CPU, and a falling loss."""

from __future__ import annotations

import copy
import math
from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import nn

from rmcp_torch.workloads import _networks, measure, numerics

_CLASSES = 4
# Error of a whole network relative to the largest number of a tensor, in units of roundoff of the dtype:
# a dozen layers, each with sums of a few hundred terms, and batch norms that divide by small spreads. Measured
# with these networks on CPUs: at most 30 in fp32; a wrong kernel is off by 1e5 and more.
_NETWORK_UNITS = 512.0
_LOW_UNITS = 64.0  # in fp16 and bf16 each layer rounds its output: the roundings add, sums are held in fp32
_GRADIENT_FACTOR = 8.0  # gradients pass through the layers twice


def run(
    ctx: Any,
    arch: str = "cnn",
    batch: int = 4,
    edge: int = 32,
    width: int = 8,
    steps: int = 4,
    lr: float = 0.05,
    memory_format: str = "contiguous",
    autocast: str = "",
    benchmark: Optional[bool] = None,
    deterministic: Optional[bool] = None,
    workaround: str = "none",
) -> None:
    """Train ``arch`` (cnn, resnet, mobilenet, unet, yolo, eegnet) for ``steps`` steps of SGD on one batch.

    ``edge``: image edge in pixels, ``width``: channels of the first layer. Compared with the same network in
    fp64 on the CPU: the first output and the first gradients. The loss of the last step must be below the
    first. ``memory_format``: contiguous or channels_last; ``autocast``: a lower dtype or '';
    ``workaround``: patch every convolution, see rmcp_torch.workarounds. ValueError for an unknown ``arch``.
    """
    ctx.phase("setup")
    measure.set_backend_flags(ctx.device, benchmark, deterministic)
    model, x, target = build(ctx.seed, arch, batch, edge, width)
    ctx.phase("reference")
    wanted = _first_step(copy.deepcopy(model).double(), x.double(), target)
    ctx.phase("launch")
    model, x = place(model, x, ctx.device, memory_format, workaround)
    target = target.to(ctx.device)
    losses: List[float] = []
    first: Dict[str, torch.Tensor] = {}

    def step() -> Dict[str, torch.Tensor]:
        for parameter in model.parameters():
            parameter.grad = None
        with measure.autocast(ctx.device, autocast):
            output = model(x)
            loss = _loss(output, target)
        loss.backward()
        if not first:
            first["output"] = output.detach().clone()
            for name, parameter in model.named_parameters():
                if parameter.grad is not None:
                    first["grad " + name] = parameter.grad.detach().clone()
        _sgd(model, float(lr))
        losses.append(float(loss.detach()))
        return first

    measure.timed(ctx, step, max(2, int(steps)))
    ctx.phase("compare")
    compare_all(ctx, first, wanted, autocast)
    ctx.metric("loss_first", losses[0])
    ctx.metric("loss_last", losses[-1])
    ctx.checks.append(_fell(losses))


def build(
    seed: int, arch: str, batch: int, edge: int, width: int
) -> Tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """Network, input and target on the CPU, the same on every machine with the same torch."""
    found = _networks.network(arch)
    # Layers draw their weights from the default generator of the CPU.
    torch.default_generator.manual_seed(seed)
    model = found.build(_CLASSES, int(width))
    x = torch.randn((int(batch),) + found.shape(int(edge)))
    with torch.no_grad():
        shape = model(x).shape
    model.apply(_forget_statistics)
    target = torch.randint(0, _CLASSES, (shape[0],) + tuple(shape[2:]))
    return model, x, target


def place(
    model: nn.Module, x: torch.Tensor, device: str, memory_format: str, workaround: str
) -> Tuple[nn.Module, torch.Tensor]:
    """Network and input on the device, in the memory format, patched with the workaround."""
    if workaround != "none":
        from rmcp_torch.workarounds import patch_model

        model = patch_model(model, workaround)
    if memory_format not in ("contiguous", "channels_last"):
        raise ValueError("memory_format %r is none of contiguous, channels_last" % memory_format)
    model, x = model.to(device), x.to(device)
    if memory_format == "channels_last":
        model, x = (
            model.to(memory_format=torch.channels_last),
            x.contiguous(memory_format=torch.channels_last),
        )
    return model, x


def compare_all(
    ctx: Any, got: Dict[str, torch.Tensor], wanted: Dict[str, torch.Tensor], autocast: str
) -> None:
    """Compare tensors by name with a bound relative to the largest number of each."""
    dtype = numerics.dtype_of(autocast) if autocast else torch.float32
    units = _NETWORK_UNITS if dtype is torch.float32 else _LOW_UNITS
    for name, reference in wanted.items():
        scale = float(reference.abs().max()) if reference.numel() else 0.0
        factor = _GRADIENT_FACTOR if name.startswith("grad ") else 1.0
        bound = units * factor * numerics.unit_roundoff(dtype) * max(scale, _floor(name, wanted))
        ctx.compare(name, got[name], reference, bound, dtype=dtype, rms_tight=math.inf)


def _floor(name: str, wanted: Dict[str, torch.Tensor]) -> float:
    """Gradients that are zero but for rounding (a bias before a batch norm) are held against the largest one."""
    if not name.startswith("grad "):
        return 0.0
    return 1e-2 * max(float(value.abs().max()) for key, value in wanted.items() if key.startswith("grad "))


def _forget_statistics(module: nn.Module) -> None:
    if isinstance(module, nn.BatchNorm2d):
        module.reset_running_stats()


def _sgd(model: nn.Module, lr: float) -> None:
    """One step of gradient descent, by hand: the first step of a torch.optim optimizer imports half of
    torch._dynamo, two seconds in every child."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.add_(parameter.grad, alpha=-lr)


def _loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.cross_entropy(output.float() if output.dtype != torch.float64 else output, target)


def _first_step(model: nn.Module, x: torch.Tensor, target: torch.Tensor) -> Dict[str, torch.Tensor]:
    output = model(x)
    _loss(output, target).backward()
    wanted = {"output": output.detach()}
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            wanted["grad " + name] = parameter.grad
    return wanted


def _fell(losses: List[float]) -> Dict[str, Any]:
    """The check that training trains: False also for NaN."""
    right = losses[-1] < losses[0]
    detail = "loss went from %.6g to %.6g in %d steps" % (losses[0], losses[-1], len(losses))
    word = "" if right else ("non-finite" if losses[-1] != losses[-1] else "wrong-values")
    return {"name": "loss falls", "tight": right, "loose": right, "fingerprint": word, "detail": detail}
