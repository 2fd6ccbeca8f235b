"""Every workaround gives what conv2d gives: values, gradients, dtypes, on every kind of convolution."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from rmcp_torch import patch_model, safe_conv2d  # noqa: E402
from rmcp_torch.workarounds import SafeConv2d, WorkaroundError, unpatch_model  # noqa: E402
from rmcp_torch.workarounds.functional import FUNCTIONS  # noqa: E402

NAMES = [*FUNCTIONS, "split_spatial:7", "split_spatial:3", "pad_channels:3"]

GEOMETRIES = {
    "plain": ((2, 3, 6, 5), (4, 3, 3, 3), {"padding": 1}),
    "no-padding": ((1, 2, 5, 6), (3, 2, 2, 3), {}),
    "stride": ((1, 2, 7, 6), (3, 2, 3, 3), {"stride": (2, 1), "padding": (1, 2)}),
    "dilation": ((1, 2, 7, 8), (2, 2, 3, 2), {"dilation": (2, 3), "padding": 2}),
    "groups": ((2, 4, 5, 5), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    "depthwise": ((1, 4, 5, 5), (8, 1, 3, 3), {"groups": 4, "padding": 1}),
    "pointwise": ((2, 3, 4, 4), (5, 3, 1, 1), {}),
    "same-uneven": ((1, 2, 6, 6), (2, 2, 2, 4), {"padding": "same"}),
    "valid": ((1, 2, 5, 5), (2, 2, 3, 3), {"padding": "valid"}),
}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(5)
    yield
    torch.set_num_threads(before)


def operands(shape, weight, dtype=torch.float64):
    x = torch.randn(shape, dtype=dtype, requires_grad=True)
    w = torch.randn(weight, dtype=dtype, requires_grad=True)
    b = torch.randn(weight[0], dtype=dtype, requires_grad=True)
    return x, w, b


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_values_and_gradients_are_those_of_conv2d(name, geometry):
    shape, weight, arguments = GEOMETRIES[geometry]
    x, w, b = operands(shape, weight)
    wanted = F.conv2d(x, w, b, **arguments)
    got = safe_conv2d(x, w, b, workaround=name, **arguments)
    torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
    g = torch.randn_like(wanted)
    for mine, theirs in zip(
        torch.autograd.grad(got, (x, w, b), g), torch.autograd.grad(wanted, (x, w, b), g), strict=True
    ):
        torch.testing.assert_close(mine, theirs, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck_in_fp64(name):
    shape, weight, arguments = ((1, 2, 5, 4), (2, 2, 3, 3), {"padding": 1})
    operations = operands(shape, weight)
    assert torch.autograd.gradcheck(
        lambda x, w, b: safe_conv2d(x, w, b, workaround=name, **arguments), operations, fast_mode=True
    )


@pytest.mark.parametrize("name", [name for name in NAMES if name != "native"])
def test_second_derivatives(name):
    operations = operands((1, 2, 4, 4), (2, 2, 3, 3))
    assert torch.autograd.gradgradcheck(
        lambda x, w, b: safe_conv2d(x, w, b, workaround=name, padding=1), operations, fast_mode=True
    )


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_result_has_the_dtype_of_the_input(name, dtype):
    x, w, b = operands((1, 2, 5, 4), (2, 2, 3, 3), dtype)
    y = safe_conv2d(x, w, b, padding=1, workaround=name)
    y.sum().backward()
    assert (y.dtype, x.grad.dtype, w.grad.dtype) == (dtype, dtype, dtype)


@pytest.mark.parametrize("name", NAMES)
def test_an_unbatched_and_an_empty_input(name):
    x, w, b = operands((2, 5, 4), (2, 2, 3, 3))
    torch.testing.assert_close(safe_conv2d(x, w, b, workaround=name), F.conv2d(x, w, b))
    empty = torch.randn(0, 2, 5, 4, dtype=torch.float64)
    assert safe_conv2d(empty, w, b, workaround=name).shape == (0, 2, 3, 2)


@pytest.mark.parametrize("name", NAMES)
def test_inside_autocast(name):
    x, w, b = operands((1, 2, 5, 4), (2, 2, 3, 3), torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = safe_conv2d(x, w, b, workaround=name)
        assert y.dtype == F.conv2d(x, w, b).dtype
    y.float().sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(y.float(), F.conv2d(x, w, b), rtol=0.1, atol=0.1)


def test_native_restores_the_switch_and_uses_it_in_backward(monkeypatch):
    seen = []
    real = torch.ops.aten.convolution_backward
    monkeypatch.setattr(
        torch.ops.aten,
        "convolution_backward",
        lambda *args: seen.append(torch.backends.cudnn.enabled) or real(*args),
    )
    x, w, b = operands((1, 2, 5, 4), (2, 2, 3, 3))
    assert torch.backends.cudnn.enabled
    safe_conv2d(x, w, b, workaround="native").sum().backward()
    assert seen == [False]
    assert torch.backends.cudnn.enabled


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.second = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False))
        self.reflect = nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect")
        self.up = nn.ConvTranspose2d(2, 2, 2, 2)

    def forward(self, x):
        return self.up(self.reflect(self.second(self.first(x))))


@pytest.mark.parametrize("name", NAMES)
def test_a_patched_model_is_a_drop_in(name):
    plain = Net().double()
    patched = patch_model(copy.deepcopy(plain), name)
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64)
    torch.testing.assert_close(patched(x), plain(x), rtol=1e-12, atol=1e-12)
    assert list(patched.state_dict()) == list(plain.state_dict())
    patched.load_state_dict(plain.state_dict())
    plain.load_state_dict(patched.state_dict())
    again = copy.deepcopy(patched)
    torch.testing.assert_close(again(x), plain(x), rtol=1e-12, atol=1e-12)
    patched(x).sum().backward()
    plain(x).sum().backward()
    for mine, theirs in zip(patched.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-11, atol=1e-11)


def test_a_patched_model_can_be_saved_and_loaded(tmp_path):
    model = patch_model(Net(), "unfold")
    torch.save(model, tmp_path / "model.pt")
    keywords = {"weights_only": False} if torch.__version__ >= "2" else {}
    loaded = torch.load(tmp_path / "model.pt", **keywords)
    assert isinstance(loaded.first, SafeConv2d)
    assert loaded.first.rmcp_choice == "unfold"


def test_only_matching_layers_change():
    model = patch_model(Net(), {"second.*": "unfold"})
    assert type(model.first) is nn.Conv2d
    assert isinstance(model.second[1], SafeConv2d)
    assert type(unpatch_model(model).second[1]) is nn.Conv2d
    model = patch_model(Net(), lambda name, layer: "cpu" if layer.groups == 2 else None)
    assert [isinstance(layer, SafeConv2d) for layer in (model.first, model.second[1])] == [False, True]


def test_cpu_train_is_on_the_cpu_in_training_only(monkeypatch):
    calls = []
    real = FUNCTIONS["cpu"]
    monkeypatch.setitem(FUNCTIONS, "cpu", lambda *args: calls.append(1) or real(*args))
    model = patch_model(nn.Sequential(nn.Conv2d(2, 2, 3)), "cpu_train")
    x = torch.randn(1, 2, 5, 5)
    model.eval()(x)
    assert calls == []
    model.train()(x)
    assert calls == [1]


def test_a_layer_with_a_forward_of_its_own_is_left_alone():
    class Odd(nn.Conv2d):
        def forward(self, x):
            return super().forward(x) * 2

    model = nn.Sequential(Odd(2, 2, 3))
    with pytest.warns(UserWarning, match="forward"):
        patch_model(model, "unfold")
    assert type(model[0]) is Odd


def test_a_subclass_without_one_is_patched():
    class Named(nn.Conv2d):
        pass

    model = patch_model(nn.Sequential(Named(2, 2, 3)), "unfold")
    assert isinstance(model[0], Named)
    x = torch.randn(1, 2, 5, 5)
    torch.testing.assert_close(copy.deepcopy(model)(x), model(x))
    assert type(unpatch_model(model)[0]) is Named


@pytest.mark.parametrize("wrong", ["nothing", "unfold:3", "split_spatial:0", "split_spatial:x"])
def test_a_wrong_name_is_refused_at_once(wrong):
    with pytest.raises(WorkaroundError):
        patch_model(Net(), wrong)
    with pytest.raises(WorkaroundError):
        SafeConv2d(2, 2, 3, workaround=wrong)


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="this torch has no torch.compile")
@pytest.mark.parametrize(
    "name", ["unfold", "split_spatial:7", "pad_channels", "fp32_upcast", "cpu", "native"]
)
def test_under_torch_compile(name):
    torch._dynamo.reset()
    model = patch_model(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU()), name)
    x = torch.randn(1, 2, 6, 6)
    compiled = torch.compile(model, backend="eager")
    torch.testing.assert_close(compiled(x), model(x))
    compiled(x).sum().backward()
    assert model[0].weight.grad is not None


@pytest.mark.skipif(not hasattr(torch, "compile"), reason="this torch has no torch.compile")
def test_native_says_that_it_does_not_compile():
    torch._dynamo.reset()
    model = patch_model(nn.Conv2d(2, 3, 3), "native")
    with pytest.raises(Exception, match="unfold"):
        torch.compile(model, backend="eager", fullgraph=True)(torch.randn(1, 2, 6, 6))
