"""Runs in a child of its own (``python -I -S collector.py ROOT [SKIP ...]``): reads /proc and /sys, streams
what it read.

A read from the sysfs of a wedged GPU may never return and cannot even be killed, so it must not happen in
the process that has to go on. Before each read a line ``{"try": path}`` is flushed: when the next line does
not come, the parent knows which file to blame, leaves this process behind and starts another that skips
that file. Output is JSON Lines; paths are relative to ROOT. Standard library only, no import of rmcp: it
starts in about 20 ms.
"""

from __future__ import annotations

import fnmatch
import json
import os
import stat
import sys

_MAX_BYTES = 64 * 1024  # per file; the biggest that matters, /proc/cpuinfo of 256 threads, is listed below
_BIG = {"proc/cpuinfo": 1024 * 1024, "usr/share/libdrm/amdgpu.ids": 256 * 1024}
_MAX_MATCHES = 512  # per pattern: KFD nodes, PCI devices; a machine with more is not read whole

HOST = (
    "proc/sys/kernel/osrelease",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/random/boot_id",
    "proc/sys/kernel/tainted",
    "proc/cmdline",
    "proc/cpuinfo",
    "proc/meminfo",
    "etc/os-release",
    "sys/devices/system/cpu/online",
    "sys/fs/cgroup/memory.max",
    "sys/kernel/security/lockdown",
    "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "opt/rocm*/.info/version",
    "usr/share/libdrm/amdgpu.ids",
    "proc/driver/nvidia/version",
    "proc/driver/nvidia/gpus/*/information",
    "sys/module/amdgpu/version",
    "sys/module/amdgpu/parameters/*",
    "sys/class/kfd/kfd/topology/nodes/*/gpu_id",
    "sys/class/kfd/kfd/topology/nodes/*/name",
    "sys/class/kfd/kfd/topology/nodes/*/properties",
    "sys/class/kfd/kfd/topology/nodes/*/mem_banks/*/properties",
    "sys/class/kfd/kfd/topology/nodes/*/io_links/*/properties",
)
NODES = ("dev/kfd", "dev/dri/renderD*", "dev/nvidiactl", ".dockerenv", "run/.containerenv")
DISPLAY_CLASSES = ("0x03", "0x1200", "0x120000")
# The last ones ask the GPU's own firmware and are the first to hang on a wedged card.
PCI = (
    "vendor",
    "device",
    "revision",
    "subsystem_vendor",
    "subsystem_device",
    "uevent",
    "boot_vga",
    "numa_node",
    "drm/*/dev",
    "current_link_speed",
    "current_link_width",
    "max_link_speed",
    "max_link_width",
    "power/runtime_status",
    "product_name",
    "unique_id",
    "vbios_version",
    "mem_info_vram_total",
    "mem_info_vram_used",
    "mem_info_gtt_total",
    "fw_version/*",
    "gpu_busy_percent",
)


def main(root: str, skip: set[str]) -> None:
    """Read everything under ``root`` but the paths in ``skip``, and say so line by line."""

    def say(**line: object) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    def names(folder: str) -> list[str]:
        say(**{"try": folder})
        if folder in skip:
            return []
        try:
            return sorted(os.listdir(os.path.join(root, folder)))[:_MAX_MATCHES]
        except OSError:
            return []

    def expand(pattern: str) -> list[str]:
        found = [""]
        for part in pattern.split("/"):
            if "*" in part:
                found = [
                    os.path.join(base, name)
                    for base in found
                    for name in names(base)
                    if fnmatch.fnmatch(name, part)
                ]
            else:
                found = [os.path.join(base, part) for base in found]
        return found

    def read(path: str) -> str:
        if path in skip:
            return ""
        full = os.path.join(root, path)
        say(**{"try": path})
        try:
            if stat.S_ISDIR(os.stat(full).st_mode):
                return ""
            with open(full, "rb") as file:
                data = file.read(_BIG.get(path, _MAX_BYTES))
        except FileNotFoundError:
            return ""
        except OSError as error:
            say(path=path, error=error.strerror or str(error))
            return ""
        text = data.decode("utf-8", "backslashreplace")
        if path.endswith("/libdrm/amdgpu.ids") and len(text) > 1024:
            text = _relevant_ids(text, devices)
        say(path=path, text=text)
        return text

    devices: set[str] = set()
    displays = []
    for path in expand("sys/bus/pci/devices/*/class"):
        if read(path).startswith(DISPLAY_CLASSES):
            displays.append(os.path.dirname(path))
    for folder in displays:
        devices.add(read(os.path.join(folder, "device")).strip()[2:].upper())
    for pattern in HOST:
        for path in expand(pattern):
            read(path)
    for pattern in NODES:
        for path in expand(pattern):
            full = os.path.join(root, path)
            say(**{"try": path})
            if path not in skip and os.path.exists(full):
                info = os.stat(full)
                usable = os.access(full, os.R_OK | os.W_OK)
                say(
                    path=path,
                    text=f"rw={usable:d} mode={stat.S_IMODE(info.st_mode):04o} gid={info.st_gid}",
                )
    for item in PCI:
        for folder in displays:
            for path in expand(os.path.join(folder, item)):
                read(path)
    say(done=True)


def _relevant_ids(text: str, devices: set[str]) -> str:
    return "".join(
        line for line in text.splitlines(True) if line.partition(",")[0].strip().upper() in devices
    )


if __name__ == "__main__":
    main(sys.argv[1], set(sys.argv[2:]))
