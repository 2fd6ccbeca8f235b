"""What a cause means, what people did about it, and where to read on. Data, shown by `rmcp classify` and reports.

Two sentences of meaning each; ``tried`` are things that helped somebody in the linked threads, most likely first, not
promises. Rows of the pattern table that mean something special have their own entry.
"""

# ruff: noqa: E501 - sentences for people

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rmcp.outcome.recognition import Recognition
from rmcp.words import Cause


@dataclass(frozen=True)
class Advice:
    """Meaning in two sentences, what people tried with success, links."""

    meaning: str
    tried: tuple[str, ...] = ()
    links: tuple[str, ...] = ()


_ROCM_2527 = "https://github.com/ROCm/ROCm/issues/2527"
_MIOPEN_2522 = "https://github.com/ROCm/MIOpen/issues/2522"
_XID = "https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html"
_TORCH_CUDA = "https://pytorch.org/docs/stable/notes/cuda.html"
_TORCH_HIP = "https://pytorch.org/docs/stable/notes/hip.html"
_HIP_ERRORS = "https://rocm.docs.amd.com/projects/HIP/en/latest/reference/error_codes.html"
_PREREQUISITES = "https://rocm.docs.amd.com/projects/install-on-linux/en/docs-6.2.2/install/prerequisites.html"
_MIOPEN_DEBUG = "https://rocm.docs.amd.com/projects/MIOpen/en/latest/DebugAndLogging.html"

BY_CAUSE: Mapping[Cause, Advice] = {
    Cause.APERTURE_VIOLATION: Advice(
        "A GPU kernel used an address outside every memory window of the GPU, so the hardware stopped the queue. Mostly "
        "the kernel was built for another architecture (an override of HSA_OVERRIDE_GFX_VERSION) or computes its "
        "addresses wrongly; a failing card does the same.",
        (
            "run natively, without HSA_OVERRIDE_GFX_VERSION, with a build that has kernels for the card",
            "choose another convolution path: torch.backends.cudnn.enabled = False, or switch off one MIOpen solver "
            "family at a time (MIOPEN_DEBUG_CONV_*=0)",
            "run again with AMD_SERIALIZE_KERNEL=3 to learn which kernel it is",
            "try another ROCm version: the same card and model may work on one and abort on the next",
            "on a new card: check secure boot and the driver package; on an old one, test the card in another machine",
        ),
        (_ROCM_2527, "https://github.com/ROCm/ROCm/issues/5051", "https://github.com/ROCm/ROCm/issues/2153"),
    ),
    Cause.MEMORY_ACCESS_FAULT: Advice(
        "A GPU kernel touched memory that is not mapped for it, so the GPU's memory management unit reported a page "
        "fault. It is an out-of-bounds access, a buffer that was freed too early, or a kernel of the wrong architecture.",
        (
            "run again with AMD_SERIALIZE_KERNEL=3 (ROCm) or CUDA_LAUNCH_BLOCKING=1 (CUDA): without it the wrong "
            "kernel is named",
            "for a convolution: MIOPEN_DEBUG_CONV_DIRECT_OCL_FWDGEN=0, then the other solvers, one at a time",
            "drop HSA_OVERRIDE_GFX_VERSION, or update to a release with the fix",
            "look in `dmesg` for the page fault: it names the process and the address",
        ),
        (_MIOPEN_2522, "https://github.com/ROCm/MIOpen/issues/3540", _HIP_ERRORS),
    ),
    Cause.ILLEGAL_INSTRUCTION: Advice(
        "The processor met an instruction that it does not have. On a GPU the kernel was built for another "
        "architecture, on a CPU the program was built for a newer instruction set (AVX, AVX-512).",
        (
            "GPU: remove HSA_OVERRIDE_GFX_VERSION or install a build for this architecture",
            "CPU: build with GGML_NATIVE=OFF or a lower -march; in a virtual machine pass the host's CPU model through",
            "for oneDNN: ONEDNN_MAX_CPU_ISA=AVX2, for ATen: ATEN_CPU_CAPABILITY=default",
        ),
        (_ROCM_2527,),
    ),
    Cause.GPU_HANG_RESET: Advice(
        "The GPU stopped answering and the driver reset it, which ends every process that uses it. A kernel that never "
        "ends, a page fault that was not survived, or power and firmware trouble stand behind it.",
        (
            "look at the first amdgpu or NVRM line in the kernel log: what stands before the reset is the reason",
            "run one process at a time on the device: a neighbour's hang reaches you too",
            "update kernel and linux-firmware; lower clocks or power limit; check power and PCIe",
            "drop HSA_OVERRIDE_GFX_VERSION (9.4.0 and 11.0.0 on RDNA1 end in a reset)",
            "if the device stays gone afterwards (device_count() == 0, rocminfo hangs): reboot",
        ),
        (_ROCM_2527, _XID),
    ),
    Cause.OUT_OF_MEMORY: Advice(
        "An allocation of device or host memory failed. Either the job is too large, other processes hold memory, or "
        "the free memory is in pieces.",
        (
            "smaller batch, context or resolution; half precision; offloading",
            "close other users of the device (rocm-smi --showpids, nvidia-smi)",
            "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True (CUDA) or garbage_collection_threshold:0.8",
            "for convolutions: a solver with less workspace (MIOPEN_DEBUG_CONV_GEMM=0, torch.backends.cudnn.benchmark = "
            "False)",
        ),
        (_TORCH_CUDA,),
    ),
    Cause.NO_KERNEL_IMAGE: Advice(
        "The program has no compiled kernel for this GPU: the binary was built for other architectures. Nothing ran "
        "wrongly yet; the build and the card do not fit.",
        (
            "compare torch.cuda.get_arch_list() with the card's architecture",
            "install a build for the card (distribution packages or TheRock wheels for gfx101x; a newer CUDA build for "
            "a new NVIDIA card)",
            "RDNA2 siblings: HSA_OVERRIDE_GFX_VERSION=10.3.0 is safe for gfx1031 to gfx1036; on RDNA1 (gfx101x) it is "
            "another instruction set and crashes sooner or later",
        ),
        ("https://github.com/pytorch/pytorch/issues/132570", _ROCM_2527, _TORCH_HIP),
    ),
    Cause.MISSING_LIBRARY_KERNELS: Advice(
        "rocBLAS or hipBLASLt has no kernel library for this GPU's architecture and aborts the process. The framework "
        "itself may support the card; the library under it does not.",
        (
            "install the rocBLAS of a distribution or of TheRock that lists the architecture",
            "point ROCBLAS_TENSILE_LIBPATH at a library folder that has it",
            "RDNA2 siblings only: HSA_OVERRIDE_GFX_VERSION=10.3.0",
        ),
        ("https://github.com/ROCm/Tensile/pull/1897", _ROCM_2527),
    ),
    Cause.MIOPEN_ERROR: Advice(
        "MIOpen, the convolution library under PyTorch on ROCm, returned an error to its caller. The lines before it say "
        "which step failed: database, kernel compilation or launch.",
        (
            "run once with MIOPEN_ENABLE_LOGGING=1 MIOPEN_LOG_LEVEL=5 and read the first Error line",
            "remove ~/.cache/miopen and ~/.config/miopen: stale databases of another version are a common reason",
            "torch.backends.cudnn.enabled = False takes the path without MIOpen",
        ),
        (_MIOPEN_DEBUG,),
    ),
    Cause.HIP_INIT_ERROR: Advice(
        "The runtime could not open the GPU, so no work ever reached it. Driver, permissions, visibility variables or "
        "versions are at fault, not the program.",
        (
            "`ls -l /dev/kfd /dev/dri/render*`; add the user to the groups render and video and log in again",
            "in a container pass --device=/dev/kfd --device=/dev/dri (ROCm) or --gpus all (CUDA)",
            "unset HIP_VISIBLE_DEVICES, ROCR_VISIBLE_DEVICES and CUDA_VISIBLE_DEVICES: together they filter twice",
            "after a GPU reset or driver update: reboot",
        ),
        (_PREREQUISITES,),
    ),
    Cause.DEVICE_ASSERT: Advice(
        "An assertion inside a GPU kernel failed, mostly an index outside its tensor. The program's data is wrong, the "
        "device is not; but the process cannot use the device any more.",
        (
            "run the same on the CPU: the error message there names the index",
            "check labels and token ids against the number of classes or the vocabulary",
            "CUDA_LAUNCH_BLOCKING=1 or AMD_SERIALIZE_KERNEL=3 shows the Python line",
        ),
        (_TORCH_CUDA,),
    ),
    Cause.SEGFAULT: Advice(
        "The process itself, not the GPU, touched memory that it does not have. Mixed library versions (two copies of "
        "ROCm, a wheel beside a system library) and driver bugs are the usual reasons.",
        (
            "python -X faulthandler shows the Python frame, gdb -ex run -ex bt the native one",
            "look for two copies of one library in /proc/PID/maps, unset LD_LIBRARY_PATH",
            "an HSA_OVERRIDE_GFX_VERSION that no library knows (9.0.6 on RDNA1) crashes in libamdhip64",
        ),
        (_ROCM_2527,),
    ),
    Cause.CPU_OOM_KILL: Advice(
        "The machine's main memory (or the container's share) ran out and the kernel killed the process. The GPU has "
        "nothing to do with it.",
        (
            "`dmesg | grep -i oom` names the victim and its size",
            "load with mmap or in pieces, fewer workers, more swap, a larger memory limit of the container",
            "for builds: fewer jobs (make -j2, MAX_JOBS=2)",
        ),
    ),
    Cause.UNKNOWN_ABORT: Advice(
        "The process ended itself after an internal check failed, and the text does not say more. The lines before the "
        "abort, or a backtrace, have the reason.",
        (
            "look further up in the log for the first error",
            "gdb -ex run -ex bt --args python ...; coredumpctl gdb",
            "AMD_LOG_LEVEL=3 or CUDA_LAUNCH_BLOCKING=1 to see the last call",
        ),
    ),
    Cause.PYTHON_EXCEPTION_OTHER: Advice(
        "The program reported an ordinary error and stopped in good order. Read the last line of the first traceback.",
        ("read the first traceback, not the last: later ones are often its consequences",),
        (_HIP_ERRORS,),
    ),
    Cause.NONE: Advice(
        "No message that rmcp knows says that something failed. Warnings, documentation and source text that only name "
        "an error do not count.",
        (
            "paste more of the log, from the first sign of trouble on",
            "add --signal or --exit if you know how it ended",
        ),
    ),
}

BY_PATTERN: Mapping[str, Advice] = {
    "rocr-memory-critical-error": Advice(
        "The ROCm runtime could not give memory back that the driver calls in use, and ended the process. In a container "
        "that is mostly a right that is missing on /dev/kfd, and no fault of a kernel.",
        (
            "Podman with SELinux: `sudo setsebool -P container_use_devices true`, or `--security-opt label=disable`",
            "docker and podman: `--ipc=host`",
            "`sudo ausearch -m AVC -ts recent | grep hsa_device_t` shows whether SELinux refused it",
        ),
        ("https://github.com/ROCm/legacy-rocm-build/issues/6182",),
    ),
    "rocblas-tensile-host": Advice(
        "rocBLAS could not set up its kernels; with `No devices found` it only says that the HIP context was already "
        "dead. Look in the kernel log for the fault that came before.",
        (
            "`dmesg -T | grep -i amdgpu` for a page fault or reset just before",
            "check LD_LIBRARY_PATH and that one rocBLAS only is loaded",
        ),
        (_ROCM_2527,),
    ),
    "hsa-exception": Advice(
        "A wave of the kernel stopped with a trap: a failed device assertion, an abort(), or a math exception. Without "
        "PCIe atomics the assertion's own text is lost.",
        (
            "look on stdout and stderr for a `Device-side assertion` line",
            "AMD_SERIALIZE_KERNEL=3",
            "check PCIe atomics: without them hostcall, and so the message, does not work",
        ),
        (_HIP_ERRORS,),
    ),
    "hsa-out-of-resources": Advice(
        "The GPU queue could not get memory that a kernel needs while running (mostly scratch for spilled registers). "
        "The device memory is full or the runtime's scratch limit is too small.",
        ("free device memory, smaller batch", "HSA_SCRATCH_SINGLE_LIMIT, HSA_NO_SCRATCH_RECLAIM=1"),
        ("https://rocm.docs.amd.com/projects/ROCR-Runtime/en/latest/api-reference/environment_variables.html",),
    ),
    "kfd-open": Advice(
        "The process may not open /dev/kfd, the door to the GPU. The text after the colon says why: permission, a "
        "missing device in a container, no memory, or a driver that refuses the card.",
        (
            "Permission denied: groups render and video, then log in again; in a container also --group-add",
            "No such file: load amdgpu (`modprobe amdgpu`), pass --device=/dev/kfd, not in a plain VM or WSL1",
            "Invalid argument or Cannot allocate memory: the driver refused; read `dmesg | grep -i kfd` and reboot",
        ),
        (_PREREQUISITES,),
    ),
    "miopen-sqlite": Advice(
        "MIOpen could not use its SQLite database of compiled kernels. Network home folders, read-only folders and "
        "databases of another MIOpen version are the usual reasons.",
        (
            "MIOPEN_USER_DB_PATH and MIOPEN_CUSTOM_CACHE_DIR on a local disk",
            "MIOPEN_DEBUG_DISABLE_SQL_WAL=1 on NFS",
            "remove ~/.cache/miopen and ~/.config/miopen",
        ),
        ("https://github.com/ROCm/MIOpen/issues/2214",),
    ),
    "miopen-kernel_compile": Advice(
        "MIOpen compiles its kernels on first use, and that compilation failed. Missing headers (rocrand, the C++ "
        "library) or a compiler of another version are the usual reasons, not the convolution itself.",
        (
            "install the missing development headers (`limits` not found: libstdc++-12-dev), or the wheel's own ROCm complete",
            "remove compiler variables and a second ROCm from PATH",
            "torch.backends.cudnn.enabled = False meanwhile",
        ),
        ("https://github.com/ROCm/MIOpen/issues/2049", _MIOPEN_DEBUG),
    ),
    "runtime-401": Advice(
        "hipErrorIllegalState: the device cannot do this now. On machines without PCIe atomics it is what is left of a "
        "device assertion or printf, because hostcall does not work there.",
        (
            "check PCIe atomics (dmesg: `Pcie atomics not enabled, hostcall not supported`), use a CPU-attached slot",
            "run the same on the CPU to see the assertion",
        ),
        (_HIP_ERRORS,),
    ),
    "runtime-719": Advice(
        "The kernel failed in a way that has no own code: a crash on the device, often after an earlier fault. Nothing in "
        "this process can use the device any more.",
        (
            "AMD_SERIALIZE_KERNEL=3 or CUDA_LAUNCH_BLOCKING=1",
            "read the kernel log for the fault",
            "if every new process fails too: the device is wedged, reboot",
        ),
        (_HIP_ERRORS, _XID),
    ),
}


# How a process ended that left no message: nothing in its text, only a signal from outside.
BY_SIGNAL: Mapping[str, Advice] = {
    "SIGKILL": Advice(
        "The process was killed from outside (SIGKILL), and the text has no message of its own. The kernel's OOM killer, a "
        "memory or time limit of a container or job, and a person all do that.",
        (
            "`dmesg -T | grep -iE 'out of memory|killed process'` names the victim if the OOM killer did it",
            "container: `docker inspect -f '{{.State.OOMKilled}}' NAME`; Slurm: `sacct -j JOB -o State,ExitCode,MaxRSS`",
            "paste the kernel log of that minute: `rmcp classify` reads it",
        ),
    ),
    "SIGTERM": Advice(
        "The process was asked to stop from outside (SIGTERM), and the text has no message of its own. A launcher that "
        "lost another worker, a time limit, a service manager or a person does that.",
        (
            "look in the launcher's or scheduler's own log for the first worker that failed",
            "check the time limit of the job or service",
        ),
    ),
    "SIGINT": Advice(
        "Somebody pressed Ctrl-C (SIGINT), or a program sent the same. That is no fault of the program.",
        ("if it hung before: say how long it stood still, and paste the kernel log of that time",),
    ),
    "SIGHUP": Advice(
        "The terminal or connection of the process went away (SIGHUP). That is no fault of the program.",
        ("run it under `tmux`, `nohup` or a service manager",),
    ),
    "SIGPIPE": Advice(
        "The process wrote to a pipe that nobody read any more (SIGPIPE), mostly the end of a command behind `|`. Since "
        "ROCm 6.2 the runtime's own GPU core dump can end a program so, too.",
        ("look further up for a GPU fault", "run it without the pipe"),
    ),
}


def advice_for(recognition: Recognition, signal: str | None = None) -> Advice:
    """The most special advice there is for a recognition, or for the signal where the text has no cause."""
    if not recognition and signal and signal in BY_SIGNAL:
        return BY_SIGNAL[signal]
    subkind = recognition.fields.get("subkind")
    key = f"miopen-{subkind}" if subkind else recognition.pattern_id
    advice = BY_PATTERN.get(key) or BY_CAUSE[recognition.cause]
    if recognition.cause is Cause.PYTHON_EXCEPTION_OTHER and not recognition.fields.keys() & {"hip_error", "cuda_error"}:
        return replace(advice, links=tuple(link for link in advice.links if link != _HIP_ERRORS))
    return advice
