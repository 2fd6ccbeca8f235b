"""amdgpu's module parameters with what their values really do, and the commands that set them.

Sources: amdgpu's amdgpu_drv.c, gmc_v10_0.c, gmc_v9_0.c, kfd_svm.c and kfd_device_queue_manager.c (DKMS
source of January 2026). Nothing here writes a parameter; most are read once when the module loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rmcp.device.numbers import whole


@dataclass(frozen=True)
class Parameter:
    """One parameter: its default, what values mean, what it does on RDNA1, and the values worth an
    experiment."""

    name: str
    default: str
    what: str
    rdna1: str
    meanings: Mapping[str, str] = field(default_factory=dict)
    tries: tuple[str, ...] = ()
    writable: bool = False  # root can write it in /sys while the module is loaded


_PARAMETERS = (
    Parameter(
        "noretry",
        "-1",
        "retry of faulted memory accesses (XNACK)",
        "auto already means 1 (off) on Navi10; 0 ENABLES retry, so that a fault becomes a hang",
        {"0": "retry enabled", "1": "retry disabled", "-1": "auto (Navi10: retry disabled)"},
        ("1",),
    ),
    Parameter(
        "vm_fragment_size",
        "-1",
        "page-table fragment as a power of two of 4 KB pages",
        "bigger blocks in the page tables; can move a fault, does not cure one",
        {"-1": "auto", "4": "64 KB", "9": "2 MB (not 512 KB)"},
        ("9",),
    ),
    Parameter(
        "mtype_local",
        "0",
        "memory type of local memory",
        "no effect at all: only code for gfx9 reads it (gmc_v9_0.c, kfd_svm.c)",
        {"0": "read-write coherent", "1": "non-coherent", "2": "coherent"},
    ),
    Parameter(
        "cwsr_enable",
        "1",
        "compute wave save and restore (preempting a running kernel)",
        "0 removes the save path: some hangs at preemption go away, long kernels then block the GPU",
        {"0": "off", "1": "on"},
        ("0",),
    ),
    Parameter(
        "gpu_recovery",
        "-1",
        "what happens when a ring times out",
        "0 leaves a hung GPU hung until reboot; good for a post-mortem, bad for a long run",
        {"-1": "auto (bare metal: on)", "0": "no reset: a hang stays", "1": "reset"},
        ("1",),
    ),
    Parameter(
        "lockup_timeout",
        "",
        "milliseconds until a ring counts as hung: GFX,Compute,SDMA,Video",
        "the defaults are 10000 (GFX) and 60000 (compute): the log speaks up to 60 s after a hang began",
        {},
        ("10000,20000,10000,10000",),
    ),
    Parameter(
        "reset_method",
        "-1",
        "how the GPU is reset",
        "auto chooses BACO or mode 1 on Navi10; both reset the whole GPU, the desktop on it included",
        {"-1": "auto", "0": "legacy", "1": "mode 0", "2": "mode 1", "3": "mode 2", "4": "BACO/BAMACO"},
        ("4",),
    ),
    Parameter(
        "sched_policy",
        "0",
        "how compute queues are scheduled",
        "2 has no hardware scheduler: few queues, but a stuck queue cannot block the scheduler",
        {
            "0": "hardware scheduling, oversubscription",
            "1": "hardware scheduling, no oversubscription",
            "2": "no HWS",
        },
        ("1",),
    ),
    Parameter(
        "halt_if_hws_hang",
        "0",
        "halt when the hardware scheduler hangs",
        "1 keeps the state for debugging; the GPU is gone until reboot",
        {"0": "off", "1": "halt"},
    ),
    Parameter(
        "queue_preemption_timeout_ms",
        "9000",
        "milliseconds to wait for a queue to be preempted",
        "longer waits before `qcm fence wait loop timeout expired` and the reset that follows",
        {},
        ("30000",),
    ),
    Parameter(
        "vm_fault_stop",
        "0",
        "what a VM fault does to the engine",
        "0 is right for testing: the fault is reported and the process dies; the others freeze the GPU",
        {"0": "never stop", "1": "stop at the first fault", "2": "always stop"},
    ),
    Parameter(
        "send_sigterm",
        "0",
        "SIGTERM to a process after an unhandled GPU exception",
        "1 ends cases by SIGTERM from the kernel, which rmcp would read as a crash by SIGTERM",
        {"0": "off", "1": "on"},
    ),
    Parameter(
        "no_queue_eviction_on_vm_fault",
        "0",
        "keep a process's queues after its VM fault",
        "1 keeps the faulting kernel resident for a debugger: the case hangs in place of dying",
        {"0": "queues are evicted (default)", "1": "queues stay"},
    ),
    Parameter(
        "debug_evictions",
        "0",
        "warnings about queue evictions in the kernel log",
        "log only",
        {"0": "off", "1": "on"},
    ),
    Parameter(
        "no_system_mem_limit",
        "0",
        "no limit on system memory for compute",
        "1 allows more host memory; running out then ends in the kernel's OOM killer",
        {"0": "limited", "1": "unlimited"},
    ),
    Parameter(
        "runpm",
        "-1",
        "runtime power management",
        "0 keeps a card awake that otherwise suspends between cases: rules out wake-up failures",
        {"-2": "auto with display", "-1": "auto", "0": "off", "1": "on (BACO)", "2": "on (BAMACO)"},
        ("0",),
    ),
    Parameter(
        "mes", "0", "MES scheduler firmware", "no effect: gfx10.1 does not use MES", {"0": "off", "1": "on"}
    ),
)

PARAMETERS: dict[str, Parameter] = {one.name: one for one in _PARAMETERS}


def meaning(name: str, value: str) -> str:
    """What a parameter's value does, in a few words; empty when nothing is known of it."""
    known = PARAMETERS.get(name)
    if known is None:
        return ""
    number = whole(value)
    if name == "vm_fragment_size" and number is not None and number < 40:
        kib = 4 << number
        return known.meanings.get(value, f"{kib} KB" if kib < 1024 else f"{kib // 1024} MB")
    if name == "lockup_timeout":
        return "default: GFX 10 s, compute 60 s" if not value else _timeouts(value)
    if name == "queue_preemption_timeout_ms" and number is not None:
        return f"{number / 1000:g} s"
    return known.meanings.get(value, "")


def compute_timeout_s(lockup_timeout: str) -> float:
    """Seconds until the kernel calls a compute ring hung, from ``lockup_timeout``; inf when it never does."""
    parts = lockup_timeout.split(",")
    compute = parts[1].strip() if len(parts) > 1 else ""  # a single value concerns the other rings only
    if compute.startswith("-"):
        return float("inf")
    return (whole(compute) or 60_000) / 1000


def _timeouts(value: str) -> str:
    names = ("GFX", "compute", "SDMA", "video")
    parts = value.split(",")
    if len(parts) == 1:
        return f"all rings but compute {parts[0]} ms"
    return ", ".join(f"{name} {part} ms" for name, part in zip(names, parts, strict=False))
