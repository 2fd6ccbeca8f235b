"""A planted wrong kernel for each fingerprint is recognised as such."""

from __future__ import annotations

import json

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from rmcp_torch.workloads import numerics, reference  # noqa: E402
from rmcp_torch.workloads.fingerprints import PICTURE_EDGE, picture  # noqa: E402
from rmcp_torch.workloads.reference import Geometry  # noqa: E402

GROUPS = 4
GEOMETRY = Geometry((3, 3), (1, 1), (1, 1), (1, 1), GROUPS)


@pytest.fixture(scope="module")
def experiment():
    """A grouped convolution with its reference: input, weight, bias, right result, Wanted."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    random = torch.Generator().manual_seed(11)
    x = torch.randn((2, 8, 24, 24), generator=random)
    w = torch.randn((16, 2, 3, 3), generator=random)
    b = torch.randn(16, generator=random)
    wanted = reference.convolution(x, w, b, None, GEOMETRY, torch.float32)["output"]
    yield x, w, b, F.conv2d(x, w, b, padding=1, groups=GROUPS), wanted
    torch.set_num_threads(before)


def nan_in_one(x, w, b, y):
    y[0, 3, 5, 5] = float("nan")


def infinite(x, w, b, y):
    y[1] = float("inf")


def unwritten_rows(x, w, b, y):
    y[:, :, 17:] = numerics.GUARD


def unwritten_one(x, w, b, y):
    y[0, 0, 0, 0] = numerics.GUARD


def zeroed(x, w, b, y):
    y.zero_()


def channels_last_read_as_first(x, w, b, y):
    return y.permute(0, 2, 3, 1).reshape(y.shape)


def channels_first_read_as_last(x, w, b, y):
    n, c, h, width = y.shape
    return y.reshape(n, h, width, c).permute(0, 3, 1, 2)


def transposed(x, w, b, y):
    return y.transpose(2, 3)


def flipped(x, w, b, y):
    return y.flip(3)


def swapped_channels(x, w, b, y):
    y[:, [2, 3]] = y[:, [3, 2]]


def one_channel(x, w, b, y):
    y[:, 5] += 1.0


def one_group(x, w, b, y):
    y[:, 4:8] = y[:, 4:8] * 1.5 + 1.0


def groups_rotated(x, w, b, y):
    return y.roll(16 // GROUPS, 1)


def a_tile(x, w, b, y):
    y[:, :, 8:16, 16:24] += 0.5


def every_other_tile(x, w, b, y):
    for top in (0, 16):
        for left in (0, 16):
            y[:, :, top : top + 8, left : left + 8] += 0.5


def no_padding(x, w, b, y):
    return F.conv2d(F.pad(x, (1, 1, 1, 1), value=0.5), w, b, groups=GROUPS)


def low_precision(x, w, b, y):
    return F.conv2d(x.bfloat16().float(), w.bfloat16().float(), b, padding=1, groups=GROUPS)


def other_weights(x, w, b, y):
    return F.conv2d(x, w.roll(1, 3), b, padding=1, groups=GROUPS)


def missing_bias(x, w, b, y):
    return F.conv2d(x, w, None, padding=1, groups=GROUPS)


PLANTED = [
    (nan_in_one, "non-finite"),
    (infinite, "non-finite"),
    (unwritten_rows, "unwritten"),
    (unwritten_one, "unwritten"),
    (zeroed, "all-zero"),
    (channels_last_read_as_first, "wrong-layout"),
    (channels_first_read_as_last, "wrong-layout"),
    (transposed, "wrong-layout"),
    (flipped, "wrong-layout"),
    (swapped_channels, "wrong-channel"),
    (one_channel, "wrong-channel"),
    (one_group, "wrong-group"),
    (groups_rotated, "wrong-group"),
    (a_tile, "tile-local"),
    (every_other_tile, "tile-local"),
    (no_padding, "border-only"),
    (low_precision, "precision-only"),
    (other_weights, "wrong-values"),
    (missing_bias, "wrong-values"),
]


@pytest.mark.parametrize(("plant", "word"), PLANTED, ids=[plant.__name__ for plant, _ in PLANTED])
def test_a_planted_wrong_kernel_is_recognised(experiment, plant, word):
    x, w, b, right, wanted = experiment
    planted = right.clone()
    wrong = plant(x, w, b, planted)
    wrong = planted if wrong is None else wrong
    check = numerics.compare("output", wrong, wanted.value, wanted.bound, groups=GROUPS, halo=1)
    assert not check["tight"]
    assert not check["loose"]
    assert check["fingerprint"] == word, check["detail"]
    assert json.loads(json.dumps(check, allow_nan=False)) == check


def test_the_right_kernel_has_no_fingerprint(experiment):
    *_, right, wanted = experiment
    check = numerics.compare("output", right, wanted.value, wanted.bound, groups=GROUPS)
    assert check["tight"]
    assert not check.get("fingerprint")


def test_the_detail_says_where(experiment):
    x, w, b, right, wanted = experiment
    planted = right.clone()
    a_tile(x, w, b, planted)
    check = numerics.compare("output", planted, wanted.value, wanted.bound)
    assert check["detail"] == "all wrong pixels are in rows 8..15, columns 16..23"
    assert check["fraction_off"] == pytest.approx(64 / 576)
    rows = check["picture"]
    assert len(rows) == 24
    assert all(len(row) == 24 for row in rows)
    assert rows[0] == "0" * 24
    assert rows[8][:16] == "0" * 16
    assert "0" not in rows[8][16:]


def test_a_missing_bias_is_hinted_at(experiment):
    x, w, b, right, wanted = experiment
    check = numerics.compare("output", missing_bias(x, w, b, right), wanted.value, wanted.bound)
    assert "bias" in check["detail"]


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 100, 7), (2, 2, 33, 65), (5, 40), (3, 4, 5, 6, 7)])
def test_pictures_are_at_most_32_by_32(shape):
    error = torch.rand(shape, dtype=torch.float64)
    rows = picture(error, torch.full_like(error, 0.5))
    assert len(rows) == min(PICTURE_EDGE, shape[-2])
    assert {len(row) for row in rows} == {min(PICTURE_EDGE, shape[-1])}
    assert set("".join(rows)) <= set("0123456789")


def test_a_vector_has_no_picture():
    assert picture(torch.ones(9), torch.ones(9)) is None


def test_levels_of_a_picture():
    error = torch.tensor([[0.5, 1.0, 5.0, 50.0, 1e12, float("nan")]], dtype=torch.float64)
    assert picture(error, torch.ones_like(error)) == ["001299"]
