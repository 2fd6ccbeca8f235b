"""The pattern table: every message format that rmcp knows, as data. Versioned; tested row by row on its example.

A row says: these words on a line mean this cause. How rows compete (first cause wins) and when a line only
*names* an error (prose, source code, documentation) is decided in `recognise` and `context`, not here.
Named groups of the regular expressions are fields. Sources: the ROCm, PyTorch, CUDA and Linux sources and
manuals that print the lines; releases in parentheses.
"""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from rmcp.words import Cause


class Rank(IntEnum):
    """How a row competes. The highest rank wins; inside one rank the first line wins."""

    DETAIL = 0  # adds fields, never a cause
    FAINT = 1  # something went wrong, no more is said
    WEAK = 2  # how the process ended, or a plain exception: true, but any named reason is better
    DOWNSTREAM = 3  # usually the consequence of something that stands elsewhere in the log
    PRIMARY = 4  # names the reason


@dataclass(frozen=True)
class Pattern:
    """One row. ``needles``: literals of which every matching line has at least one (checked before the regex).

    ``whole`` demands that the message begins its line (after log prefixes and quote marks): short or common
    texts need that. ``device``: the line is printed by driver or runtime only when the device really faulted.
    ``wraps``: a poster may have wrapped the message, so it is also looked for across the next lines.
    """

    id: str
    cause: Cause
    regex: str
    needles: tuple[str, ...]
    example: str
    source: str
    layer: str
    rank: Rank = Rank.PRIMARY
    fields: Mapping[str, Any] = field(default_factory=dict)
    whole: bool = False
    device: bool = False
    wraps: bool = False
    expect: Mapping[str, Any] = field(default_factory=dict)

    def compiled(self) -> re.Pattern[str]:
        """The regular expression, compiled (re caches it)."""
        return re.compile(self.regex)


_ROC = r":0:\s*rocdevice\.cpp\s*:\s*(?P<source_line>\d+)\s*:(?:[^\n]{0,120}?\[pid:\s*(?P<pid>\d+)[^\]\n]*\])?[^\n]{0,160}?"
_ABORTING = r"[Aa]borting with error\s*:\s*"
_QUEUE = r"(?:Queue\s+(?:at\s+)?(?P<queue>0x[0-9a-fA-F]+|0x\.{3})\s+|Device::callbackQueue\s+)?"
_HSA = r"(?:" + _ROC + r")?(?:(?:Callback:?\s*)?" + _QUEUE + _ABORTING + r")?"
_CODE = r"(?:[^\n]{0,300}?\b[Cc]ode:\s*(?P<code>0x[0-9a-fA-F]+))?"
_MIO = r"MIOpen(?:\((?:HIP|OpenCL)\))?(?:\s+[\d.]+)?"  # older releases print milliseconds after the name


def _hsa(name: str) -> str:
    """The abort line of one HSA status, in all its formats, and the bare status with its sentence."""
    return _HSA + r"(?P<hsa_status>HSA_STATUS_ERROR_" + name + r")\b(?=\s*:|\s+code|\.?\s*$|\s*\n)" + _CODE


# The line in which a shell reports the end of a job: nobody writes one in a sentence of his own.
_JOB = r"(?:\[\d+\]\s*[+-]?\s+\d+\s+|\S+: line \d+:\s+\d+\s+)"
_STOPPED = r"(?:Thread \d+ \"[^\"\n]*\" |Program )?"  # gdb: who was stopped
_SHELL_JOB = "bash and zsh: jobs with their number or the script's line"
_DMESG = "Linux amdgpu driver, kernel log"

PATTERNS: tuple[Pattern, ...] = (
    # ---- ROCr / HIP: the queue error callback (rocdevice.cpp) and what plain ROCr prints ------------------
    Pattern(
        "hsa-aperture-violation", Cause.APERTURE_VIOLATION, _hsa("MEMORY_APERTURE_VIOLATION"),
        ("MEMORY_APERTURE_VIOLATION",),
        ":0:rocdevice.cpp            :2984: 4311 us: [pid:11 tid:0x7f01] Callback: Queue 0x7f0100000000 aborting "
        "with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory beyond "
        "the largest legal address. code: 0x29",
        "ROCclr rocdevice.cpp callbackQueue (4.3 to 5.4: Device::callbackQueue, from 5.5: Callback: Queue)",
        "rocr", wraps=True, fields={"code": "0x29"}, device=True,
        expect={"code": "0x29", "queue": "0x7f0100000000", "pid": 11},
    ),
    Pattern(
        "hsa-aperture-text", Cause.APERTURE_VIOLATION,
        r"The agent attempted to access\s+memory beyond the largest legal address\.?" + _CODE,
        ("beyond the largest legal address", "attempted to access"),
        "Queue at 0x7f0100000000 inactivated due to async error: The agent attempted to access memory beyond the "
        "largest legal address.",
        "ROCr hsa.cpp status text, printed by programs without HIP", "rocr", wraps=True,
        fields={"code": "0x29", "hsa_status": "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION"}, device=True,
    ),
    Pattern(
        "hsa-illegal-instruction", Cause.ILLEGAL_INSTRUCTION, _hsa("ILLEGAL_INSTRUCTION"), ("_ILLEGAL_INSTRUCTION",),
        ":0:rocdevice.cpp            :2726: 39 us: [pid:36 tid:0x7f73] Callback: Queue 0x7f7200000000 aborting with "
        "error : HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION: The agent attempted to execute an illegal shader "
        "instruction. code: 0x2a",
        "ROCclr rocdevice.cpp callbackQueue", "rocr", wraps=True, fields={"code": "0x2a", "where": "gpu"}, device=True,
        expect={"code": "0x2a", "where": "gpu"},
    ),
    Pattern(
        "hsa-memory-fault", Cause.MEMORY_ACCESS_FAULT, _hsa("MEMORY_FAULT"), ("ERROR_MEMORY_FAULT",),
        ":0:rocdevice.cpp            :3003: 5 us:  Callback: Queue 0x7f7200000000 aborting with error : "
        "HSA_STATUS_ERROR_MEMORY_FAULT: Agent attempted to access an inaccessible address. code: 0x2b",
        "ROCclr rocdevice.cpp callbackQueue", "rocr", wraps=True, fields={"code": "0x2b"}, device=True,
        expect={"code": "0x2b"},
    ),
    Pattern(
        "hsa-out-of-resources", Cause.OUT_OF_MEMORY,
        r"(?:" + _ROC + r")?(?:Callback:?\s*)?" + _QUEUE + _ABORTING
        + r"(?P<hsa_status>HSA_STATUS_ERROR_OUT_OF_RESOURCES)\b" + _CODE
        + r"(?:\s*Available Free mem\s*:\s*(?P<free_mb>\d+) MB)?",
        ("OUT_OF_RESOURCES",),
        ":0:rocdevice.cpp            :2986: 1545695326084 us:  Callback: Queue 0x7f3dd8000000 Aborting with error : "
        "HSA_STATUS_ERROR_OUT_OF_RESOURCES: The runtime failed to allocate the necessary resources. This error may "
        "also occur when the core runtime library needs to spawn threads or create internal OS-specific events. "
        "Code: 0x1008 Available Free mem : 12 MB",
        "ROCclr rocdevice.cpp callbackQueue (capital A and Code)", "rocr", wraps=True, fields={"code": "0x1008"}, device=True,
        expect={"code": "0x1008", "queue": "0x7f3dd8000000"},
    ),
    Pattern(
        "hsa-init-failure", Cause.HIP_INIT_ERROR,
        r"(?:Call returned|hsa error code: \d+|hsa_init\b[^\n]{0,60}?|hsa api call failure[^\n]{0,200}?)\s*:?\s*"
        r"(?P<hsa_status>HSA_STATUS_ERROR(?:_[A-Z_]+)?)\b",
        ("HSA_STATUS_ERROR",),
        "Call returned HSA_STATUS_ERROR_OUT_OF_RESOURCES: The runtime failed to allocate the necessary resources.",
        "rocminfo.cc RET_IF_HSA_ERR", "rocr", expect={"hsa_status": "HSA_STATUS_ERROR_OUT_OF_RESOURCES"},
    ),
    Pattern(
        "hsa-exception", Cause.UNKNOWN_ABORT, _hsa("EXCEPTION"), ("STATUS_ERROR_EXCEPTION",),
        ":0:rocdevice.cpp            :2993: 72 us:  Callback: Queue 0x7fd1e8200000 aborting with error : "
        "HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception. code: 0x1016",
        "ROCclr rocdevice.cpp callbackQueue; a trap, abort or failed assertion in the kernel", "rocr", wraps=True,
        rank=Rank.DOWNSTREAM, fields={"code": "0x1016"}, device=True, expect={"code": "0x1016"},
    ),
    Pattern(
        "hsa-other-abort", Cause.UNKNOWN_ABORT,
        r"(?:" + _ROC + r")?(?:Callback:?\s*)?" + _QUEUE + _ABORTING
        + r"(?P<hsa_status>HSA_STATUS_ERROR(?!_MEMORY_APERTURE|_ILLEGAL_INSTR|_MEMORY_FAULT|_OUT_OF_RES|_EXCEPTION)"
        r"(?:_[A-Z_]+)?)\b" + _CODE,
        ("HSA_STATUS_ERROR",),
        ":0:rocdevice.cpp            :3587: 99 us:  Callback: Queue 0x7e6a7d800000 aborting with error : "
        "HSA_STATUS_ERROR_INVALID_ALLOCATION: The requested allocation is not valid. code: 0x1003",
        "ROCclr rocdevice.cpp callbackQueue", "rocr", wraps=True, device=True,
        expect={"code": "0x1003", "hsa_status": "HSA_STATUS_ERROR_INVALID_ALLOCATION"},
    ),
    Pattern(
        "hsa-abort-by-number", Cause.UNKNOWN_ABORT,
        r"(?:" + _ROC + r")?Device::callbackQueue\s+aborting with status:\s*(?P<code>0x[0-9a-fA-F]+)",
        ("aborting with status",),
        ":0:rocdevice.cpp            :2301: 72 us: Device::callbackQueue aborting with status: 0x100f",
        "ROCclr rocdevice.cpp up to ROCm 4.2: the number only", "rocr", device=True, expect={"code": "0x100f"},
    ),
    Pattern(
        "rocr-queue-inactivated", Cause.UNKNOWN_ABORT,
        r"Queue at (?P<queue>0x[0-9a-fA-F]+) inactivated due to async error",
        ("inactivated due to async",),
        "Queue at 0x7f0100000000 inactivated due to async error:",
        "ROCr default queue error handler (programs without HIP)", "rocr", rank=Rank.DOWNSTREAM, device=True,
    ),
    Pattern(
        "rocr-memory-access-fault", Cause.MEMORY_ACCESS_FAULT,
        r"Memory access fault by GPU node-(?:(?P<node>\d+)|[XN]{1,2}(?=[^\n]{0,60}on address 0x[0-9a-fA-F]{6}))"
        r"(?:[^\n]{0,80}?on address\s+(?P<address>0x[0-9a-fA-F]+|\(nil\)))?"
        r"(?:[^\n]{0,60}?Reason:\s*(?P<reason>Page not present or supervisor privilege|Write access to a read-only page"
        r"|Execute access to a page marked NX|Host access only|DRAM ECC failure|SRAM ECC failure"
        r"|Generic hang recovery|Unknown|(?:ECC failure[^.\n]{0,40})))?",
        ("emory access fault by GPU",),
        "Memory access fault by GPU node-1 (Agent handle: 0x55b017570c40) on address 0x7fcd499e6000. Reason: Page not "
        "present or supervisor privilege.",
        "ROCr runtime.cpp VMFaultHandler, the same since 4.0", "rocr", wraps=True, device=True,
        expect={"node": 1, "address": "0x7fcd499e6000", "reason": "Page not present or supervisor privilege"},
    ),
    Pattern(
        "rocr-memory-critical-error", Cause.MEMORY_ACCESS_FAULT,
        r"Memory critical error by agent node-(?P<node>\d+)"
        r"(?:[^\n]{0,80}?on address\s+(?P<address>0x[0-9a-fA-F]+|\(nil\)))?(?:[^\n]{0,60}?Reason:\s*(?P<reason>Memory in use))?",
        ("emory critical error by agent",),
        "Memory critical error by agent node-0 (Agent handle: 0x388b9da0) on address 0x7f561fead000. Reason: Memory in use. ",
        "ROCr runtime.cpp FreeMemory: the driver refused to give the memory back", "rocr", wraps=True, device=True,
        expect={"node": 0, "address": "0x7f561fead000", "reason": "Memory in use"},
    ),
    Pattern(
        "clr-memory-fault-error", Cause.MEMORY_ACCESS_FAULT,
        r"Memory Fault Error \[(?:host:\s*(?P<host>[^,\]]+),\s*)?(?:GPU index:\s*(?P<gpu_index>\d+),\s*)?"
        r"faulting addr:\s*(?P<address>0x[0-9a-fA-F]+)(?:,\s*kernel:\s*(?P<kernel>[^\]\n]+))?\]?",
        ("Memory Fault Error",),
        "Memory Fault Error [host: box, GPU index: 0, faulting addr: 0x7f00, kernel: conv_fwd]",
        "CLR, newest format (7.x)", "rocr", wraps=True, device=True, expect={"address": "0x7f00", "kernel": "conv_fwd"},
    ),
    Pattern(
        "rocr-hw-exception", Cause.GPU_HANG_RESET,
        r"HW Exception by GPU node-(?P<node>\d+)(?:[^\n]{0,80}?reason\s*:\s*(?P<reason>GPU Hang|ECC[^\n.]{0,40}|[^\n.`]{1,40}))?",
        ("HW Exception by GPU",),
        "HW Exception by GPU node-1 (Agent handle: 0x1b0fc990) reason :GPU Hang",
        "ROCr runtime.cpp HwExceptionHandler, since ROCm 6.0; sent to every process of the GPU on a reset", "rocr", wraps=True,
        device=True, expect={"node": 1, "reason": "GPU Hang"},
    ),
    Pattern(
        "clr-kernel-name", Cause.NONE, r"\bKernel Name:\s*(?P<kernel>[^\n]+?)(?=\s+:0:rocdevice|\s*$|\n)",
        ("Kernel Name:",), "Kernel Name: _Z22fused_gated_ffn_kernelPKfS0_S0_Pfiii",
        "CLR 7.x; on stdout in 7.0 and 7.1", "rocr", rank=Rank.DETAIL,
        expect={"kernel": "_Z22fused_gated_ffn_kernelPKfS0_S0_Pfiii"},
    ),
    Pattern(
        "xla-failed-kernel", Cause.NONE, r"Failed to launch (?:ROCm|CUDA) kernel:\s*(?P<kernel>[^\s;,]+)",
        ("Failed to launch",), "Failed to launch ROCm kernel: input_scatter_fusion_38", "XLA stream executor",
        "xla", rank=Rank.DETAIL, expect={"kernel": "input_scatter_fusion_38"},
    ),
    Pattern(
        "gpu-core-file", Cause.NONE, r"GPU core ?dump created:\s*(?P<core>\S+)", ("ump created",),
        "GPU core dump created: gpucore.1", "ROCr amd_core_dump.cpp, since 6.2", "rocr", rank=Rank.DETAIL,
        expect={"core": "gpucore.1"},
    ),
    Pattern(
        "gpu-core-dump-lines", Cause.UNKNOWN_ABORT,
        r"GPU core ?dump(?: failed|:\s*(?:execvp failed|handler exited)| created)|Failed to fetch queues snapshot"
        r"|Failed to write (?:program header|segment data) to pipe",
        ("GPU core", "Failed to fetch queues", "Failed to write"), "GPU core dump failed",
        "ROCr amd_core_dump.cpp, since 6.2: written only while a GPU fault is handled", "rocr", rank=Rank.WEAK,
        whole=True,
    ),
    # ---- HIP and CUDA: runtime error texts. {texts} rows are in RUNTIME_ERRORS below ----------------------
    Pattern(
        "hip-no-binary", Cause.NO_KERNEL_IMAGE,
        r"(?:\S+\.cpp:\d+: guarantee\([^\n\"]{0,40}\"?)?hipErrorNoBinaryForGpu:\s*(?:Unable to find code object for (?:all )?current devices?"
        r"|Coul?dn'?t find binary for (?:file: \S+, for )?current devices?)",
        ("hipErrorNoBinaryForGpu",),
        '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"',
        "CLR hip_code_object.cpp up to 5.5 (then abort 134), 4.x: Coudn't find binary", "hip",
        fields={"hip_error": "hipErrorNoBinaryForGpu"},
    ),
    Pattern(
        "cuda-arch-unsupported", Cause.NO_KERNEL_IMAGE,
        r"no (?:suitable|kernel) (?:binary|image) (?:for|found for)[^\n]{0,80}(?:gfx\w+|sm_\d+|compute capability)"
        r"|(?:HIP|CUDA) binary kernel for this graphics card compute capability \([\d.]+\) not found"
        r"|ggml_cuda_\w+[^\n]{0,40}no (?:device|kernel) code (?:compiled|compatible)[^\n]{0,80}"
        r"|(?:ERROR: )?(?:HIP|CUDA) kernel \S+ has no device code compatible with (?:HIP|CUDA) arch \d+",
        ("binary", "kernel image for", "device code", "no kernel code"),
        "ERROR: CUDA kernel flash_attn_ext_f16 has no device code compatible with CUDA arch 700.",
        "Blender Cycles device_impl; ggml-cuda common.cuh no_device_code", "runtime",
    ),
    Pattern(
        "cycles", Cause.NONE,
        r"(?P<text>Illegal address|Out of memory|Launch failed|Launch exceeded timeout|Unknown error|Invalid value|Invalid context"
        r"|Invalid handle|No binary for GPU|Misaligned address|Illegal instruction|Not initialized|Not found|Not supported) in "
        r"(?:(?P<flavour>HIP|CUDA|OptiX) queue \w+|(?P<call>hip|cu)[A-Z]\w+\()",
        ("Illegal address in", "Out of memory in", "Launch ", "Unknown error in", "Invalid ", "No binary for GPU in",
         "Misaligned address in", "Illegal instruction in", "Not "),
        "Illegal address in HIP queue synchronize (integrator_init_from_camera)",
        "Blender Cycles device/hip/util.cpp, device/cuda/util.cpp", "runtime",
        expect={"hip_error": "hipErrorIllegalAddress"},
    ),
    Pattern(
        "sanitizer-access", Cause.MEMORY_ACCESS_FAULT,
        r"=========\s+(?:Error: )?(?:Invalid __(?:global|shared|local)__ (?:read|write|atomic)|Address 0x[0-9a-fA-F]+ is (?:misaligned|out of bounds)"
        r"|Fatal UVM GPU fault of type [^\n]{3,60} due to invalid address)",
        ("Invalid __", "========= "), "========= Invalid __global__ read of size 4 bytes",
        "compute-sanitizer, cuda-memcheck: memcheck tool", "runtime", device=True,
    ),
    Pattern(
        "debugger-access", Cause.MEMORY_ACCESS_FAULT,
        _STOPPED + r"received signal CUDA_EXCEPTION_\d+, (?:Lane|Warp|Device|Cluster)(?: User)? (?:Illegal Address|Out-of-range(?: Shared/Local)? Address|Out of range(?: Shared)? Address)",
        ("CUDA_EXCEPTION_",), 'Thread 1 "python" received signal CUDA_EXCEPTION_14, Warp Illegal Address.', "cuda-gdb",
        "runtime", device=True,
    ),
    Pattern(
        "debugger-instruction", Cause.ILLEGAL_INSTRUCTION,
        _STOPPED + r"received signal CUDA_EXCEPTION_\d+, Warp Illegal Instruction", ("CUDA_EXCEPTION_",),
        "CUDA Exception: received signal CUDA_EXCEPTION_4, Warp Illegal Instruction.", "cuda-gdb", "runtime", device=True,
        fields={"where": "gpu"}, expect={"where": "gpu"},
    ),
    Pattern(
        "debugger-assert", Cause.DEVICE_ASSERT, _STOPPED + r"received signal CUDA_EXCEPTION_\d+, (?:Warp|CUDA Kernel) [Aa]ssert",
        ("CUDA_EXCEPTION_",), 'Thread 1 "python" received signal CUDA_EXCEPTION_12, Warp Assert.', "cuda-gdb", "runtime",
        device=True,
    ),
    Pattern(
        "sycl-oom", Cause.OUT_OF_MEMORY, r"(?:backend failed with error|UR error)[^\n]{0,20}\b(?:UR|PI|ZE)_RESULT_ERROR_OUT_OF_(?:DEVICE|HOST)_MEMORY",
        ("_RESULT_ERROR_OUT_OF",), "level_zero backend failed with error: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "oneAPI unified runtime", "runtime",
    ),
    Pattern(
        "sycl-device-lost", Cause.GPU_HANG_RESET, r"(?:backend failed with error|UR error)[^\n]{0,20}\b(?:UR|PI|ZE)_RESULT_ERROR_DEVICE_LOST",
        ("_RESULT_ERROR_DEVICE_LOST",), "level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)",
        "oneAPI unified runtime: the driver reset the device under the program", "runtime", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "opencl-status", Cause.PYTHON_EXCEPTION_OTHER,
        r"\bcl[A-Z]\w+\((?:\.{3})?\)(?:: | failed(?: with)?(?: error)?(?: code)?:? )(?P<code>CL_(?!SUCCESS|OUT_OF_HOST|MEM_OBJECT_ALLOC)[A-Z_]+)(?=\s*$)", ("(): CL_", "ailed", "...): CL_"),
        "clEnqueueNDRangeKernel(): CL_OUT_OF_RESOURCES", "OpenCL CL/cl.h, as hashcat and miners print it", "runtime",
        rank=Rank.DOWNSTREAM, whole=True, expect={"code": "CL_OUT_OF_RESOURCES"},
    ),
    # ---- rocBLAS / Tensile --------------------------------------------------------------------------------
    Pattern(
        "rocblas-tensile-missing", Cause.MISSING_LIBRARY_KERNELS,
        r"r?oc(?:BLAS|blas) error:\s*(?:Cannot read\s+)?[^\n]{0,300}?TensileLibrary[^\n]{0,200}?"
        r"(?:for GPU arch\s*:\s*(?P<gpu_arch>gfx\w+)|(?<=_)(?P<gpu_arch2>gfx[0-9a-f]+)\.(?:dat|co|hsaco|yaml)(?![^\n]*GPU arch)|$|\n)",
        ("ocBLAS error", "ocblas error"),
        "rocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: No such file or directory for "
        "GPU arch : gfx1010",
        "rocBLAS tensile_host.cpp, then rocblas_abort (SIGABRT)", "rocblas", wraps=True,
        fields={"library": "rocBLAS/Tensile"}, expect={"gpu_arch": "gfx1010", "library": "rocBLAS/Tensile"},
    ),
    Pattern(
        "hipblaslt-missing", Cause.MISSING_LIBRARY_KERNELS,
        r"(?:hip|roc)blaslt error:\s*(?:Cannot read|Could not load)\s+[\"']?[^\n\"']*?"
        r"(?:_(?P<gpu_arch>gfx[0-9a-f]+)\.(?:dat|co|hsaco|yaml)|for GPU arch\s*:\s*(?P<gpu_arch2>gfx\w+)|$|[\"'\n])"
        r"|Cannot read\s+\"?\S*(?:hipblaslt|TensileLibrary)\S*\"?:\s*No such file",
        ("blaslt", "TensileLibrary"),
        'rocblaslt error: Cannot read "TensileLibrary_lazy_gfx1103.dat": No such file or directory',
        "hipBLASLt tensile_host.cpp (rocblaslt error: since it exists, older text hipblaslt error:)", "hipblaslt",
        fields={"library": "hipBLASLt/Tensile"}, wraps=True, expect={"gpu_arch": "gfx1103"},
    ),
    Pattern(
        "rocblas-no-device", Cause.HIP_INIT_ERROR, r"Could not initialize Tensile (?:host|library):\s*No devices found",
        ("No devices found",), "rocBLAS error: Could not initialize Tensile host: No devices found",
        "rocBLAS tensile_host.cpp: hipGetDeviceCount found none; no kernel is missing", "rocblas", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "rocblas-tensile-host", Cause.MISSING_LIBRARY_KERNELS,
        r"(?:(?:rocBLAS|rocblas) error:\s*)?Could not (?:initialize Tensile (?:host|library)|load Tensile\w*)[^\n\"`]{0,200}",
        ("Tensile",),
        "rocBLAS error: Could not initialize Tensile host:",
        "rocBLAS tensile_host.cpp", "rocblas",
        rank=Rank.DOWNSTREAM, fields={"library": "rocBLAS/Tensile"},
    ),
    # ---- MIOpen -------------------------------------------------------------------------------------------
    Pattern(
        "miopen-error", Cause.MIOPEN_ERROR,
        r"MIOpen Error\b[:\s]*(?:-\s*|(?P<at>[^\s:]+:\d+):)?\s*(?P<detail>[^\n`]{0,400})", ("MIOpen Error", "IOpen Error"),
        "MIOpen Error: /MIOpen/src/ocl/convolutionocl.cpp:518: Forward Convolution cannot be executed due to incorrect "
        "params",
        "MIOpen errors.cpp Exception::Where", "miopen", fields={"library": "MIOpen"}, expect={"library": "MIOpen"},
    ),
    Pattern(
        "miopen-source-line", Cause.MIOPEN_ERROR,
        r"/(?:MIOpen|MLOpen|miopen)/src/[\w./-]+\.[ch]pp:\d+: (?!\d|error\b|warning\b|note\b|undefined\b|\w[\w:<> ]*\()"
        r"(?P<detail>[^\n`]{4,400})",
        ("IOpen/src/", "LOpen/src/", "iopen/src/"),
        "FAILED: /MIOpen/src/hipoc/hipoc_program.cpp:162: Failed creating module from file /tmp/miopen-1",
        "MIOpen errors.cpp: what() of its exception, as test programs and bindings print it", "miopen",
        fields={"library": "MIOpen"}, expect={"library": "MIOpen"},
    ),
    Pattern(
        "miopen-log-error", Cause.MIOPEN_ERROR,
        _MIO + r":\s*Error\s*\[[^\]]{1,240}\]\s*(?P<detail>[^\n`]{0,400})", ("Error [",),
        "MIOpen(HIP): Error [BuildHip] HIPRTC status = HIPRTC_ERROR_COMPILATION (6), source file: "
        "MIOpenBatchNormFwdTrainSpatialHIP.cpp",
        "MIOpen logger (prefix MIOpen: in TheRock builds)", "miopen", fields={"library": "MIOpen"},
        expect={"library": "MIOpen"},
    ),
    Pattern(
        "miopen-sqlite-warning", Cause.MIOPEN_ERROR,
        _MIO + r":\s*Warning\s*\[\w{1,80}\]\s*(?:\S+:\d+:\s*)?(?P<detail>[^\n:]{0,60}:?\s*Internal error while accessing SQLite database[^\n`]{0,200})",
        ("accessing SQLite",),
        "MIOpen(HIP): Warning [FindFftSolutions] /src/sqlite_db.cpp:212: Internal error while accessing SQLite database: disk I/O error",
        "MIOpen sqlite_db.cpp: each find step that its database refuses", "miopen", rank=Rank.WEAK,
        fields={"library": "MIOpen"}, expect={"library": "MIOpen"},
    ),
    Pattern(
        "miopen-status", Cause.MIOPEN_ERROR,
        r"(?P<miopen_status>miopenStatus(?:NotInitialized|InvalidValue|BadParm|AllocFailed|InternalError"
        r"|NotImplemented|UnknownError|UnsupportedOp|VersionMismatch))\b(?=[\"'`).,;:!\]*]*\s*(?:$|\n|[(\[]|cudnn|; GPU=))",
        ("miopenStatus",), "RuntimeError: miopenStatusUnknownError",
        "torch aten/src/ATen/miopen/Exceptions.h", "miopen", fields={"library": "MIOpen"},
        expect={"miopen_status": "miopenStatusUnknownError"},
    ),
    # ---- device asserts -----------------------------------------------------------------------------------
    Pattern(
        "hip-device-assert", Cause.DEVICE_ASSERT,
        r"(?:(?:void|int|bool|auto)?\s*(?P<kernel>[\w:~]+)(?:\([^`\n]{0,600}?)?:\s*)?Device-side assertion\s+`",
        ("Device-side assertion",),
        "skinny.hip:497: void wvSplitK_hf_sml_(const int, const int) [N = 2]: Device-side assertion `false' failed.",
        "HIP device library __assert_fail (needs hostcall, PCIe atomics)", "kernel", device=True, wraps=True,
        expect={"kernel": "wvSplitK_hf_sml_"},
    ),
    Pattern(
        "cuda-device-assert", Cause.DEVICE_ASSERT,
        r"block\s?[:：]\s*\[\d+,\s*\d+,\s*\d+\][,，]\s*thread\s?[:：]\s*\[\d+,\s*\d+,\s*\d+\]\s*(?:Assertion\s+[`'\"‘]|断言)",
        ("thread: [", "thread： ["),
        "../aten/src/ATen/native/cuda/Indexing.cu:1292: indexSelectLargeIndex: block: [0,0,0], thread: [1,0,0] "
        "Assertion `srcIndex < srcSelectDimSize` failed.",
        "CUDA device assert", "kernel", device=True,
    ),
    # ---- initialisation -----------------------------------------------------------------------------------
    Pattern(
        "kfd-open", Cause.HIP_INIT_ERROR,
        r"Unable to open (?:/dev/kfd|/dev/dri/\S+)(?: read-write)?:\s*(?P<reason>[A-Z][A-Za-z ]+[a-z])", ("Unable to open /dev",),
        "Unable to open /dev/kfd read-write: Permission denied", "rocminfo.cc / libhsakmt openclose.c", "kfd",
        expect={"reason": "Permission denied"},
    ),
    Pattern(
        "rock-not-loaded", Cause.HIP_INIT_ERROR, r"ROCk module is NOT loaded", ("ROCk module",),
        "ROCk module is NOT loaded, possibly no GPU devices", "rocminfo.cc", "kfd", whole=True,
    ),
    Pattern(
        "override-invalid", Cause.HIP_INIT_ERROR, r"HSA_OVERRIDE_GFX_VERSION\s+\S*\s*is invalid", ("is invalid",),
        "HSA_OVERRIDE_GFX_VERSION 10.3 is invalid", "libhsakmt topology.c", "kfd", whole=True,
    ),
    Pattern(
        "torch-no-gpu", Cause.HIP_INIT_ERROR,
        r"No (?P<flavour>HIP|CUDA) GPUs are available|Found no NVIDIA driver on your system"
        r"|The NVIDIA driver on your system is too old|Torch is not able to use GPU"
        r"|Torch not compiled with CUDA enabled",
        ("GPUs are available", "NVIDIA driver on your system", "not able to use GPU", "not compiled with CUDA"),
        "RuntimeError: No HIP GPUs are available", "torch c10/cuda, torch/cuda/__init__.py", "torch",
    ),
    Pattern(
        "ggml-init", Cause.HIP_INIT_ERROR,
        r"ggml_(?:cuda|hip)_init: failed to initialize (?P<flavour>ROCm|CUDA|HIP|MUSA):(?:\s+(?P<text>[^\n\"`]+))?",
        ("failed to initialize",), "ggml_cuda_init: failed to initialize ROCm: no ROCm-capable device is detected",
        "ggml-cuda.cu", "hip", wraps=True, expect={"hip_error": "hipErrorNoDevice"},
    ),
    Pattern(
        "cuda-init", Cause.HIP_INIT_ERROR,
        r"CUDA (?:driver )?initiali[sz]ation(?: failed|: (?:CUDA unknown error|Unexpected error|The NVIDIA driver))"
        r"|Unexpected error from (?:cuda|hip)GetDeviceCount\(\)"
        r"|(?:cuInit|hipInit|cudaGetDeviceCount|hipGetDeviceCount)(?:\(\d*\))?\s*(?:failed|returned|:)\s*(?:with )?"
        r"(?!hipSuccess|cudaSuccess|Returned)[^\n`]{1,60}"
        r"|Failed to (?:initialize NVML|create HIP context|create CUDA context)",
        ("nitiali", "GetDeviceCount", "cuInit", "hipInit", "create HIP context", "create CUDA context"),
        "RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.",
        "torch, Blender, hashcat", "runtime",
    ),
    Pattern(
        "rocr-init", Cause.HIP_INIT_ERROR,
        r"HSA Error:\s*Incompatible kernel and userspace|hsaKmtOpenKFD[^\n]{0,30}fail|hsa_init\(?\)?[^\n]{0,20}\b[Ff]ail"
        r"|Unable to open /dev/dxg|kfd(?: kfd)?: (?:amdgpu: )?(?:skipped device|\S+ not supported in kfd|DID \S+ not supported)",
        ("Incompatible kernel", "hsaKmtOpenKFD", "hsa_init", "skipped device", "not supported in kfd", "/dev/dxg"),
        "HSA Error:  Incompatible kernel and userspace, GPU disabled. Try upgrading amdgpu.",
        "ROCr amd_topology.cpp, amdgpu kfd_device.c", "kfd",
    ),
    # ---- memory -------------------------------------------------------------------------------------------
    Pattern(
        "torch-oom", Cause.OUT_OF_MEMORY,
        r"(?P<flavour>HIP|CUDA|XPU|MPS|NPU|MUSA)(?: backend)? out of memory\.(?:\s*Tried to allocate (?P<size>[\d.]+ ?[KMGT]?i?B))?",
        ("out of memory",),
        "torch.OutOfMemoryError: HIP out of memory. Tried to allocate 14.00 MiB. GPU 0 has a total capacity of 5.98 GiB",
        "torch CUDACachingAllocator (torch.cuda.OutOfMemoryError up to 2.4, torch.OutOfMemoryError from 2.5)", "torch",
        expect={"size": "14.00 MiB"},
    ),
    Pattern(
        "torch-oom-bare", Cause.OUT_OF_MEMORY,
        r"(?:[A-Z]\w*Error: |\b[Ee]rror: )(?:HIP|CUDA) out of memory(?=[\"']?\s*$)", ("out of memory",),
        "RuntimeError: CUDA out of memory", "torch, cut or retold without its figures", "torch", whole=True,
    ),
    Pattern(
        "alloc-failed", Cause.OUT_OF_MEMORY,
        r"\b(?P<call>(?:cuda|hip|cu|musa|zeMem)(?:Malloc|Mem(?:ory)?Alloc|HostAlloc|HostMalloc|ExtMalloc)\w*)(?:\([^)\n]{0,80}\))?"
        r"\s*(?:failed|:)[^\n]{0,40}?out of memory",
        ("out of memory",),
        "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 5099.12 MiB on device 4: cudaMalloc failed: out of memory",
        "ggml-cuda.cu, hashcat backend.c", "runtime",
    ),
    Pattern(
        "oom-other", Cause.OUT_OF_MEMORY,
        r"\b(?:torch(?:\.cuda)?\.)?OutOfMemoryError(?=:|\s*$)(?!: Task was killed)(?::[^\n]*)?"
        r"|RESOURCE_EXHAUSTED:[^\n]{0,60}[Oo]ut of memory|OOM when allocating tensor"
        r"|failed to allocate [^\n]{1,80}(?:CUDA_ERROR_OUT_OF_MEMORY|hipErrorOutOfMemory|HIP_ERROR_OutOfMemory|hipError_t\((?:2|1002)\))"
        r"|\bCUDA_ERROR_OUT_OF_MEMORY\b(?=\s*[:(]|\s*$)|ErrorOutOfDeviceMemory"
        r"|\b[Aa]lloc(?:ate|ation|ating)?\b[^\n:]{0,40}\b(?:failed|failure|error)\b[^\n:]{0,20}:\s*[Oo]ut of memory"
        r"|System is out of GPU (?:and shared host )?memory|Not enough allocatable device memory for this attack"
        r"|CL_OUT_OF_HOST_MEMORY|CL_MEM_OBJECT_ALLOCATION_FAILURE"
        r"|Not enough memory\. Please try to increase|GGML_CUDA_OOM|ran out of (?:GPU|CUDA|HIP) memory",
        ("OutOfMemory", "hipError_t(", "RESOURCE_EXHAUSTED", "OOM when", "OUT_OF_MEMORY", "OutOfDeviceMemory", "out of GPU",
         "allocatable device memory", "ut of memory", "OUT_OF_HOST_MEMORY", "MEM_OBJECT_ALLOC", "Not enough memory", "ran out of"),
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
        "XLA, TensorFlow, Vulkan, Blender Cycles, hashcat", "runtime",
    ),
    Pattern(
        "xla-oom", Cause.OUT_OF_MEMORY,
        r"\b(?:RESOURCE_EXHAUSTED|Resource exhausted):\s*(?:: )?(?:Failed to allocate|[^\n]{0,60}[Oo]ut\s+of memory)",
        ("RESOURCE_EXHAUSTED", "esource exhausted"),
        "RESOURCE_EXHAUSTED: Failed to allocate request for 1.00GiB (1073741824B) on device ordinal 0",
        "XLA buffer assignment and PJRT allocator (up to 2021: Resource exhausted:)", "runtime", wraps=True,
    ),
    Pattern(
        "torch-async-oom", Cause.OUT_OF_MEMORY, r"Allocation on device(?: \d+ would exceed allowed memory\.[^\n]*)?(?=\s*$)",
        ("Allocation on device",), "!!! Exception during processing !!! Allocation on device",
        "torch CUDAMallocAsyncAllocator.cpp, as ComfyUI prints it", "torch", whole=True,
    ),
    Pattern(
        "host-oom", Cause.OUT_OF_MEMORY,
        r"DefaultCPUAllocator: (?:can't allocate memory|not enough memory)"
        r"|\bMemoryError\b(?::[^\n]*)?$|numpy\S*_ArrayMemoryError|terminate called after throwing an instance of 'std::bad_alloc'|what\(\):\s+std::bad_alloc\b|C\+\+ exception with description \"std::bad_alloc\""
        r"|[Uu]nable to allocate [\d.]+ [KMGT]iB for an array"
        r"|ggml_aligned_malloc: insufficient memory|\bmmap failed: Cannot allocate memory|memory allocation of \d+ bytes failed",
        ("DefaultCPUAllocator", "MemoryError", "std::bad_alloc", "nable to allocate", "insufficient memory",
         "Cannot allocate memory", "memory allocation of"),
        "RuntimeError: [enforce fail at alloc_cpu.cpp:75] err == 0. DefaultCPUAllocator: can't allocate memory: you "
        "tried to allocate 1099511627776 bytes.",
        "torch alloc_cpu.cpp, CPython, libstdc++", "host",
    ),
    Pattern(
        "kernel-oom-kill", Cause.CPU_OOM_KILL,
        r"(?:Memory cgroup out of memory|[Oo]ut of memory(?: \([^)\n]*\))?): Kill(?:ed)? process (?P<pid>\d+)"
        r"|oom-kill:constraint=\S*?pid=(?P<pid2>\d+)\b|oom_reaper: reaped process (?P<pid3>\d+)"
        r"|(?:\S+ )?invoked oom-killer",
        ("Kill process", "Killed process", "oom-kill", "oom_reaper"),
        "Out of memory: Killed process 4567 (firefox) total-vm:8123456kB, anon-rss:5234567kB",
        "Linux mm/oom_kill.c", "kernel-log", fields={"signal": "SIGKILL"}, expect={"pid": 4567, "signal": "SIGKILL"},
    ),
    Pattern(
        "user-oom-kill", Cause.CPU_OOM_KILL,
        r"fatal error: Killed signal terminated program|Detected \d+ oom[-_]kill event|task \d+: Out Of Memory|\bOOMKilled\b|systemd-oomd\[?\d*\]?:? Killed"
        r"|A process in this unit has been killed by the OOM killer|Failed with result 'oom-kill'"
        r"|(?:killed|terminated)[^\n]{0,60}(?:low on memory|memory pressure|OOM[ -]?[Kk]iller|due to the node running low on memory)"
        r"|exit(?:ed)?(?: with)?(?: code)?[^\n]{0,12}137\b[^\w\n]{0,6}(?:(?:SIGKILL|killed|likely|probably|by|the|due to|because of)[^\w\n]{1,4}){0,4}(?:out of memory|OOM|oom)"
        r"|(?:SIGKILL|signal 9)[^\n]{0,80}(?:out of memory|OOM|oom|memory)",
        ("Killed signal", "oom_kill", "Out Of Memory", "OOMKilled", "systemd-oomd", "OOM killer", "oom-kill", "low on memory", "memory pressure", "exit", "SIGKILL",
         "signal 9", "OOM Killer"),
        "c++: fatal error: Killed signal terminated program cc1plus",
        "gcc driver, Kubernetes, systemd, Ray", "host", fields={"signal": "SIGKILL"}, expect={"signal": "SIGKILL"},
    ),
    # ---- kernel log: amdgpu -------------------------------------------------------------------------------
    Pattern(
        "amdgpu-page-fault", Cause.MEMORY_ACCESS_FAULT,
        r"\[(?:gfxhub|mmhub)\d*\](?: \w+ interrupt)? ?(?:\([^)\n]{0,80}\) ?)?(?:retry |no-retry )?page fault"
        r"(?:[^\n]{0,200}?for process (?P<process>\S+) pid (?P<pid>\d+))?"
        r"|VM fault \(0x[0-9a-f]+|GPU fault detected: \d+ 0x[0-9a-f]+(?: for process (?P<process2>\S+) pid (?P<pid2>\d+))?",
        ("page fault", "VM fault (", "GPU fault detected"),
        "amdgpu 0000:74:00.0: amdgpu: [gfxhub] page fault (src_id:0 ring:24 vmid:8 pasid:32771)",
        _DMESG + ", gmc_v*.c", "kernel-log", device=True,
    ),
    Pattern(
        "amdgpu-fault-status", Cause.MEMORY_ACCESS_FAULT, r"\w*VM_L2_PROTECTION_FAULT_STATUS:\s*(?P<status>0x[0-9a-fA-F]+)",
        ("PROTECTION_FAULT_STATUS",), "amdgpu: GCVM_L2_PROTECTION_FAULT_STATUS:0x00801031", _DMESG + ", gmc_v*.c",
        "kernel-log", device=True,
    ),
    Pattern(
        "amdgpu-fault-address", Cause.NONE,
        r"in page starting at address (?P<address>0x[0-9a-fA-F]+)(?: from (?:client|IH client) (?P<client>0x[0-9a-fA-F]+))?",
        ("in page starting",), "amdgpu:   in page starting at address 0x00007a6e20839000 from client 0x1b (UTCL2)",
        _DMESG, "kernel-log", rank=Rank.DETAIL, expect={"address": "0x00007a6e20839000"},
    ),
    Pattern(
        "amdgpu-fault-process", Cause.NONE,
        r"(?:in process|Process information: process|for process|\bProcess) +(?P<process>(?:[^\n:]|::){0,40}?) pid (?P<pid>[1-9]\d*)",
        ("rocess",), "amdgpu:  in process python3 pid 3710 thread python3 pid 3710", _DMESG, "kernel-log",
        rank=Rank.DETAIL, wraps=True, expect={"pid": 3710, "process": "python3"},
    ),
    Pattern(
        "amdgpu-ring-timeout", Cause.GPU_HANG_RESET,
        r"\bring (?P<ring>[\w.]+) timeout(?:,|\b)(?!\s*(?:=|:))", (" timeout,",),
        "[drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx_0.0.0 timeout, signaled seq=2, emitted seq=4",
        _DMESG + ", amdgpu_job.c", "kernel-log", device=True, wraps=True, expect={"ring": "gfx_0.0.0"},
    ),
    Pattern(
        "amdgpu-reset", Cause.GPU_HANG_RESET,
        r"GPU reset begin!|GPU reset(?:\(\d+\))? (?:succeeded|failed|end)|GPU (?:BACO|mode1|mode2|MODE1|MODE2) reset"
        r"|VRAM is lost due to GPU reset|device wedged, but recovered through reset|Starting \S+ ring reset"
        r"|ASIC reset failed|IP block:\S+ is hung|soft reset failed",
        ("GPU reset", "BACO reset", "ode1 reset", "ode2 reset", "ODE1 reset", "ODE2 reset", "ring reset", "device wedged",
         "is hung", "soft reset failed", "ASIC reset"), "amdgpu 0000:03:00.0: amdgpu: GPU reset begin!", _DMESG + ", amdgpu_device.c",
        "kernel-log", device=True,
    ),
    Pattern(
        "rocr-signal-timeout", Cause.GPU_HANG_RESET, r"Signal wait abort timeout\b", ("Signal wait abort timeout",),
        "  what():  Signal wait abort timeout.", "rocr-runtime, HSA_SIGNAL_WAIT_ABORT_TIMEOUT", "rocr", device=True,
    ),
    Pattern(
        "amdgpu-ras-fatal", Cause.GPU_HANG_RESET,
        r"[Uu]ncorrectable hardware error ?\(ERREVENT_ATHUB_INTERRUPT\) detected|RAS event of type ERREVENT_ATHUB_INTERRUPT detected",
        ("ERREVENT_ATHUB_INTERRUPT",),
        "amdgpu 0000:dd:00.0: amdgpu: uncorrectable hardware error(ERREVENT_ATHUB_INTERRUPT) detected!",
        _DMESG + ", amdgpu_ras.c: a reset follows", "kernel-log", device=True,
    ),
    Pattern(
        "kfd-preemption", Cause.GPU_HANG_RESET,
        r"qcm fence wait loop timeout expired|[Cc]p might be in an unrecoverable state|HIQ MQD's queue_doorbell_id0 is not 0"
        r"|Failed to evict (?:process )?queues|Resetting wave fronts|unsuccessful queues preemption"
        r"|Failed to quiesce KFD|failed to remove hardware queue from MES"
        r"|MES(?:\(\d\))? (?:failed to respond to msg|might be in unrecoverable state|ring buffer is full)"
        r"|queue evicted|Failed to restore process queues|Freeing queue vital buffer",
        ("qcm fence", "unrecoverable", "HIQ MQD", "Failed to evict", "wave fronts", "preemption", "quiesce KFD", "from MES",
         "MES ", "MES(", "queue evicted", "restore process queues", "vital buffer"),
        "amdgpu: qcm fence wait loop timeout expired", _DMESG + ", kfd_device_queue_manager.c, mes_v*.c", "kernel-log",
        device=True,
    ),
    Pattern(
        "amdgpu-bad-command", Cause.GPU_HANG_RESET,
        r"Illegal (?:instruction|register access|opcode) in command stream|scheduler \S+ is not ready, skipping"
        r"|device lost from bus|SMU: bus error|Failed to initialize parser -125|Skip scheduling IBs"
        r"|\*ERROR\* ring \S+ test failed|GPU Recovery Failed: -\d+|amdgpu: failed to reset GPU"
        r"|SMU: (?:I'm not done|response)[^\n]{0,60}(?:timeout|failed)|\*ERROR\* Waiting for fences timed out",
        ("in command stream", "is not ready, skipping", "Waiting for fences", "SMU: ", "initialize parser",
         "Skip scheduling", "lost from bus", " test failed", "GPU Recovery Failed", "failed to reset GPU"),
        "[drm:gfx_v10_0_priv_inst_irq [amdgpu]] *ERROR* Illegal instruction in command stream", _DMESG + ", gfx_v*.c",
        "kernel-log", device=True,
    ),
    Pattern(
        "vulkan-device-lost", Cause.GPU_HANG_RESET,
        r"\bvk::\w[\w:]*:\s*ErrorDeviceLost\b|\bVK_ERROR_DEVICE_LOST\b(?=\W*$|\s*\()|The CS has been (?:cancelled|rejected)[^\n]{0,40}"
        r"|radv: GPU hang detected|instance of 'vk::DeviceLostError'",
        ("DeviceLost", "DEVICE_LOST", "The CS has been", "GPU hang detected"),
        "llama_model_load: error loading model: vk::Queue::submit: ErrorDeviceLost",
        "Vulkan-Hpp, Mesa radv: the driver reset the device under the program", "vulkan", rank=Rank.DOWNSTREAM,
    ),
    # ---- kernel log: NVIDIA -------------------------------------------------------------------------------
    Pattern(
        "xid", Cause.NONE,
        r"NVRM: Xid \((?:PCI:)?(?P<pci>[0-9a-fA-F:.]+)(?:[^)]*)\): (?P<xid>\d+)"
        r"(?:, pid='?(?P<pid>\d+|<unknown>)'?)?(?:, name=(?P<process>[^,\n]+))?"
        r"(?:[^\n]{0,200}?@ (?P<address>0x[0-9a-fA-F_]+))?",
        ("NVRM: Xid",),
        "NVRM: Xid (PCI:0000:01:00): 31, pid=80798, name=llama-server, Ch 00000008, intr 00000000. MMU Fault: ENGINE "
        "GRAPHICS GPC1 GPCCLIENT_T1_3 faulted @ 0x7e9f_4f200000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ",
        "NVIDIA driver, kernel log; the number decides (XIDS)", "kernel-log", device=True,
        expect={"xid": 31, "pid": 80798, "address": "0x7e9f_4f200000"},
    ),
    Pattern(
        "nvrm-off-bus", Cause.GPU_HANG_RESET, r"(?:GPU (?:has )?|NVRM:[^\n]{0,80}?)fallen off (?:of )?the bus", ("off the bus", "off of the bus"),
        "NVRM: fallen off the bus and is not responding to commands.",
        "NVIDIA driver, kernel log (the line after Xid 79, or alone when it happens before initialisation); nvidia-smi",
        "kernel-log",
    ),
    # ---- the process itself -------------------------------------------------------------------------------
    Pattern(
        "kernel-segfault", Cause.SEGFAULT,
        r"(?P<process>\S+)\[(?P<pid>\d+)\]: segfault at (?P<address>[0-9a-fA-F]+)"
        r"(?: ip [^\n]{0,120}? error \w+(?: in (?P<library>[^\s\[]+)\[)?)?",
        ("segfault at",),
        "llama-server[80906]: segfault at 204803fe0 ip 00007f00399189d7 sp 00007ffc4a6104f0 error 4 in "
        "libcuda.so.575.51.03[7f00395c5000+e97000]",
        "Linux arch/x86/mm/fault.c", "kernel-log", rank=Rank.WEAK, fields={"signal": "SIGSEGV"},
        expect={"pid": 80906, "library": "libcuda", "signal": "SIGSEGV"},
    ),
    Pattern(
        "kernel-invalid-opcode", Cause.ILLEGAL_INSTRUCTION, r"\[(?P<pid>\d+)\]:? trap(?:s:)? invalid opcode|traps: \S+\[(?P<pid2>\d+)\] trap invalid opcode",
        ("trap invalid opcode",), "traps: llama-server[4711] trap invalid opcode ip:7f0 sp:7ff error:0",
        "Linux arch/x86/kernel/traps.c", "kernel-log", rank=Rank.WEAK, fields={"signal": "SIGILL", "where": "cpu"},
    ),
    Pattern(
        "told-job-segfault", Cause.SEGFAULT, _JOB + r"[Ss]egmentation [Ff]ault\b", ("egmentation fault", "egmentation Fault"),
        "[1]    4711 segmentation fault (core dumped)  python train.py", _SHELL_JOB, "process", rank=Rank.WEAK,
        fields={"signal": "SIGSEGV"}, expect={"signal": "SIGSEGV"},
    ),
    Pattern(
        "told-job-abort", Cause.UNKNOWN_ABORT, _JOB + r"(?:Aborted|Abort trap|IOT instruction|abort)\b",
        ("Abort", "IOT instruction", "abort "), "bash: line 1:  4711 Abort trap: 6           ./bin/miner",
        _SHELL_JOB, "process", rank=Rank.WEAK, fields={"signal": "SIGABRT"}, expect={"signal": "SIGABRT"},
    ),
    Pattern(
        "told-job-illegal", Cause.ILLEGAL_INSTRUCTION, _JOB + r"[Ii]llegal (?:hardware )?instruction\b",
        ("llegal instruction", "llegal hardware instruction"),
        "[1]    4711 illegal hardware instruction (core dumped)  python predict.py", _SHELL_JOB, "process",
        rank=Rank.WEAK, fields={"signal": "SIGILL", "where": "cpu"}, expect={"signal": "SIGILL", "where": "cpu"},
    ),
    Pattern(
        "cpu-illegal-instruction", Cause.ILLEGAL_INSTRUCTION,
        r"(?:\S*: line \d+:\s*)?(?:\[\d+\]\s*[+-]?\s*)?(?:\d+ +)?(?<!\*ERROR\* )(?<!\ban )\b[Ii]llegal (?:hardware )?instruction\b(?! was)(?=: 4\s*$|\s*(?:\(core dumped\)|$|\S+\s*$|\"|[./~\w]))"
        r"|(?:Thread \d+ \"[^\"\n]*\" |Program )?received signal SIGILL|(?<![.\w])SIGILL\b(?![,)])|Fatal Python error: Illegal instruction",
        ("llegal instruction", "llegal hardware instruction", "SIGILL"),
        "Illegal instruction (core dumped)", "shell, CPython faulthandler", "process", rank=Rank.WEAK,
        fields={"signal": "SIGILL", "where": "cpu"}, whole=True, expect={"signal": "SIGILL", "where": "cpu"},
    ),
    Pattern(
        "segfault", Cause.SEGFAULT,
        r"(?:\S*: line \d+:\s*)?(?:\[\d+\]\s*[+-]?\s*)?(?P<pid>\d+ +)?[Ss]egmentation [Ff]ault\b"
        r"|Fatal Python error: Segmentation fault|Signal: Segmentation fault"
        r"|Caught signal 11 \(Segmentation fault|!!!!!!! Segfault encountered|(?:Thread \d+ \"[^\"\n]*\" |Program )?received signal SIGSEGV"
        r"|\*\*\* SIGSEGV (?:received|\()|(?<![.\w])SIGSEGV\b(?![,)])|(?:[Cc]aught|by|[Ff]atal|on|[Rr]eceived|with) signal 11\b|Windows fatal exception: access violation"
        r"|EXCEPTION_ACCESS_VIOLATION|(?:Process finished with )?exit(?:ed)?[ _](?:with )?(?:code|status)?[ :=]*(?:-11|139|-1073741819)\b|exit=139|-1073741819\b|0xC0000005|3221225477|Received Segmentation fault signal|^=?\s*EXIT CODE:\s+139\b",
        ("egmentation fault", "egmentation Fault", "Segfault", "SIGSEGV", "signal 11", "access violation",
         "ACCESS_VIOLATION", "exit", "EXIT CODE", "-1073741819", "0xC0000005", "3221225477"),
        "Segmentation fault (core dumped)", "shell, CPython faulthandler, gdb, UCX, torch elastic", "process",
        rank=Rank.WEAK, fields={"signal": "SIGSEGV"}, whole=True, expect={"signal": "SIGSEGV"},
    ),
    Pattern(
        "cpp-terminate", Cause.UNKNOWN_ABORT,
        r"terminate called (?:after throwing an instance of|without an active exception|recursively)"
        r"|libc\+\+abi(?:\.dylib)?: terminating|pure virtual method called|Windows fatal exception: (?:code 0x|stack overflow)"
        r"|^thread '[^'\n]+'(?: \(\d+\))? panicked at |^panic: runtime error: |^fatal error: unexpected signal during runtime execution",
        ("terminate called", "libc++abi", "pure virtual method", "Windows fatal", "panicked at", "panic: runtime", "unexpected signal"),
        "terminate called after throwing an instance of 'std::runtime_error'", "libstdc++, libc++", "process",
        rank=Rank.WEAK,
    ),
    Pattern(
        "glibc-abort", Cause.UNKNOWN_ABORT,
        r"(?:free|malloc|realloc|munmap_chunk|malloc_consolidate)\(\): (?:invalid|double|corrupted|unaligned|mismatching|unsorted)"
        r"|double free or corruption|corrupted (?:size vs\. prev_size|double-linked list)|\*\*\* stack smashing detected"
        r"|buffer overflow detected|GGML_ASSERT[:(]|\w+: [^\n]{0,200}:\d+: [^\n]{0,400}: Assertion [`'][^\n]+' failed\.",
        ("(): ", "ouble free", "corrupted", "stack smashing", "overflow detected", "GGML_ASSERT", "Assertion"),
        "free(): invalid pointer", "glibc malloc.c, assert.c, ggml", "process", rank=Rank.WEAK, whole=True,
        fields={"signal": "SIGABRT"},
    ),
    Pattern(
        "abort", Cause.UNKNOWN_ABORT,
        r"(?:\S*: line \d+:\s*)?(?:\[\d+\]\s*[+-]?\s*)?(?P<pid>\d+ +)?Aborted\b(?=\s*(?:\(core dumped\)|$|\())"
        r"|Fatal Python error: Aborted|Signal: Aborted \(6\)|\*\*\* SIGABRT|(?:Thread \d+ \"[^\"\n]*\" |Program )?received signal SIGABRT|Abort trap\b"
        r"|(?:\[\d+\]\s*)?(?P<pid2>\d+ +)?(?:IOT instruction|abort)\s+\(core dumped\)|zsh: abort|Caught signal 6 \(Aborted"
        r"|(?:Process finished with )?exit(?:ed)?[ _](?:with )?(?:code|status)?[ :=]*(?:-6|134|-1073740791)\b|exit=134|(?:[Cc]aught|by|[Ff]atal|on|[Rr]eceived|with) signal 6\b|(?<![.\w])SIGABRT\b(?![,)])|\bSIGIOT\b",
        ("Abort", "abort ", "IOT instruction", "exit", "signal 6", "SIGIOT", "SIGABRT"),
        "Aborted (core dumped)", "shell, CPython faulthandler, Open MPI, absl", "process", rank=Rank.WEAK,
        fields={"signal": "SIGABRT"}, whole=True, expect={"signal": "SIGABRT"},
    ),
    Pattern(
        "told-segfault", Cause.SEGFAULT,
        r"terminated (?:with|by) signal(?: SIGSEGV| 11\b)|exited (?:with (?:code|status) (?:139|-11)|on signal 11)\b|died with <Signals\.SIGSEGV|code=(?:dumped|killed), status=11/SEGV|signal: segmentation fault|\(?exitcode: -11\b|died \(-11\)"
        r"|killed by signal: Segmentation fault|(?:^|['\"]?\] )exits with return code = -11\b|exit code:? -11\b|Worker \S+ pid \d+ died, exit code: -11",
        ("terminated ", "signal: segm", "exitcode: -11", "died", "killed by signal", "exit code", "exited with", "exited on", "return code", "status="),
        "torch.multiprocessing.spawn.ProcessExitedException: process 0 terminated with signal SIGSEGV",
        "torch.multiprocessing, torch elastic, ollama, vLLM", "process", rank=Rank.WEAK, fields={"signal": "SIGSEGV"},
        expect={"signal": "SIGSEGV"},
    ),
    Pattern(
        "told-abort", Cause.UNKNOWN_ABORT,
        r"terminated (?:with|by) signal(?: SIGABRT| 6\b)|exited (?:with (?:code|status) (?:134|-6)|on signal 6)\b|died with <Signals\.SIGABRT|code=(?:dumped|killed), status=6/ABRT|signal: aborted|\(?exitcode: -6\b|died \(-6\)"
        r"|killed by signal: Aborted|(?:^|['\"]?\] )exits with return code = -6\b|exit code:? -6\b",
        ("terminated ", "signal: abor", "exitcode: -6", "died", "killed by signal", "exit code", "exited with", "exited on", "return code", "status="),
        "Error: llama runner process has terminated: signal: aborted (core dumped)",
        "torch.multiprocessing, torch elastic, ollama, vLLM", "process", rank=Rank.WEAK, fields={"signal": "SIGABRT"},
        expect={"signal": "SIGABRT"},
    ),
    Pattern(
        "told-kill", Cause.CPU_OOM_KILL,
        r"terminated (?:with|by) signal(?: SIGKILL| 9\b)|died with <Signals\.SIGKILL|signal: killed|\(?exitcode: -9\b|died \(-9\)"
        r"|killed by signal: Killed|(?:^|['\"]?\] )exits with return code = -9\b|exit code:? -9\b",
        ("terminated ", "signal: kill", "exitcode: -9", "died", "killed by signal", "exit code", "exited with", "exited on", "return code", "status="),
        "RuntimeError: DataLoader worker (pid 4711) is killed by signal: Killed.",
        "torch.multiprocessing, torch elastic, ollama, vLLM", "process", rank=Rank.WEAK, fields={"signal": "SIGKILL"},
        expect={"signal": "SIGKILL"},
    ),
    Pattern(
        "bus-error", Cause.UNKNOWN_ABORT,
        r"(?:\[\d+\]\s*)?(?:\d+ +)?[Bb]us error\b(?=\s*(?:\(core dumped\)|$|\())|Fatal Python error: Bus error|received signal SIGBUS|(?<![.\w])SIGBUS\b(?![,)])",
        ("us error", "SIGBUS"), "Bus error (core dumped)", "shell, CPython faulthandler", "process", rank=Rank.WEAK,
        fields={"signal": "SIGBUS"}, whole=True, expect={"signal": "SIGBUS"},
    ),
    Pattern(
        "fpe", Cause.UNKNOWN_ABORT,
        r"[Ff]loating[ -]point exception\b(?=\s*(?:\(core dumped\)|$))|Fatal Python error: Floating point exception|(?<![.\w])SIGFPE\b(?![,)])",
        ("loating", "SIGFPE"), "Floating point exception (core dumped)", "shell", "process", rank=Rank.WEAK,
        fields={"signal": "SIGFPE"}, whole=True, expect={"signal": "SIGFPE"},
    ),
    Pattern(
        "gdb-abort", Cause.UNKNOWN_ABORT,
        r"^#\d+ +(?:0x[0-9a-fA-F]+ in )?(?:__GI_abort|abort|ggml_abort|std::terminate|__pthread_kill_\w+) \((?:\)|[^)\n]*signo=6\b)",
        ("abort (", "terminate (", "pthread_kill_"),
        "#4  0x00007f4a5bd277f3 in __GI_abort () at ./stdlib/abort.c:79", "gdb, glibc: a frame of abort()", "process",
        rank=Rank.FAINT, fields={"signal": "SIGABRT"}, expect={"signal": "SIGABRT"},
    ),
    Pattern(
        "fatal-python", Cause.UNKNOWN_ABORT, r"Fatal Python error: (?!Aborted|Segm|Illegal|Bus|Float)[^\n]+",
        ("Fatal Python error",), "Fatal Python error: init_fs_encoding: failed to get the Python codec",
        "CPython pylifecycle.c", "process", rank=Rank.WEAK,
    ),
    Pattern(
        "killed", Cause.CPU_OOM_KILL,
        r"(?:\S*: line \d+:\s*)?(?:\[\d+\]\s*[+-]?\s*)?(?P<pid>\d+ +)?[Kk]illed(?=\s*$|\s{2,}\S|: 9\s*$)|zsh: killed\b",
        ("illed",), "./run.sh: line 3: 4711 Killed                  python train.py", "shell: SIGKILL; on a machine "
        "without another culprit the kernel's OOM killer", "process", rank=Rank.WEAK, fields={"signal": "SIGKILL"},
        whole=True, expect={"signal": "SIGKILL"},
    ),
    Pattern(
        "exit-status", Cause.NONE,
        r"(?:[Ee]xit(?:ed)?[ _]?(?:with )?(?:[Cc]ode|[Ss]tatus)?[ :=]*|^\()(?P<exit_code>13[0-9]|14[0-3])\b(?=\)?\s|\)|$|[,;.(])",
        ("13", "14"), "exit status 137 (SIGKILL)", "shell: 128 + signal", "process", rank=Rank.DETAIL,
        expect={"exit_code": 137},
    ),
    # ---- plain exceptions ---------------------------------------------------------------------------------
    Pattern(
        "blas-status", Cause.PYTHON_EXCEPTION_OTHER,
        r"(?:error|Error|ERROR|[Ff]ail\w*)\b[^\n]{0,60}?\b(?P<code>(?:CU|HIP|ROC)?BLAS(?:LT)?_STATUS_(?!SUCCESS)[A-Z_]+"
        r"|rocblas_status_(?!success)\w+|CUDNN_STATUS_(?!SUCCESS)[A-Z_]+|CUSOLVER_STATUS_(?!SUCCESS)[A-Z_]+|CUFFT_\w+|HIPFFT_\w+"
        r"|CUSPARSE_STATUS_(?!SUCCESS)[A-Z_]+|hipsparseStatus\w+|rocsolver_status_\w+)(?: when calling [^\n]*)?",
        ("_STATUS_", "_status_", "hipsparseStatus", "FFT_"),
        "RuntimeError: CUDA error: CUBLAS_STATUS_INTERNAL_ERROR when calling `cublasSgemm(handle)`",
        "torch CUDABlas.cpp, ggml-cuda.cu", "blas", expect={"code": "CUBLAS_STATUS_INTERNAL_ERROR"},
    ),
    Pattern(
        "hiprtc", Cause.PYTHON_EXCEPTION_OTHER,
        r"(?:\w+\(\):|[Ee]rror\w*\b[^\n]{0,40}?|[Ff]ail\w*\b[^\n]{0,40}?)\s*\b(?P<code>(?:HIP|NV)RTC_ERROR_(?:COMPILATION|INTERNAL_ERROR|INVALID_\w+|LINKING|BUILTIN_OPERATION_FAILURE|PROGRAM_CREATION_FAILURE))\b"
        r"(?=\s*(?:\(\d+\))?\s*$)",
        ("RTC_ERROR_",), "hiprtcCompileProgram(): HIPRTC_ERROR_COMPILATION",
        "hiprtc.h, nvrtc.h: the runtime compiler of a program that is not MIOpen (hashcat, CuPy, Triton)", "runtime",
        expect={"code": "HIPRTC_ERROR_COMPILATION"}, whole=True, rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "bad-fork", Cause.PYTHON_EXCEPTION_OTHER, r"Cannot re-initialize (?:CUDA|XPU|HIP) in forked subprocess",
        ("re-initialize",),
        "RuntimeError: Cannot re-initialize CUDA in forked subprocess. To use CUDA with multiprocessing, you must use "
        "the 'spawn' start method",
        "torch/cuda/__init__.py", "torch",
    ),
    Pattern(
        "nccl", Cause.PYTHON_EXCEPTION_OTHER,
        r"Watchdog caught collective operation timeout|Heartbeat monitor timed out! Process will be terminated|watchdog got stuck for \d+ seconds|Timeout at NCCL work|NCCL (?:error|Error)(?: \d+)?\b[^\n]{0,20}[:in]"
        r"|\bNCCL failure \S+:\d+ '|DistBackendError|ncclUnhandledCudaError|ncclSystemError|ncclInternalError|ncclRemoteError",
        ("NCCL", "Watchdog caught", "Heartbeat monitor", "watchdog got stuck", "DistBackendError", "nccl"),
        "[rank3]:[E227 16:30:43.527571405 ProcessGroupNCCL.cpp:1595] Watchdog caught collective operation timeout: "
        "WorkNCCL(SeqNum=32, OpType=_ALLGATHER_BASE)",
        "torch ProcessGroupNCCL.cpp", "nccl", rank=Rank.WEAK,
    ),
    Pattern(
        "python-exception", Cause.PYTHON_EXCEPTION_OTHER,
        r"(?P<exception>(?:[A-Za-z_][\w]*\.)*(?!ChildFailedError|ProcessExitedException)(?:[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Timeout|Failure|Refused)"
        r"|AssertionError|KeyboardInterrupt|StopIteration|OutOfResources|Exception))(?::\s|\s*$|:$)",
        ("Error", "Exception", "Interrupt", "Failure", "Timeout", "StopIteration", "Refused", "Exit", "OutOfResources"),
        "TypeError: prepare() missing 1 required positional argument: 'x'", "CPython traceback", "python",
        rank=Rank.WEAK, whole=True, expect={"exception": "TypeError"},
    ),
    Pattern(
        "pytest", Cause.PYTHON_EXCEPTION_OTHER,
        r"^E {3,}assert .|^(?:FAILED|ERROR) \S+\.py(?:::\S+)?(?: - .*|\s*)$", ("E  ", "FAILED", "ERROR"),
        "FAILED tests/test_conv.py::test_same[f16] - assert 3.0 == 4.0", "pytest: short test summary info", "pytest",
        rank=Rank.FAINT,
    ),
    Pattern(
        "told-exception", Cause.PYTHON_EXCEPTION_OTHER,
        r"\bFAILED\b[^\n:`]{0,60}: (?P<exception>[A-Z]\w+(?:Error|Exception)): [^\n]+"
        r"|^(?:[^\n]{0,60}[.,;] )?(?:but |and |then |now |Now |But |When [^\n,]{3,60}, )?(?:I|we|We) (?:got|get|received|encountered|am getting|keep getting)\b[^\n.`]{0,40}[\"“'`:]+\s*"
        r"(?P<exception2>(?:[a-z_]\w*\.)*[A-Z]\w+(?:Error|Exception)): [^\n]{3,}", ("FAILED", "Error: ", "Exception: "),
        "size 2048 ... FAILED after 30.5s: RuntimeError: Wait timeout: 30000 ms!",
        "scripts that catch an exception and print it", "process", rank=Rank.FAINT, expect={"exception": "RuntimeError"},
    ),
    Pattern(
        "torn-traceback", Cause.PYTHON_EXCEPTION_OTHER,
        r"(?:hit an exception:\s*)?Traceback \(most recent call last\)|hit an exception: %s|EngineCore encountered a fatal error"
        r"|\[ONNXRuntimeError\] : \d+ : [A-Z_]+ : |\b[A-Z]\w+(?:Error|Exception)\(['\"][^'\"\n]+['\"]\)",
        ("Traceback (most", "hit an exception", "[ONNXRuntimeError]", "encountered a fatal", "Error('", "Exception('"),
        "[2025-09-10 12:15:24 TP4] Scheduler hit an exception: Traceback (most recent call last):",
        "CPython, sglang, vLLM: a traceback whose last line is missing", "python-torn", rank=Rank.FAINT,
    ),
)

# NVIDIA Xid numbers: what the driver means by them (NVIDIA, "XID Errors").
XIDS: Mapping[int, tuple[Cause, str]] = {
    8: (Cause.GPU_HANG_RESET, "GPU stopped processing"),
    13: (Cause.MEMORY_ACCESS_FAULT, "graphics engine exception, mostly an out-of-range address of a kernel"),
    31: (Cause.MEMORY_ACCESS_FAULT, "GPU memory page fault"),
    32: (Cause.GPU_HANG_RESET, "invalid or corrupted push buffer stream"),
    38: (Cause.GPU_HANG_RESET, "driver firmware error"),
    43: (Cause.GPU_HANG_RESET, "GPU stopped processing"),
    45: (Cause.GPU_HANG_RESET, "preemptive cleanup, due to previous errors"),
    48: (Cause.UNKNOWN_ABORT, "double bit ECC error"),
    61: (Cause.GPU_HANG_RESET, "internal micro-controller breakpoint or warning"),
    62: (Cause.GPU_HANG_RESET, "internal micro-controller halt"),
    63: (Cause.UNKNOWN_ABORT, "ECC page retirement or row remapping"),
    69: (Cause.GPU_HANG_RESET, "graphics engine class error"),
    74: (Cause.GPU_HANG_RESET, "NVLink error"),
    79: (Cause.GPU_HANG_RESET, "GPU has fallen off the bus"),
    94: (Cause.UNKNOWN_ABORT, "contained ECC error"),
    95: (Cause.UNKNOWN_ABORT, "uncontained ECC error"),
    109: (Cause.GPU_HANG_RESET, "context switch timeout"),
    119: (Cause.GPU_HANG_RESET, "GSP RPC timeout"),
    120: (Cause.GPU_HANG_RESET, "GSP error"),
}
# Xids that follow an error of the process itself: the driver tears its channel down and the GPU stays well. What the
# process says of its own error is nearer to the cause. A device assertion is followed by a 43 (seen on an H200).
XIDS_AFTERWARDS = frozenset({43, 45})


@dataclass(frozen=True)
class RuntimeStatus:
    """One status of the HIP and CUDA runtimes: its number, the two names, the texts it is printed as, its cause.

    The texts are printed by hipGetErrorString / cudaGetErrorString, the numbers agree between the two runtimes.
    ``distinct``: the text is unmistakable, also without ``CUDA error:`` before it.
    """

    code: int
    hip: str
    cuda: str
    texts: tuple[str, ...]
    cause: Cause
    distinct: bool = False


_OTHER = Cause.PYTHON_EXCEPTION_OTHER
_INIT = Cause.HIP_INIT_ERROR
RUNTIME_ERRORS: tuple[RuntimeStatus, ...] = (
    RuntimeStatus(1, "InvalidValue", "InvalidValue", ("invalid argument",), _OTHER),
    RuntimeStatus(2, "OutOfMemory", "MemoryAllocation", ("out of memory",), Cause.OUT_OF_MEMORY),
    RuntimeStatus(3, "NotInitialized", "InitializationError", ("initialization error", "not initialized"), _INIT),
    RuntimeStatus(4, "Deinitialized", "CudartUnloading", ("driver shutting down",), _OTHER),
    RuntimeStatus(9, "InvalidConfiguration", "InvalidConfiguration", ("invalid configuration argument",), _OTHER),
    RuntimeStatus(35, "InsufficientDriver", "InsufficientDriver",
                  ("CUDA driver version is insufficient for CUDA runtime version",
                   "driver version is insufficient for runtime version"), _INIT, True),
    RuntimeStatus(46, "DevicesUnavailable", "DevicesUnavailable",
                  ("all CUDA-capable devices are busy or unavailable",
                   "CUDA-capable device(s) is/are busy or unavailable"), _INIT, True),
    RuntimeStatus(98, "InvalidDeviceFunction", "InvalidDeviceFunction", ("invalid device function",),
                  Cause.NO_KERNEL_IMAGE),
    RuntimeStatus(100, "NoDevice", "NoDevice",
                  ("no ROCm-capable device is detected", "no CUDA-capable device is detected"), _INIT, True),
    RuntimeStatus(101, "InvalidDevice", "InvalidDevice", ("invalid device ordinal",), _OTHER),
    RuntimeStatus(200, "InvalidImage", "InvalidKernelImage", ("device kernel image is invalid",),
                  Cause.NO_KERNEL_IMAGE, True),
    RuntimeStatus(201, "InvalidContext", "DeviceUninitialized", ("invalid device context",), _OTHER),
    RuntimeStatus(209, "NoBinaryForGpu", "NoKernelImageForDevice",
                  ("no kernel image is available for execution on the device",), Cause.NO_KERNEL_IMAGE, True),
    RuntimeStatus(214, "ECCNotCorrectable", "ECCUncorrectable", ("uncorrectable ECC error encountered",), _OTHER),
    RuntimeStatus(218, "InvalidKernelFile", "InvalidPtx", ("a PTX JIT compilation failed", "invalid kernel file"), Cause.NO_KERNEL_IMAGE),
    RuntimeStatus(222, "UnsupportedPtxVersion", "UnsupportedPtxVersion",
                  ("the provided PTX was compiled with an unsupported toolchain",), Cause.NO_KERNEL_IMAGE, True),
    RuntimeStatus(301, "FileNotFound", "FileNotFound", ("file not found",), _OTHER),
    RuntimeStatus(302, "SharedObjectSymbolNotFound", "SharedObjectSymbolNotFound",
                  ("shared object symbol not found",), _OTHER),
    RuntimeStatus(303, "SharedObjectInitFailed", "SharedObjectInitFailed", ("shared object initialization failed",),
                  _OTHER),
    RuntimeStatus(400, "InvalidHandle", "InvalidResourceHandle", ("invalid resource handle",), _OTHER),
    RuntimeStatus(401, "IllegalState", "IllegalState",
                  ("the operation cannot be performed in the present state",), _OTHER, True),
    RuntimeStatus(500, "NotFound", "SymbolNotFound", ("named symbol not found",), _OTHER),
    RuntimeStatus(700, "IllegalAddress", "IllegalAddress", ("an illegal memory access was encountered",),
                  Cause.MEMORY_ACCESS_FAULT, True),
    RuntimeStatus(701, "LaunchOutOfResources", "LaunchOutOfResources",
                  ("too many resources requested for launch", "out of resources"), _OTHER),
    RuntimeStatus(702, "LaunchTimeOut", "LaunchTimeout", ("the launch timed out and was terminated",), _OTHER, True),
    RuntimeStatus(710, "Assert", "Assert", ("device-side assert triggered",), Cause.DEVICE_ASSERT, True),
    RuntimeStatus(715, "IllegalInstruction", "IllegalInstruction", ("an illegal instruction was encountered",),
                  Cause.ILLEGAL_INSTRUCTION, True),
    RuntimeStatus(716, "MisalignedAddress", "MisalignedAddress", ("misaligned address",), _OTHER),
    RuntimeStatus(717, "InvalidAddressSpace", "InvalidAddressSpace",
                  ("operation not supported on global/shared address space",), _OTHER, True),
    RuntimeStatus(718, "InvalidPc", "InvalidPc", ("invalid program counter",), _OTHER),
    RuntimeStatus(719, "LaunchFailure", "LaunchFailure", ("unspecified launch failure",), _OTHER, True),
    RuntimeStatus(720, "CooperativeLaunchTooLarge", "CooperativeLaunchTooLarge",
                  ("too many blocks in cooperative launch",), _OTHER, True),
    RuntimeStatus(801, "NotSupported", "NotSupported", ("operation not supported",), _OTHER),
    RuntimeStatus(802, "SystemNotReady", "SystemNotReady", ("system not yet initialized",), _INIT),
    RuntimeStatus(803, "SystemDriverMismatch", "SystemDriverMismatch",
                  ("system has unsupported display driver / cuda driver combination",), _INIT, True),
    RuntimeStatus(804, "CompatNotSupportedOnDevice", "CompatNotSupportedOnDevice",
                  ("forward compatibility was attempted on non supported HW",), _INIT, True),
    RuntimeStatus(900, "StreamCaptureUnsupported", "StreamCaptureUnsupported",
                  ("operation not permitted when stream is capturing",), _OTHER, True),
    RuntimeStatus(901, "StreamCaptureInvalidated", "StreamCaptureInvalidated",
                  ("operation failed due to a previous error during capture",), _OTHER, True),
    RuntimeStatus(906, "StreamCaptureImplicit", "StreamCaptureImplicit",
                  ("operation would make the legacy stream depend on a capturing blocking stream",), _OTHER, True),
    RuntimeStatus(999, "Unknown", "Unknown", ("unknown error",), _OTHER),
    RuntimeStatus(1052, "RuntimeMemory", "", ("runtime memory call returned error",), _OTHER),
    RuntimeStatus(1053, "RuntimeOther", "", ("runtime call other than memory returned error",), _OTHER),
)

# Numbers of hipError_t up to HIP 3.x, where the runtime's own statuses stood above 1000 (hip_runtime_api.h).
OLD_HIP_NUMBERS: Mapping[int, int] = {
    1002: 2, 1003: 3, 1004: 719, 1005: 719, 1006: 702, 1007: 701, 1008: 98, 1009: 9, 1010: 101, 1011: 1, 1030: 999,
    1033: 400, 1038: 100,
}

# Driver API names that are not CUDA_ERROR_ + the runtime name in capitals.
DRIVER_NAMES: Mapping[str, int] = {
    "OUT_OF_MEMORY": 2, "NO_BINARY_FOR_GPU": 209, "INVALID_IMAGE": 200, "ILLEGAL_ADDRESS": 700, "ASSERT": 710,
    "LAUNCH_FAILED": 719, "LAUNCH_TIMEOUT": 702, "LAUNCH_OUT_OF_RESOURCES": 701, "ILLEGAL_INSTRUCTION": 715,
    "MISALIGNED_ADDRESS": 716, "NO_DEVICE": 100, "INVALID_DEVICE": 101, "NOT_INITIALIZED": 3, "UNKNOWN": 999,
    "INVALID_VALUE": 1, "INVALID_PC": 718, "INVALID_HANDLE": 400, "NOT_SUPPORTED": 801, "NOT_FOUND": 500,
    "SYSTEM_NOT_READY": 802, "SYSTEM_DRIVER_MISMATCH": 803, "UNSUPPORTED_PTX_VERSION": 222, "INVALID_PTX": 218,
    "ECC_UNCORRECTABLE": 214, "INVALID_CONTEXT": 201, "DEINITIALIZED": 4, "INVALID_ADDRESS_SPACE": 717,
}

# What precedes a runtime text that is too common to stand alone.
RUNTIME_PREFIX = (
    r"(?P<flavour>CUDA|Cuda|cuda|HIP|Hip|hip|ROCm|ROCM|MUSA|GPU)"
    r"(?: (?:runtime|driver|API|kernel))?[ _]?(?:[Ee]rror|ERROR|[Ff]ailure|failed with error|exception)\b"
    r"(?:\s*\[[^\]\n]{1,60}\])?\s*(?:=\s*)?(?:\(?(?:code[ =:]*)?(?P<number>\d{1,4})\)?)?"
    r"(?:\s*(?:in|at)\s+[^\n:]{1,120}(?::\d+)?|(?<= )/?[^\s:'\"]{1,120}\.(?:cu|cuh|hip|cpp|h|cc):\d+(?= '))?\s*(?::|\()?\s*(?:Code: \d+, Mess+age: )?['\"`(]?\s*"
)

# Lines that look bad and are not: each is a warning of a program that goes on.
BENIGN: tuple[tuple[str, str], ...] = (
    ("hipblaslt-fallback", r"Attempting to use hipBLASLt on an? (?:unsupported|un-?supported) architecture"),
    ("blas-override", r"Overriding blas backend"),
    ("expandable-segments", r"expandable_segments not supported"),
    ("miopen-missing-db", r"Missing system database file"),
    ("miopen-workspace", r"\[IsEnoughWorkspace\]"),
    ("miopen-warning", _MIO + r":\s*(?:Warning|Info\d?)\b"),
    ("async-hint", r"kernel errors might be asynchronously reported|Compile with `?TORCH_USE_(?:CUDA|HIP)_DSA"
                   r"|For debugging consider passing"),
    ("python-warning", r"\b(?:User|Future|Deprecation|Runtime|Resource|Syntax|Import|Pending\w*)Warning:"),
    ("hip-not-ready", r"hipErrorNotReady|cudaErrorNotReady|hipErrorPeerAccessAlreadyEnabled"),
    ("level-3-log", r"^:[34]:\s*\w+\.(?:cpp|hpp)"),
    ("guesses", r"[Cc]ommon causes (?:include|are)|possible (?:causes|reasons)"),
    ("rocblas-warning", r"rocBLAS warning"),
    ("no-errors", r"\b(?:no|0|without|zero) (?:errors?|failures?|faults?)\b"),
)

# The words of Blender Cycles for runtime statuses.
CYCLES_TEXTS: Mapping[str, int] = {
    "Illegal address": 700, "Out of memory": 2, "Launch failed": 719, "Launch exceeded timeout": 702,
    "Unknown error": 999, "Invalid value": 1, "Invalid context": 201, "Invalid handle": 400, "No binary for GPU": 209,
    "Misaligned address": 716, "Illegal instruction": 715, "Not initialized": 3, "Not found": 500, "Not supported": 801,
}
