"""A CSV with one convolution a row -> convolutions with counts. Pure. DeepBench's catalogue reads as it
is."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Mapping, Sequence

from rmcp.catalogue.driver import Imported
from rmcp.errors import UserError
from rmcp_torch.catalogue import Convolution, Sightings

# Our name -> the names of the column in the wild. A pair without its second name stands for both directions.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "n": ("n", "batch", "batch_size", "batchsize"),
    "c": ("c", "in_channels", "channels", "c_in", "cin"),
    "h": ("h", "height", "in_h", "input_h"),
    "w": ("w", "width", "in_w", "input_w"),
    "k": ("k", "out_channels", "filters", "c_out", "cout"),
    "kernel_h": ("kernel_h", "r_h", "kh", "fil_h", "filter_h", "y", "r", "kernel", "kernel_size"),
    "kernel_w": ("kernel_w", "s_w", "kw", "fil_w", "filter_w", "x", "s", "kernel", "kernel_size"),
    "stride_h": ("stride_h", "sh", "u", "hstride", "conv_stride_h", "stride"),
    "stride_w": ("stride_w", "sw", "v", "wstride", "conv_stride_w", "stride"),
    "padding_h": ("padding_h", "pad_h", "ph", "p", "padding", "pad"),
    "padding_w": ("padding_w", "pad_w", "pw", "q", "padding", "pad"),
    "dilation_h": ("dilation_h", "dh", "dilation"),
    "dilation_w": ("dilation_w", "dw", "dilation"),
    "groups": ("groups", "group_count", "g"),
    "bias": ("bias",),
    "transposed": ("transposed",),
    "dtype": ("dtype", "type", "precision"),
    "memory_format": ("memory_format", "layout"),
    "direction": ("direction",),
    "count": ("count", "times"),
    "place": ("name", "set", "layer", "family"),
}
_USUAL = {"n": 1, "stride_h": 1, "stride_w": 1, "padding_h": 0, "padding_w": 0}
_USUAL.update(dilation_h=1, dilation_w=1, groups=1, count=1)
_NEEDED = ("c", "h", "w", "k", "kernel_h", "kernel_w")
_DTYPES = {"fp32": "float32", "float": "float32", "fp64": "float64", "double": "float64"}
_DTYPES.update(fp16="float16", half="float16", bf16="bfloat16", bfp16="bfloat16")
_LAYOUTS = {"nchw": "contiguous", "nhwc": "channels_last"}
_BACKWARD = ("backward", "train", "training")
_SHOWN = 8  # mistakes that are printed; a wrong file has thousands


def read_table(text: str, source: str) -> Imported:
    """The rows of a CSV with a header; lines that begin with # are comments.

    Raises UserError with every bad row (``source:line``) or the missing columns.
    """
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UserError(f"{source} holds no rows")
    header = [cell.strip().lower() for cell in next(csv.reader([lines[0][1]]))]
    columns = _find_columns(header, source)
    found, mistakes = Imported(), []
    for number, line in lines[1:]:
        row = next(csv.reader(io.StringIO(line)))
        try:
            if len(row) != len(header):
                raise ValueError(f"{len(row)} cells under {len(header)} columns")
            one, place, backward, count = _row({name: row[at].strip() for name, at in columns.items()})
        except ValueError as error:
            mistakes.append(f"{source}:{number}: {error}")
            continue
        found.commands += count
        seen = found.convolutions.setdefault(one, Sightings())
        seen.forward += count
        seen.backward += count if backward else 0
        if place:
            seen.places[place] = seen.places.get(place, 0) + count
    if mistakes:
        more = f"\n... and {len(mistakes) - _SHOWN} more" if len(mistakes) > _SHOWN else ""
        raise UserError(f"{len(mistakes)} rows cannot be read\n" + "\n".join(mistakes[:_SHOWN]) + more)
    if not found.convolutions:
        raise UserError(f"{source} holds a header and no rows")
    return found


def looks_like_table(text: str) -> bool:
    """Whether the first line that is no comment is a header with the columns that a convolution needs."""
    for line in text.splitlines()[:100]:
        if line.strip() and not line.lstrip().startswith("#"):
            cells = {cell.strip().lower() for cell in line.split(",")}
            return len(cells) > 3 and sum(not cells.isdisjoint(_COLUMNS[name]) for name in _NEEDED) >= 3
    return False


def _find_columns(header: Sequence[str], source: str) -> dict[str, int]:
    columns = {}
    for name, names in _COLUMNS.items():
        at = next((header.index(candidate) for candidate in names if candidate in header), None)
        if at is not None:
            columns[name] = at
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        hints = [close[0] for name in missing if (close := difflib.get_close_matches(name, header, 1, 0.5))]
        hint = f"; did you mean {', '.join(hints)}?" if hints else ""
        raise UserError(f"{source}: no column for {', '.join(missing)} (found {', '.join(header)}){hint}")
    return columns


def _row(cells: Mapping[str, str]) -> tuple[Convolution, str, bool, int]:
    """(problem, place, goes backward, count) of one row."""

    def number(name: str, least: int = 1) -> int:
        text = cells.get(name, "")
        if not text:
            if name not in _USUAL:
                raise ValueError(f"{name} is empty")
            return _USUAL[name]
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{name} is {text!r}, not a whole number") from None
        if value < least:
            raise ValueError(f"{name} is {value}, less than {least}")
        return value

    def flag(name: str) -> bool:
        text = cells.get(name, "").lower()
        if text not in ("", "0", "1", "true", "false", "yes", "no"):
            raise ValueError(f"{name} is {text!r}, neither true nor false")
        return text in ("1", "true", "yes")

    def pair(name: str, least: int = 1) -> tuple[int, int]:
        return number(f"{name}_h", least), number(f"{name}_w", least)

    dtype = cells.get("dtype", "").lower() or "float32"
    layout = cells.get("memory_format", "").lower() or "contiguous"
    groups = number("groups")
    if number("c") % groups or number("k") % groups:
        raise ValueError(f"groups {groups} divides not both c and k")
    one = Convolution(
        n=number("n", 0),
        c=number("c"),
        size=(number("h"), number("w")),
        k=number("k"),
        kernel=pair("kernel"),
        stride=pair("stride"),
        padding=pair("padding", 0),
        dilation=pair("dilation"),
        groups=groups,
        bias=flag("bias"),
        transposed=flag("transposed"),
        output_padding=(0, 0) if flag("transposed") else (),
        dtype=_DTYPES.get(dtype, dtype),
        memory_format=_LAYOUTS.get(layout, layout),
    )
    place = cells.get("place", "")
    direction = cells.get("direction", "") or place
    return one, place, direction.lower() in _BACKWARD, number("count")
