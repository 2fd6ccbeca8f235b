"""Message formats and what they mean; texts that only name an error. One row each, written from the formats."""

from __future__ import annotations

import pytest

from rmcp.outcome.patterns import BENIGN, RUNTIME_ERRORS, Rank
from rmcp.outcome.recognise import ALL_PATTERNS, recognise
from rmcp.words import Cause

# ruff: noqa: E501 - log lines are long
POSITIVE: list[tuple[str, str, dict]] = [
    (
        "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0; 23.69 GiB total capacity; 21.00 GiB already allocated)",
        "out_of_memory",
        {},
    ),
    (
        "RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB (GPU 0; 3.94 GiB total capacity; 3.25 GiB already allocated; 0 bytes free)",
        "out_of_memory",
        {},
    ),
    ("RuntimeError: HIP out of memory. Tried to allocate 512.00 MiB", "out_of_memory", {}),
    ("ggml_cuda_pool_malloc: CUDA error 2 at ggml-cuda.cu:1234: out of memory", "out_of_memory", {}),
    ("CUDA error 2 at /root/llama.cpp/ggml-cuda.cu:6301: out of memory", "out_of_memory", {}),
    (
        "CUDA error 700 at ggml-cuda.cu:6661: an illegal memory access was encountered",
        "memory_access_fault",
        {"code": 700},
    ),
    (
        "CUDA error 222 at /tmp/pip-install-x/vendor/llama.cpp/ggml-cuda.cu:5548: the provided PTX was compiled with an unsupported toolchain.",
        "no_kernel_image",
        {},
    ),
    (
        "torch.OutOfMemoryError: Allocation on device 0 would exceed allowed memory. (out of memory)\nCurrently allocated     : 11.00 GiB",
        "out_of_memory",
        {},
    ),
    (
        "torch.OutOfMemoryError: Allocation on device \nThis error means you ran out of memory on your GPU.",
        "out_of_memory",
        {},
    ),
    (
        "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
        "out_of_memory",
        {},
    ),
    (
        "2024-01-01 10:00:00.123456: I tensorflow/stream_executor/cuda/cuda_driver.cc:732] failed to allocate 2.50G (2684354560 bytes) from device: CUDA_ERROR_OUT_OF_MEMORY: out of memory",
        "out_of_memory",
        {},
    ),
    (
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError: OOM when allocating tensor with shape[32,128] and type float",
        "out_of_memory",
        {},
    ),
    (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to allocate 536870912 bytes.",
        "out_of_memory",
        {},
    ),
    (
        'Traceback (most recent call last):\n  File "a.py", line 1\nRuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be',
        "device_assert",
        {"cuda_error": "cudaErrorAssert"},
    ),
    (
        "torch.AcceleratorError: CUDA error: device-side assert triggered\nSearch for `cudaErrorAssert' in https://docs.nvidia.com/cuda for more information.",
        "device_assert",
        {},
    ),
    (
        "RuntimeError: cuda runtime error (59) : device-side assert triggered at /pytorch/aten/src/THC/generic/THCTensorMath.cu:26",
        "device_assert",
        {},
    ),
    (
        "RuntimeError: Triton Error [CUDA]: an illegal memory access was encountered",
        "memory_access_fault",
        {"cuda_error": "cudaErrorIllegalAddress"},
    ),
    (
        "RuntimeError: Triton Error [HIP]:  Code: 700, Messsage: an illegal memory access was encountered",
        "memory_access_fault",
        {"hip_error": "hipErrorIllegalAddress"},
    ),
    (
        "RuntimeError: Triton Error [HIP]:  Code: 209, Messsage: no kernel image is available for execution on the device",
        "no_kernel_image",
        {"hip_error": "hipErrorNoBinaryForGpu"},
    ),
    (
        "triton.runtime.errors.OutOfResources: out of resource: shared memory, Required: 131072, Hardware limit: 65536. Reducing block sizes or `num_stages` may help.",
        "python_exception_other",
        {},
    ),
    (
        "terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: an illegal memory access was encountered\nAborted (core dumped)",
        "memory_access_fault",
        {"signal": "SIGABRT"},
    ),
    (
        "terminate called after throwing an instance of 'thrust::system::system_error'\n  what():  CUDA free failed: cudaErrorIllegalAddress: an illegal memory access was encountered\nAborted",
        "memory_access_fault",
        {"cuda_error": "cudaErrorIllegalAddress"},
    ),
    (
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nAborted (core dumped)",
        "out_of_memory",
        {},
    ),
    (
        "[rank0]: RuntimeError: CUDA error: an illegal memory access was encountered",
        "memory_access_fault",
        {},
    ),
    (
        "(EngineCore_DP0 pid=1234) ERROR 08-12 10:00:00 [core.py:700] torch.AcceleratorError: HIP error: an illegal memory access was encountered",
        "memory_access_fault",
        {"hip_error": "hipErrorIllegalAddress"},
    ),
    (
        '[2025-06-05 14:56:30 TP0] Scheduler hit an exception: Traceback (most recent call last):\n  File "x", line 3\nRuntimeError: CUDA error: unspecified launch failure',
        "python_exception_other",
        {"cuda_error": "cudaErrorLaunchFailure"},
    ),
    (
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "python_exception_other",
        {"code": "CUBLAS_STATUS_ALLOC_FAILED"},
    ),
    (
        "RuntimeError: CUDA error: HIPBLAS_STATUS_INTERNAL_ERROR when calling `hipblasSgemm( handle, opa)`",
        "python_exception_other",
        {"code": "HIPBLAS_STATUS_INTERNAL_ERROR", "library": "hipBLAS"},
    ),
    (
        "RuntimeError: cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "python_exception_other",
        {"code": "CUDNN_STATUS_EXECUTION_FAILED"},
    ),
    ("RuntimeError: cuDNN error: CUDNN_STATUS_MAPPING_ERROR", "python_exception_other", {}),
    ("RuntimeError: No CUDA GPUs are available", "hip_init_error", {}),
    (
        "RuntimeError: Found no NVIDIA driver on your system. Please check that you have an NVIDIA GPU and installed a driver",
        "hip_init_error",
        {},
    ),
    (
        "RuntimeError: HIP error: no ROCm-capable device is detected",
        "hip_init_error",
        {"hip_error": "hipErrorNoDevice"},
    ),
    (
        "RuntimeError: Unexpected error from cudaGetDeviceCount(). Did you run some cuda functions before calling NumCudaDevices() that might have already set an error? Error 802: system not yet initialized",
        "hip_init_error",
        {},
    ),
    (
        "/usr/lib/python3/torch/cuda/__init__.py:129: UserWarning: CUDA initialization: CUDA unknown error - this may be due to an incorrectly set up environment",
        "hip_init_error",
        {},
    ),
    ("RuntimeError: CUDA driver initialization failed, you might not have a CUDA gpu.", "hip_init_error", {}),
    (
        "ggml_cuda_init: failed to initialize CUDA: no CUDA-capable device is detected",
        "hip_init_error",
        {"cuda_error": "cudaErrorNoDevice"},
    ),
    (
        "ggml_cuda_init: failed to initialize CUDA: CUDA driver version is insufficient for CUDA runtime version",
        "hip_init_error",
        {},
    ),
    ("ROCk module is NOT loaded, possibly no GPU devices", "hip_init_error", {}),
    ("Unable to open /dev/kfd read-write: Operation not permitted", "hip_init_error", {}),
    (
        "hsa api call failure at: /build/rocminfo-6.2/rocminfo.cc:1282\nCall returned HSA_STATUS_ERROR_NOT_INITIALIZED: An HSA API was called before initialization",
        "hip_init_error",
        {"hsa_status": "HSA_STATUS_ERROR_NOT_INITIALIZED"},
    ),
    (
        "RuntimeError: Error in setting HIP device: hipErrorNoDevice: no ROCm-capable device is detected",
        "hip_init_error",
        {},
    ),
    (
        "[ 1234.5] amdgpu 0000:03:00.0: [drm] *ERROR* ring gfx_0.0.0 timeout, signaled seq=123, emitted seq=125",
        "gpu_hang_reset",
        {"ring": "gfx_0.0.0"},
    ),
    (
        "[Mon Oct 27 13:02:31 2025] amdgpu 0000:03:00.0: amdgpu: ring sdma0 timeout, but soft recovered",
        "gpu_hang_reset",
        {"ring": "sdma0"},
    ),
    (
        "kernel: amdgpu 0000:0c:00.0: amdgpu: MODE1 reset\nkernel: amdgpu 0000:0c:00.0: amdgpu: GPU mode1 reset",
        "gpu_hang_reset",
        {},
    ),
    (
        "[drm:amdgpu_cs_ioctl [amdgpu]] *ERROR* Failed to initialize parser -125!\n[drm] Skip scheduling IBs!",
        "gpu_hang_reset",
        {},
    ),
    (
        "amdgpu: Queue preemption failed for queue with doorbell_id: 80004008\namdgpu: Failed to evict process queues",
        "gpu_hang_reset",
        {},
    ),
    (
        "[drm:gfx_v10_0_priv_reg_irq [amdgpu]] *ERROR* Illegal register access in command stream",
        "gpu_hang_reset",
        {},
    ),
    (
        "HW Exception by GPU node-2 (Agent handle: 0x7d1ac8a92a70) reason :GPU Hang",
        "gpu_hang_reset",
        {"node": 2},
    ),
    (
        "NVRM: Xid (PCI:0000:65:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
        "gpu_hang_reset",
        {},
    ),
    (
        "kernel: NVRM: Xid (PCI:0000:01:00): 13, pid=1234, name=python, Graphics SM Warp Exception on (GPC 0, TPC 1, SM 0): Out Of Range Address",
        "memory_access_fault",
        {"pid": 1234},
    ),
    (
        "[12345.678] amdgpu 0000:2d:00.0: amdgpu: [gfxhub0] no-retry page fault (src_id:0 ring:24 vmid:3 pasid:32769, for process python3 pid 4242 thread python3 pid 4242)\n[12345.679] amdgpu 0000:2d:00.0: amdgpu:   in page starting at address 0x00007f1234567000 from IH client 0x1b (UTCL2)\n[1] amdgpu: VM_L2_PROTECTION_FAULT_STATUS:0x00101031",
        "memory_access_fault",
        {"pid": 4242, "address": "0x00007f1234567000"},
    ),
    (
        "amdgpu 0000:01:00.0: GPU fault detected: 147 0x0c080802 for process python pid 999 thread python pid 999\namdgpu 0000:01:00.0:   VM_CONTEXT1_PROTECTION_FAULT_ADDR   0x00100AA4",
        "memory_access_fault",
        {"pid": 999},
    ),
    (
        "Memory access fault by GPU node-1 (Agent handle: 0x2a) on address 0x7f0000000000 (may not be exact address). Reason: Write access to a read-only page.",
        "memory_access_fault",
        {"reason": "Write access to a read-only page", "address": "0x7f0000000000"},
    ),
    (
        "Memory access fault by GPU node-1 on address 0x7f6b0a000. Reason: Unknown.",
        "memory_access_fault",
        {"address": "0x7f6b0a000"},
    ),
    (
        ":0:rocdevice.cpp            :2303: 768423197593 us: Device::callbackQueue aborting with status: 0x100f",
        "unknown_abort",
        {"code": "0x100f"},
    ),
    (
        "rocdevice.cpp Callback: Queue 0x7fc220400000 aborting with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory beyond the largest legal address. code: 0x29",
        "aperture_violation",
        {"queue": "0x7fc220400000"},
    ),
    (
        "[2023-03-06 00:56:47] Pool x\n:0:rocdevice.cpp            :2603: 1033819851 us: 792539: [tid:0x7f49cdb15700] Device::callbackQueue aborting with error : HSA_STATUS_ERROR_MEMORY_FAULT: Agent attempted to access an inaccessible address. code: 0x2b",
        "memory_access_fault",
        {"code": "0x2b"},
    ),
    (
        ":0:rocdevice.cpp :2881: 1 us: [pid:7301  tid:0x7fb3acfff700] Callback: Queue 0x7fb168400000 aborting with error : HSA_STATUS_ERROR_INVALID_ISA: The instruction set architecture is invalid. code: 0x100f",
        "unknown_abort",
        {"hsa_status": "HSA_STATUS_ERROR_INVALID_ISA", "code": "0x100f"},
    ),
    (
        '"hipErrorNoBinaryForGpu: Coudn\'t find binary for current devices!"\nAborted (core dumped)',
        "no_kernel_image",
        {"hip_error": "hipErrorNoBinaryForGpu"},
    ),
    ("hipErrorNoBinaryForGpu: Unable to find code object for all current devices!", "no_kernel_image", {}),
    (
        "RuntimeError: HIP error: no kernel image is available for execution on the device",
        "no_kernel_image",
        {"hip_error": "hipErrorNoBinaryForGpu"},
    ),
    (
        "ggml_cuda_compute_forward: RMS_NORM failed\nCUDA error: no kernel image is available for execution on the device\n  current device: 0, in function ggml_cuda_compute_forward at ggml-cuda.cu:2174",
        "no_kernel_image",
        {"cuda_error": "cudaErrorNoKernelImageForDevice"},
    ),
    (
        "ROCm error: invalid device function\n  current device: 0, in function ggml_cuda_op at ggml-cuda.cu:12",
        "no_kernel_image",
        {"hip_error": "hipErrorInvalidDeviceFunction"},
    ),
    ("CUDA error: device kernel image is invalid", "no_kernel_image", {}),
    ("rocBLAS error: Could not initialize Tensile host: No devices found", "hip_init_error", {}),
    (
        "rocblas error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: No such file or directory for GPU arch : gfx1031",
        "missing_library_kernels",
        {"gpu_arch": "gfx1031"},
    ),
    (
        "rocBLAS error: Cannot read C:\\Program Files\\AMD\\ROCm\\5.7\\bin\\/rocblas/library/TensileLibrary.dat: No such file or directory for GPU arch : gfx1032",
        "missing_library_kernels",
        {"gpu_arch": "gfx1032"},
    ),
    ("rocBLAS warning: hipErrorOutOfMemory", "none", {}),
    (
        "MIOpen(HIP): Error [FlattenDB] MIOpenDriver: Timeout while waiting for Database",
        "miopen_error",
        {"subkind": "sqlite"},
    ),
    (
        "!!! Exception during processing !!! miopenStatusUnknownError",
        "miopen_error",
        {"miopen_status": "miopenStatusUnknownError"},
    ),
    ("RuntimeError: miopenStatusInternalError, cudnn_status: miopenStatusUnknownError", "miopen_error", {}),
    ("Segmentation fault", "segfault", {"signal": "SIGSEGV"}),
    ("zsh: segmentation fault  ./main -m model", "segfault", {}),
    ("[1]    12345 segmentation fault (core dumped)  python train.py", "segfault", {}),
    (
        'Fatal Python error: Segmentation fault\n\nCurrent thread 0x00007f (most recent call first):\n  File "x.py", line 1 in y',
        "segfault",
        {"signal": "SIGSEGV"},
    ),
    ('!!!!!!! Segfault encountered !!!!!!!\n  File "./signal/", line 0, in 0x00', "segfault", {}),
    (
        "[host:12345] *** Process received signal ***\n[host:12345] Signal: Segmentation fault (11)\n[host:12345] Signal code: Address not mapped (1)",
        "segfault",
        {"signal": "SIGSEGV"},
    ),
    (
        "[host:1234 :0:1234] Caught signal 11 (Segmentation fault: address not mapped to object at address 0x8)",
        "segfault",
        {},
    ),
    (
        "torch.multiprocessing.spawn.ProcessExitedException: process 0 terminated with signal SIGSEGV",
        "segfault",
        {"signal": "SIGSEGV"},
    ),
    (
        "E0101 10:00:00.000000 139 torch/distributed/elastic/multiprocessing/api.py:833] failed (exitcode: -11) local_rank: 0 (pid: 123) of binary: /usr/bin/python",
        "segfault",
        {},
    ),
    ("bash: line 1:   123 Segmentation fault      (core dumped) python x.py", "segfault", {}),
    ("Program received signal SIGSEGV, Segmentation fault.\n0x0000 in ?? ()", "segfault", {}),
    ("........Segmentation fault (core dumped)", "segfault", {}),
    ("Illegal instruction", "illegal_instruction", {"where": "cpu"}),
    (
        "zsh: illegal hardware instruction  python -c 'import tensorflow'",
        "illegal_instruction",
        {"where": "cpu", "signal": "SIGILL"},
    ),
    ("Fatal Python error: Illegal instruction\n\nCurrent thread", "illegal_instruction", {"where": "cpu"}),
    ("[1]    4242 illegal hardware instruction (core dumped)  ./main", "illegal_instruction", {}),
    (
        "[ 123.4] traps: main[4242] trap invalid opcode ip:55 sp:7f error:0 in main[55+1]",
        "illegal_instruction",
        {"where": "cpu"},
    ),
    (
        "RuntimeError: CUDA error: an illegal instruction was encountered",
        "illegal_instruction",
        {"where": "gpu", "cuda_error": "cudaErrorIllegalInstruction"},
    ),
    (
        "[123.4] Out of memory: Killed process 123 (python3) total-vm:1kB, anon-rss:1kB",
        "cpu_oom_kill",
        {"pid": 123, "signal": "SIGKILL"},
    ),
    ("Out of memory: Kill process 123 (python3) score 900 or sacrifice child", "cpu_oom_kill", {"pid": 123}),
    (
        "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/user.slice,task=python,pid=777,uid=1000",
        "cpu_oom_kill",
        {"pid": 777},
    ),
    ("Killed", "cpu_oom_kill", {"signal": "SIGKILL"}),
    (
        "python3 invoked oom-killer: gfp_mask=0x140dca(GFP_HIGHUSER_MOVABLE|__GFP_COMP|__GFP_ZERO), order=0, oom_score_adj=0",
        "cpu_oom_kill",
        {},
    ),
    (
        "slurmstepd: error: Detected 1 oom-kill event(s) in StepId=1.0. Some of your processes may have been killed by the cgroup out-of-memory handler.",
        "cpu_oom_kill",
        {},
    ),
    (
        "    State:          Terminated\n      Reason:       OOMKilled\n      Exit Code:    137",
        "cpu_oom_kill",
        {"exit_code": 137},
    ),
    (
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
        "cpu_oom_kill",
        {},
    ),
    (
        "g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.",
        "cpu_oom_kill",
        {},
    ),
    ("Aborted (core dumped)", "unknown_abort", {"signal": "SIGABRT"}),
    ("free(): invalid pointer\nAborted (core dumped)", "unknown_abort", {"signal": "SIGABRT"}),
    ("double free or corruption (!prev)", "unknown_abort", {}),
    ("corrupted size vs. prev_size\nAborted", "unknown_abort", {}),
    (
        "python3: /build/x/src/foo.cpp:123: void foo::bar(int): Assertion `x > 0' failed.\nAborted (core dumped)",
        "unknown_abort",
        {"signal": "SIGABRT"},
    ),
    ("GGML_ASSERT: ggml.c:3977: ctx->mem_buffer != NULL\nAborted", "unknown_abort", {}),
    ("/home/u/llama.cpp/ggml/src/ggml.c:6513: GGML_ASSERT(view_src == NULL) failed", "unknown_abort", {}),
    ("Bus error (core dumped)", "unknown_abort", {"signal": "SIGBUS"}),
    ("Floating point exception (core dumped)", "unknown_abort", {"signal": "SIGFPE"}),
    (
        "LLVM ERROR: Cannot select: intrinsic %llvm.amdgcn.x\nAborted (core dumped)",
        "unknown_abort",
        {"signal": "SIGABRT"},
    ),
    (
        "Queue at 0x7f0100000000 inactivated due to async error:\n\tHSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception.",
        "unknown_abort",
        {},
    ),
    (
        "Traceback (most recent call last):\n  File \"a.py\", line 3, in <module>\n    x\nNameError: name 'x' is not defined",
        "python_exception_other",
        {"exception": "NameError"},
    ),
    (
        'Traceback (most recent call last):\n  File "a.py", line 3, in <module>\nAssertionError',
        "python_exception_other",
        {},
    ),
    (
        "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.",
        "python_exception_other",
        {},
    ),
    (
        "RuntimeError: NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp:1331, internal error, NCCL version 2.14.3\nncclInternalError: Internal check failed.",
        "python_exception_other",
        {},
    ),
    (
        "RuntimeError: NCCL Error 1: unhandled cuda error (run with NCCL_DEBUG=INFO for details)",
        "python_exception_other",
        {},
    ),
    (
        "RuntimeError: CUDA error: invalid device ordinal",
        "python_exception_other",
        {"cuda_error": "cudaErrorInvalidDevice"},
    ),
    (
        "RuntimeError: HIP error: unspecified launch failure",
        "python_exception_other",
        {"hip_error": "hipErrorLaunchFailure"},
    ),
    ("RuntimeError: CUDA error: the launch timed out and was terminated", "python_exception_other", {}),
    (
        "RuntimeError: CUDA error: operation not permitted when stream is capturing",
        "python_exception_other",
        {},
    ),
    (
        "RuntimeError: CUDA error: invalid argument",
        "python_exception_other",
        {"cuda_error": "cudaErrorInvalidValue"},
    ),
    ("RuntimeError: CUDA error: uncorrectable ECC error encountered", "python_exception_other", {}),
    ("RuntimeError: CUDA error: unknown error", "python_exception_other", {}),
    ("RuntimeError: CUDA error: initialization error", "hip_init_error", {}),
    (
        "Illegal address in HIP queue synchronize (integrator_init_from_camera integrator_intersect_closest)",
        "memory_access_fault",
        {"hip_error": "hipErrorIllegalAddress"},
    ),
    (
        "CUDA error: Illegal address in cuMemcpyDtoH( (char *)mem.host_pointer + offset, size), line 970",
        "memory_access_fault",
        {},
    ),
    ("System is out of GPU and shared host memory", "out_of_memory", {}),
    ("cuMemAlloc(): out of memory", "out_of_memory", {}),
    ("hipMalloc failed: out of memory", "out_of_memory", {}),
    ("hipMemAlloc(): 2", "out_of_memory", {"hip_error": "hipErrorOutOfMemory"}),
    (
        "CUDA Runtime Error at: foo.cu:12\nan illegal memory access was encountered cudaDeviceSynchronize()",
        "memory_access_fault",
        {},
    ),
    ("GPUassert: an illegal memory access was encountered foo.cu 35", "memory_access_fault", {}),
    (
        'CUDA error at foo.cu:123 code=700(cudaErrorIllegalAddress) "cudaDeviceSynchronize()"',
        "memory_access_fault",
        {},
    ),
    (
        "error: 'hipErrorIllegalAddress'(700) from 'hipDeviceSynchronize()' at main.cpp:12",
        "memory_access_fault",
        {"hip_error": "hipErrorIllegalAddress"},
    ),
    ("hip error: 'out of memory'(2) at /home/u/x.cpp:55", "out_of_memory", {}),
    (
        'time=2025-01-01T00:00:00.000Z level=ERROR source=server.go:421 msg="llama runner terminated" error="exit status 2: CUDA error: an illegal memory access was encountered"',
        "memory_access_fault",
        {},
    ),
    ("ollama-1  | CUDA error: out of memory", "out_of_memory", {}),
    (
        "Error: llama runner process has terminated: error:Could not initialize Tensile host: No devices found",
        "hip_init_error",
        {},
    ),
    ("Error: llama runner process has terminated: signal: segmentation fault (core dumped)", "segfault", {}),
    (
        "Error: llama runner process has terminated: signal: aborted (core dumped)",
        "unknown_abort",
        {"signal": "SIGABRT"},
    ),
    ("llama runner process has terminated: signal: killed", "cpu_oom_kill", {}),
    ("RuntimeError: HIP error: hipErrorNoBinaryForGpu", "no_kernel_image", {}),
    ("hipErrorInvalidDeviceFunction: invalid device function", "no_kernel_image", {}),
    ("CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered", "memory_access_fault", {}),
    (
        "pycuda._driver.LogicError: cuMemcpyDtoH failed: an illegal memory access was encountered",
        "memory_access_fault",
        {},
    ),
    (
        "numba.cuda.cudadrv.driver.CudaAPIError: [700] Call to cuMemcpyDtoH results in UNKNOWN_CUDA_ERROR",
        "memory_access_fault",
        {},
    ),
    (
        "cupy_backends.cuda.api.runtime.CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access was encountered",
        "memory_access_fault",
        {"cuda_error": "cudaErrorIllegalAddress"},
    ),
    (
        "cupy_backends.cuda.api.driver.CUDADriverError: CUDA_ERROR_NO_BINARY_FOR_GPU: no kernel image is available for execution on the device",
        "no_kernel_image",
        {},
    ),
    (
        "cupy.cuda.memory.OutOfMemoryError: Out of memory allocating 8,000,000,000 bytes (allocated so far: 0 bytes).",
        "out_of_memory",
        {},
    ),
    ("vk::Device::allocateMemory: ErrorOutOfDeviceMemory", "out_of_memory", {}),
    (
        "2024-05-01 12:00:00.000 [ONNXRuntimeError] : 1 : FAIL : CUDA failure 700: an illegal memory access was encountered ; GPU=0",
        "memory_access_fault",
        {},
    ),
    ("kfd kfd: amdgpu: skipped device 1002:699f, PCI rejects atomics 730<0", "hip_init_error", {}),
    (
        "I get this error:\nocBLAS error: Cannot read /x/TensileLibrary.dat: Illegal seek\n\nwhat now?",
        "missing_library_kernels",
        {},
    ),
    (
        "rocBLAS error: /opt/lib/librocblas.so: TensileLibrary.dat: Illegal seek for GPU arch: gfx1031",
        "missing_library_kernels",
        {"gpu_arch": "gfx1031"},
    ),
    ("02:21:32 amdgpu 0000:08:00.0: device lost from bus!", "gpu_hang_reset", {}),
    (
        "Error message: `Memory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.`",
        "memory_access_fault",
        {"node": 1},
    ),
    (
        '[TP0] Scheduler hit an exception: Traceback (most recent call last):\n  File "a.py", line 2582, in run\n    loop()',
        "python_exception_other",
        {},
    ),
    (
        "  HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception. code: 0x1016\n  torch.AcceleratorError: HIP error: unspecified launch failure",
        "unknown_abort",
        {"code": "0x1016"},
    ),
    (
        "**Without override:**\n```\nhipErrorNoBinaryForGpu: Unable to find code object for all current devices!\n```",
        "no_kernel_image",
        {},
    ),
    (
        "[2.1] [gfxhub] page fault (ring:40 vmid:8)\n[2.2] MES might be in unrecoverable state\n[2.3] MODE1 reset",
        "gpu_hang_reset",
        {},
    ),
]
NEGATIVE = [
    "If you get `HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION`, set HSA_ENABLE_SDMA=0.",
    "## Memory access fault by GPU node\nThis usually means the kernel read out of bounds.",
    "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION = 0x29,",
    "  /// The agent attempted to access memory beyond the largest legal address.\n  HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION = 0x29,",
    'case hipErrorNoBinaryForGpu: return "no kernel image is available for execution on the device";',
    "if 'out of memory' in str(e): torch.cuda.empty_cache()",
    "except torch.cuda.OutOfMemoryError:\n    torch.cuda.empty_cache()",
    '    if "CUDA out of memory" in str(exc):\n        return True',
    'assert "CUDA error: device-side assert triggered" in stderr',
    'ERROR_PATTERNS = [\n    "CUDA out of memory",\n    "Segmentation fault",\n    "Killed",\n]',
    "| Error | Meaning |\n|---|---|\n| hipErrorNoBinaryForGpu: Unable to find code object for all current devices! | wrong arch |",
    "- `Segmentation fault`: usually a driver mismatch",
    "- **Segmentation fault (core dumped)**: check your drivers",
    'We fixed a crash with "Memory access fault by GPU node-1" in this release.',
    "* Fixed RuntimeError: CUDA error: an illegal memory access was encountered (#1234)",
    "MIOpen(HIP): Warning [IsEnoughWorkspace] [GetSolutionsFallback WTI] Solver <GemmFwdRest>, workspace required: 1, provided ptr: 0 size: 0",
    "UserWarning: expandable_segments not supported on this platform",
    "MIOPEN_LOG_LEVEL=6 MIOpen(HIP): Info2 [GetInvoker] Error-free",
    "CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.",
    "Exit codes: 137 means the process was OOM killed, 139 is a segmentation fault, 134 an abort.",
    "The process may be killed by the OOM killer if memory is low.",
    "HIP_VISIBLE_DEVICES=0 python train.py --timeout 137",
    'printf("Memory access fault by GPU node-%u (Agent handle: %p) on address %p. Reason: %s.\\n", node, agent, addr, reason);',
    "RuntimeError is raised when the tensor is on the wrong device.",
    'def test_oom():\n    with pytest.raises(RuntimeError, match="out of memory"):\n        alloc()',
    "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True avoids CUDA out of memory errors.",
    "I would expect CUDA out of memory here, but it worked.",
    "torch.cuda.OutOfMemoryError is the exception to catch.",
    "class OutOfMemoryError(RuntimeError):\n    pass",
    "from torch.cuda import OutOfMemoryError",
    "GPU reset is done with `rocm-smi --gpureset -d 0`.",
    "To trigger a GPU reset, read /sys/kernel/debug/dri/0/amdgpu_gpu_recover.",
    "# GPU hang detection: HW Exception by GPU node-N reason :GPU Hang means the driver reset the card",
    "amdgpu.gpu_recovery=1  # enable GPU reset on ring timeout",
    "[    5.123] amdgpu 0000:03:00.0: amdgpu: lockup timeout 10000",
    "[    5.123456] [drm] amdgpu: ring gfx_0.0.0 uses VM inv eng 0 on hub 0",
    "[    3.0] amdgpu 0000:03:00.0: amdgpu: PSP is resuming...\n[    3.1] amdgpu: SMU is initialized successfully!",
    "INFO 10-31 07:39:11 worker.py:253] Memory profiling takes 2.68 seconds",
    "raise SystemExit(139)",
    "signal.signal(signal.SIGSEGV, handler)",
    "trap 'echo caught SIGABRT' SIGABRT",
    "Error rate: 0.0 %, no errors, 0 failures",
    "The worker exited with code 0",
    "grep -i 'segfault' /var/log/kern.log",
    "dmesg | grep -E 'oom-kill|Out of memory|segfault|amdgpu.*reset'",
    "docker run --oom-kill-disable --memory=8g rocm/pytorch",
    'echo "CUDA error: out of memory" >&2',
    'logger.error("CUDA error: %s", err)',
    "// hipErrorIllegalAddress (700): an illegal memory access was encountered on the device",
    "This PR handles the `RuntimeError: HIP error: invalid device function` seen on gfx1010.",
    'What does "CUDA error: no kernel image is available for execution on the device" mean?',
    "Some common causes include: (1) the process was killed by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly due to SIGSEGV or another unexpected error.",
    "0 bytes leaked. Aborting is not supported.",
    "aborted: false\nkilled: 0\nerrors: []",
    "Test aborted by user request? no",
    '{"test": "segfault handling", "status": "passed"}',
    "PASSED tests/test_crash.py::test_segmentation_fault",
    "tests/test_oom.py::test_cuda_out_of_memory PASSED",
    "Killed process count: 0",
    "export HSA_OVERRIDE_GFX_VERSION=10.3.0  # without it: hipErrorNoBinaryForGpu: Unable to find code object",
    "rocBLAS warning: No paths matched /opt/rocm/lib/rocblas/library/*gfx1010*co. Make sure that ROCBLAS_TENSILE_LIBPATH is set correctly.",
    "Our results show that an illegal memory access was encountered by 3 % of users.",
    "[W socket.cpp:426] [c10d] The server socket cannot be initialized on [::]:29500 (errno: 97 - Address family not supported by protocol).",
    "Warning: failed to load plugin foo, continuing",
    "WARNING: apport: report generated",
    # Literals of a source or data file, also without a comma behind them.
    '_log("%c[kernel] Segmentation fault (core dumped)", red);',
    '    "Sep 15 12:08:17 box kernel: Out of memory: Killed process 571 "\n    "(python) total-vm:2071252kB\\n"',
    "line, _ := kmsg.ParseLine(`6,901,100;NVRM: Xid (PCI:0000:3b:00): 48, pid=1, Ch 00000008`)",
    '  msg: "the server ran out of memory: HIP out of memory. Tried to allocate 20.00 MiB (GPU 0)"',
    'job.explode = "CUDA error: an illegal memory access was encountered"',
    'boom = RuntimeError("HIP error: no ROCm-capable device is detected")',
    "  { id: 'kfd', symptom: 'Unable to open /dev/kfd read-write: Permission denied', fix: 'amd' },",
    # Quotations inside sentences.
    "The suite ends in an abort (`no ROCm-capable device is detected`). Two tests were added",
    "the first test stopped because the runner had reported\n`no ROCm-capable device is detected`; this is the runner's fault",
    "The gate then walked into\n`RuntimeError: miopenStatusUnknownError` on the hardware that it exists to check",
    "- Symptom: `HIP error: invalid device function` or a model that does not load",
    "that create fails, and the library reports it as\nmiopenStatusUnknownError from whatever convolution ran first",
    "hours: ``ring gfx_0.0.0 timeout`` -> ``MODE1 reset`` -> ``VRAM is lost due to GPU reset!``, which",
    # Examples that a sentence introduces.
    "The failure looks like this:\n\n```\nRequested to load a model\nMemory access fault by GPU node-1 (Agent handle: 0x...) on address 0x...\nFatal Python error: Aborted\n```",
    "When a kernel crashes with errors like:\n\n- `hipErrorIllegalAddress`\n- `RuntimeError: CUDA error: an illegal memory access was encountered` (also on ROCm)",
    "You might see:\n```\nHSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION\n```\nThen try the next release.",
    "# Without this, the tool fails with:\n#   Unable to open /dev/kfd read-write: Permission denied\n# even though the module is loaded",
    "/// - amdgpu: `*ERROR* ring gfx_0.0.0 timeout`, `GPU reset begin!`,\n///   `VRAM is lost due to GPU reset!`",
    "    CHECK_HIP(hipErrorOutOfMemory);\n    return;",
    "#define cudaErrorMemoryAllocation hipErrorOutOfMemory",
    "- a list: `hipErrorNoBinaryForGpu: Unable to find code object for all current devices!` means a wrong build",
    "| Ring gfx_0.0.0 timeout | **0** | PASS |\n| GPU reset succeeded | **0** | PASS |",
]


# What people write around their logs.
REPORTS = [
    ("comfyui.service: Main process exited, code=dumped, status=11/SEGV", "segfault"),
    ("May 01 10:00:00 box systemd[1]: llm.service: Main process exited, code=dumped, status=6/ABRT", "unknown_abort"),
    (
        "python: /build/clr/hipamd/src/hip_code_object.cpp:762: hip::StatCO::addFatBinary(const void*, bool): Assertion `err == hipSuccess' failed.",
        "unknown_abort",
    ),
    ("- **Exception Message:** torch.AcceleratorError: HIP error: invalid argument", "python_exception_other"),
    (
        "`torch.AcceleratorError: HIP error: unspecified launch failure\nSearch for hipErrorLaunchFailure' in https://rocm.docs.amd.com for more information.",
        "python_exception_other",
    ),
    (
        "2024-10-14 01:39:49 | ERROR | stderr | [rank0]: RuntimeError: NCCL error: unhandled cuda error",
        "python_exception_other",
    ),
    ("  hipStreamBeginCapture(stream, mode) -> hipErrorIllegalState (401)", "python_exception_other"),
    (
        "12:00:00 llama.go:344: llama runner stopped with error: signal: illegal instruction (core dumped)",
        "illegal_instruction",
    ),
    ("I'm getting the same error:\n```\nRuntimeError: HIP error: invalid device function\n```", "no_kernel_image"),
    (
        "The error looks like this:\n```\nMemory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.\n```",
        "memory_access_fault",
    ),
    ("I get an error like this:\n\nRuntimeError: CUDA error: out of memory", "out_of_memory"),
    ("When I run main.py I get:\nSegmentation fault (core dumped)", "segfault"),
    (
        "It works with 6.1, but with 6.2 it crashes:\n\nHW Exception by GPU node-1 (Agent handle: 0x5) reason :GPU Hang",
        "gpu_hang_reset",
    ),
    (
        "I have a similar problem with my RX 5700 XT:\n\nMemory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.\nAborted (core dumped)",
        "memory_access_fault",
    ),
    (
        "### Describe the bug\n\nRuntimeError: CUDA error: an illegal memory access was encountered",
        "memory_access_fault",
    ),
    ("**Error log**\n`RuntimeError: miopenStatusUnknownError`", "miopen_error"),
    ("> RuntimeError: HIP error: invalid device function\n\nDid you set HSA_OVERRIDE_GFX_VERSION?", "no_kernel_image"),
    (
        "Output of `dmesg`:\n\n[ 100.0] amdgpu 0000:03:00.0: amdgpu: ring gfx_0.0.0 timeout, signaled seq=1, emitted seq=3",
        "gpu_hang_reset",
    ),
    ("same here, HW Exception by GPU node-1 (Agent handle: 0x5) reason :GPU Hang", "gpu_hang_reset"),
    (
        "I'm facing this problem: torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB",
        "out_of_memory",
    ),
    (
        "Loading model...\nthis may take a while, you may see warnings\nMemory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.",
        "memory_access_fault",
    ),
    ("2025-01-01 10:00:00 INFO would fail over to node 2\nRuntimeError: CUDA error: out of memory", "out_of_memory"),
]


@pytest.mark.parametrize(("text", "cause"), REPORTS)
def test_report(text, cause):
    assert recognise(text).cause == cause


@pytest.mark.parametrize(("text", "cause", "fields"), POSITIVE, ids=lambda value: None)
def test_message(text, cause, fields):
    found = recognise(text)
    assert found.cause == cause, found
    assert {name: found.fields.get(name) for name in fields} == fields


@pytest.mark.parametrize("text", NEGATIVE)
def test_only_named(text):
    found = recognise(text)
    assert found.cause is Cause.NONE, (found.pattern_id, found.line)


@pytest.mark.parametrize("pattern", ALL_PATTERNS, ids=lambda pattern: pattern.id)
def test_every_row_knows_its_example(pattern):
    """The row matches its own example, a needle stands in it, and the fields are the promised ones."""
    assert any(needle in pattern.example for needle in pattern.needles)
    assert pattern.source
    assert pattern.compiled().search(pattern.example)
    if pattern.rank is Rank.DETAIL:
        return
    found = recognise(pattern.example)
    if pattern.cause is not Cause.NONE:
        assert found.cause is pattern.cause, found
        assert found.pattern_id == pattern.id
    numbers = {name: found.fields.get(name) for name in pattern.expect}
    assert numbers == dict(pattern.expect)


def test_ids_are_unique():
    ids = [pattern.id for pattern in ALL_PATTERNS]
    assert len(set(ids)) == len(ids)
    assert len({status.code for status in RUNTIME_ERRORS}) == len(RUNTIME_ERRORS)
    assert len({name for name, _ in BENIGN}) == len(BENIGN)


@pytest.mark.parametrize("status", RUNTIME_ERRORS, ids=lambda status: status.hip)
@pytest.mark.parametrize("flavour", ["HIP", "CUDA"])
def test_runtime_status(status, flavour):
    """Each status is known by its text in torch's form, under the name of the right runtime."""
    name = status.hip if flavour == "HIP" else status.cuda
    if not name:
        pytest.skip(f"{flavour} has no such status")
    text = next((text for text in status.texts if flavour == "HIP" or "ROCm" not in text), status.texts[0])
    if flavour == "CUDA":
        text = next((text for text in status.texts if "ROCm" not in text), text)
    found = recognise(f"RuntimeError: {flavour} error: {text}\nCompile with `TORCH_USE_HIP_DSA`")
    assert found.cause is status.cause
    key = "hip_error" if flavour == "HIP" else "cuda_error"
    assert found.fields[key] == ("hip" if flavour == "HIP" else "cuda") + f"Error{name}"


def test_first_cause_wins_over_the_last_line():
    text = (
        'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
        "RuntimeError: CUDA error: an illegal memory access was encountered\nSegmentation fault (core dumped)\n"
    )
    found = recognise(text)
    assert found.cause is Cause.OUT_OF_MEMORY
    assert found.line_number == 3
    assert found.also == (Cause.MEMORY_ACCESS_FAULT,)
    assert found.fields["signal"] == "SIGSEGV"


def test_assertion_beats_the_exception_status_that_follows_it():
    text = (
        "a.hip:3: void k(int): Device-side assertion `i < n' failed.\n"
        ":0:rocdevice.cpp :2993: 7226916028 us:  Callback: Queue 0x7fd1e8200000 aborting with error : "
        "HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception. code: 0x1016\n"
    )
    found = recognise(text)
    assert found.cause is Cause.DEVICE_ASSERT
    assert found.fields["kernel"] == "k"
    assert found.fields["code"] == "0x1016"


def test_page_fault_that_ends_in_a_reset_is_a_reset():
    fault = "[1.0] amdgpu 0000:03:00.0: amdgpu: [gfxhub] page fault (src_id:0 ring:24 vmid:8 pasid:1)\n"
    reset = "[9.0] amdgpu 0000:03:00.0: amdgpu: GPU reset begin!\n"
    assert recognise(fault).cause is Cause.MEMORY_ACCESS_FAULT
    assert recognise(fault + reset).cause is Cause.GPU_HANG_RESET
    process = "Memory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00. Reason: Unknown.\n"
    assert recognise(process + reset).cause is Cause.MEMORY_ACCESS_FAULT, "the process died of its fault"


def test_exit_status_alone():
    assert recognise("", signal="SIGSEGV").cause is Cause.SEGFAULT
    assert recognise("", exit_code=134).cause is Cause.UNKNOWN_ABORT
    assert recognise("", exit_code=137).cause is Cause.NONE, "a kill by an unknown hand is no cause"
    assert recognise("", exit_code=1).cause is Cause.NONE
    found = recognise("Memory access fault by GPU node-1 (Agent handle: 0x5) on address 0x7f00.", signal="SIGABRT")
    assert found.fields["signal"] == "SIGABRT"


def test_raw_text_is_never_prose():
    line = "My test: if you see Memory access fault by GPU node-1 on address 0x7f00."
    assert recognise(line).cause is Cause.NONE
    assert recognise(line, raw=True).cause is Cause.MEMORY_ACCESS_FAULT
    warning = "UserWarning: HIP warning: an illegal memory access was encountered"
    assert recognise(warning, raw=True).cause is Cause.NONE


def test_windows_text_in_utf16():
    line = "RuntimeError: HIP error: invalid device function\r\n"
    assert recognise(line.encode("utf-16")).cause is Cause.NO_KERNEL_IMAGE
