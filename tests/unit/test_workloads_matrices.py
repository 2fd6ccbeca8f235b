"""The shipped matrices: they load, say where they come from, and hold what the catalogues hold."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from rmcp.matrix.load import load_matrix

FOLDER = Path(__file__).parents[2] / "matrices"
MATRICES = sorted(path.stem for path in FOLDER.glob("*.yaml") if not path.stem.endswith(".expect"))
PROMISED = {
    "conv2d", "selftest", "rdna1-env", "rdna1-boundary", "workarounds", "workloads", "runtimes", "resnet50", "vgg16",
    "mobilenetv2", "unet", "yolov8n", "eegnet", "deepbench", "miopen-known-bugs", "native-crashes",
}  # fmt: skip


def shapes(name):
    matrix = load_matrix(FOLDER / f"{name}.yaml")
    axis = next(axis for axis in matrix.axes if axis.name == "shape")
    return {value.name: {**matrix.defaults.args, **value.patch.args} for value in axis.values}


def pair(value):
    return tuple(value) if isinstance(value, (list, tuple)) else (value, value)


def test_every_promised_matrix_is_shipped():
    assert set(MATRICES) >= PROMISED


@pytest.mark.parametrize("name", MATRICES)
def test_a_matrix_loads_and_says_what_it_is(name):
    matrix = load_matrix(FOLDER / f"{name}.yaml")
    assert matrix.name == name
    assert len(matrix.doc) > 100
    assert any(word in matrix.doc for word in (" s ", "seconds", "minute", " s.")), "a time estimate"
    if matrix.reduce is not None:
        assert matrix.reduce.lock is not None
        assert matrix.reduce.lock.is_file()


@pytest.mark.parametrize(
    ("name", "count"),
    [("resnet50", 23), ("vgg16", 9), ("mobilenetv2", 30), ("unet", 23), ("yolov8n", 27), ("eegnet", 13)],
)
def test_the_catalogues_are_complete(name, count):
    assert len(shapes(name)) == count


def test_every_shape_is_a_convolution():
    pytest.importorskip("torch")
    from rmcp_torch.workloads._convolution import extent
    from rmcp_torch.workloads.reference import Geometry

    for name in (
        "resnet50",
        "vgg16",
        "mobilenetv2",
        "unet",
        "yolov8n",
        "eegnet",
        "deepbench",
        "rdna1-boundary",
        "conv2d",
    ):
        for label, args in shapes(name).items():
            parts = [extent(args.get(key, default), 2) for key, default in
                     (("kernel", 3), ("stride", 1), ("padding", 0), ("dilation", 1))]  # fmt: skip
            groups = args.get("groups", 1)
            geometry = Geometry(*parts, groups, args.get("transposed", False))
            assert min(geometry.out_size((args["h"], args["w"]))) >= 1, (name, label)
            assert args["c"] % groups == 0 == args["k"] % groups, (name, label)


def test_the_boundary_has_both_sides_and_equal_areas():
    found = shapes("rdna1-boundary")
    areas = [args["h"] * args["w"] for args in found.values() if args["c"] == 16 and args["n"] == 1]
    assert areas.count(1764) >= 4
    assert areas.count(1936) >= 4


@pytest.mark.skipif(
    "RMCP_SHAPES" not in os.environ, reason="RMCP_SHAPES names no folder with deepbench-conv.csv"
)
def test_deepbench_is_the_published_list_without_duplicates():
    with open(Path(os.environ["RMCP_SHAPES"]) / "deepbench-conv.csv") as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    assert len(rows) == 217
    keys = ("n", "c", "h", "w", "k", "r_h", "s_w", "pad_h", "pad_w", "stride_h", "stride_w")
    wanted = {tuple(int(row[key]) for key in keys) for row in rows}
    found = [
        (
            *(args[key] for key in ("n", "c", "h", "w", "k")),
            *pair(args["kernel"]),
            *pair(args.get("padding", 0)),
            *pair(args.get("stride", 1)),
        )
        for args in shapes("deepbench").values()
    ]
    assert len(found) == len(set(found))
    assert set(found) == wanted


def test_the_selftest_has_every_fault_and_expects_each():
    from rmcp_torch.workloads.faults import KINDS

    matrix = load_matrix(FOLDER / "selftest.yaml")
    faults = {value.name: value.patch.args["kind"] for value in matrix.axes[0].values}
    assert set(faults.values()) == set(KINDS)
    passing = {name for name in faults if not any(rule.where.matches({"fault": name}) for rule in matrix.expect)}
    assert passing == {"none", "flood", "fill-scratch", "delete-folder", "numbers-right", "unsupported"}


def test_the_yolo_network_has_the_convolutions_of_its_block():
    """The catalogue's C2f rows follow from the block's definition: n bottlenecks at width c and c/2."""
    found = {(args["c"], args["k"], args["kernel"], args["h"]) for args in shapes("yolov8n").values()}
    for width, edge in ((32, 160), (64, 80), (128, 40), (256, 20)):
        assert {(width, width, 1, edge), (width // 2, width // 2, 3, edge)} <= found
