"""MIOpen's command log (MIOPEN_ENABLE_LOGGING_CMD=1) -> convolutions with counts. Pure: text in, values out.

A command is found by the word MIOpenDriver, wherever it stands: behind `MIOpen(HIP): Command
[LogCmdConvolution]`, `MIOpen:` or `MIOpen(OpenCL):`, behind thread ids and elapsed times, in TensorFlow's
old logs, quoted with `> ` in a mail, as a C string, or wrapped over several lines. Flags as of
driver/conv_driver.hpp (AddCmdLineArgs) of MIOpen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from rmcp_torch.catalogue import Convolution, Sightings

_DTYPES = {"conv": "float32", "convfp16": "float16", "convbfp16": "bfloat16"}
_COMMAND = re.compile(r"MIOpenDriver(?:\.exe)?[\"'`\s>\\]+([A-Za-z]\w*)")
# Quotes, backslashes and the `>` of quoted mail stand between words, never in them.
_WORD = re.compile(r"(?:^[ \t]*>+)|[^\s\"'`\\;,()]+", re.MULTILINE)
_FLAG = re.compile(r"(--?)([A-Za-z_][A-Za-z0-9_]*|[!@#$%^])(?:=(.*))?$")
_SHORT = {
    "n": "batchsize", "c": "in_channels", "H": "in_h", "W": "in_w", "k": "out_channels",
    "y": "fil_h", "x": "fil_w", "p": "pad_h", "q": "pad_w", "u": "conv_stride_h", "v": "conv_stride_w",
    "l": "dilation_h", "j": "dilation_w", "m": "mode", "g": "group_count", "F": "forw", "S": "solution",
    "I": "in_layout", "O": "out_layout", "f": "fil_layout", "z": "pad_mode", "_": "spatial_dim",
    "Y": "trans_output_pad_h", "X": "trans_output_pad_w", "%": "trans_output_pad_d",
    "!": "in_d", "@": "fil_d", "#": "conv_stride_d", "$": "pad_d", "^": "dilation_d",
}  # fmt: skip
_DEFAULTS = {
    "batchsize": 100, "in_channels": 3, "out_channels": 32, "group_count": 1, "forw": 0, "spatial_dim": 2,
    "in_h": 32, "in_w": 32, "in_d": 32, "fil_h": 3, "fil_w": 3, "fil_d": 3,
    "pad_h": 0, "pad_w": 0, "pad_d": 0, "conv_stride_h": 1, "conv_stride_w": 1, "conv_stride_d": 1,
    "dilation_h": 1, "dilation_w": 1, "dilation_d": 1,
    "trans_output_pad_h": 0, "trans_output_pad_w": 0, "trans_output_pad_d": 0,
}  # fmt: skip
_DIRECTIONS = {1: "forward", 2: "data gradient", 4: "weight gradient"}
_ALL = 7  # -F 0, or no -F: all three


@dataclass
class Imported:
    """Convolutions with counts, how many commands were read, and what was passed over, with the reason."""

    convolutions: dict[Convolution, Sightings] = field(default_factory=dict)
    commands: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def read_log(text: str) -> Imported:
    """All convolution commands in a text; other commands and what cannot be a torch convolution are
    counted."""
    found = Imported()
    for base, words in _commands(text):
        found.commands += 1
        if base not in _DTYPES:
            found.skipped[f"MIOpenDriver {base}"] += 1
            continue
        try:
            one, directions = _convolution(base, words)
        except ValueError as error:
            found.skipped[str(error)] += 1
            continue
        seen = found.convolutions.setdefault(one, Sightings())
        for bit, name in _DIRECTIONS.items():
            if directions & bit:
                seen.places[name] = seen.places.get(name, 0) + 1
        seen.forward += bool(directions & 1)
        seen.backward += bool(directions & 6)
    return found


def _commands(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """(base argument, long flag name -> value) of every command."""
    matches = list(_COMMAND.finditer(text))
    for number, match in enumerate(matches):
        end = matches[number + 1].start() if number + 1 < len(matches) else len(text)
        yield match.group(1), _flags(text[match.end() : end])


def _flags(text: str) -> dict[str, str]:
    """The flags that follow a command, up to the first word that is neither a flag nor a flag's value."""
    flags: dict[str, str] = {}
    name: str | None = None
    for word in _WORD.finditer(text):
        token = word.group()
        if not token.strip("> \t"):
            continue
        if name is not None:
            flags[name] = token
            name = None
            continue
        match = _FLAG.match(token)
        if match is None:
            break
        _, flag, value = match.groups()
        long = _SHORT.get(flag, flag)
        if value is None:
            name = long
        else:
            flags[long] = value
    return flags


def _convolution(base: str, flags: dict[str, str]) -> tuple[Convolution, int]:
    """The problem and its direction bits. Raises ValueError, with a reason, for what torch cannot be asked
    for."""

    def number(name: str) -> int:
        value = flags.get(name)
        if value is None:
            return _DEFAULTS[name]
        try:
            return int(value)
        except ValueError:
            raise ValueError(f"a command whose {name} is {value!r}") from None

    mode = flags.get("mode", "conv")
    if mode not in ("conv", "trans"):
        raise ValueError(f"mode {mode}")
    letters = ("d", "h", "w") if number("spatial_dim") == 3 else ("h", "w")
    size, kernel, stride, padding, dilation, extra = (
        tuple(number(f"{name}_{letter}") for letter in letters)
        for name in ("in", "fil", "conv_stride", "pad", "dilation", "trans_output_pad")
    )
    if flags.get("pad_mode", "default") == "valid":
        padding = (0,) * len(letters)
    elif flags.get("pad_mode", "default") not in ("default", "0"):
        raise ValueError(f"pad mode {flags['pad_mode']}")
    positive = (*size, *kernel, *stride, *dilation, number("in_channels"), number("out_channels"))
    if min(positive) < 1 or min((*padding, number("batchsize"))) < 0:
        raise ValueError("a command with sizes that make no convolution")
    if number("group_count") < 1 or any(
        number(c) % number("group_count") for c in ("in_channels", "out_channels")
    ):
        raise ValueError("a command whose groups do not divide its channels")
    layout = flags.get("in_layout", "NCHW").upper()
    if layout not in ("NCHW", "NCDHW", "NHWC", "NDHWC"):
        raise ValueError(f"layout {layout}")
    one = Convolution(
        n=number("batchsize"),
        c=number("in_channels"),
        size=size,
        k=number("out_channels"),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=number("group_count"),
        bias=False,  # MIOpen's convolution has none: torch adds it in a step of its own
        transposed=mode == "trans",
        output_padding=extra if mode == "trans" else (),
        dtype=_DTYPES[base],
        memory_format="channels_last" if layout in ("NHWC", "NDHWC") else "contiguous",
    )
    return one, (number("forw") & _ALL) or _ALL
