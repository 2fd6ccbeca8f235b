"""More rows of the pattern table: what frameworks and libraries print for memory, missing kernels and a missing GPU. Data."""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

from rmcp.outcome.patterns import Pattern, Rank
from rmcp.words import Cause

LIBRARY_PATTERNS: tuple[Pattern, ...] = (
    # ---- memory -------------------------------------------------------------------------------------------
    Pattern(
        "ggml-alloc", Cause.OUT_OF_MEMORY,
        r"\b(?:ggml|llama|alloc|whisper|clip)_\w+: (?:error: )?failed to allocate (?:(?:CUDA|ROCm|HIP|Vulkan|SYCL|Metal|MUSA|CANN)\d*(?:_Host|_Split)? )?(?:compute |graph )?buffers?"
        r"(?: of (?:type \S+ with )?size \d+|, size =|: can't allocate| for kv cache)|\berror: Insufficient Memory \(00000008:",
        ("failed to allocate", "Insufficient Memory"), "ggml_gallocr_reserve_n: failed to allocate ROCm0 buffer of size 4697620480",
        "ggml-alloc.c, ggml-backend, llama-kv-cache.cpp", "runtime",
    ),
    Pattern(
        "hcc-resources", Cause.OUT_OF_MEMORY, r"HCC (?:STATUS_CHECK|RUNTIME) (?:Error|ERROR): HSA_STATUS_ERROR_OUT_OF_RESOURCES\b", ("### HCC",),
        "### HCC STATUS_CHECK Error: HSA_STATUS_ERROR_OUT_OF_RESOURCES (0x1008) at file:mcwamp_hsa.cpp line:3514", "HCC, ROCm up to 3.10", "runtime",
        fields={"hsa_status": "HSA_STATUS_ERROR_OUT_OF_RESOURCES"}, expect={"hsa_status": "HSA_STATUS_ERROR_OUT_OF_RESOURCES"},
    ),
    Pattern(
        "model-too-large", Cause.OUT_OF_MEMORY,
        r"model requires more system memory \([\d.]+ [KMGT]iB\) than is available|[Nn]ot enough (?:GPU|VRAM|HBM) memory to load",
        ("requires more system memory", "ot enough "),
        "Error: model requires more system memory (10.0 GiB) than is available (5.0 GiB)", "ollama: refused before it fails", "runtime",
    ),
    Pattern(
        "library-oom", Cause.OUT_OF_MEMORY,
        r"Failed to allocate memory for requested buffer of size \d+|\bMPS backend out of memory \(|\bResourceExhaustedError(?=:)|OutOfMemoryException: |\bOut of GPU memory(?: trying to allocate|\b\s*$)"
        r"|\bRMM failure at\s?:[^\n]{0,120}Maximum pool size exceeded|Error Code \d+: OutOfMemory|OpenEncodeSessionEx failed: out of memory"
        r"|(?:LLVM ERROR|fatal error|fatal error: runtime|cc1plus|cc1|ld): (?:runtime: )?out of memory\b|\bvirtual memory exhausted: |MKL FATAL ERROR: [Cc]annot allocate memory"
        r"|\bAllocator \(GPU_\d+_bfc\) ran out of memory trying to allocate (?![^\n]*The caller indicates that this is not a failure)"
        r"|[Ff]ailed to allocate (?:\w+ ){0,3}memory: (?:\w+: )?out of memory|could not be allocated: out of memory|\[Errno 12\] Cannot allocate memory",
        ("requested buffer of size", "backend out of memory", "ResourceExhausted", "OutOfMemoryException", "Out of GPU memory", "RMM failure", "OutOfMemory",
         "SessionEx failed", "out of memory", "memory exhausted", "annot allocate memory", "ran out of memory"),
        "bfc_arena.cc:376 AllocateRawInternal Failed to allocate memory for requested buffer of size 1073741824",
        "onnxruntime, TensorFlow, TensorRT, RMM, CUDA.jl, ffmpeg, compilers", "runtime",
    ),
    Pattern(
        "opencl-number-oom", Cause.OUT_OF_MEMORY, r"\bcl(?:Enqueue|Create)\w+(?:\(\))?[: ]{1,3}(?:returned|failed(?: with)?(?: error)?(?: code)?|error)[: (]{0,3}-(?:4|6)\b",
        ("clEnqueue", "clCreate"), "clCreateBuffer failed with error -4", "OpenCL CL/cl.h: -4 no memory object, -6 no host memory", "runtime",
    ),
    # ---- no kernel for this GPU ---------------------------------------------------------------------------
    Pattern(
        "clr-no-code-object", Cause.NO_KERNEL_IMAGE,
        r"No compatible code objects found for: gfx\w+|COMGR API could not find the CO for this GPU device(?:/ISA)?: \S+|Cannot find CO in the bundle \S* ?for ISA: \S+"
        r"|hipErrorNoBinaryForGpu: Unable to find code object|:0:hip_code_object\.cpp\s*:\s*\d+\s*:[^\n]{0,120}amdgcn-amd-amdhsa--gfx\w+\S* - \[Not Found\]",
        ("No compatible code objects", "COMGR API could not", "Cannot find CO in", "[Not Found]"), "No compatible code objects found for: gfx1010",
        "CLR hip_fatbin.cpp, hip_code_object.cpp at AMD_LOG_LEVEL 1", "hip", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "xformers-arch", Cause.NO_KERNEL_IMAGE, r"(?:FATAL: )?kernel `\w+` is for sm\d+-sm\d+, but was built for sm\d+", ("is for sm",),
        "FATAL: kernel `fmha_cutlassF_f16_aligned_64x64_rf_sm80` is for sm80-sm100, but was built for sm50", "xformers, torch mem_eff_attention", "kernel",
        device=True,
    ),
    Pattern(
        "rocblas-no-solution", Cause.MISSING_LIBRARY_KERNELS, r"rocBLAS error: No Tensile solution found for\b", ("No Tensile solution",),
        "rocBLAS error: No Tensile solution found for XXX", "rocBLAS tensile_host.cpp", "rocblas", fields={"library": "rocBLAS/Tensile"},
        rank=Rank.DOWNSTREAM,
    ),
    # ---- MIOpen by number, and its words without its name --------------------------------------------------
    Pattern(
        "miopen-number", Cause.MIOPEN_ERROR,
        r"\bmiopenStatusSuccess \((?P<miopen_number>[1-9]\d?) vs\. 0\)|\bMIOPEN failure:? (?P<miopen_number2>[1-9]\d?)\b", ("miopenStatusSuccess (", "MIOPEN failure"),
        "Check failed: status == miopenStatusSuccess (7 vs. 0)", "glog and onnxruntime checks; the number is a miopenStatus_t", "miopen", fields={"library": "MIOpen"},
        expect={"miopen_status": "miopenStatusUnknownError"},
    ),
    Pattern(
        "miopen-no-algorithm", Cause.MIOPEN_ERROR, r"No suitable algorithm was found to execute the required convolution", ("No suitable algorithm was",),
        "RuntimeError: No suitable algorithm was found to execute the required convolution", "MIOpen convolutionocl.cpp", "miopen",
        fields={"library": "MIOpen"},
    ),
    # ---- asserts --------------------------------------------------------------------------------------------
    Pattern(
        "dsa-report", Cause.DEVICE_ASSERT, r"(?:CUDA|HIP) device-side assertion failures were found on GPU #\d+", ("assertion failures were found",),
        "CUDA device-side assertion failures were found on GPU #0!", "torch CUDADeviceAssertionHost.cpp with TORCH_USE_CUDA_DSA", "torch",
    ),
    # ---- initialisation -----------------------------------------------------------------------------------
    Pattern(
        "framework-no-gpu", Cause.HIP_INIT_ERROR,
        r"\bCUDA unknown error - this may be due to an incorrectly set up environment|Error at driver init: |\b(?:NOT_FOUND|FAILED_PRECONDITION): No visible GPU devices"
        r"|\bhsa_init [Ff]ailed|hsa api call failure at line \d+, file: \S+ Call returned \d+|RuntimeError: \d active drivers \(\[\]\)\. There should only be one"
        r"|failed call to (?:hip|cu)Init: |^\s*(?:\* )?No devices found/left\.",
        ("CUDA unknown error -", "at driver init:", "No visible GPU", "hsa_init ", "hsa api call failure at line", "active drivers", "failed call to ", "No devices found/left"),
        "RuntimeError: Unable to initialize backend 'rocm': NOT_FOUND: No visible GPU devices.", "torch, Numba, JAX, ROCr, Triton, TensorFlow, hashcat", "runtime",
    ),
    Pattern(
        "opencl-no-device", Cause.HIP_INIT_ERROR,
        r"\bclGet(?:Platform|Device)IDs\(?\)?(?:: | failed[^\n]{0,20}|\()-?(?:CL_(?:PLATFORM_NOT_FOUND_KHR|DEVICE_NOT_FOUND)|1001|1)\b|\bCL_PLATFORM_NOT_FOUND_KHR\b(?=\W*$)|PLATFORM_NOT_FOUND_KHR\s*$",
        ("clGet", "PLATFORM_NOT_FOUND"), "ERROR: clGetPlatformIDs(-1001)", "clinfo, hashcat, pyopencl", "runtime",
    ),
    # ---- other errors of libraries ------------------------------------------------------------------------
    Pattern(
        "opencl-number", Cause.PYTHON_EXCEPTION_OTHER,
        r"\bcl(?!Get)[A-Z]\w+(?:\(\))?[: ]{1,3}(?:returned|failed(?: with)?(?: error)?(?: code)?|error)[: (]{0,3}(?P<code>-\d{1,4})\b"
        r"|\bcl(?!Get)[A-Z]\w+ \((?P<code2>-\d{1,4})\)|\bUnknown OpenCL error: (?P<code3>-?\d{1,4})\b",
        ("clEnqueue", "clCreate", "clBuild", "clFinish", "clWait", "clSet", "Unknown OpenCL error"), "clEnqueueNDRangeKernel returned -5", "OpenCL CL/cl.h", "runtime", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "migraphx", Cause.PYTHON_EXCEPTION_OTHER, r"MIGraphX\S*/\S+\.[ch]pp:\d+: (?!warning|note|error)\w+:(?:\s|$)", ("MIGraphX",),
        "/src/AMDMIGraphX/src/include/migraphx/check_shapes.hpp:220: same_dims: pointwise: Dimensions do not match", "MIGraphX errors.hpp", "runtime", rank=Rank.WEAK,
    ),
    Pattern(
        "nccl-failure", Cause.PYTHON_EXCEPTION_OTHER, r"\bNCCL failure: (?:unhandled|internal|invalid|remote) ", ("NCCL failure:",),
        "  what():  NCCL failure: unhandled cuda error in nccl_mpi_all_reduce.cu at line: 86 rank: 0", "DeepBench", "nccl", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "told-comfy", Cause.PYTHON_EXCEPTION_OTHER,
        r"\*\*Exception Type:\*\* (?P<exception>(?:[A-Za-z_]\w*\.)*[A-Z]\w+)\s*$|Error occurred when executing \w[\w .|+-]{0,60}:\s*$",
        ("Exception Type:", "occurred when executing"), "- **Exception Type:** TypeError", "ComfyUI's error report", "torch", rank=Rank.DOWNSTREAM,
        expect={"exception": "TypeError"},
    ),
    Pattern(
        "metal", Cause.PYTHON_EXCEPTION_OTHER, r"Error: command buffer exited with error status\b", ("command buffer exited",),
        "Error: command buffer exited with error status.", "Apple Metal", "runtime", rank=Rank.DOWNSTREAM,
    ),
    Pattern(
        "launcher-exception", Cause.PYTHON_EXCEPTION_OTHER, r"^(?P<exception>(?:[a-z_]\w*\.)*(?:ChildFailedError|ProcessExitedException))(?::\s|:?\s*$)",
        ("ChildFailedError", "ProcessExitedException"), "torch.distributed.elastic.multiprocessing.errors.ChildFailedError:", "torch launchers: a worker failed, and another line says how",
        "python", rank=Rank.FAINT, whole=True, expect={"exception": "torch.distributed.elastic.multiprocessing.errors.ChildFailedError"},
    ),
    Pattern(
        "module-exception", Cause.PYTHON_EXCEPTION_OTHER,
        r"^(?P<exception>(?:[a-z_]\w*\.)+(?:Unsupported|Empty|Fail|BrokenProcessPool|Again|Abort|[A-Z]\w*Failed))(?::\s|:?\s*$)",
        ("Unsupported", "Empty", "Fail", "BrokenProcessPool", "Again", "Abort"), "torch._dynamo.exc.BackendCompilerFailed: backend='inductor' raised:",
        "exceptions whose names do not end in Error", "python", rank=Rank.WEAK, whole=True, expect={"exception": "torch._dynamo.exc.BackendCompilerFailed"},
    ),
)

# Numbers of miopenStatus_t (miopen.h).
MIOPEN_STATUSES: dict[int, str] = {
    1: "NotInitialized", 2: "InvalidValue", 3: "BadParm", 4: "AllocFailed", 5: "InternalError", 6: "NotImplemented", 7: "UnknownError",
    8: "UnsupportedOp", 9: "GpuOperationsSkipped", 10: "VersionMismatch",
}
