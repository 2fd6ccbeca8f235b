"""From `cuda:1` to one GPU: order, filters, lock names, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rmcp.device.facts import HostFacts, host_facts
from rmcp.device.pin import pin
from rmcp.errors import UserError

HOSTS = Path(__file__).parents[1] / "golden" / "device"
CARD, APU = "0000:03:00.0", "0000:10:00.0"


def host(name: str) -> HostFacts:
    return host_facts(HOSTS / f"{name}.json", deadline_s=5.0)


@pytest.mark.parametrize(
    ("device", "env", "name", "index"),
    [
        ("cuda", {}, CARD, "0"),
        ("cuda:0", {}, CARD, "0"),
        ("cuda:1", {}, APU, "1"),
        ("rocm:1", {}, APU, "1"),
        ("cuda:0", {"HIP_VISIBLE_DEVICES": "1"}, APU, "1"),
        ("cuda:0", {"CUDA_VISIBLE_DEVICES": "1"}, APU, "1"),
        ("cuda:1", {"HIP_VISIBLE_DEVICES": "1,0"}, CARD, "0"),
        ("cuda:0", {"ROCR_VISIBLE_DEVICES": "1"}, APU, "0"),  # HIP counts what ROCr left
        ("cuda:0", {"ROCR_VISIBLE_DEVICES": "1,0", "HIP_VISIBLE_DEVICES": "1"}, CARD, "1"),
    ],
)
def test_rocm_counts_what_is_visible(device: str, env: dict[str, str], name: str, index: str) -> None:
    chosen = pin(host("two-gpus"), device, env)
    assert (chosen.device, chosen.name) == ("cuda:0", name)
    assert chosen.env == {"HIP_VISIBLE_DEVICES": index, "CUDA_VISIBLE_DEVICES": index}
    assert chosen.gpu is not None
    assert chosen.gpu.pci == name


def test_rocm_order_is_the_topologys() -> None:
    facts = host("two-gpus")
    turned = replace(facts, gpus=(replace(facts.gpus[0], kfd_node=2), replace(facts.gpus[1], kfd_node=1)))
    assert pin(turned, "cuda:0", {}).name == APU


def test_one_gpu_has_one_name_whatever_it_is_called() -> None:
    facts = host("two-gpus")
    assert pin(facts, "cuda:1", {}).name == pin(facts, "cuda:0", {"HIP_VISIBLE_DEVICES": "1"}).name


def test_uuids() -> None:
    facts = host("two-gpus")
    known = replace(facts, gpus=(facts.gpus[0], replace(facts.gpus[1], unique_id="ab12")))
    assert pin(known, "cuda:0", {"ROCR_VISIBLE_DEVICES": "GPU-AB12"}).name == APU


def test_cuda() -> None:
    chosen = pin(host("nvidia"), "cuda", {})
    assert (chosen.device, chosen.name) == ("cuda:0", "0000:01:00.0")
    assert chosen.env == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "0"}


def test_the_build_decides_where_both_vendors_are() -> None:
    amd, nvidia = host("rx6800"), host("nvidia")
    both = replace(amd, gpus=(*amd.gpus, *nvidia.gpus))
    assert pin(both, "cuda", {}, hip=True).name == "0000:2d:00.0"
    assert pin(both, "cuda", {}, hip=False).name == "0000:01:00.0"


def test_cpu_and_machines_that_show_nothing() -> None:
    assert pin(host("none"), "cpu", {}) == pin(host("two-gpus"), "cpu", {"HIP_VISIBLE_DEVICES": "0"})
    hidden = pin(host("none"), "cuda:1", {})
    assert (hidden.device, hidden.name, hidden.env, hidden.gpu) == ("cuda:1", "cuda:1", {}, None)
    assert pin(host("none"), "xpu", {}).name == "xpu:0"


@pytest.mark.parametrize(
    ("device", "env", "says"),
    [
        ("gpu0", {}, "is no device; write cpu"),
        ("cuda:2", {}, r"no device cuda:2: ROCm sees 0 = AMD Radeon RX 5700 XT \(0000:03:00.0\); 1 = "),
        ("cuda:1", {"HIP_VISIBLE_DEVICES": "0"}, "1 hidden by"),
        ("cuda", {"HIP_VISIBLE_DEVICES": "-1"}, "ROCm sees none, 2 hidden by"),
    ],
)
def test_mistakes(device: str, env: dict[str, str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        pin(host("two-gpus"), device, env)
