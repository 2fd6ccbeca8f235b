"""What is fine, what is suspicious and what to try: facts and answers in, verdicts out. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from rmcp.device.facts import HostFacts
from rmcp.device.gpus import Gpu
from rmcp.device.kernel_events import KernelEvent
from rmcp.device.numbers import whole
from rmcp.device.parameters import PARAMETERS, compute_timeout_s
from rmcp.device.probes import Probed, Tool, Torch
from rmcp.words import DeviceEvent

_BUSY = 99  # percent; a wedged card shows 99 or 100 without a process
_BAD_TAINTS = frozenset({"machine check", "bad page", "kernel died (oops)", "soft lockup"})
_BAD_PARAMETERS = {
    "noretry": ("0",),
    "gpu_recovery": ("0",),
    "halt_if_hws_hang": ("1",),
    "vm_fault_stop": ("1", "2"),
    "send_sigterm": ("1",),
    "no_queue_eviction_on_vm_fault": ("1",),
}
_REBOOT = "reboot; a GPU in this state does not come back by itself"


class Mark(str, Enum):
    """``fine``; ``note``: worth knowing; ``suspicious``: look at it first when something fails."""

    FINE = "fine"
    NOTE = "note"
    SUSPICIOUS = "suspicious"

    def __str__(self) -> str:
        return str(self.value)


@dataclass(frozen=True)
class Verdict:
    """One judgement. ``advice`` is what to try, empty when there is nothing to do."""

    mark: Mark
    subject: str
    text: str
    advice: str = ""


def examine(
    facts: HostFacts,
    probed: Probed | None = None,
    events: Sequence[KernelEvent] = (),
    log: tuple[str, str] | None = None,
) -> list[Verdict]:
    """All verdicts, suspicious ones first. ``probed`` None: tools and PyTorch were not asked; ``events``
    are those of the kernel log since boot; ``log`` is (source, reason) of the kernel log, None when it was
    not looked at."""
    found = [*_reads(facts), *_gpus(facts), *_access(facts), *_parameters(facts), *_host(facts)]
    if probed is not None:
        found += [*_tools(facts, probed.tools), *_torches(facts, probed.torches)]
    found += [*_history(events), *_log(log)]
    order = (Mark.SUSPICIOUS, Mark.NOTE, Mark.FINE)
    return sorted(found, key=lambda one: order.index(one.mark))


def _fine(subject: str, text: str) -> Verdict:
    return Verdict(Mark.FINE, subject, text)


def _note(subject: str, text: str, advice: str = "") -> Verdict:
    return Verdict(Mark.NOTE, subject, text, advice)


def _bad(subject: str, text: str, advice: str) -> Verdict:
    return Verdict(Mark.SUSPICIOUS, subject, text, advice)


def _reads(facts: HostFacts) -> Iterator[Verdict]:
    for path in facts.wedged:
        yield _bad("sysfs", f"reading /{path} never returned: the driver or the GPU hangs", _REBOOT)


def _gpus(facts: HostFacts) -> Iterator[Verdict]:
    amd = [gpu for gpu in facts.gpus if gpu.vendor == "amd"]
    if not facts.gpus:
        yield _fine("GPU", "none found; cases run on the CPU")
    for gpu in facts.gpus:
        who = f"GPU {gpu.index}" if len(facts.gpus) > 1 else "GPU"
        yield from _one_gpu(gpu, f"{gpu.name} ({who})" if len(facts.gpus) > 1 else gpu.name)
    discrete = [gpu for gpu in amd if gpu.gfx and not gpu.apu]
    if discrete and any(gpu.apu and gpu.gfx for gpu in amd):
        ordered = sorted((gpu for gpu in amd if gpu.gfx), key=lambda gpu: gpu.kfd_node or 0)
        index = ordered.index(discrete[0])
        yield _bad(
            "two GPUs",
            "ROCm also sees the processor's own graphics; libraries that have no kernels for it abort",
            f"HIP_VISIBLE_DEVICES={index} shows only {discrete[0].name}",
        )
    elif len([gpu for gpu in amd if gpu.gfx]) > 1:
        yield _note(
            "two GPUs", "a reset of one may reach the other's processes", "pin one with --rmcp-device"
        )


def _one_gpu(gpu: Gpu, name: str) -> Iterator[Verdict]:
    if not gpu.driver:
        module = {"amd": "amdgpu", "nvidia": "nvidia", "intel": "xe or i915"}.get(gpu.vendor, "its driver")
        yield _bad(
            name, "no driver is bound to it", f"load it: sudo modprobe {module}; then look at `sudo dmesg`"
        )
    elif gpu.driver.startswith("vfio"):
        yield _note(
            name, "given away to virtual machines (vfio-pci)", "unbind it from vfio-pci to use it here"
        )
    elif gpu.vendor == "amd" and not gpu.gfx:
        yield _bad(name, "the compute driver (KFD) does not list it", "look for `kfd` in `sudo dmesg`")
    else:
        yield _fine(name, f"driver {gpu.driver}" + (f", {gpu.gfx}" if gpu.gfx else ""))
    if gpu.gfx.startswith("gfx101"):
        yield _note(
            name,
            f"RDNA1 ({gpu.gfx}): the wheels of pytorch.org have no kernels for it, in no version",
            f"native kernels: TheRock's multi-arch wheels (device-{gpu.gfx}), Debian, Ubuntu 24.04, Arch",
        )
    if gpu.pcie_atomics is False:
        yield _bad(
            name,
            "PCIe atomics are not available: device asserts, printf and hostcalls fail, some kernels hang",
            "put the card into a slot that the CPU feeds directly",
        )
    if gpu.busy_percent is not None and gpu.busy_percent >= _BUSY:
        yield _bad(name, f"{gpu.busy_percent} % busy", "if no process uses it, it is stuck: reboot")
    width, most = (whole(link.rpartition("x")[2]) for link in (gpu.link, gpu.max_link))
    if width is not None and most is not None and width < most and not gpu.apu:
        yield _note(name, f"PCIe link is x{width} of x{most}", "reseat the card or check riser and slot")


def _access(facts: HostFacts) -> Iterator[Verdict]:
    if not any(gpu.vendor == "amd" and gpu.driver == "amdgpu" for gpu in facts.gpus):
        return
    kfd = next((one for one in facts.access if one.path == "/dev/kfd"), None)
    nodes = [one for one in facts.access if one.path.startswith("/dev/dri/renderD")]
    if kfd is None:
        fix = (
            "start the container with --device=/dev/kfd --device=/dev/dri"
            if facts.container
            else ("sudo modprobe amdgpu; the kernel needs CONFIG_HSA_AMD")
        )
        yield _bad("/dev/kfd", "missing: ROCm cannot see any GPU", fix)
        return
    closed = [one.path for one in (kfd, *nodes) if not one.usable]
    if closed:
        fix = (
            "start the container with --group-add=keep-groups (podman) or the host's render group id"
            if facts.container
            else ("sudo usermod -aG render,video $USER, then log in again")
        )
        yield _bad(", ".join(closed), "this user may not read and write it", fix)
    else:
        yield _fine("/dev/kfd", "readable and writable")


def _parameters(facts: HostFacts) -> Iterator[Verdict]:
    rdna1 = any(gpu.gfx.startswith("gfx101") for gpu in facts.gpus)
    for one in facts.parameters:
        known = PARAMETERS.get(one.name)
        if known is None or one.value == known.default:
            continue
        subject = f"amdgpu.{one.name}={one.value}"
        text = one.meaning or known.what
        if rdna1:
            text += f"; on RDNA1: {known.rdna1}"
        if one.value in _BAD_PARAMETERS.get(one.name, ()):
            yield _bad(subject, text, f"go back to the default, {known.default}")
        else:
            yield _note(subject, text)
    timeout = compute_timeout_s(facts.parameter("lockup_timeout") or "")
    if timeout > 70.0:  # longer than the watch after a killed hang
        shown = "never" if timeout == float("inf") else f"after {timeout:g} s"
        yield _note(
            "lockup_timeout", f"the kernel reports a hung compute queue {shown}; rmcp watches for 70 s"
        )


def _host(facts: HostFacts) -> Iterator[Verdict]:
    bad = [reason for reason in facts.taint_reasons if reason in _BAD_TAINTS]
    if bad:
        yield _bad("kernel", f"tainted: {', '.join(bad)} since boot", "reboot before measuring anything")
    elif "kernel warning" in facts.taint_reasons:
        yield _note("kernel", "there was a kernel warning since boot", "look for `cut here` in `sudo dmesg`")
    compute = [gpu for gpu in facts.gpus if gpu.vendor in ("amd", "nvidia")]
    if facts.cpu.virtual_machine and compute:
        yield _note("virtual machine", "PCI passthrough brings failures of its own (resets, atomics)")
    if facts.secure_boot and any(gpu.vendor == "amd" for gpu in facts.gpus):
        yield _note(
            "Secure Boot",
            "on; one HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION was cured by turning it off (ROCm #5051)",
            "if nothing else helps, try once with Secure Boot off",
        )
    if any(word in facts.cmdline.split() for word in ("amd_iommu=off", "iommu=off")):
        yield _note("kernel command line", "the IOMMU is off")
    if "nomodeset" in facts.cmdline.split() and compute:
        yield _bad(
            "kernel command line", "nomodeset keeps GPU drivers from starting", "remove nomodeset, reboot"
        )
    limit = facts.cpu.memory_limit_bytes
    if limit is not None and limit < 4 << 30:
        yield _note(
            "memory", f"limited to {limit / 2**30:.1f} GiB by a cgroup; compiling kernels may need more"
        )


def _tools(facts: HostFacts, tools: Sequence[Tool]) -> Iterator[Verdict]:
    vendors = {gpu.vendor for gpu in facts.gpus}
    for tool in tools:
        wanted = "nvidia" if tool.name == "nvidia-smi" else "amd"
        if tool.status == "hung":
            more = " and survived SIGKILL" if tool.wedged else ""
            yield _bad(
                tool.name, f"did not answer within its deadline{more}: the GPU is probably wedged", _REBOOT
            )
        elif tool.status == "failed" and wanted in vendors:
            first = tool.lines[0] if tool.lines else "no output"
            yield _note(tool.name, f"exit code {tool.returncode}: {first}")


def _torches(facts: HostFacts, torches: Sequence[Torch]) -> Iterator[Verdict]:
    amd = [gpu for gpu in facts.gpus if gpu.vendor == "amd" and gpu.driver == "amdgpu" and gpu.gfx]
    nvidia = [gpu for gpu in facts.gpus if gpu.vendor == "nvidia" and gpu.driver]
    for one in torches:
        name = f"torch {one.torch}" if one.torch else f"PyTorch of {one.python}"
        if one.status == "absent":
            if one.this:
                yield _note(
                    one.python, "has no PyTorch", "give the matrix a runtime that has one, or install torch"
                )
            continue
        if one.status == "hung":
            where = {
                "import": "in `import torch`",
                "devices": "asking for devices",
                "canary": "in a tiny kernel",
            }
            yield _bad(
                name, f"hung {where.get(one.stage, 'at the start')}: {one.detail}", "a wedged GPU: " + _REBOOT
            )
        elif one.status == "died":
            where = {
                "import": "in `import torch`",
                "devices": "asking for devices",
                "canary": "in a tiny kernel",
            }
            yield _bad(
                name,
                f"died {where.get(one.stage, '')}: {one.detail}",
                "`rmcp classify` names the cause of its log",
            )
        elif one.status == "broken":
            yield _bad(name, one.detail, f"try: {one.python} -c 'import torch'")
        elif (amd or nvidia) and not one.hip and not one.cuda:
            yield _note(
                name, f"built for the CPU only, and there is a GPU ({one.python})", "install a build for it"
            )
        elif (one.hip or one.cuda) and not one.devices and (amd or nvidia):
            yield _bad(
                name, "sees no device although there is one", "look at the verdicts on access and environment"
            )
        else:
            yield from _working(name, one, amd)


def _working(name: str, one: Torch, amd: Sequence[Gpu]) -> Iterator[Verdict]:
    if one.canary is False:
        yield _bad(
            name,
            f"a tiny kernel failed: {one.detail or 'wrong sum'}",
            "this build cannot drive the GPU as it is",
        )
    else:
        where = str(one.devices[0].get("name", "the device")) if one.devices else "the CPU"
        yield _fine(name, f"a tiny kernel on {where} gave the right sum ({one.python})")
    if one.hip and one.archs:
        for gpu in amd:
            if gpu.gfx not in one.archs:
                yield _bad(
                    name,
                    f"has no kernels for {gpu.gfx} (only {', '.join(one.archs)})",
                    f"use a build with {gpu.gfx}; an override runs another GPU's code",
                )


def _history(events: Sequence[KernelEvent]) -> Iterator[Verdict]:
    device = [event for event in events if event.device is not DeviceEvent.NONE]
    if not device:
        return
    counts = Counter(event.kind for event in device)
    told = ", ".join(f"{count} x {kind}" for kind, count in counts.most_common())
    named = [event for event in device if event.pid is not None]
    last = f"; last blamed: {named[-1].process} (pid {named[-1].pid})" if named else ""
    worst = any(event.device in (DeviceEvent.WEDGED, DeviceEvent.LOST) for event in device)
    advice = _REBOOT if worst else "after resets, numbers are to be trusted only when the canary passes"
    yield _bad("kernel log", f"since boot: {told}{last}", advice)


def _log(log: tuple[str, str] | None) -> Iterator[Verdict]:
    if log is None:
        return
    source, reason = log
    if source == "none":
        yield _note("kernel log", f"not readable ({reason})", "sudo usermod -aG adm $USER, then log in again")
    else:
        yield _fine("kernel log", f"readable ({source}): faults and resets can be attributed to cases")
