"""What the comparison page shows, as JSON-able columns: one row per experiment."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rmcp import __version__
from rmcp.compare import CHANGES, Cell, Change, Comparison, times_of
from rmcp.report.columns import Pool, column
from rmcp.report.payload import words
from rmcp.report.plain import one_line

_TIMES = 2_000  # rows whose interval is in the page, the largest differences first; making one takes a millisecond
_ABSENT = Cell(None, None, None, None, 0, "", None, None)  # type: ignore[arg-type]
_TEXTS = ("outcome", "cause", "signal", "signature", "message", "stability")


def comparison_columns(comparison: Comparison) -> dict[str, Any]:
    """Axes, cells and changes of all rows, each as codes into a pool of its values; -1 where there is none."""
    rows, sides = comparison.rows, range(len(comparison.sides))
    axis_values: Sequence[Sequence[str]] = list(zip(*(row.values for row in rows), strict=True))
    pools = [_blank_apart(values) for values in axis_values or [()] * len(comparison.axes)]
    number_of: dict[Change | None, int] = {change: code for code, change in enumerate(CHANGES)}
    number_of[None] = -1
    columns = list(zip(*(row.cells for row in rows), strict=True)) or [()] * len(comparison.sides)
    changes = list(zip(*(row.changes for row in rows), strict=True)) or [()] * len(comparison.sides)
    steps = list(zip(*(row.steps for row in rows), strict=True)) or [()] * len(comparison.sides)
    coded = number_of.__getitem__
    return {
        "rows": len(rows),
        "axes": [
            {"name": one_line(name, 200), "values": [one_line(v, 300) for v in values], "compare": False}
            for name, (values, _) in zip(comparison.axes, pools, strict=True)
        ],
        "axis_codes": [codes for _, codes in pools],
        "cells": [_cells(cells) for cells in columns],
        "change": {"pool": [str(change) for change in CHANGES], "codes": [coded(row.change) for row in rows]},
        "side_changes": [list(map(coded, changes[i])) for i in sides],
        "side_steps": [list(map(coded, steps[i])) for i in sides] if len(sides) > 2 else None,
        "prefix": column(row.label.partition("[")[0] for row in rows),
        "ids": None,
        "doubts": {
            str(at): [None if doubt is None else doubt.text() for doubt in row.doubts]
            for at, row in enumerate(rows)
            if row.doubts
        },
        "times": _times(comparison),
    }


def comparison_head(comparison: Comparison) -> dict[str, Any]:
    """The vocabulary of the page."""
    return {
        "format": 1,
        "kind": "compare",
        "version": __version__,
        "words": words(),
        "changes": [[str(change), meaning] for change, meaning in CHANGES.items()],
        "by": comparison.by,
        "baseline": comparison.baseline,
    }


def _blank_apart(values: Iterable[str]) -> tuple[list[str], list[int]]:
    """Distinct values and codes; the empty text, which stands for an axis that the row has not, is -1."""
    pool = Pool([""])
    codes = [code - 1 for code in map(pool.code, values)]
    return pool.values[1:], codes


def _cells(cells: Iterable[Cell | None]) -> dict[str, Any]:
    """The cells of one side as columns. Transposed once: a million attribute look-ups take a second."""
    fields = dict(zip(Cell._fields, zip(*(cell or _ABSENT for cell in cells), strict=True), strict=True))
    packed: dict[str, Any] = {}
    for name in _TEXTS:
        packed[name] = _texts(fields.get(name, ()))
    packed["ms"] = [_three_digits(1000 * seconds) for seconds in fields.get("seconds", ())]
    return packed


def _texts(values: Iterable[str | None]) -> dict[str, Any]:
    """A column of texts. Only the distinct ones are made harmless; enums are equal to their values."""
    raw = Pool([_NOTHING])
    codes = [code - 1 for code in map(raw.code, values)]  # type: ignore[arg-type]
    return {"pool": [one_line(value, 400) for value in raw.values[1:]], "codes": codes}


_NOTHING: Any = None


def _three_digits(value: float) -> float:
    """What such a time is worth; it halves the file."""
    if value >= 100:
        return round(value)
    return round(value, 1 if value >= 10 else 2)


def _times(comparison: Comparison) -> Mapping[str, list[list[float] | None]]:
    """By row: ratio and interval per side, for the rows whose time changed most."""
    told = [(at, row) for at, row in enumerate(comparison.rows) if Change.PERF in row.changes]
    if len(told) > _TIMES:
        base = comparison.baseline

        def distance(item: tuple[int, Any]) -> float:
            old = item[1].cells[base].seconds
            return max(abs(math.log(c.seconds / old)) for c in item[1].cells if c and c.seconds > 0) if old > 0 else 0.0

        told = list(itertools.islice(sorted(told, key=distance, reverse=True), _TIMES))
    return {
        str(at): [
            None if one is None else [round(one.ratio, 3), round(one.low, 3), round(one.high, 3)]
            for one in times_of(row, comparison.baseline)
        ]
        for at, row in told
    }
