"""The error bounds: honest computations stay inside, wrong ones do not."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional as F  # noqa: E402

from rmcp_torch.workloads import numerics, reference  # noqa: E402
from rmcp_torch.workloads.reference import Geometry  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_bound_grows_with_the_length_of_the_sum_and_with_the_roundoff():
    lengths = [numerics.relative_bound(terms, torch.float32) for terms in (1, 10, 100, 10_000)]
    assert lengths == sorted(lengths)
    kinds = [
        numerics.relative_bound(27, kind)
        for kind in (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    ]
    assert kinds == sorted(kinds)
    assert (
        numerics.relative_bound(27, torch.float32, tf32=True)
        > 1e-4
        > numerics.relative_bound(27, torch.float32)
    )


@pytest.mark.parametrize("terms", [1, 7, 16])
def test_short_sums_have_the_worst_case_bound(terms):
    u = 2.0**-24
    assert numerics.relative_bound(terms, torch.float32) == pytest.approx(terms * u + 2 * u, rel=1e-4)


@pytest.mark.parametrize("terms", [100, 3000, 100_000])
@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16])
def test_an_honest_sum_is_within_the_bound(terms, kind):
    random = torch.Generator().manual_seed(terms)
    a, b = (torch.randn((20, terms), generator=random).to(kind) for _ in range(2))
    exact = (a.double() * b.double()).sum(1)
    got = (a.float() * b.float()).cumsum(1)[:, -1].to(kind)  # one term after the other: the worst order
    bound = (a.double() * b.double()).abs().sum(1) * numerics.relative_bound(terms, kind)
    assert bool(((got.double() - exact).abs() <= bound).all())


PLAIN = Geometry((3, 3), (1, 1), (1, 1), (1, 1))
GEOMETRIES = {
    "plain": (PLAIN, (2, 3, 6, 5), 4),
    "stride": (PLAIN._replace(stride=(2, 1), padding=(0, 2)), (1, 2, 7, 6), 3),
    "dilation": (PLAIN._replace(dilation=(2, 1), kernel=(2, 3)), (1, 2, 7, 6), 3),
    "groups": (PLAIN._replace(groups=2), (2, 4, 5, 5), 6),
    "depthwise": (PLAIN._replace(groups=4), (1, 4, 5, 5), 4),
    "1d": (Geometry((5,), (2,), (2,), (1,), 2), (3, 4, 11), 6),
    "3d": (Geometry((3, 2, 1), (1, 2, 1), (1, 0, 1), (1, 1, 2)), (2, 2, 4, 5, 3), 3),
    "transposed": (Geometry((3, 3), (2, 2), (1, 0), (1, 2), 2, True, (1, 0)), (2, 4, 4, 5), 6),
    "transposed-1d": (Geometry((4,), (3,), (1,), (1,), 1, True, (2,)), (2, 3, 5), 2),
    "transposed-3d": (Geometry((2, 2, 3), (2, 2, 1), (0, 0, 1), (1, 1, 1), 1, True, ()), (1, 2, 2, 3, 4), 3),
    "empty": (PLAIN, (0, 3, 6, 5), 4),
}


def torch_convolution(x, w, b, geometry):
    dims = len(geometry.kernel)
    if geometry.transposed:
        function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[dims - 1]
        extra = geometry.output_padding or 0
        return function(x, w, b, geometry.stride, geometry.padding, extra, geometry.groups, geometry.dilation)
    function = (F.conv1d, F.conv2d, F.conv3d)[dims - 1]
    return function(x, w, b, geometry.stride, geometry.padding, geometry.dilation, geometry.groups)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_reference_is_autograd_in_fp64(name):
    geometry, shape, k = GEOMETRIES[name]
    torch.manual_seed(3)
    first, second = (shape[1], k) if geometry.transposed else (k, shape[1])
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    w = torch.randn(
        (first, second // geometry.groups, *geometry.kernel), dtype=torch.float64, requires_grad=True
    )
    b = torch.randn(k, dtype=torch.float64, requires_grad=True)
    y = torch_convolution(x, w, b, geometry)
    assert geometry.out_size(tuple(shape[2:])) == tuple(y.shape[2:])
    g = torch.randn(y.shape, dtype=torch.float64)
    wanted = dict(
        zip(("output", "grad_x", "grad_w", "grad_b"), (y, *torch.autograd.grad(y, (x, w, b), g)), strict=True)
    )
    got = reference.convolution(x.detach(), w.detach(), b.detach(), g, geometry, torch.float64)
    assert set(got) == set(wanted)
    for key, (value, bound) in got.items():
        torch.testing.assert_close(value, wanted[key].detach(), rtol=1e-12, atol=1e-11)
        error = (value - wanted[key].detach()).abs()
        assert bool((error <= bound()).all()), key
        assert bound().shape == value.shape


def test_the_bound_is_componentwise():
    x = torch.ones(1, 1, 4, 4)
    x[0, 0, 0, 0] = 1e6
    w = torch.ones(1, 1, 3, 3)
    bound = reference.convolution(x, w, None, None, PLAIN, torch.float32)["output"].bound()
    assert float(bound[0, 0, 0, 0]) > 1e4 * float(bound[0, 0, 3, 3])


def right(shape=(1, 4, 12, 12)):
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).double()


def test_a_right_result_is_tight_and_costs_no_fingerprint():
    value = right()
    check = numerics.compare(
        "output", value.float(), value.float().double(), lambda: pytest.fail("bound computed")
    )
    assert check["tight"]
    assert check["loose"]
    assert check["max_abs"] == 0.0
    assert "picture" not in check


def test_beyond_the_tight_bound_but_within_the_loose_one():
    value = right()
    check = numerics.compare("output", (value + 5e-6).float(), value, 1e-6)
    assert (check["tight"], check["loose"], check["fingerprint"]) == (False, True, "precision-only")


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_low_precision_is_judged_element_by_element(kind):
    value = right().to(kind)
    wrong = value.clone()
    small = int(wrong.abs().argmin())
    wrong.view(-1)[small] += 0.05
    bound = value.double().abs() * numerics.relative_bound(1, kind)
    check = numerics.compare("output", wrong, value.double(), lambda: bound)
    assert not check["tight"]
    assert numerics.compare("output", value, value.double(), lambda: bound)["tight"]


def test_one_wrong_element_in_a_million_is_found():
    value = torch.randn((1, 1, 1000, 1000), generator=torch.Generator().manual_seed(2)).double()
    wrong = value.float()
    wrong[0, 0, 500, 500] += 0.003
    check = numerics.compare("output", wrong, value, lambda: torch.full_like(value, 1e-5))
    assert not check["loose"]
    assert check["fraction_off"] == pytest.approx(1e-6)


def test_many_small_errors_are_found_by_the_rms():
    value = right((1, 1, 50, 50))
    check = numerics.compare("output", (value * (1 + 1e-3)).float(), value, 1.0)
    assert not check["tight"]
    assert check["rms"] > numerics.rms_limit(torch.float32)


def test_the_rms_is_that_of_miopen():
    value = right((1, 1, 50, 50))
    got = value + 0.01
    check = numerics.compare("output", got, value, 1.0, rms_tight=math.inf)
    expected = float((got - value).norm()) / (math.sqrt(value.numel()) * float(value.abs().max()))
    assert check["rms"] == pytest.approx(expected)


def test_an_empty_result_and_a_wrong_shape():
    assert numerics.compare("output", torch.empty(0, 3), torch.empty(0, 3), 0.0)["tight"]
    check = numerics.compare("output", torch.zeros(2, 3), torch.zeros(3, 2), 0.0)
    assert (check["loose"], check["fingerprint"]) == (False, "wrong-shape")


def test_bit_differences():
    value = torch.tensor([1.0, float("nan"), 2.0])
    assert numerics.bit_difference(value, value.clone()) == 0.0
    assert numerics.bit_difference(value, torch.tensor([1.0, float("nan"), 2.5])) == 0.5
    assert numerics.bit_difference(value, torch.tensor([1.0, 0.0, 2.0])) > 1e300
    assert numerics.non_deterministic("output_again", 0.5)["fingerprint"] == "non-deterministic"
