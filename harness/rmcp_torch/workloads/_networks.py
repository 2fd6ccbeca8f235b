"""Small versions of the networks that users reported, in torch.nn alone: their convolutions, not their accuracy."""

from __future__ import annotations

from typing import Callable, Dict, List, NamedTuple, Tuple

import torch
from torch import nn


def _conv(
    c: int, k: int, kernel: int = 3, stride: int = 1, groups: int = 1, act: bool = True
) -> nn.Sequential:
    """Convolution, batch norm, activation."""
    layers: List[nn.Module] = [
        nn.Conv2d(c, k, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(k),
    ]
    return nn.Sequential(*(layers + [nn.ReLU()] if act else layers))


class _Head(nn.Sequential):
    """Global average, then a linear classifier."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def cnn(classes: int, width: int) -> nn.Module:
    """Two convolutions with pooling: LeNet's shape, 3-channel input."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1),
        nn.ReLU(),
        _Head(2 * width, classes),
    )


class _Bottleneck(nn.Module):
    """ResNet's 1x1, 3x3, 1x1 block (He et al. 2015), stride in the 3x3 as in v1.5."""

    def __init__(self, c: int, mid: int, stride: int) -> None:
        super().__init__()
        k = 4 * mid
        self.body = nn.Sequential(_conv(c, mid, 1), _conv(mid, mid, 3, stride), _conv(mid, k, 1, act=False))
        self.short = nn.Identity() if c == k and stride == 1 else _conv(c, k, 1, stride, act=False)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.body(x) + self.short(x))


def resnet(classes: int, width: int) -> nn.Module:
    """Stem 7x7 s2, pooling, two stages of bottlenecks."""
    return nn.Sequential(
        _conv(3, width, 7, 2),
        nn.MaxPool2d(3, 2, 1),
        _Bottleneck(width, width, 1),
        _Bottleneck(4 * width, width, 1),
        _Bottleneck(4 * width, 2 * width, 2),
        _Head(8 * width, classes),
    )


class _Inverted(nn.Module):
    """MobileNetV2's expand, depthwise, project block (Sandler et al. 2018)."""

    def __init__(self, c: int, k: int, stride: int, expand: int) -> None:
        super().__init__()
        mid = c * expand
        self.body = nn.Sequential(
            _conv(c, mid, 1), _conv(mid, mid, 3, stride, mid), _conv(mid, k, 1, act=False)
        )
        self.keep = c == k and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.body(x)
        return x + y if self.keep else y


def mobilenet(classes: int, width: int) -> nn.Module:
    """Stem and three inverted residual blocks with depthwise convolutions."""
    return nn.Sequential(
        _conv(3, width, 3, 2),
        _Inverted(width, width, 1, 2),
        _Inverted(width, 2 * width, 2, 4),
        _Inverted(2 * width, 2 * width, 1, 4),
        _Head(2 * width, classes),
    )


class UNet(nn.Module):
    """Two levels down and up with transposed convolutions and skips (Ronneberger et al. 2015, padded)."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.top = nn.Sequential(_conv(3, width), _conv(width, width))
        self.middle = nn.Sequential(nn.MaxPool2d(2), _conv(width, 2 * width), _conv(2 * width, 2 * width))
        self.bottom = nn.Sequential(nn.MaxPool2d(2), _conv(2 * width, 4 * width))
        self.up_middle = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.join_middle = _conv(4 * width, 2 * width)
        self.up_top = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.join_top = _conv(2 * width, width)
        self.last = nn.Conv2d(width, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        top = self.top(x)
        middle = self.middle(top)
        middle = self.join_middle(torch.cat((middle, self.up_middle(self.bottom(middle))), 1))
        y: torch.Tensor = self.last(self.join_top(torch.cat((top, self.up_top(middle)), 1)))
        return y


class _C2f(nn.Module):
    """YOLOv8's split, bottleneck, concatenate block."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter, self.leave = _conv(channels, channels, 1), _conv(channels + half, channels, 1)
        self.body = nn.Sequential(_conv(half, half), _conv(half, half))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = self.enter(x).chunk(2, 1)
        y: torch.Tensor = self.leave(torch.cat((left, right, right + self.body(right)), 1))
        return y


def yolo(classes: int, width: int) -> nn.Module:
    """Backbone of a YOLOv8-like detector: strided convolutions and C2f blocks, and one 1x1 head."""
    return nn.Sequential(
        _conv(3, width, 3, 2),
        _conv(width, 2 * width, 3, 2),
        _C2f(2 * width),
        _conv(2 * width, 4 * width, 3, 2),
        _C2f(4 * width),
        nn.Conv2d(4 * width, classes, 1),
    )


def eegnet(classes: int, width: int) -> nn.Module:
    """EEGNet (Lawhern et al. 2018): a filter along time, a depthwise one over all channels, a separable one."""
    chans = 22
    return nn.Sequential(
        nn.Conv2d(1, width, (1, 64), padding=(0, 32), bias=False),
        nn.BatchNorm2d(width),
        nn.Conv2d(width, 2 * width, (chans, 1), groups=width, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ELU(),
        nn.AvgPool2d((1, 4)),
        nn.Conv2d(2 * width, 2 * width, (1, 16), padding=(0, 8), groups=2 * width, bias=False),
        nn.Conv2d(2 * width, 2 * width, 1, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ELU(),
        _Head(2 * width, classes),
    )


class Network(NamedTuple):
    """``build(classes, width)``; ``shape(edge)`` of one input without the batch; whether it labels every pixel."""

    build: Callable[[int, int], nn.Module]
    shape: Callable[[int], Tuple[int, ...]]
    dense: bool = False


def _image(edge: int) -> Tuple[int, ...]:
    return (3, edge, edge)


NETWORKS: Dict[str, Network] = {
    "cnn": Network(cnn, _image),
    "resnet": Network(resnet, _image),
    "mobilenet": Network(mobilenet, _image),
    "unet": Network(UNet, _image, dense=True),
    "yolo": Network(yolo, _image, dense=True),
    "eegnet": Network(eegnet, lambda edge: (1, 22, 4 * edge)),
}


def network(name: str) -> Network:
    """The network called ``name``; ValueError with the known names otherwise."""
    found = NETWORKS.get(name)
    if found is None:
        raise ValueError("arch %r is none of %s" % (name, ", ".join(NETWORKS)))
    return found
