"""Host facts from captured hosts: what is read, how it is interpreted, and that no read can hang us."""

from __future__ import annotations

import json
import os
import runpy
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.device.facts import HostFacts, facts_of, flat, host_facts
from rmcp.device.gpus import gfx_name
from rmcp.device.parameters import PARAMETERS, compute_timeout_s, meaning
from rmcp.device.snapshot import Snapshot, read_snapshot, relevant_cmdline, take_snapshot
from rmcp.errors import UserError

HOSTS = Path(__file__).parents[1] / "golden" / "device"
GIB = 2**30


def host(name: str) -> HostFacts:
    return host_facts(HOSTS / f"{name}.json", deadline_s=5.0)


def unpack(name: str, root: Path) -> Path:
    """A saved host as a folder tree."""
    for path, text in read_snapshot(HOSTS / f"{name}.json").files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return root


# name, gfx, compute units, whole GiB of VRAM, PCI address, device id, integrated
CARDS = [
    ("rx5600xt", "AMD Radeon RX 5600 XT", "gfx1010", 36, 6, "0000:03:00.0", 0x731F, False),
    ("rx5700xt", "AMD Radeon RX 5700 XT", "gfx1010", 40, 8, "0000:06:00.0", 0x731F, False),
    ("rx5500xt", "AMD Radeon RX 5500 XT", "gfx1012", 22, 8, "0000:03:00.0", 0x7340, False),
    ("rx6800", "AMD Radeon RX 6800", "gfx1030", 60, 16, "0000:2d:00.0", 0x73BF, False),
    ("rx7900xtx", "AMD Radeon RX 7900 XTX", "gfx1100", 96, 24, "0000:03:00.0", 0x744C, False),
    ("apu", "AMD Radeon 680M", "gfx1035", 12, 4, "0000:04:00.0", 0x1681, True),
]


@pytest.mark.parametrize(("name", "model", "gfx", "units", "gib", "pci", "device", "apu"), CARDS)
def test_cards(
    name: str, model: str, gfx: str, units: int, gib: int, pci: str, device: int, apu: bool
) -> None:
    facts = host(name)
    assert facts.problems == ()
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.gfx, gpu.compute_units, gpu.pci) == (model, gfx, units, pci)
    assert (gpu.vendor_id, gpu.device_id, gpu.apu, gpu.driver) == (0x1002, device, apu, "amdgpu")
    assert gpu.vram_bytes is not None
    assert round(gpu.vram_bytes / GIB) == gib
    assert gpu.render_node == "/dev/dri/renderD128"
    assert gpu.firmware["mec"].startswith("0x")
    assert "uvd" not in gpu.firmware  # a firmware that is not loaded reads as 0


def test_same_pci_id_but_two_cards() -> None:
    first, second = host("rx5600xt").gpus[0], host("rx5700xt").gpus[0]
    assert first.device_id == second.device_id
    assert (first.name, first.compute_units) != (second.name, second.compute_units)


def test_atomics_link_and_access() -> None:
    good, old = host("rx5600xt"), host("rx5700xt")
    assert good.gpus[0].pcie_atomics is True
    assert old.gpus[0].pcie_atomics is False
    assert (old.gpus[0].link, old.gpus[0].max_link) == ("16.0 GT/s x4", "16.0 GT/s x16")
    assert [one.usable for one in good.access] == [True, True]
    assert [(one.path, one.usable) for one in old.access] == [
        ("/dev/dri/renderD128", False),
        ("/dev/kfd", False),
    ]


def test_two_gpus_in_pci_order() -> None:
    facts = host("two-gpus")
    assert [(gpu.index, gpu.gfx, gpu.apu, gpu.render_node) for gpu in facts.gpus] == [
        (0, "gfx1010", False, "/dev/dri/renderD128"),
        (1, "gfx1036", True, "/dev/dri/renderD129"),
    ]


def test_none_and_what_the_page_needs_of_it() -> None:
    facts = host("none")
    assert facts.gpus == ()
    assert facts.cpu.virtual_machine
    assert (facts.cpu.cores, facts.cpu.logical) == (2, 4)
    assert facts.cpu.memory_limit_bytes == 2 * GIB
    assert facts.container == "docker"
    assert "hunter2" not in json.dumps(facts.as_dict())


def test_nvidia() -> None:
    facts = host("nvidia")
    (gpu,) = facts.gpus
    assert (gpu.vendor, gpu.name, gpu.driver, gpu.gfx) == ("nvidia", "NVIDIA GeForce RTX 4090", "nvidia", "")
    assert gpu.vbios == "95.02.18.80.5f"
    assert facts.nvidia_driver == "550.120"
    assert facts.taint_reasons == ("proprietary module", "out-of-tree module")


def test_nvidia_in_a_container_without_pci_bus() -> None:
    files = {k: v for k, v in read_snapshot(HOSTS / "nvidia.json").files.items() if "bus/pci" not in k}
    (gpu,) = facts_of(Snapshot(files)).gpus
    assert (gpu.name, gpu.pci) == ("NVIDIA GeForce RTX 4090", "0000:01:00.0")


def test_kfd_node_without_pci_device_is_shown_and_said() -> None:
    files = {k: v for k, v in read_snapshot(HOSTS / "rx5600xt.json").files.items() if "bus/pci" not in k}
    facts = facts_of(Snapshot(files))
    (gpu,) = facts.gpus
    assert (gpu.gfx, gpu.compute_units, gpu.pci) == ("gfx1010", 36, "0000:03:00.0")
    assert any("no PCI device" in problem for problem in facts.problems)


def test_rest_of_the_host() -> None:
    facts = host("rx5600xt")
    assert facts.kernel == "6.8.0-48-generic"
    assert facts.distribution == "Ubuntu 24.04.1 LTS"
    assert facts.boot_id == "00000000-1111-2222-3333-444444444444"
    assert facts.cmdline == "amdgpu.noretry=0 amdgpu.mtype_local=1"
    assert facts.rocm == "5.2.0-65"
    assert facts.parameter("noretry") == "0"
    assert facts.parameter("nonsense") is None
    meanings = {one.name: one.meaning for one in facts.parameters}
    assert meanings["noretry"] == "retry enabled"
    assert meanings["vm_fragment_size"] == "2 MB (not 512 KB)"
    fedora = host("rx7900xtx")
    assert (fedora.secure_boot, fedora.lockdown) == (True, "integrity")
    assert host("rx6800").secure_boot is None
    json.dumps(facts.as_dict())


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (100100, "gfx1010"),
        (100302, "gfx1032"),
        (90010, "gfx90a"),
        (110501, "gfx1151"),
        (90402, "gfx942"),
        (0, ""),
    ],
)
def test_gfx_name(version: int, name: str) -> None:
    assert gfx_name(version) == name


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", 60),
        ("10000", 60),
        ("10000,120000,10000,10000", 120),
        ("1,-1,1,1", float("inf")),
        ("x,y", 60),
        ("1,0,1,1", 60),
    ],
)
def test_compute_timeout(value: str, seconds: float) -> None:
    assert compute_timeout_s(value) == seconds


def test_every_parameter_explains_its_default_and_its_tries() -> None:
    for one in PARAMETERS.values():
        assert one.what
        assert one.rdna1
        for value in (one.default, *one.tries):
            if one.meanings and one.name != "vm_fragment_size":
                assert value in one.meanings, (one.name, value)
    assert meaning("vm_fragment_size", "6") == "256 KB"
    assert meaning("vm_fragment_size", "99999999999") == ""  # 4 << that is no number to wait for
    assert meaning("lockup_timeout", "5000") == "all rings but compute 5000 ms"
    assert meaning("lockup_timeout", "1,2,3,4") == "GFX 1 ms, compute 2 ms, SDMA 3 ms, video 4 ms"
    assert meaning("queue_preemption_timeout_ms", "9000") == "9 s"
    assert meaning("unheard_of", "1") == ""


@pytest.mark.parametrize("name", [card[0] for card in CARDS] + ["two-gpus", "none", "nvidia"])
def test_a_tree_reads_as_the_saved_file(name: str, tmp_path: Path) -> None:
    tree = host_facts(unpack(name, tmp_path), deadline_s=20.0).as_dict()
    saved = host(name).as_dict()
    for facts in (tree, saved):  # who may read device files depends on who runs the test
        facts.pop("access")
    assert tree == saved


def test_saving_keeps_facts_and_drops_the_command_line(tmp_path: Path) -> None:
    snap = take_snapshot(HOSTS / "none.json", deadline_s=5.0)
    path = tmp_path / "saved.json"
    path.write_text(json.dumps(snap.as_dict()), encoding="utf-8")
    assert "hunter2" not in path.read_text(encoding="utf-8")
    assert host_facts(path, deadline_s=5.0) == facts_of(snap)


def test_a_read_that_never_returns_is_skipped_and_named(tmp_path: Path) -> None:
    root = unpack("rx5600xt", tmp_path)
    stuck = root / "sys/bus/pci/devices/0000:03:00.0/gpu_busy_percent"
    stuck.unlink()
    os.mkfifo(stuck)  # opening it for reading blocks for good, as sysfs of a wedged GPU does
    start = time.monotonic()
    facts = host_facts(root, deadline_s=3.0)
    assert time.monotonic() - start < 8.0
    assert facts.wedged == ("sys/bus/pci/devices/0000:03:00.0/gpu_busy_percent",)
    assert any("gpu_busy_percent did not answer" in problem for problem in facts.problems)
    (gpu,) = facts.gpus
    assert (gpu.name, gpu.busy_percent) == ("AMD Radeon RX 5600 XT", None)


def test_the_deadline_holds_when_everything_hangs(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    for name in ("cmdline", "cpuinfo", "meminfo"):
        os.mkfifo(tmp_path / "proc" / name)
    start = time.monotonic()
    facts = host_facts(tmp_path, deadline_s=1.0)
    assert time.monotonic() - start < 5.0
    assert facts.problems


def test_a_collector_that_dies_is_a_problem_and_no_wedge(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "collector.py"
    broken.write_text(
        'print(\'{"path": "proc/cmdline", "text": "iommu=pt"}\', flush=True)\nraise OSError("no disk")\n'
    )
    monkeypatch.setattr("rmcp.device.snapshot._COLLECTOR", broken)
    snap = take_snapshot(tmp_path, deadline_s=10.0)
    assert snap.files == {"proc/cmdline": "iommu=pt"}
    assert snap.problems == ("the collector ended early: OSError: no disk",)
    assert snap.wedged == ()


def test_endless_files_are_cut(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cmdline").write_bytes(b"iommu=pt " * 100_000)
    assert len(take_snapshot(tmp_path, deadline_s=10.0).files["proc/cmdline"]) == 64 * 1024


def test_this_machine() -> None:
    facts = host_facts(deadline_s=20.0)
    assert facts.kernel == os.uname().release
    assert facts.cpu.logical >= 1
    assert facts.cpu.memory_bytes > 0


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "no such folder or file"), ("[1, 2", "is not a saved host"), ("{}", "has no `files`"),
     ('{"rmcp_host": 99, "files": {}}', "format 99")],
)  # fmt: skip
def test_what_is_no_host_is_refused(content: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        host_facts(path, deadline_s=1.0)


@pytest.mark.parametrize(
    ("line", "kept", "dropped"),
    [
        ("root=/dev/sda1 amdgpu.noretry=0 iommu=pt", "amdgpu.noretry=0 iommu=pt", 1),
        ("ip=10.0.0.1 rd.luks.key=abc password=x", "", 3),
        ("pci=noats nomodeset exec=1 xen=1", "pci=noats nomodeset", 2),
        ("", "", 0),
    ],
)
def test_relevant_cmdline(line: str, kept: str, dropped: int) -> None:
    assert relevant_cmdline(line) == (kept, dropped)


PATHS = sorted(
    {
        path
        for name in ("rx5600xt", "two-gpus", "nvidia")
        for path in read_snapshot(HOSTS / f"{name}.json").files
    }
)


@settings(max_examples=150, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(PATHS), st.one_of(st.text(max_size=40), st.integers().map(str)), max_size=12
    )
)
def test_no_content_of_files_is_an_exception(changes: dict[str, str]) -> None:
    files = {**read_snapshot(HOSTS / "two-gpus.json").files, **changes}
    json.dumps(facts_of(Snapshot(files)).as_dict())


def test_the_captured_hosts_are_what_their_builder_writes(tmp_path: Path) -> None:
    namespace = runpy.run_path(str(HOSTS / "build_hosts.py"))
    written = {name: read_snapshot(HOSTS / f"{name}.json").files for name in namespace["HOSTS"]}
    assert written == namespace["HOSTS"], "run: python tests/golden/device/build_hosts.py"
    assert {path.stem for path in HOSTS.glob("*.json")} == set(written)


# -- names of the expression language
# -------------------------------------------------------------------------


def test_flat_of_a_rocm_runtime() -> None:
    facts = host("rx5600xt")
    known = flat(
        facts, {"torch": "2.2.2+rocm5.7", "hip": "5.7.31921-d1770ee1b", "cuda": None, "device": "cuda:0"}
    )
    assert known["rocm"] == "5.7"  # of the wheel, although 5.2 is installed
    assert (known["gfx"], known["device"], known["cuda"]) == ("gfx1010", "rocm", None)
    assert (known["kernel"], known["host"]) == ("6.8.0-48-generic", "navi10")
    assert known["device_memory_gb"] == 6.0
    assert (known["cores"], known["cpu"]) == (6, "AMD Ryzen 5 3600 6-Core Processor")
    assert flat(replace(facts, cpu=replace(facts.cpu, cores=None)), {})["cores"] == 12


def test_flat_believes_the_kernel_rather_than_an_override() -> None:
    known = flat(host("rx5600xt"), {"hip": "6.2.41133", "device": "cuda", "gfx": "gfx1030"})
    assert known["gfx"] == "gfx1010"


def test_flat_of_two_gpus_needs_to_know_which() -> None:
    facts = host("two-gpus")
    told = {"hip": "6.2.41133", "device": "cuda", "gfx": "gfx1036:xnack-"}
    assert flat(facts, told)["gfx"] == "gfx1036"
    assert flat(facts, {**told, "pci": "0000:03:00.0"})["gfx"] == "gfx1010"


def test_flat_of_a_cpu_runtime_and_of_nothing() -> None:
    facts = host("none")
    known = flat(facts, {"torch": "2.13.0+cpu", "hip": None, "cuda": None, "device": "cpu"})
    assert (known["rocm"], known["gfx"], known["device"]) == (None, None, "cpu")
    assert "device_memory_gb" not in known
    unknown = flat(facts, {})
    assert not {"rocm", "gfx", "device", "torch"} & set(unknown)
