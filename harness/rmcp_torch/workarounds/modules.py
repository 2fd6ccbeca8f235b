"""Drop-in layers: nn.Conv2d that takes a way around, and the patching of whole models."""

from __future__ import annotations

import fnmatch
import warnings
from typing import Any, Callable, Dict, Mapping, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import nn

from rmcp_torch.workarounds import functional
from rmcp_torch.workarounds.functional import Conv
from rmcp_torch.workarounds.policy import Policy

# A workaround's name, globs of layer names -> workarounds, a function of (layer name, layer), or a policy.
Choice = Union[str, Mapping[str, str], Callable[[str, nn.Conv2d], Optional[str]], Policy]


class WorkaroundError(ValueError):
    """A workaround that does not exist, or an argument it cannot take."""


def check_name(name: str) -> Tuple[str, Optional[int]]:
    """`unfold` -> ("unfold", None), `split_spatial:1024` -> ("split_spatial", 1024). Raises WorkaroundError."""
    base, colon, number = name.partition(":")
    if base not in functional.FUNCTIONS:
        raise WorkaroundError(
            "no workaround is called %r; known: %s" % (base, ", ".join(functional.FUNCTIONS))
        )
    if not colon:
        return base, None
    if base not in functional.NUMBERED or not number.isdigit() or int(number) < 1:
        raise WorkaroundError(
            "%r: a positive number may follow %s only" % (name, ", ".join(functional.NUMBERED))
        )
    return base, int(number)


def convolution(name: str, geometry: Any) -> Callable[..., torch.Tensor]:
    """The function (x, w, b) -> y of a workaround. ``geometry`` has stride, padding, dilation (pairs of ints)
    and groups."""
    base, number = check_name(name)
    conv = Conv(geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
    extra = () if number is None else (number,)
    function = functional.FUNCTIONS[base]
    return lambda x, w, b: function(x, w, b, conv, *extra)


def safe_conv2d(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: Optional[torch.Tensor] = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    workaround: str = "unfold",
) -> torch.Tensor:
    """torch.nn.functional.conv2d by a workaround; the same arguments, result and gradients.

    ``input`` (n, c, h, w) or (c, h, w); ``padding`` also 'same' and 'valid'. Raises WorkaroundError for an
    unknown workaround.
    """
    if input.dim() == 3:
        args = (weight, bias, stride, padding, dilation, groups, workaround)
        return safe_conv2d(input.unsqueeze(0), *args).squeeze(0)
    spread = _pair(dilation)
    input, pads = _resolve_padding(input, weight, padding, spread)
    function = convolution(workaround, Conv(_pair(stride), pads, spread, groups))
    return function(input, weight, bias)


def _pair(value: Any) -> Tuple[int, int]:
    return (int(value[0]), int(value[-1])) if isinstance(value, (tuple, list)) else (int(value), int(value))


def _resolve_padding(
    x: torch.Tensor, w: torch.Tensor, padding: Any, dilation: Tuple[int, int]
) -> Tuple[torch.Tensor, Tuple[int, int]]:
    """'same' and 'valid' as numbers; where 'same' is uneven, the input is padded here, as torch does."""
    if not isinstance(padding, str):
        return x, _pair(padding)
    if padding == "valid":
        return x, (0, 0)
    total = [dilation[i] * (w.shape[2 + i] - 1) for i in range(2)]
    before = (total[0] // 2, total[1] // 2)
    if total[0] % 2 or total[1] % 2:
        return F.pad(x, (0, total[1] % 2, 0, total[0] % 2)), before
    return x, before


class _Mixin:
    """What makes a Conv2d take a way around: only `_conv_forward`, so parameters and state_dict stay the same."""

    rmcp_choice: Union[str, Policy]

    def _conv_forward(
        self, input: torch.Tensor, weight: torch.Tensor, bias: Optional[torch.Tensor]
    ) -> torch.Tensor:
        layer: Any = self
        padding = layer.padding
        if layer.padding_mode != "zeros":
            input = F.pad(input, layer._reversed_padding_repeated_twice, mode=layer.padding_mode)
            padding = 0
        name = self._rmcp_name(input)
        if name == "cpu_train":
            # The layer knows whether it is being trained; frozen layers of a training model go to the CPU too.
            name = "cpu" if layer.training else "none"
        return safe_conv2d(input, weight, bias, layer.stride, padding, layer.dilation, layer.groups, name)

    def _rmcp_name(self, input: torch.Tensor) -> str:
        choice = self.rmcp_choice
        if isinstance(choice, str):
            return choice
        arguments = static_arguments(self)
        arguments.update(dynamic_arguments(self, input))
        return choice.choose(arguments) or choice.default

    def extra_repr(self) -> str:
        choice = self.rmcp_choice
        shown = choice if isinstance(choice, str) else "policy of %d rules" % len(choice.rules)
        return "%s, workaround=%s" % (super().extra_repr(), shown)


class SafeConv2d(_Mixin, nn.Conv2d):
    """nn.Conv2d with a ``workaround``; every other argument, the parameters and the state_dict are Conv2d's.

    ``workaround``: a name such as `unfold` or `split_spatial:1024`, or a Policy that is asked for each input.
    """

    def __init__(self, *args: Any, workaround: Union[str, Policy] = "unfold", **kwargs: Any) -> None:
        if isinstance(workaround, str):
            check_name(workaround)
        self.__dict__["rmcp_choice"] = workaround
        super().__init__(*args, **kwargs)


def static_arguments(layer: nn.Conv2d) -> Dict[str, Any]:
    """The arguments that a policy may ask of a layer before it has seen an input."""
    found: Dict[str, Any] = {"c": layer.in_channels, "k": layer.out_channels, "groups": layer.groups}
    padding: Any = layer.padding
    if isinstance(padding, str):
        padding = (
            (0, 0)
            if padding == "valid"
            else tuple(
                d * (size - 1) // 2 for d, size in zip(_pair(layer.dilation), _pair(layer.kernel_size))
            )
        )
    for name, value in (
        ("kernel", layer.kernel_size),
        ("stride", layer.stride),
        ("padding", padding),
        ("dilation", layer.dilation),
    ):
        h, w = _pair(value)
        found.update({name: max(h, w), name + "_h": h, name + "_w": w})
    return found


def dynamic_arguments(layer: nn.Conv2d, x: torch.Tensor) -> Dict[str, Any]:
    """The arguments that depend on the input; ``hw`` counts output pixels of one image."""
    n = x.shape[0] if x.dim() == 4 else 1
    known = static_arguments(layer)
    pixels = 1
    for index, axis in enumerate("hw"):
        size = x.shape[x.dim() - 2 + index] + 2 * known["padding_" + axis]
        reach = known["dilation_" + axis] * (known["kernel_" + axis] - 1) + 1
        pixels *= (size - reach) // known["stride_" + axis] + 1
    last = x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    return {
        "n": int(n),
        "h": int(x.shape[-2]),
        "w": int(x.shape[-1]),
        "hw": int(pixels),
        "dtype": str(functional.autocast_dtype(x) or x.dtype).replace("torch.", ""),
        "memory_format": "channels_last" if last else "contiguous",
    }


def patch_model(model: nn.Module, policy: Choice) -> nn.Module:
    """Give the Conv2d layers of ``model`` that ``policy`` picks a way around; in place, and returned.

    ``policy``: a workaround for all, ``{"backbone.*": "unfold"}`` (globs of layer names, first match), a
    function ``(name, layer) -> workaround or None``, or a Policy. Layers that do not match stay untouched.
    Parameters, hooks, state_dict and optimizers keep working, because the layers stay the same objects.
    Layers whose class has a forward of its own are left alone, with a warning. Patching again replaces the
    choice, `none` takes it away. Raises WorkaroundError for an unknown workaround.
    """
    for name, layer in list(model.named_modules()):
        if isinstance(layer, nn.Conv2d):
            choice = _choose(policy, name, layer)
            if choice is not None:
                _set(name, layer, choice)
    return model


def _choose(policy: Choice, name: str, layer: nn.Conv2d) -> Optional[Union[str, Policy]]:
    if isinstance(policy, Policy):
        for rule in policy.rules:
            check_name(rule.workaround)
        check_name(policy.default)
        chosen = policy.choose(static_arguments(layer))
        if chosen is None:
            return (
                policy
                if any(rule.matches(static_arguments(layer)) is not False for rule in policy.rules)
                else None
            )
        return chosen
    if isinstance(policy, str):
        check_name(policy)
        return policy
    if isinstance(policy, Mapping):
        return next((value for glob, value in policy.items() if fnmatch.fnmatchcase(name, glob)), None)
    return policy(name, layer)


_CLASSES: Dict[type, type] = {nn.Conv2d: SafeConv2d}


def _set(name: str, layer: nn.Conv2d, choice: Union[str, Policy]) -> None:
    if isinstance(choice, str):
        check_name(choice)
    kind = type(layer)
    if not isinstance(layer, _Mixin):
        if choice == "none":
            return
        if kind.forward is not nn.Conv2d.forward or kind._conv_forward is not nn.Conv2d._conv_forward:
            warnings.warn(
                "layer %r: %s has its own forward and is not patched" % (name, kind.__name__), stacklevel=4
            )
            return
        if kind not in _CLASSES:
            _CLASSES[kind] = type("Safe" + kind.__name__, (_Mixin, kind), {"__module__": kind.__module__})
        layer.__class__ = _CLASSES[kind]
    layer.__dict__["rmcp_choice"] = choice


def unpatch_model(model: nn.Module) -> nn.Module:
    """Take every workaround away again; in place, and returned."""
    back = {safe: plain for plain, safe in _CLASSES.items()}
    for layer in model.modules():
        if isinstance(layer, _Mixin):
            layer.__dict__.pop("rmcp_choice", None)
            layer.__class__ = back[type(layer)]
    return model
