"""The GPUs of a snapshot: PCI devices joined with the KFD topology, amdgpu's sysfs and NVIDIA's /proc.
Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from rmcp.device.numbers import whole
from rmcp.device.snapshot import Snapshot

_PCI = "sys/bus/pci/devices"
_KFD = "sys/class/kfd/kfd/topology/nodes"
_AMD, _NVIDIA, _INTEL = 0x1002, 0x10DE, 0x8086
# Bits of a KFD io_link's flags that say "no atomics" for 32 and 64 bit (kfd_crat.h
# CRAT_IOLINK_FLAGS_NO_ATOMICS_*).
_NO_ATOMICS = 0b1100
_APU_GFX = frozenset(
    (
        *("gfx902", "gfx909", "gfx90c", "gfx1013", "gfx1033", "gfx1035", "gfx1036", "gfx1037"),
        *("gfx1103", "gfx1150", "gfx1151", "gfx1152", "gfx1153"),
    )
)
# (device, revision) -> name, for machines without libdrm's amdgpu.ids, the source of these lines.
_NAMES = {
    (0x731F, 0xC1): "AMD Radeon RX 5700 XT",
    (0x731F, 0xC2): "AMD Radeon RX 5600M",
    (0x731F, 0xC3): "AMD Radeon RX 5700M",
    (0x731F, 0xC4): "AMD Radeon RX 5700",
    (0x731F, 0xCA): "AMD Radeon RX 5600 XT",
    (0x731F, 0xCB): "AMD Radeon RX 5600 OEM",
    (0x7340, 0xC1): "AMD Radeon RX 5500M",
    (0x7340, 0xC5): "AMD Radeon RX 5500 XT",
    (0x7340, 0xC7): "AMD Radeon RX 5500",
    (0x73BF, 0xC1): "AMD Radeon RX 6800 XT",
    (0x73BF, 0xC3): "AMD Radeon RX 6800",
    (0x744C, 0xC8): "AMD Radeon RX 7900 XTX",
    (0x744C, 0xCC): "AMD Radeon RX 7900 XT",
}


@dataclass(frozen=True)
class Gpu:
    """One GPU. Sizes in bytes; None or an empty string where the machine does not tell.

    ``index`` counts the GPUs of one vendor in PCI order; ``gfx`` is the real architecture, whatever an
    override says; ``pcie_atomics`` is False when KFD's link flags deny them.
    """

    index: int
    vendor: str  # amd, nvidia, intel, other
    name: str = ""
    gfx: str = ""
    pci: str = ""
    vendor_id: int = 0
    device_id: int = 0
    revision: int = 0
    subsystem: str = ""
    driver: str = ""
    apu: bool = False
    vram_bytes: int | None = None
    vram_used_bytes: int | None = None
    gtt_bytes: int | None = None
    compute_units: int | None = None
    max_mhz: int | None = None
    render_node: str = ""
    kfd_node: int | None = None
    unique_id: str = ""
    vbios: str = ""
    firmware: Mapping[str, str] = field(default_factory=dict)
    link: str = ""
    max_link: str = ""
    pcie_atomics: bool | None = None
    busy_percent: int | None = None
    power: str = ""
    drives_display: bool = False


def find_gpus(snap: Snapshot, problems: list[str]) -> tuple[Gpu, ...]:
    """All GPUs in PCI order; what makes no sense is added to ``problems``."""
    nodes = _kfd_nodes(snap, problems)
    nvidia = _nvidia_info(snap)
    found: list[Gpu] = []
    counts: dict[str, int] = {}
    for pci in snap.children(_PCI):
        if f"{_PCI}/{pci}/device" not in snap.files:
            continue  # not a display or compute device
        base = f"{_PCI}/{pci}/"
        vendor_id, device_id = _hex(snap.get(base + "vendor")), _hex(snap.get(base + "device"))
        vendor = {_AMD: "amd", _NVIDIA: "nvidia", _INTEL: "intel"}.get(vendor_id, "other")
        if vendor == "other":
            continue  # server management chips (ASPEED, Matrox) and virtual displays compute nothing
        number = counts.get(vendor, 0)
        counts[vendor] = number + 1
        node = next((one for one in nodes if one.pci == pci), None)
        found.append(
            _gpu(snap, number, vendor, pci, base, (vendor_id, device_id), node, nvidia.get(pci.lower(), {}))
        )
    known = {gpu.pci for gpu in found}
    for pci, info in sorted(nvidia.items()):
        if pci not in known:  # containers may show /proc/driver/nvidia without the PCI bus
            number = counts.get("nvidia", 0)
            counts["nvidia"] = number + 1
            found.append(
                Gpu(
                    number,
                    "nvidia",
                    info.get("Model", ""),
                    pci=pci,
                    vendor_id=_NVIDIA,
                    driver="nvidia",
                    unique_id=info.get("GPU UUID", ""),
                    vbios=info.get("Video BIOS", ""),
                )
            )
    for node in nodes:
        if node.pci not in known and node.gfx:
            problems.append(f"KFD node {node.number} ({node.gfx}, {node.pci}) has no PCI device in sysfs")
            number = counts.get("amd", 0)
            counts["amd"] = number + 1
            found.append(_from_kfd(number, node))
    return tuple(found)


@dataclass(frozen=True)
class _Node:
    number: int
    pci: str
    gfx: str
    properties: Mapping[str, int]
    memory: int
    atomics: bool | None
    name: str


def _kfd_nodes(snap: Snapshot, problems: list[str]) -> list[_Node]:
    nodes = []
    for number in snap.children(_KFD):
        base = f"{_KFD}/{number}"
        text = snap.files.get(base + "/properties")
        if text is None:
            continue
        values = _properties(text)
        if not values:
            problems.append(f"{base}/properties holds no properties")
            continue
        if not values.get("simd_count"):
            continue  # a CPU node
        location, domain = values.get("location_id", 0), values.get("domain", 0)
        pci = f"{domain:04x}:{location >> 8 & 0xFF:02x}:{location >> 3 & 0x1F:02x}.{location & 7}"
        banks = [
            _properties(one) for path, one in snap.below(base + "/mem_banks") if path.endswith("properties")
        ]
        flags = [
            _properties(one).get("flags")
            for path, one in snap.below(base + "/io_links")
            if path.endswith("properties")
        ]
        first = next((flag for flag in flags if flag is not None), None)
        nodes.append(
            _Node(
                number=found if (found := whole(number)) is not None else -1,
                pci=pci,
                gfx=gfx_name(values.get("gfx_target_version", 0)),
                properties=values,
                memory=sum(bank.get("size_in_bytes", 0) for bank in banks),
                atomics=None if first is None else not first & _NO_ATOMICS,
                name=snap.get(base + "/name"),
            )
        )
    return nodes


def gfx_name(target_version: int) -> str:
    """KFD's gfx_target_version as LLVM names it: 100100 -> gfx1010, 90010 -> gfx90a; 0 (a CPU) -> ''."""
    if target_version <= 0:
        return ""
    return f"gfx{target_version // 10000}{target_version // 100 % 100:x}{target_version % 100:x}"


def _gpu(
    snap: Snapshot,
    number: int,
    vendor: str,
    pci: str,
    base: str,
    ids: tuple[int, int],
    node: _Node | None,
    nvidia: Mapping[str, str],
) -> Gpu:
    uevent = dict(line.partition("=")[::2] for line in snap.get(base + "uevent").splitlines())
    revision = _hex(snap.get(base + "revision"))
    render = next((name for name in snap.children(base + "drm") if name.startswith("renderD")), "")
    firmware = {
        path.removesuffix("_fw_version").removesuffix("_firmware"): text
        for path, text in snap.below(base + "fw_version")
        if _hex(text)
    }
    values = node.properties if node else {}
    if node and not firmware:
        pairs = (("mec", values.get("fw_version", 0)), ("sdma", values.get("sdma_fw_version", 0)))
        firmware = {name: f"0x{value:08x}" for name, value in pairs if value}
    gfx = node.gfx if node else ""
    return Gpu(
        index=number,
        vendor=vendor,
        name=nvidia.get("Model") or _name(snap, base, vendor, ids[1], revision, gfx),
        gfx=gfx,
        pci=pci,
        vendor_id=ids[0],
        device_id=ids[1],
        revision=revision,
        subsystem=":".join(
            f"{_hex(snap.get(base + item)):04x}"
            for item in ("subsystem_vendor", "subsystem_device")
            if snap.get(base + item)
        ),
        driver=uevent.get("DRIVER", ""),
        apu=gfx in _APU_GFX or bool(values.get("cpu_cores_count")),
        vram_bytes=whole(snap.get(base + "mem_info_vram_total")) or (node.memory or None if node else None),
        vram_used_bytes=whole(snap.get(base + "mem_info_vram_used")),
        gtt_bytes=whole(snap.get(base + "mem_info_gtt_total")),
        compute_units=_compute_units(values),
        max_mhz=values.get("max_engine_clk_fcompute") or None,
        render_node=f"/dev/dri/{render}" if render else "",
        kfd_node=node.number if node else None,
        unique_id=nvidia.get("GPU UUID") or snap.get(base + "unique_id"),
        vbios=nvidia.get("Video BIOS") or snap.get(base + "vbios_version"),
        firmware=firmware,
        link=_link(snap, base, "current"),
        max_link=_link(snap, base, "max"),
        pcie_atomics=node.atomics if node else None,
        busy_percent=whole(snap.get(base + "gpu_busy_percent")),
        power=snap.get(base + "power/runtime_status"),
        drives_display=snap.get(base + "boot_vga") == "1",
    )


def _from_kfd(number: int, node: _Node) -> Gpu:
    return Gpu(
        index=number,
        vendor="amd",
        name=f"AMD GPU ({node.name or node.gfx})",
        gfx=node.gfx,
        pci=node.pci,
        vendor_id=node.properties.get("vendor_id", _AMD),
        device_id=node.properties.get("device_id", 0),
        apu=node.gfx in _APU_GFX,
        vram_bytes=node.memory or None,
        compute_units=_compute_units(node.properties),
        kfd_node=node.number,
        pcie_atomics=node.atomics,
    )


def _name(snap: Snapshot, base: str, vendor: str, device: int, revision: int, gfx: str) -> str:
    if vendor == "amd":
        for line in snap.get("usr/share/libdrm/amdgpu.ids").splitlines():
            parts = [part.strip() for part in line.split(",", 2)]
            if len(parts) == 3 and (_hex(parts[0]), _hex(parts[1])) == (device, revision):
                return parts[2]
        given = snap.get(base + "product_name")
        if given:
            return given
    known = _NAMES.get((device, revision))
    maker = {"amd": "AMD", "nvidia": "NVIDIA", "intel": "Intel"}[vendor]
    return known or f"{maker} GPU 0x{device:04x}" + (f" ({gfx})" if gfx else "")


def _compute_units(values: Mapping[str, int]) -> int | None:
    simds, per = values.get("simd_count", 0), values.get("simd_per_cu", 0)
    return simds // per if simds and per else None


def _link(snap: Snapshot, base: str, which: str) -> str:
    speed, width = snap.get(f"{base}{which}_link_speed"), snap.get(f"{base}{which}_link_width")
    return f"{speed.removesuffix(' PCIe')} x{width}" if speed and width else ""


def _nvidia_info(snap: Snapshot) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for path, text in snap.below("proc/driver/nvidia/gpus"):
        pairs = (line.partition(":") for line in text.splitlines())
        found[path.partition("/")[0].lower()] = {key.strip(): value.strip() for key, _, value in pairs}
    return found


def _properties(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in re.findall(r"^(\w+) ([0-9]{1,20})\s*$", text, re.MULTILINE)}


def _hex(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0
