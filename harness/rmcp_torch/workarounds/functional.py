"""The ways around a broken conv2d as functions: each maps (x, w, b) to what torch.nn.functional.conv2d gives.

All are differentiable and give the same gradients. None but `native` touches global state.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

Pair = Tuple[int, int]


class Conv(NamedTuple):
    """Arguments of a conv2d besides its tensors, as (height, width) pairs."""

    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    def plain(self, x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor]) -> torch.Tensor:
        """torch's own convolution."""
        return F.conv2d(x, w, b, self.stride, self.padding, self.dilation, self.groups)

    def out_size(self, x: torch.Tensor, w: torch.Tensor) -> Pair:
        """Height and width of the output."""
        h, width = (
            (x.shape[2 + i] + 2 * self.padding[i] - self.dilation[i] * (w.shape[2 + i] - 1) - 1)
            // self.stride[i]
            + 1
            for i in range(2)
        )
        return h, width


class _Native(torch.autograd.Function):
    """conv2d with cuDNN/MIOpen off in forward and in backward: the backend is chosen anew in each."""

    @staticmethod
    def forward(ctx: Any, x: Any, w: Any, b: Any, conv: Conv) -> Any:
        ctx.save_for_backward(x, w)
        ctx.conv, ctx.bias_sizes = conv, None if b is None else [b.shape[0]]
        with _NoCudnn():
            return conv.plain(x, w, b)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Any) -> Any:
        x, w = ctx.saved_tensors
        conv = ctx.conv
        wanted = list(ctx.needs_input_grad[:3])
        with _NoCudnn():
            found = torch.ops.aten.convolution_backward(
                g,
                x,
                w,
                ctx.bias_sizes,
                list(conv.stride),
                list(conv.padding),
                list(conv.dilation),
                False,
                [0, 0],
                conv.groups,
                wanted,
            )
        return tuple(value if need else None for value, need in zip(found, wanted)) + (None,)


class _NoCudnn:
    """torch.backends.cudnn.enabled = False for a while; the other switches of cudnn stay as they are."""

    def __enter__(self) -> None:
        self.before = torch.backends.cudnn.enabled
        torch.backends.cudnn.enabled = False

    def __exit__(self, *_error: Any) -> None:
        torch.backends.cudnn.enabled = self.before


def native(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """torch's native convolution (im2col and BLAS) instead of cuDNN/MIOpen, by torch.backends.cudnn.enabled.

    Under autocast the operands are cast as conv2d would cast them. The switch is global while the call lasts.
    """
    low = autocast_dtype(x)
    if low is not None:
        x, w, b = (value if value is None else value.to(low) for value in (x, w, b))
    with torch.autocast(x.device.type, enabled=False):
        return _Native.apply(x, w, b, conv)


# The switch is no part of a compiled graph: torch.compile breaks the graph here and runs `native` eagerly; with
# fullgraph=True it says so. The marks are those of torch.compiler.disable, whose import would cost a second.
native._torchdynamo_disable = True
native._torchdynamo_disable_msg = (
    "the workaround `native` switches torch.backends.cudnn.enabled and cannot be compiled; `unfold` can"
)


def unfold(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """im2col and one matrix product on the device: no convolution kernel at all, memory times kh*kw."""
    n, out = x.shape[0], conv.out_size(x, w)
    k, groups = w.shape[0], conv.groups
    if n == 0:
        return conv.plain(x, w, b)  # launches nothing
    columns = F.unfold(x, (w.shape[2], w.shape[3]), conv.dilation, conv.padding, conv.stride)
    columns = columns.view(n, groups, -1, out[0] * out[1])
    y = torch.matmul(w.reshape(groups, k // groups, -1), columns).reshape(n, k, out[0], out[1])
    return y if b is None else y + b.to(y.dtype).view(1, k, 1, 1)


def cpu(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """The convolution on the CPU: operands are moved there and the result back; gradients take the same way."""
    # Half precision in float32 there: older CPUs' torch has no float16 convolution, and none is fast.
    kind = torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype
    low = autocast_dtype(x)
    with torch.autocast(x.device.type, enabled=False):
        moved = [None if value is None else value.to("cpu").to(kind) for value in (x, w, b)]
        y = conv.plain(moved[0], moved[1], moved[2])
    return y.to(low or x.dtype).to(x.device)


def cpu_train(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """On the CPU whenever gradients are wanted, on the device otherwise."""
    training = torch.is_grad_enabled() and any(
        value is not None and value.requires_grad for value in (x, w, b)
    )
    return cpu(x, w, b, conv) if training else conv.plain(x, w, b)


def pad_channels(
    x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv, multiple: int = 16
) -> torch.Tensor:
    """Zero channels up to a ``multiple`` on both sides of the convolution, cut off again afterwards.

    Within each group; a depthwise convolution gets more groups instead. Changes which kernel fits.
    """
    groups, k = conv.groups, w.shape[0]
    per_in, per_out = w.shape[1], k // groups
    if per_in == 1 and groups > 1:
        more = -groups % multiple
        x = F.pad(x, (0, 0, 0, 0, 0, more))
        w = F.pad(w, (0, 0, 0, 0, 0, 0, 0, more * per_out))
        b = None if b is None else F.pad(b, (0, more * per_out))
        return conv._replace(groups=groups + more).plain(x, w, b)[:, :k]
    add_in, add_out = -per_in % multiple, -per_out % multiple
    n, h, width = x.shape[0], x.shape[2], x.shape[3]
    x = F.pad(x.reshape(n, groups, per_in, h, width), (0, 0, 0, 0, 0, add_in)).flatten(1, 2)
    kernel = (w.shape[2], w.shape[3])
    w = F.pad(w.reshape((groups, per_out, per_in) + kernel), (0, 0, 0, 0, 0, add_in, 0, add_out)).flatten(
        0, 1
    )
    b = None if b is None else F.pad(b.view(groups, per_out), (0, add_out)).flatten()
    y = conv.plain(x, w, b)
    out = (y.shape[2], y.shape[3])
    return y.view((n, groups, per_out + add_out) + out)[:, :, :per_out].reshape((n, k) + out)


def split_spatial(
    x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv, pixels: int = 1764
) -> torch.Tensor:
    """The output in tiles of at most ``pixels`` pixels, each from its own piece of the padded input.

    1764 = 42 x 42 is the largest output that the RX 5600 XT of the investigation survived.
    """
    oh, ow = conv.out_size(x, w)
    if oh * ow <= pixels:
        return conv.plain(x, w, b)
    columns = min(ow, pixels)
    rows = max(1, pixels // columns)
    padded = F.pad(x, (conv.padding[1], conv.padding[1], conv.padding[0], conv.padding[0]))
    inner = conv._replace(padding=(0, 0))
    reach = [conv.dilation[i] * (w.shape[2 + i] - 1) + 1 for i in range(2)]
    strips: List[torch.Tensor] = []
    for top in range(0, oh, rows):
        height = (min(rows, oh - top) - 1) * conv.stride[0] + reach[0]
        strip = padded.narrow(2, top * conv.stride[0], height)
        tiles = [
            inner.plain(
                strip.narrow(
                    3, left * conv.stride[1], (min(columns, ow - left) - 1) * conv.stride[1] + reach[1]
                ),
                w,
                b,
            )
            for left in range(0, ow, columns)
        ]
        strips.append(torch.cat(tiles, 3) if len(tiles) > 1 else tiles[0])
    return torch.cat(strips, 2)


def channels_last_off(
    x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv
) -> torch.Tensor:
    """Input and weight contiguous (NCHW) before the convolution."""
    return conv.plain(x.contiguous(), w.contiguous(), b)


def fp32_upcast(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """float16 and bfloat16 convolutions in float32; the result is cast back, under autocast to its dtype."""
    low = autocast_dtype(x)
    kind = low if low is not None else x.dtype
    if kind not in (torch.float16, torch.bfloat16):
        return conv.plain(x, w, b)
    with torch.autocast(x.device.type, enabled=False):
        return conv.plain(x.float(), w.float(), None if b is None else b.float()).to(kind)


def plain(x: torch.Tensor, w: torch.Tensor, b: Optional[torch.Tensor], conv: Conv) -> torch.Tensor:
    """No workaround."""
    return conv.plain(x, w, b)


def autocast_dtype(x: torch.Tensor) -> Optional[torch.dtype]:
    """The dtype to which autocast would take a convolution on x's device now, or None."""
    if x.dtype == torch.float64:
        return None
    newer = getattr(torch, "get_autocast_dtype", None)
    if newer is not None:
        return newer(x.device.type) if torch.is_autocast_enabled(x.device.type) else None
    if x.device.type == "cpu":
        return torch.get_autocast_cpu_dtype() if torch.is_autocast_cpu_enabled() else None
    return torch.get_autocast_gpu_dtype() if torch.is_autocast_enabled() else None


Function = Callable[..., torch.Tensor]
FUNCTIONS: Dict[str, Function] = {
    "none": plain,
    "native": native,
    "unfold": unfold,
    "cpu": cpu,
    "cpu_train": cpu_train,
    "pad_channels": pad_channels,
    "split_spatial": split_spatial,
    "channels_last_off": channels_last_off,
    "fp32_upcast": fp32_upcast,
}
# Workarounds that take a number, written `name:number`.
NUMBERED = ("pad_channels", "split_spatial")
