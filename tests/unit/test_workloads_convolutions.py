"""The convolution workloads: right on every layout, dtype and direction; wrong kernels are caught; bad
arguments refused."""

from __future__ import annotations

import itertools
import json
import time

import pytest

torch = pytest.importorskip("torch")

from rmcp_torch.context import Context  # noqa: E402
from rmcp_torch.workloads import _convolution, conv1d, conv2d, conv3d, determinism, measure, reference  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ctx():
    frames = []
    made = Context("cpu", 7, frames.append)
    made.frames = frames
    return made


BASE = {"n": 2, "c": 4, "h": 9, "w": 11, "k": 6, "padding": 1}
NAMES = {
    "forward": ["output"],
    "backward": ["output", "grad_x", "grad_w", "grad_b"],
    "train": ["output", "grad_x", "grad_w", "grad_b", "new_w", "new_b"],
}


def tight(ctx):
    return all(check["tight"] for check in ctx.checks)


@pytest.mark.parametrize("memory_format", _convolution.MEMORY_FORMATS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64"])
@pytest.mark.parametrize("direction", _convolution.DIRECTIONS)
def test_conv2d_is_right(ctx, memory_format, dtype, direction):
    conv2d.run(ctx, memory_format=memory_format, dtype=dtype, direction=direction, **BASE)
    assert [check["name"] for check in ctx.checks] == NAMES[direction]
    assert tight(ctx), ctx.checks
    phases = [frame["name"] for frame in ctx.frames]
    assert phases == ["setup", "reference", "launch", "sync", "compare"]
    assert ctx.metrics["median_s"] > 0


@pytest.mark.parametrize(
    ("kernel", "stride", "padding", "dilation", "groups", "transposed"),
    [
        ((3,), (1,), (1,), (1,), 1, False),
        ((4,), (3,), (2,), (2,), 2, False),
        ((3, 3), (1, 1), (1, 1), (1, 1), 1, False),
        ((5, 2), (2, 3), (2, 0), (2, 1), 4, False),
        ((1, 1), (2, 1), (0, 0), (1, 1), 1, False),
        ((4, 3), (2, 2), (1, 1), (1, 2), 2, True),
        ((2, 3, 1), (1, 2, 1), (1, 0, 0), (1, 1, 2), 2, False),
        ((3, 2, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1), 1, True),
    ],
)
@pytest.mark.parametrize("images", [1, 2])
def test_a_reference_in_parts_is_the_reference(
    kernel, stride, padding, dilation, groups, transposed, images, monkeypatch
):
    geometry = reference.Geometry(kernel, stride, padding, dilation, groups, transposed)
    size = tuple(13 - place for place in range(len(kernel)))
    random = torch.Generator().manual_seed(5)
    x = torch.randn((images, 8) + size, generator=random)
    w = torch.randn((8, 8 // groups) + kernel, generator=random)
    b = torch.randn(8, generator=random)
    g = torch.randn((images, 8) + geometry.out_size(size), generator=random)
    beats = []
    made = []
    for band, least in ((10**9, 1), (1, 1), (1000, 7)):
        monkeypatch.setattr(reference, "_BAND", band)
        monkeypatch.setattr(reference, "_LEAST_POSITIONS", least)
        beats.append(0)

        def beat():
            beats[-1] += 1

        made.append(reference.convolution(x, w, b, g, geometry, torch.float32, beat=beat))
    assert beats[0] == images - 1 <= beats[2] <= beats[1] > beats[0], "a part is a sign of life"
    for parts in made[1:]:
        for name, whole in made[0].items():
            torch.testing.assert_close(parts[name].value, whole.value, rtol=1e-12, atol=1e-12)
            torch.testing.assert_close(parts[name].bound(), whole.bound(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("out", "rows"), [((1,), 1), ((572, 572), 576), ((7, 7), 4608), ((0, 5), 9), ((64, 1), 0), ((3, 10**7), 9)]
)
def test_bands_cut_everything_once_and_evenly(out, rows):
    bands = reference._bands(out, rows)
    assert bands[0][0] == 0 and bands[-1][1] == out[0]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bands))
    lengths = [stop - start for start, stop in bands]
    assert len(set(lengths[:-1])) <= 1 and lengths[-1] <= lengths[0]
    along = out[1] if len(out) > 1 else 1
    most = max(along, reference._LEAST_POSITIONS, reference._BAND // rows) if rows else max(out)
    assert lengths[0] * along <= most


@pytest.mark.parametrize(("repeat", "kept"), [(1, None), (2, 1), (6, 5), (65, 64), (200, 64)])
def test_every_iteration_but_the_first_is_a_sample(repeat, kept):
    ctx = Context("cpu", 7, lambda frame: None)
    calls = []

    def step():
        calls.append(time.sleep(0.0001))
        return len(calls)

    assert measure.timed(ctx, step, repeat) == 1
    assert len(calls) == repeat
    samples = ctx.metrics.get("samples_s")
    if kept is None:
        assert samples is None
        return
    assert len(samples) == kept
    assert all(value >= 0.0001 and value == round(value, 6) for value in samples)
    if repeat <= 65:
        assert sorted(samples)[len(samples) // 2] == ctx.metrics["median_s"]
    assert len(json.dumps(samples)) < 800


@pytest.mark.parametrize(("count", "most"), [(0, 4), (4, 4), (5, 4), (9, 4), (1000, 64)])
def test_spread_keeps_order_the_first_and_even_distances(count, most):
    kept = measure.spread(list(range(count)), most)
    assert len(kept) == min(count, most) and kept[:1] == list(range(count))[:1]
    steps = {later - earlier for earlier, later in itertools.pairwise(kept)}
    assert kept == sorted(kept) and (not steps or max(steps) - min(steps) <= 1)


@pytest.mark.parametrize(
    "extra",
    [
        {"kernel": [1, 5]},
        {"stride": [2, 1], "dilation": [1, 2]},
        {"groups": 2},
        {"c": 6, "groups": 6},
        {"n": 0},
        {"bias": False},
        {"transposed": True, "stride": 2, "output_padding": 1},
        {"autocast": "bfloat16"},
        {"benchmark": True, "deterministic": True, "tf32": True},
        {"workaround": "unfold"},
        {"workaround": "split_spatial:20"},
        {"repeat": 3},
    ],
    ids=str,
)
def test_kinds_of_conv2d(ctx, extra):
    conv2d.run(ctx, direction="backward", **{**BASE, **extra})
    assert ctx.checks
    assert tight(ctx), ctx.checks


def test_conv1d_and_conv3d(ctx):
    conv1d.run(ctx, n=2, c=4, w=30, k=6, kernel=5, padding=2, stride=2, direction="train")
    conv1d.run(ctx, n=2, c=4, w=12, k=6, kernel=4, stride=2, transposed=True, direction="backward")
    conv3d.run(ctx, n=1, c=2, d=4, h=5, w=6, k=3, kernel=[2, 3, 3], padding=1, direction="train")
    conv3d.run(ctx, n=1, c=2, d=4, h=5, w=6, k=3, memory_format="channels_last", padding=1)
    assert len(ctx.checks) == 6 + 4 + 6 + 1
    assert tight(ctx), ctx.checks


@pytest.mark.parametrize("where", ["output", "grad_x", "grad_w", "grad_b", "new_w", "new_b"])
def test_a_wrong_kernel_is_caught_in_every_result(ctx, monkeypatch, where):
    real = _convolution.Step.__call__

    def wrong(self):
        got = real(self)
        got[where] = got[where].detach().clone()
        got[where].view(-1)[0] += 0.05
        return got

    monkeypatch.setattr(_convolution.Step, "__call__", wrong)
    conv2d.run(ctx, direction="train", **BASE)
    assert [check["name"] for check in ctx.checks if not check["loose"]] == [where]


def test_the_backend_is_observed(ctx):
    conv2d.run(ctx, **BASE)
    if hasattr(torch._C, "_select_conv_backend"):
        assert ctx.observed["conv_backend"] in ("Mkldnn", "Slow2d", "Cudnn", "Miopen")


def test_the_switches_of_one_case_do_not_reach_the_next(monkeypatch):
    from rmcp_torch.workloads import measure

    for name in ("benchmark", "deterministic", "allow_tf32"):
        monkeypatch.setattr(torch.backends.cudnn, name, True)
    measure.set_backend_flags("cuda:0", None, None)
    assert not torch.backends.cudnn.benchmark
    assert not torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.allow_tf32
    measure.set_backend_flags("cuda:0", True, True, tf32=True)
    assert torch.backends.cudnn.benchmark
    assert torch.backends.cudnn.deterministic
    assert torch.backends.cudnn.allow_tf32
    measure.set_backend_flags("cuda:0", None, None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"direction": "sideways"}, "sideways"),
        ({"memory_format": "NHWC"}, "NHWC"),
        ({"groups": 3}, "groups"),
        ({"kernel": 20}, "fit"),
        ({"kernel": [3, 3, 3]}, "2"),
        ({"dtype": "float31"}, "float31"),
        ({"workaround": "unfold", "transposed": True}, "transposed"),
    ],
)
def test_what_is_no_convolution_is_refused(ctx, wrong, says):
    with pytest.raises(ValueError, match=says):
        conv2d.run(ctx, **{**BASE, **wrong})


def test_the_seed_decides_the_numbers():
    one, same, other = (_convolution.inputs(seed, _problem()) for seed in (1, 1, 2))
    assert torch.equal(one["x"], same["x"])
    assert not torch.equal(one["x"], other["x"])


def _problem():
    geometry = _convolution.Geometry((3, 3), (1, 1), (1, 1), (1, 1))
    return _convolution.Problem(1, 2, (5, 5), 3, geometry)


@pytest.mark.parametrize("asked", [True, False])
def test_a_result_that_changes_between_runs(ctx, monkeypatch, asked):
    real = _convolution.Step.__call__
    runs = []

    def unsteady(self):
        got = real(self)
        runs.append(1)
        got["output"] = got["output"] + (1e-7 if len(runs) == 3 else 0.0)
        return got

    monkeypatch.setattr(_convolution.Step, "__call__", unsteady)
    determinism.run(ctx, n=1, c=4, h=8, w=8, k=4, repeat=4, deterministic=asked)
    words = [check.get("fingerprint") for check in ctx.checks]
    assert ("non-deterministic" in words) is asked
    assert bool(ctx.remarks) is not asked


def test_a_steady_result(ctx):
    determinism.run(ctx, n=1, c=4, h=8, w=8, k=4)
    assert tight(ctx)
    assert not ctx.remarks
