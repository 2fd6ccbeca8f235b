"""Formats beyond the common ones, and places where a message is only named. Written from the formats, not copied."""

from __future__ import annotations

import pytest

from rmcp.outcome.localised import LOCALISED
from rmcp.outcome.recognise import recognise
from rmcp.words import Cause

# ruff: noqa: E501 - log lines are long
LOGS: list[tuple[str, str, dict]] = [
    # statuses by number, as XLA, TensorFlow, glog and hashcat print them
    ("F0314 17:16:06.3     361 util.cc:5] could not create it: INTERNAL: Failed call to hipX: hipError_t(98)", "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    ("F ./core/launch.h:174] Check failed: err == hipSuccess (98 vs. 0)", "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    ("F0101 00:00:00.0 1 math.cpp:9] Check failed: error == cudaSuccess (35 vs. 0)  CUDA driver version is insufficient for CUDA runtime version", "hip_init_error", {"cuda_error": "cudaErrorInsufficientDriver"}),
    ("E rocm_driver.cc:601] failed to allocate 7.35G (7889485824 bytes) from device: hipError_t(1002)", "out_of_memory", {}),
    ("E rocm_driver.cc:601] failed to allocate 7.35G (7889485824 bytes) from device: HIP_ERROR_OutOfMemory", "out_of_memory", {}),
    ("XlaRuntimeError: INTERNAL: Failed to launch HIP graph: HIP_ERROR_InvalidValue", "python_exception_other", {"hip_error": "hipErrorInvalidValue"}),
    ("hipModuleGetFunction(): 500\n\n* Device #1: Kernel m1_init create failed.", "python_exception_other", {"hip_error": "hipErrorNotFound"}),
    ("hiprtcCompileProgram(): HIPRTC_ERROR_COMPILATION\n\nlld: error: undefined hidden symbol", "python_exception_other", {"code": "HIPRTC_ERROR_COMPILATION"}),
    ("HIP error: Invalid Device Function", "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    ("Cuda error in function 'cudaFree()' file 'a.cu' in line 26 : an illegal memory access was encountered.", "memory_access_fault", {"cuda_error": "cudaErrorIllegalAddress"}),
    ("/src/rocclr/hip_code_object.cpp:120: guarantee(false && \"hipErrorNoBinaryForGpu: Coudn't find binary for current devices!\")", "no_kernel_image", {"hip_error": "hipErrorNoBinaryForGpu"}),
    ("after my change I got RuntimeError: Triton Error [CUDA]: device kernel image is invalid", "no_kernel_image", {}),
    ("amrex::Abort::3::HIP error in file /src/Base/Arena.cpp line 12 hipErrorOutOfMemory !!!\nSIGABRT", "out_of_memory", {"signal": "SIGABRT"}),
    # only the link to the documentation of a status is left of it, here in a journal printed newest first
    ("07:01:02 INFO Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n07:01:02 INFO Search for `cudaErrorNoKernelImageForDevice' in https://docs.example.org/types.html for more information.", "no_kernel_image", {"cuda_error": "cudaErrorNoKernelImageForDevice"}),
    ("when i run it i get the following error: RuntimeError: HIP error: invalid device function HIP kernel errors might be asynchronously reported at some other API call", "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    # exceptions of bindings, tools of the vendors, names in quotes
    ("ERROR: LoadError: HIPError(code hipErrorOutOfMemory, out of memory)", "out_of_memory", {"hip_error": "hipErrorOutOfMemory"}),
    ("thread 'main' panicked at src/main.rs:4: called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_ILLEGAL_ADDRESS, \"an illegal memory access was encountered\")", "memory_access_fault", {"cuda_error": "cudaErrorIllegalAddress"}),
    ("thread 'main' panicked at src/main.rs:4:5:\nindex out of bounds", "unknown_abort", {}),
    ('========= Program hit cudaErrorIllegalAddress (error 700) due to "an illegal memory access was encountered" on CUDA API call to cudaFree.', "memory_access_fault", {"cuda_error": "cudaErrorIllegalAddress"}),
    ('HIP Error: "hipErrorNoBinaryForGpu" (209) at add.cpp:29', "no_kernel_image", {"hip_error": "hipErrorNoBinaryForGpu"}),
    ("rocBLAS error from hip error code: 'hipErrorInvalidDeviceFunction':98", "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    (" CUDA error: ILLEGAL_ADDRESS in cuCtxSynchronize()", "memory_access_fault", {"cuda_error": "cudaErrorIllegalAddress"}),
    ("Failed: Cuda error /src/reduce.cuh:455 'an illegal memory access was encountered'", "memory_access_fault", {"cuda_error": "cudaErrorIllegalAddress"}),
    ('An error encountered: "invalid device function" at .../sort/main.hip:204', "no_kernel_image", {"hip_error": "hipErrorInvalidDeviceFunction"}),
    ("Error invalid device function at line 679 in file /lib/csrc/ops.cu", "no_kernel_image", {"cuda_error": "cudaErrorInvalidDeviceFunction"}),
    ("error: 'out of memory'(2) at square.cpp:76", "out_of_memory", {}),
    ("The crash needs many requests. The exact error logged:\n\n`Memory access fault by GPU node-4 (Agent handle: 0x...) on address (nil).\nReason: SRAM ECC failure.`", "memory_access_fault", {"node": 4, "address": "(nil)", "reason": "SRAM ECC failure"}),
    ("It stops at once\n`app: /src/fat.cpp:762: void add(bool): Assertion `err == ok' failed.`", "unknown_abort", {}),
    ("Process exit code:\n-1073741819 (0xC0000005, Access Violation)", "segfault", {}),
    ("SIGNAL raised in: blas1/dot\nFailed\nReceived Segmentation fault signal", "segfault", {"signal": "SIGSEGV"}),
    ("box: Test HIP failure common.cu:1129 'hipErrorInvalidDevice'", "python_exception_other", {"hip_error": "hipErrorInvalidDevice"}),
    ("========= Fatal UVM GPU fault of type invalid pte due to invalid address\n=========     during read access to address 0x201e6b84", "memory_access_fault", {}),
    ("Memory access fault by GPU node-XX (Agent handle: 0x8124d0) on address 0x1550c5001000. Reason: Unknown.", "memory_access_fault", {"address": "0x1550c5001000", "node": None}),
    ("[E:onnxruntime:, executor.cc:516 ExecuteKernel] Non-zero status code returned while running Conv node. Status Message: MIOPEN failure 7: miopenStatusUnknownError ; GPU=0 ; hostname=a", "miopen_error", {"miopen_status": "miopenStatusUnknownError"}),
    ("Error: /src/core.h:41 std::string EnumToName() [ONNXRuntimeError] : 1 : FAIL : core.h:31 EnumToName Failed to map", "python_exception_other", {}),
    ("[2023-04-14 13:11:27,885] [ERROR] [launch.py:434:sigkill_handler] ['python3', 'main.py', '--local_rank=0'] exits with return code = -6", "unknown_abort", {"signal": "SIGABRT"}),
    ("Hello, I got this error when running your code: `Error: no kernel image is available for execution on the device`.", "no_kernel_image", {}),
    ("container exited with code 137 (OOM killed)", "cpu_oom_kill", {}),
    # lines in JSON
    ('{"event": "line", "data": "[rank1]: torch.AcceleratorError: HIP error: unspecified launch failure\\n", "pipe": "stderr"}', "python_exception_other", {"hip_error": "hipErrorLaunchFailure"}),
    ('{"log":"CUDA error: an illegal memory access was encountered\\n","stream":"stderr","time":"2024-01-01T00:00:00Z"}', "memory_access_fault", {}),
    ('    "textPayload": "[195.443208] node invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=991\\\\r\\\\n",', "cpu_oom_kill", {"signal": "SIGKILL"}),
    # the ROCm runtime and the driver on memory that goes bad
    ("Memory critical error by agent node-0 (Agent handle: 0x3880) on address 0x7f00ead000. Reason: Memory in use. ", "memory_access_fault", {"node": 0, "address": "0x7f00ead000", "reason": "Memory in use"}),
    ("[  100.000001] amdgpu 0000:dd:00.0: {1}uncorrectable hardware error(ERREVENT_ATHUB_INTERRUPT) detected!", "gpu_hang_reset", {}),
    ("terminate called after throwing an instance of 'rocr::AMD::hsa_exception'\n  what():  Signal wait abort timeout.", "gpu_hang_reset", {}),
    # debuggers and editors on how it ended
    ("(gdb) bt\n#3  0x00007f4a5bd41476 in raise () from /lib/libc.so.6\n#4  0x00007f4a5bd277f3 in abort () from /lib/libc.so.6", "unknown_abort", {"signal": "SIGABRT"}),
    ("I get following message: Process finished with exit code 139 (interrupted by signal 11: SIGSEGV)", "segfault", {"exit_code": 139}),
    ("Process finished with exit code -1073741819 (0xC0000005)", "segfault", {}),
    # libraries
    ('rocblaslt error: Cannot read "TensileLibrary_lazy_gfx906.dat" (or .zlib variant): No such file or directory', "missing_library_kernels", {"gpu_arch": "gfx906"}),
    ("rocBLAS error: Could not load C:\\ROCm\\bin\\/rocblas/library/TensileLibrary_lazy_gfx1103.dat", "missing_library_kernels", {"gpu_arch": "gfx1103", "library": "rocBLAS/Tensile"}),
    ("FAILED: /root/MIOpen/src/hipoc/hipoc_program.cpp:162: Failed creating module from file /tmp/m shared object initialization failed", "miopen_error", {"library": "MIOpen"}),
    ("blas.cc:366] failed to create cublas handle: CUBLAS_STATUS_NOT_INITIALIZED", "python_exception_other", {"code": "CUBLAS_STATUS_NOT_INITIALIZED"}),
    ("NCCL failure all_reduce.cu:95 'unhandled cuda error'", "python_exception_other", {}),
    ("4711 MIOpen(HIP)  12.345: Error [BuildHip] comgr status = ERROR (1)", "miopen_error", {"subkind": "kernel_compile", "library": "MIOpen"}),
    ("MIOpen(HIP): Warning [FindSomeSolutions] /src/sqlite_db.cpp:200: Internal error while accessing SQLite database: disk I/O error", "miopen_error", {"subkind": "sqlite"}),
    ("../IndexKernel.cu：92： operator（）： block： [33,0,0]， thread： [1,0,0] 断言失败。", "device_assert", {}),
    ("size 2 ... FAILED after 3.5s: RuntimeError: Wait timeout: 3000 ms! (the signal is not set to 2)", "python_exception_other", {}),
    # memory
    ("Original error: RESOURCE_EXHAUSTED: Failed to allocate request for 16.00MiB (16777216B) on device ordinal 0", "out_of_memory", {}),
    ("E local_client.cc:67] Execution of replica 0 failed: Resource exhausted: Out \nof memory while trying to allocate 55207585 bytes.", "out_of_memory", {}),
    ("2024-12-16 17:10:56,767 - root - ERROR - !!! Exception during processing !!! Allocation on device \nTraceback (most recent call last):", "out_of_memory", {}),
    ("(raylet) node_manager.cc:3084: 4 Workers (tasks / actors) killed due to memory pressure (OOM), 0 Workers crashed due to other reasons", "cpu_oom_kill", {}),
    ("srv: ROCm tensor alloc failed: out of memory", "out_of_memory", {}),
    ("I'm encountering an error message: RuntimeError: cuBLAS failed with status CUBLAS_STATUS_NOT_SUPPORTED", "python_exception_other", {"code": "CUBLAS_STATUS_NOT_SUPPORTED", "library": "cuBLAS"}),
    # kernel log: newer amdgpu lines, wrapped mail, names with blanks and colons, months of other languages
    ("[  1.2] amdgpu 0000:28:00.0: ring gfx_0.0.0 timeout, signaled seq=57, emitted seq=58\n[  1.3] amdgpu 0000:28:00.0:  Process cosmic pid 2288 thread cosmic:cs0 pid 2316", "gpu_hang_reset", {"ring": "gfx_0.0.0", "pid": 2288}),
    ("[  1.2] amdgpu 0000:65:00.0: amdgpu: [gfxhub] page fault (src_id:0 ring:24 vmid:8 pasid:200)\n[  1.3] amdgpu 0000:65:00.0: amdgpu:  Process VLLM::Core pid 7304 thread VLLM::Core pid 7304", "memory_access_fault", {"pid": 7304}),
    ("[  1.2] amdgpu: *ERROR* ring vcn_0 timeout, signaled seq=5, emitted seq=6\n[  1.3] amdgpu: Process information: process RDD Process pid 2857 thread x pid 1", "gpu_hang_reset", {"pid": 2857}),
    ("mai 09 19:14:12 kernel: [drm:amdgpu_job_timedout [amdgpu]] *ERROR* ring gfx\ntimeout, signaled seq=2, emitted seq=4\nmai 09 19:14:12 kernel: amdgpu 0000:04:00.0: amdgpu: GPU reset begin!", "gpu_hang_reset", {"ring": "gfx"}),
    ("NVRM: The NVIDIA GPU 0000:b3:00.0\nNVRM: (PCI ID: 10de:26b5) installed in this system has\nNVRM: fallen off the bus and is not responding to commands.", "gpu_hang_reset", {}),
    ("llama_model_load: error loading model: vk::Queue::submit: ErrorDeviceLost", "gpu_hang_reset", {}),
    ("amdgpu 0000:0c:00.0: [drm:amdgpu_ring_test_helper [amdgpu]] *ERROR* ring kiq_0.2.1.0 test failed (-110)", "gpu_hang_reset", {}),
    # how a shell reports a death
    ("epoch 3\nKilled: 9", "cpu_oom_kill", {"signal": "SIGKILL"}),
    ("loading\nIllegal instruction: 4", "illegal_instruction", {"signal": "SIGILL"}),
    ("=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES\n=   EXIT CODE: 139\n=   CLEANING UP REMAINING PROCESSES", "segfault", {"signal": "SIGSEGV"}),
    ("I am still facing the issue - ` [1]    122549 illegal hardware instruction (core dumped)  python predict.py `", "illegal_instruction", {"signal": "SIGILL", "where": "cpu"}),
    ("[CUDA] Error: an illegal instruction was encountered\nbash: line 1:   488 Abort trap: 6           ./bin/miner", "illegal_instruction", {"signal": "SIGABRT"}),
    ("saved checkpoint 7\n已杀死", "cpu_oom_kill", {"signal": "SIGKILL"}),
    ("./run.sh: Zeile 3:  4711 Speicherzugriffsfehler  (Speicherabzug geschrieben) python train.py", "segfault", {"signal": "SIGSEGV"}),
    # a report in a fence is a report, also when the poster cut it
    ("The build works but the tests crashed with a fault:\n```\nMemory access fault by GPU node-2 (Agent handle: 0x...) on address 0x...\nReason: Unknown.\n```", "memory_access_fault", {"node": 2}),
    ("### Environment ### the log: :0:rocdevice.cpp :3018: 18d us: Callback: Queue 0x7f00 aborting with error : HSA[5/9] RROR_X: The agent attempted to access memory beyond the largest legal address. code: 0x29", "aperture_violation", {"code": "0x29"}),
]

NAMED = [
    # quotations that are explained, that began on the line above, and settings against an error
    "> `failed (exitcode: -9)`\n\nUsually means your system has run out of memory.",
    "a run survived long enough to show `RuntimeError: DataLoader worker (pid ...) is\nkilled by signal: Killed`. `lazy` is off by default.",
    '  "amdgpu.noretry=0" # Attempting to prevent `[drm:amdgpu_dm_atomic_commit_tail [amdgpu]] *ERROR* Waiting for fences timed out!`',
    # how a status travels through layers
    "The thunk now says why: HSAKMT_STATUS_NO_MEMORY → HSA_STATUS_ERROR_OUT_OF_RESOURCES → HIP (hipErrorOutOfMemory) → application.",
    "1387 MIOpen(HIP)  38.756: Info2 [SetIsaName] amdgcn-amd-amdhsa--gfx906",
    '"exits with return code = -9."\nI am tuning a large model and this seemed like memory, but there is enough.',
    # guides: an error, then what to do about it
    "### Out of memory\n\n```bash\ncudaMalloc failed: out of memory\n```\n\n**Solutions:**\n1. Use a smaller batch",
    "Symptom:\n\n```text\nRuntimeError: HIP error: no kernel image is available for execution on the device\n```\n\nThe wheel is too old.",
    "```\nMemory access fault by GPU node-1 (Agent handle: 0x55b0) on address 0x7fcd499e6000. Reason: Unknown.\n```\nLikely cause: the card is not supported.",
    "<excerpt>CUDA &quot;no kernel image is available for execution on the device&quot; in CI | Learn</excerpt>",
    "- After the wait returns exit code 137 or 9, run `dmesg` inside the guest to check for OOM evidence",
    # patches, docstrings, literals of sources, links
    "+## Xid\n+\n+> [Fri Aug 30 11:43:14 2024] NVRM: Xid (PCI:0000:cb:00): 109, pid=17, name=main\n+\n+The code is extracted",
    '"""Patch: use the reference kernel.\n\nWith large batches the other one triggers\n    HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware exception. code: 0x1016\nand the watchdog follows.\n',
    "\t\t\tlogs: `RuntimeError: CUDA error: device-side assert triggered\nCUDA kernel errors might be asynchronously reported",
    "- **Issue**: [#1297 torch.AcceleratorError: CUDA error: an illegal memory access was encountered](https://example.org/1297)",
    "1. RuntimeError: CUDA error: no kernel image is available for execution on the device. [Solution](errors.md)",
    "**`no kernel image is available for execution on the device`**\nYour ARCH flag doesn't match your GPU.",
    "REM      229376   loaded, answered, then died on the request\nREM               (cudaMalloc failed: out of memory), with little left",
    "- update the task library to catch RuntimeError: CUDA error: out of memory",
    # articles and manuals speak of their reader
    "Sooner or later you will see an error message like:\n\nRuntimeError: CUDA error: device-side assert triggered\n\nHere is why.",
    "The message will usually look like this:\nRuntimeError: CUDA error: device-side assert triggered\nIt says little.",
    "If a deployment on an older card returns:\n\n```text\nCUDA error: no kernel image is available for execution on the device\n```\nthen",
    "Users then only saw:\n```\nrocblaslt error: Could not load .../TensileLibrary_lazy_gfx1032.dat\n```\nwith no cause",
    "#### Example: crash during a launch\n\n```\nMemory access fault by GPU node-4 on address 0x7551d8402000\n```",
    "Expected: every variant aborts with\n\n    Memory access fault by GPU node-2 ... on address <host VA>\n\nand the address",
    "**Typische Fehlermeldungen:**\n```\nCannot read rocblas/library/TensileLibrary.dat: No such file or directory\n```",
    "可能会出现这个错误。\n\n    ```illegal instruction (core dumped)```\n",
    "It starts cleanly, serves requests for a while and then dies: the buffer is at fault, 'torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1 GiB' from stage two.",
    "the tensor read failed (`CUDA read failed:\nunspecified launch failure` for chunks above 512 rows",
]


@pytest.mark.parametrize(("text", "cause", "fields"), LOGS, ids=lambda value: None)
def test_log(text, cause, fields):
    found = recognise(text)
    assert found.cause == cause, found
    assert {name: found.fields.get(name) for name in fields} == fields


@pytest.mark.parametrize("text", NAMED)
def test_named_only(text):
    found = recognise(text)
    assert found.cause is Cause.NONE, (found.pattern_id, found.line)


@pytest.mark.parametrize("pattern", LOCALISED, ids=lambda pattern: pattern.id)
def test_every_localised_row_knows_its_example(pattern):
    found = recognise(f"step 7\n{pattern.example}\n")
    assert (found.cause, found.pattern_id) == (pattern.cause, pattern.id)
    assert {name: found.fields.get(name) for name in pattern.expect} == dict(pattern.expect)


@pytest.mark.parametrize("line", ["Abandon", "Annullato", "中止", "Un Processus arrêté depuis hier", "er wurde Getötet"])
def test_ordinary_words_of_other_languages_are_no_deaths(line):
    """Without a core mark, or inside a sentence, they are words."""
    assert recognise(f"step 7\n{line}\nstep 8\n").cause is Cause.NONE


def test_the_end_of_a_large_log_is_read_whole():
    """A death whose words are not searched for in large logs is found where deaths stand: at the end."""
    text = ("epoch 1 step 2 ok\n" * 600_000).encode() + "段错误 (核心已转储)\n".encode()
    assert recognise(text).cause is Cause.SEGFAULT
