"""Convolutions as values, and the matrix made of them. Standard library only: both sides of the house use it.

Sources are a captured program, MIOpen's command log, a CSV; the result is the text of a matrix file in
which every distinct convolution is one value of the axis `shape`, with how often and where it was seen.
"""

from __future__ import annotations

import json
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Tuple

_PLACES = 4  # names of layers that a value's doc lists; the rest is a number
_WIDTH = 100  # characters of a value's doc
_SIZE = {1: ("w",), 2: ("h", "w"), 3: ("d", "h", "w")}
# The workloads' own defaults: what equals them is not written into the matrix.
_DEFAULTS: Dict[str, Any] = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True}
_DEFAULTS.update(transposed=False, output_padding=0, dtype="float32", memory_format="contiguous", autocast="")
_SHORT_DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float64": "fp64"}


class Convolution(NamedTuple):
    """One convolution problem: input (n, c, *size), k filters; the tuples have one number per spatial
    dimension."""

    n: int
    c: int
    size: Tuple[int, ...]
    k: int
    kernel: Tuple[int, ...]
    stride: Tuple[int, ...]
    padding: Tuple[int, ...]
    dilation: Tuple[int, ...]
    groups: int = 1
    bias: bool = True
    transposed: bool = False
    output_padding: Tuple[int, ...] = ()
    dtype: str = "float32"
    memory_format: str = "contiguous"
    autocast: str = ""


class Sightings:
    """How often a convolution was seen going forward and backward, and where (name -> times)."""

    def __init__(self, forward: int = 0, backward: int = 0) -> None:
        self.forward = forward
        self.backward = backward
        self.places: Dict[str, int] = {}

    def add(self, other: "Sightings") -> None:
        """Count another's sightings as well."""
        self.forward += other.forward
        self.backward += other.backward
        for place, times in other.places.items():
            self.places[place] = self.places.get(place, 0) + times

    def as_dict(self) -> Dict[str, Any]:
        """For JSON."""
        return {"forward": self.forward, "backward": self.backward, "places": self.places}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Sightings":
        """The inverse of ``as_dict``."""
        seen = cls(int(data["forward"]), int(data["backward"]))
        seen.places = {str(place): int(times) for place, times in data["places"].items()}
        return seen


def from_dict(data: Mapping[str, Any]) -> Convolution:
    """A Convolution from its ``_asdict()`` after a journey through JSON. Raises TypeError for anything
    else."""
    return Convolution(**{name: tuple(v) if isinstance(v, list) else v for name, v in data.items()})


def arguments(one: Convolution, direction: str) -> Dict[str, Any]:
    """The arguments of the workload conv1d, conv2d or conv3d, without those that equal its defaults."""
    args: Dict[str, Any] = {"n": one.n, "c": one.c}
    args.update(zip(_SIZE[len(one.size)], one.size))
    args.update(k=one.k, kernel=_short(one.kernel))
    rest = {"stride": _short(one.stride), "padding": _short(one.padding), "dilation": _short(one.dilation),
            "groups": one.groups, "bias": one.bias, "transposed": one.transposed,
            "output_padding": _short(one.output_padding or (0,)), "dtype": one.dtype,
            "memory_format": one.memory_format, "autocast": one.autocast}  # fmt: skip
    args.update((name, value) for name, value in rest.items() if value != _DEFAULTS[name])
    if direction != "forward":
        args["direction"] = direction
    return args


def name_of(one: Convolution) -> str:
    """A readable name for the axis value: `c64-k128-28x28-f3-s2-p1`; what is usual is left out."""
    parts = ["c%d" % one.c, "k%d" % one.k, _by(one.size), "f" + _by(one.kernel, fold=True)]
    if one.n != 1:
        parts.insert(0, "n%d" % one.n)
    for letter, values, usual in (("s", one.stride, 1), ("p", one.padding, 0), ("d", one.dilation, 1)):
        if any(value != usual for value in values):
            parts.append(letter + _by(values, fold=True))
    if one.groups != 1:
        parts.append("dw" if one.groups == one.c else "g%d" % one.groups)
    if one.transposed:
        parts.append("tr" + (_by(one.output_padding, fold=True) if any(one.output_padding) else ""))
    if one.dtype != "float32":
        parts.append(_SHORT_DTYPES.get(one.dtype, one.dtype))
    if one.autocast:
        parts.append("amp-" + _SHORT_DTYPES.get(one.autocast, one.autocast))
    if one.memory_format != "contiguous":
        parts.append({"channels_last": "nhwc"}.get(one.memory_format, one.memory_format))
    if one.bias:
        parts.append("b")
    return "-".join(parts)


def matrix_text(seen: Mapping[Convolution, Sightings], name: str, doc: str) -> str:
    """The text of a matrix file with one case per convolution, in the order of ``seen``.

    A convolution that was seen going backward becomes `direction: backward`, which runs forward as well.
    Layouts other than NCHW get PYTORCH_MIOPEN_SUGGEST_NHWC=1, without which they never reach MIOpen.
    """
    lines = [
        "rmcp: 1",
        "name: " + _text(name),
        "doc: " + _text(doc),
        "defaults: {workload: conv2d, device: auto}",
    ]
    lines += [
        "axes:",
        "  runtime:",
        "    role: compare",
        "    type: version",
        "    values:",
        "      this: {}",
    ]
    lines += ["  shape:", "    values:"]
    names: Dict[str, int] = {}
    for one, sightings in seen.items():
        label = name_of(one)
        names[label] = names.get(label, 0) + 1
        if names[label] > 1:
            label += "_%d" % names[label]
        value: List[str] = []
        if len(one.size) != 2:
            value.append("workload: conv%dd" % len(one.size))
        value.append("args: " + _flow(arguments(one, "backward" if sightings.backward else "forward")))
        if one.memory_format != "contiguous":
            value.append('env: {PYTORCH_MIOPEN_SUGGEST_NHWC: "1"}')
        value.append("doc: " + _text(describe(sightings)))
        lines.append("      %s: {%s}" % (label, ", ".join(value)))
    lines.append("limits: {cases: %d}" % max(20000, 20 * len(seen)))
    return "\n".join(lines) + "\n"


def describe(seen: Sightings) -> str:
    """How often and where, in a few words."""
    words = "%d x forward" % seen.forward
    if seen.backward:
        words += ", %d x backward" % seen.backward
    places = list(seen.places)
    if places:
        more = " and %d more" % (len(places) - _PLACES) if len(places) > _PLACES else ""
        where = ", ".join(places[:_PLACES])
        words += "; " + (where if len(where) <= _WIDTH else where[: _WIDTH - 3] + "...") + more
    return words


def merge(parts: Iterable[Mapping[Convolution, Sightings]]) -> Dict[Convolution, Sightings]:
    """All convolutions of several sources, equal ones counted together, in the order of first sight."""
    merged: Dict[Convolution, Sightings] = {}
    for part in parts:
        for one, sightings in part.items():
            merged.setdefault(one, Sightings()).add(sightings)
    return merged


def _short(values: Tuple[int, ...]) -> Any:
    return values[0] if len(set(values)) == 1 else list(values)


def _by(values: Tuple[int, ...], fold: bool = False) -> str:
    if fold and len(set(values)) == 1:
        return str(values[0])
    return "x".join(str(value) for value in values)


def _flow(args: Mapping[str, Any]) -> str:
    return "{%s}" % ", ".join("%s: %s" % (name, _scalar(value)) for name, value in args.items())


def _scalar(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    """A YAML double-quoted scalar; ASCII, because JSON's surrogate pairs are no YAML."""
    return json.dumps("".join(c if " " <= c <= "~" else "?" for c in " ".join(text.split())))
