"""Writes the captured hosts (``<name>.json``, the format of `rmcp doctor --save`) from what is known of the
cards.

The values follow amdgpu's and KFD's sysfs formats and real reports (simd_count, gfx_target_version, ids,
VRAM); no machine of anybody was copied. Run it after a change: ``python tests/golden/device/build_hosts.py``.
"""

from __future__ import annotations

import json
from pathlib import Path

KFD = "sys/class/kfd/kfd/topology/nodes"
PARAMETERS = {
    "noretry": "-1",
    "vm_fragment_size": "-1",
    "mtype_local": "0",
    "cwsr_enable": "1",
    "gpu_recovery": "-1",
    "lockup_timeout": "",
    "reset_method": "-1",
    "sched_policy": "0",
    "halt_if_hws_hang": "0",
    "queue_preemption_timeout_ms": "9000",
    "vm_fault_stop": "0",
    "send_sigterm": "0",
    "no_queue_eviction_on_vm_fault": "0",
    "runpm": "-1",
    "mes": "0",
    "dc": "-1",
}
# name, device, revision, gfx_target_version, simd_count, VRAM bytes, MHz, firmware (mec, sdma)
CARDS = {
    "rx5600xt": ("0x731f", "0xca", 100100, 72, 6425673728, 1780, (0x9C, 0x23)),
    "rx5700xt": ("0x731f", "0xc1", 100100, 80, 8573157376, 2100, (0x9C, 0x23)),
    "rx5500xt": ("0x7340", "0xc5", 100102, 44, 8573157376, 1900, (0x9C, 0x23)),
    "rx6800": ("0x73bf", "0xc3", 100300, 120, 17163091968, 2475, (0x6E, 0x53)),
    "rx7900xtx": ("0x744c", "0xc8", 110000, 192, 25753026560, 2526, (0x21A, 0x16)),
    "raphael": ("0x164e", "0xc1", 100306, 4, 536870912, 2200, (0x12, 0x9)),
    "rembrandt": ("0x1681", "0xc8", 100305, 24, 4294967296, 2200, (0x6D, 0x2F)),
}
IDS = """# List of AMDGPU IDs
1681,	C8,	AMD Radeon 680M
164E,	C1,	AMD Radeon Graphics
731F,	C1,	AMD Radeon RX 5700 XT
731F,	CA,	AMD Radeon RX 5600 XT
7340,	C5,	AMD Radeon RX 5500 XT
73BF,	C3,	AMD Radeon RX 6800
744C,	C8,	AMD Radeon RX 7900 XTX
"""


def cpu(model: str, cores: int, memory_kb: int, flags: str = "fpu sse sse2 avx2") -> dict[str, str]:
    records = [
        f"processor\t: {n}\nmodel name\t: {model}\nphysical id\t: 0\ncore id\t\t: {n % cores}\nflags\t\t: {flags}\n"
        for n in range(2 * cores)
    ]
    return {
        "proc/cpuinfo": "\n".join(records),
        "proc/meminfo": f"MemTotal:       {memory_kb} kB\nMemFree:         1234 kB\n",
        "sys/devices/system/cpu/online": f"0-{2 * cores - 1}\n",
    }


def host(name: str, kernel: str, distribution: str, cmdline: str, taint: int = 0) -> dict[str, str]:
    return {
        "proc/sys/kernel/hostname": name + "\n",
        "proc/sys/kernel/osrelease": kernel + "\n",
        "proc/sys/kernel/random/boot_id": "00000000-1111-2222-3333-444444444444\n",
        "proc/sys/kernel/tainted": f"{taint}\n",
        "proc/cmdline": cmdline + "\n",
        "etc/os-release": f'NAME="{distribution.split()[0]}"\nPRETTY_NAME="{distribution}"\n',
    }


def node(
    number: int, values: dict[str, int], name: str = "", memory: int = 0, flags: int | None = None
) -> dict[str, str]:
    base = f"{KFD}/{number}"
    files = {
        f"{base}/gpu_id": f"{values.get('location_id', 0) * 7}\n",
        f"{base}/name": name + "\n",
        f"{base}/properties": "".join(f"{key} {value}\n" for key, value in values.items()),
    }
    if memory:
        files[f"{base}/mem_banks/0/properties"] = f"heap_type 1\nsize_in_bytes {memory}\nflags 0\nwidth 192\n"
    if flags is not None:
        files[f"{base}/io_links/0/properties"] = (
            f"type 2\nnode_from {number}\nnode_to 0\nweight 20\nflags {flags}\n"
        )
    return files


def cpu_node(cores: int) -> dict[str, str]:
    return node(
        0, {"cpu_cores_count": cores, "simd_count": 0, "gfx_target_version": 0, "vendor_id": 0}, "cpu"
    )


def card(
    kind: str, bus: int, number: int, minor: int, *, flags: int = 1, apu: bool = False, **extra: str
) -> dict[str, str]:
    device, revision, gfx, simds, vram, mhz, (mec, sdma) = CARDS[kind]
    pci = f"0000:{bus:02x}:00.0"
    base = f"sys/bus/pci/devices/{pci}/"
    values = {
        "cpu_cores_count": 0,
        "simd_count": simds,
        "mem_banks_count": 1,
        "io_links_count": 1,
        "simd_per_cu": 2,
        "gfx_target_version": gfx,
        "vendor_id": 0x1002,
        "device_id": int(device, 16),
        "location_id": bus << 8,
        "domain": 0,
        "drm_render_minor": minor,
        "max_engine_clk_fcompute": mhz,
        "fw_version": mec,
        "sdma_fw_version": sdma,
    }
    files = node(number, values, kind, vram, flags)
    attributes = {
        "class": "0x030000" if not apu else "0x038000",
        "vendor": "0x1002",
        "device": device,
        "revision": revision,
        "subsystem_vendor": "0x1da2",
        "subsystem_device": "0xe411",
        "uevent": f"DRIVER=amdgpu\nPCI_CLASS=30000\nPCI_SLOT_NAME={pci}",
        "boot_vga": "1" if number == 1 else "0",
        f"drm/card{minor - 128}/dev": f"226:{minor - 128}",
        f"drm/renderD{minor}/dev": f"226:{minor}",
        "current_link_speed": "16.0 GT/s PCIe",
        "current_link_width": "16",
        "max_link_speed": "16.0 GT/s PCIe",
        "max_link_width": "16",
        "power/runtime_status": "active",
        "vbios_version": "113-D1990103-O09",
        "mem_info_vram_total": str(vram),
        "mem_info_vram_used": "33554432",
        "mem_info_gtt_total": "16777216000",
        "fw_version/mec_fw_version": f"0x{mec:08x}",
        "fw_version/sdma_fw_version": f"0x{sdma:08x}",
        "fw_version/smc_fw_version": "0x002a3f00",
        "fw_version/uvd_fw_version": "0x00000000",
        "gpu_busy_percent": "0",
    }
    files.update({base + key: value + "\n" for key, value in {**attributes, **extra}.items()})
    return files


def amdgpu(**changed: str) -> dict[str, str]:
    return {
        f"sys/module/amdgpu/parameters/{key}": value + "\n"
        for key, value in {**PARAMETERS, **changed}.items()
    }


def access(*minors: int, rw: int = 1) -> dict[str, str]:
    files = {"dev/kfd": f"rw={rw} mode=0660 gid=992"}
    files.update({f"dev/dri/renderD{minor}": f"rw={rw} mode=0660 gid=992" for minor in minors})
    return files


RYZEN = cpu("AMD Ryzen 5 3600 6-Core Processor", 6, 32768000)
IDS_FILE = {"usr/share/libdrm/amdgpu.ids": IDS}
OTHER_PCI = {"sys/bus/pci/devices/0000:00:01.0/class": "0x060400\n"}

HOSTS: dict[str, dict[str, str]] = {
    # The card of the first investigation, with its kernel parameters: two of them do not do what was meant.
    "rx5600xt": {
        **host("navi10", "6.8.0-48-generic", "Ubuntu 24.04.1 LTS", "quiet splash amdgpu.noretry=0 amdgpu.mtype_local=1"),
        **RYZEN, **cpu_node(12), **card("rx5600xt", 3, 1, 128), **access(128), **IDS_FILE, **OTHER_PCI,
        **amdgpu(noretry="0", mtype_local="1", vm_fragment_size="9"),
        "opt/rocm/.info/version": "5.2.0-65\n",
        "opt/rocm-5.2.0/.info/version": "5.2.0-65\n",
    },
    # No libdrm ids, atomics denied by the slot, the user not in the group render.
    "rx5700xt": {
        **host("old-board", "6.1.0-25-amd64", "Debian GNU/Linux 12 (bookworm)", "quiet", taint=1 << 12),
        **cpu("Intel(R) Core(TM) i7-3770 CPU @ 3.40GHz", 4, 16384000), **cpu_node(8),
        **card("rx5700xt", 6, 1, 128, flags=13, current_link_width="4"), **access(128, rw=0), **amdgpu(),
    },
    "rx5500xt": {
        **host("navi14", "6.11.9-arch1-1", "Arch Linux", "quiet loglevel=3"),
        **RYZEN, **cpu_node(12), **card("rx5500xt", 3, 1, 128), **access(128), **IDS_FILE,
        **amdgpu(gpu_recovery="0", lockup_timeout="10000,120000,10000,10000"),
    },
    "rx6800": {
        **host("navi21", "6.5.0-35-generic", "Ubuntu 22.04.4 LTS", "quiet splash iommu=pt"),
        **RYZEN, **cpu_node(12), **card("rx6800", 0x2D, 1, 128), **access(128), **IDS_FILE, **amdgpu(),
        "opt/rocm/.info/version": "6.2.4-139\n",
    },
    "rx7900xtx": {
        **host("navi31", "6.12.4-200.fc41.x86_64", "Fedora Linux 41 (Workstation Edition)", "rhgb quiet"),
        **RYZEN, **cpu_node(12), **card("rx7900xtx", 3, 1, 128), **access(128), **IDS_FILE, **amdgpu(mes="1"),
        "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
        "sys/kernel/security/lockdown": "none [integrity] confidentiality\n",
    },
    "apu": {
        **host("laptop", "6.8.0-48-generic", "Ubuntu 24.04.1 LTS", "quiet splash"),
        **cpu("AMD Ryzen 7 6800U with Radeon Graphics", 8, 15728640), **cpu_node(16),
        **card("rembrandt", 4, 1, 128, apu=True), **access(128), **IDS_FILE, **amdgpu(),
    },
    # A discrete RDNA1 card next to the processor's own graphics, which KFD lists as well.
    "two-gpus": {
        **host("ryzen7000", "6.8.0-48-generic", "Ubuntu 24.04.1 LTS", "quiet splash"),
        **cpu("AMD Ryzen 7 7700 8-Core Processor", 8, 32768000), **cpu_node(16),
        **card("rx5700xt", 3, 1, 128), **card("raphael", 0x10, 2, 129, apu=True), **access(128, 129),
        **IDS_FILE, **amdgpu(),
    },
    "none": {
        **host("ci", "6.6.0", "Debian GNU/Linux 12 (bookworm)", "console=ttyS0 secret=hunter2"),
        **cpu("Virtual CPU", 2, 8192000, "fpu sse sse2 hypervisor"), **OTHER_PCI,
        ".dockerenv": "rw=1 mode=0755 gid=0",
        "sys/fs/cgroup/memory.max": "2147483648\n",
    },
    "nvidia": {
        **host("cuda", "6.8.0-48-generic", "Ubuntu 24.04.1 LTS", "quiet", taint=(1 << 0) | (1 << 12)),
        **RYZEN,
        **{
            f"sys/bus/pci/devices/0000:01:00.0/{key}": value + "\n"
            for key, value in {
                "class": "0x030000", "vendor": "0x10de", "device": "0x2684", "revision": "0xa1",
                "uevent": "DRIVER=nvidia\nPCI_SLOT_NAME=0000:01:00.0",
                "current_link_speed": "16.0 GT/s PCIe", "current_link_width": "16",
                "max_link_speed": "16.0 GT/s PCIe", "max_link_width": "16",
            }.items()
        },
        "proc/driver/nvidia/version": "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.120  Fri Sep 13 10:10:01 UTC 2024\n"
        "GCC version:  gcc version 13.2.0\n",
        "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t\t NVIDIA GeForce RTX 4090\nIRQ:   \t\t 130\n"
        "GPU UUID: \t GPU-00000000-0000-0000-0000-000000000000\nVideo BIOS: \t 95.02.18.80.5f\nBus Type: \t PCIe\n"
        "Bus Location: \t 0000:01:00.0\nDevice Minor: \t 0\n",
    },
}  # fmt: skip


def main() -> None:
    """Write every host next to this file."""
    for name, files in HOSTS.items():
        saved = {"rmcp_host": 1, "problems": [], "wedged": [], "files": dict(sorted(files.items()))}
        target = Path(__file__).with_name(f"{name}.json")
        target.write_text(json.dumps(saved, indent=1, ensure_ascii=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
