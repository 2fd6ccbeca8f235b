"""The other workloads: registry, tensor operations, networks, memory, data loader, context; and that they can fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from rmcp_torch.context import Context  # noqa: E402
from rmcp_torch.workarounds import patch_model  # noqa: E402
from rmcp_torch.workloads import (  # noqa: E402
    _networks,
    dataloader,
    inference,
    memory,
    model,
    native_crash,
    registry,
    tensor_ops,
)

HARNESS = Path(__file__).parents[2] / "harness"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ctx():
    return Context("cpu", 7, lambda frame: None)


def tight(ctx):
    return bool(ctx.checks) and all(check["tight"] for check in ctx.checks)


@pytest.mark.parametrize("name", registry.builtin_names())
def test_every_built_in_workload_resolves(name):
    assert callable(registry.resolve(name))


def test_a_workload_of_a_module_and_of_a_file(tmp_path):
    assert registry.resolve("os.path:join") is os.path.join
    path = tmp_path / "mine.py"
    path.write_text("def work(ctx, a=1):\n    ctx.metric('a', a)\n")
    work = registry.resolve(f"{path}:work")
    assert registry.resolve(f"{path}:work") is work


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("conv4d", "conv2d"),
        ("numerics", "numerics"),
        ("no_such_module_x:run", "no_such_module_x"),
        ("os.path:no_such_function", "no_such_function"),
        ("/no/such/file.py:run", "does not exist"),
    ],
)
def test_a_workload_that_is_not_there(spec, says):
    with pytest.raises(registry.WorkloadError, match=says):
        registry.resolve(spec)


def test_an_error_inside_a_workload_file_is_the_users(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module_y\n")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_y"):
            registry.resolve(f"{path}:run")


@pytest.mark.parametrize("spec", ["noop", "faults"])
def test_workloads_without_torch(spec):
    code = (
        "import sys\n"
        "from rmcp_torch.workloads import registry\n"
        f"registry.warm({spec!r})\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HARNESS, timeout=60).returncode == 0


def test_warming_computes_nothing():
    """No thread pool may exist in a process that forks cases; reading the thread count would tell."""
    code = (
        "import os, torch\n"
        "from rmcp_torch.workloads import registry\n"
        "for name in registry.builtin_names(): registry.warm(name)\n"
        "assert len(os.listdir('/proc/self/task')) == 1, os.listdir('/proc/self/task')\n"
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "4"}
    assert (
        subprocess.run([sys.executable, "-c", code], cwd=HARNESS, env=environment, timeout=120).returncode
        == 0
    )


@pytest.mark.parametrize("op", list(tensor_ops._OPS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_tensor_operations_are_right(ctx, op, dtype):
    tensor_ops.run(ctx, op=op, size=33, dtype=dtype)
    assert tight(ctx), ctx.checks


@pytest.mark.parametrize("op", ["copy", "add", "matmul", "sum-rows", "softmax"])
def test_a_wrong_tensor_operation_is_caught(ctx, monkeypatch, op):
    found = tensor_ops._OPS[op]
    calls = []

    def wrong(a, b):
        calls.append(1)
        result = found.compute(a, b)
        if a.dtype == torch.float32:
            result = result.clone()
            result.view(-1)[0] += 0.01
        return result

    monkeypatch.setitem(tensor_ops._OPS, op, found._replace(compute=wrong))
    tensor_ops.run(ctx, op=op, size=33)
    assert calls
    assert not ctx.checks[0]["loose"]


@pytest.mark.parametrize("arch", list(_networks.NETWORKS))
def test_networks_train_and_infer(ctx, arch):
    model.run(ctx, arch=arch, batch=2, steps=3)
    inference.run(ctx, arch=arch, repeat=1)
    assert tight(ctx), [check for check in ctx.checks if not check["tight"]]
    assert ctx.metrics["loss_last"] < ctx.metrics["loss_first"]


@pytest.mark.parametrize("extra", [{"memory_format": "channels_last"}, {"autocast": "bfloat16"}], ids=str)
def test_a_network_in_other_layouts_and_dtypes(ctx, extra):
    model.run(ctx, arch="resnet", batch=2, steps=3, **extra)
    assert tight(ctx), [check for check in ctx.checks if not check["tight"]]


WORKAROUNDS = [
    "native",
    "unfold",
    "cpu",
    "cpu_train",
    "pad_channels",
    "split_spatial:50",
    "channels_last_off",
    "fp32_upcast",
]


@pytest.mark.parametrize("arch", ["resnet", "unet"])
@pytest.mark.parametrize("workaround", WORKAROUNDS)
def test_a_patched_network_gives_the_unpatched_results(ctx, arch, workaround):
    model.run(ctx, arch=arch, batch=2, steps=2, workaround=workaround)
    assert tight(ctx), [check for check in ctx.checks if not check["tight"]]


@pytest.mark.parametrize("arch", ["resnet", "unet"])
def test_state_dicts_of_networks_load_both_ways(arch):
    plain, x, _ = model.build(1, arch, 1, 32, 4)
    other, _, _ = model.build(2, arch, 1, 32, 4)
    patched = patch_model(other, "unfold")
    patched.load_state_dict(plain.state_dict())
    torch.testing.assert_close(patched.eval()(x), plain.eval()(x), rtol=1e-4, atol=1e-4)
    plain.load_state_dict(patched.state_dict())


def test_a_wrong_gradient_and_a_loss_that_does_not_fall_are_caught(ctx):
    model.run(ctx, arch="cnn", batch=2, steps=3, lr=-0.1)
    assert [check["name"] for check in ctx.checks if not check["loose"]] == ["loss falls"]


def test_a_network_with_a_wrong_kernel_is_caught(ctx, monkeypatch):
    real = torch.nn.Conv2d.forward

    def wrong(self, x):
        y = real(self, x)
        return y + 0.05 * y.roll(1, 3) if y.dtype == torch.float32 else y

    monkeypatch.setattr(torch.nn.Conv2d, "forward", wrong)
    inference.run(ctx, arch="cnn", repeat=1)
    assert not ctx.checks[0]["loose"]


@pytest.mark.parametrize("pattern", list(memory.PATTERNS))
def test_memory_patterns(ctx, pattern):
    memory.run(ctx, megabytes=1, blocks=3, pattern=pattern)
    assert tight(ctx)
    assert ctx.metrics["bytes"] <= 1024 * 1024


def test_a_stuck_bit_is_found(ctx, monkeypatch):
    def stuck(held, copies):
        held[1][17] ^= 1 << 20

    monkeypatch.setattr(memory, "_shuffle", stuck)
    memory.run(ctx, megabytes=1, blocks=2, pattern="hash")
    words = 1024 * 1024 // 4 // 2
    assert [check["loose"] for check in ctx.checks] == [False, False]
    assert ctx.checks[0]["detail"] == f"1 of {2 * words} words differ, the first at word {words + 17}"


def test_no_pattern_is_constant_by_mistake():
    for name in ("address", "hash"):
        made = memory.PATTERNS[name](5, 1000, "cpu")
        assert len(set(made.tolist())) == 1000
        assert torch.equal(made[10:], memory.PATTERNS[name](15, 990, "cpu"))


def test_a_data_loader_without_workers(ctx):
    dataloader.run(ctx, workers=0, batches=3)
    assert tight(ctx)


def test_a_data_loader_with_forked_workers():
    """In a process of its own: a process that has computed must not fork workers that compute."""
    code = (
        "from rmcp_torch.context import Context\n"
        "from rmcp_torch.workloads import dataloader\n"
        "import torch; torch.set_num_threads(1)\n"
        "ctx = Context('cpu', 1, lambda frame: None)\n"
        "dataloader.run(ctx, workers=1, batches=3)\n"
        "assert ctx.checks[0]['tight']\n"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=HARNESS, timeout=120).returncode == 0


@pytest.mark.parametrize(
    ("run", "arguments", "says"),
    [
        (tensor_ops.run, {"op": "subtract"}, "subtract"),
        (model.run, {"arch": "vgg"}, "vgg"),
        (memory.run, {"pattern": "none"}, "none"),
        (dataloader.run, {"start": "thread"}, "thread"),
        (native_crash.run, {"operator": "add"}, "add"),
    ],
)
def test_unknown_choices_are_named(ctx, run, arguments, says):
    with pytest.raises(ValueError, match=says):
        run(ctx, **arguments)


def test_what_a_context_keeps():
    frames = []
    ctx = Context("cpu", 3, frames.append, clock=lambda: 5.0)
    ctx.phase("launch")
    ctx.metric("a", 1)
    ctx.observe("b", "c")
    ctx.remark("odd")
    ctx.compare("x", torch.ones(2), torch.ones(2).double(), 0.0)
    ctx.synchronize()
    assert frames == [{"t": "phase", "name": "launch", "at": 5.0}]
    assert (ctx.metrics, ctx.observed, ctx.remarks) == ({"a": 1}, {"b": "c"}, ["odd"])
    assert ctx.checks[0]["tight"]


def test_a_check_has_the_fields_of_the_runner():
    from dataclasses import fields

    from rmcp.attempt import Check
    from rmcp_torch.workloads import numerics

    known = {field.name for field in fields(Check)}
    bad = numerics.compare("x", torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4).double(), 0.0)
    assert set(bad) <= known
    assert set(numerics.non_deterministic("x", 1.0)) <= known
