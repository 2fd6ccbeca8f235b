"""Faults that end the process: real signals, exits, aborts with the texts of the ROCm runtime."""

from __future__ import annotations

import ctypes
import ctypes.util
import mmap
import os
import resource
import signal
import sys
import tempfile
import time
from typing import Any, Callable, Dict

_PROT_NONE, _PROT_RWX = 0, 7
_STACK_BYTES = 8 * 1024 * 1024  # the usual limit, also where the case was started without one
_DEEP = 2_000_000  # parentheses; 20,000 already fill a stack of that size
_REGEX_BYTES = 4096  # a regex_t has 64
_MAP_PRIVATE_ANONYMOUS = 0x22  # Linux, every architecture but alpha, mips and parisc
# udf/ud2 and integer division by zero as machine code, by architecture; both end in a return instruction.
_ILLEGAL = {"x86_64": b"\x0f\x0b\xc3", "aarch64": b"\x00\x00\x00\x00\xc0\x03\x5f\xd6"}
_DIVIDE = {
    "x86_64": b"\x31\xc9\x31\xd2\x31\xc0\xf7\xf1\xc3"
}  # xor ecx,ecx; xor edx,edx; xor eax,eax; div ecx; ret

# Texts as the runtimes print them (formats in rocdevice.cpp, runtime.cpp of ROCR, aten's assertions).
_TEXTS = {
    "aperture-5": (
        ":0:rocdevice.cpp            :2652: 91743514843 us: 20318: [tid:0x7f2c3b7fe700] Device::callbackQueue "
        "aborting with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory "
        "beyond the largest legal address. code: 0x29\n"
    ),
    "aperture-6": (
        ":0:rocdevice.cpp            :2984: 4302870513 us: [pid:20318 tid:0x7f1b0b3ff640] Callback: Queue "
        "0x7f1a90000000 aborting with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to "
        "access memory beyond the largest legal address. code: 0x29\n"
    ),
    "page-fault": (
        "Memory access fault by GPU node-1 (Agent handle: 0x55d0c1a0b2c0) on address 0x7f6e1c400000. "
        "Reason: Page not present or supervisor privilege.\n"
    ),
    "illegal-instruction": (
        ":0:rocdevice.cpp            :2984: 4302870513 us: [pid:20318 tid:0x7f1b0b3ff640] Callback: Queue "
        "0x7f1a90000000 aborting with error : HSA_STATUS_ERROR_ILLEGAL_INSTRUCTION: The agent attempted to execute "
        "an illegal shader instruction. code: 0x2a\n"
    ),
    "gpu-hang": "HW Exception by GPU node-1 (Agent handle: 0x55d0c1a0b2c0) reason :GPU Hang\n",
    "missing-kernels": (
        "\nrocBLAS error: Cannot read /opt/rocm/lib/rocblas/library/TensileLibrary.dat: No such file or directory "
        "for GPU arch : gfx1010\n List of available TensileLibrary Files : \n"
    ),
    "no-binary": '"hipErrorNoBinaryForGpu: Unable to find code object for all current devices!"\n',
    "device-assert": (
        "/pytorch/aten/src/ATen/native/hip/Indexing.hip:1292: indexSelectLargeIndex: Device-side assertion "
        "`srcIndex < srcSelectDimSize' failed.\n"
        ":0:rocdevice.cpp            :2984: 4302870513 us: [pid:20318 tid:0x7f1b0b3ff640] Callback: Queue "
        "0x7f1a90000000 aborting with error : HSA_STATUS_ERROR_EXCEPTION: An HSAIL operation resulted in a hardware "
        "exception. code: 0x1016\n"
    ),
}


def segfault(ctx: Any) -> None:
    """Read address 0: a real SIGSEGV."""
    ctypes.string_at(0)


def stack_overflow(ctx: Any) -> None:
    """Native recursion until the stack's guard page: glibc parses nested parentheses by recursion.

    No Python frame takes part: some versions count those (3.12 also in C) and raise before the stack is full.
    """
    hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (_STACK_BYTES, hard))
    ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(_REGEX_BYTES), b"(" * _DEEP, 1)
    raise RuntimeError("the C library parsed %d nested parentheses: it does not recurse" % _DEEP)


def abort(ctx: Any, text: str = "", stream: str = "stderr") -> None:
    """Print one of the runtime's texts (see _TEXTS, '' for none) and abort."""
    if text:
        os.write(1 if stream == "stdout" else 2, _TEXTS[text].encode())
    os.abort()


def bus_error(ctx: Any) -> None:
    """Touch a mapped page behind the end of its file: a real SIGBUS."""
    with tempfile.TemporaryFile() as file:
        file.truncate(mmap.PAGESIZE)
        view = mmap.mmap(file.fileno(), mmap.PAGESIZE)
        file.truncate(0)
        view[0]


def _execute(code: Any) -> None:
    """Run machine code, or raise the signal where there is none for this architecture."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    page = libc.mmap(None, mmap.PAGESIZE, _PROT_RWX, _MAP_PRIVATE_ANONYMOUS, -1, 0)
    ctypes.memmove(page, code, len(code))
    ctypes.CFUNCTYPE(None)(page)()


def illegal_instruction(ctx: Any) -> None:
    """Execute an undefined instruction: a real SIGILL."""
    code = _ILLEGAL.get(os.uname().machine)
    if code is None:
        os.kill(os.getpid(), signal.SIGILL)
    _execute(code)


def divide(ctx: Any) -> None:
    """Divide integers by zero in machine code: a real SIGFPE (sent by hand where the CPU does not trap)."""
    code = _DIVIDE.get(os.uname().machine)
    if code is None:
        os.kill(os.getpid(), signal.SIGFPE)
    _execute(code)


def kill_self(ctx: Any, name: str = "SIGKILL") -> None:
    """Send a signal to the own process and wait for it."""
    os.kill(os.getpid(), getattr(signal, name))
    time.sleep(1.0)


def leave(ctx: Any, code: int = 0) -> None:
    """Leave by os._exit, without a result."""
    os._exit(int(code))


def system_exit(ctx: Any, code: int = 0) -> None:
    """Leave by sys.exit."""
    sys.exit(int(code))


def native_exit(ctx: Any, code: int = 0) -> None:
    """Leave by libc's exit(), as native libraries do when they give up."""
    ctypes.CDLL(None).exit(int(code))


def binary_abort(ctx: Any) -> None:
    """Bytes that are no text and end in no newline, then an abort."""
    os.write(2, bytes(range(256)) + b"\xff\xfe\x00last words without a newline")
    os.abort()


def close_and_abort(ctx: Any) -> None:
    """Close every descriptor, then abort: nobody hears the last words."""
    os.closerange(0, 4096)
    os.abort()


def garbage_and_leave(ctx: Any) -> None:
    """Write garbage to every inherited descriptor and leave: noise on the result pipe is no result."""
    for name in os.listdir("/proc/self/fd"):
        try:
            os.set_blocking(int(name), False)
            os.write(int(name), b'{"t":"result","error":null}\n\x00\xff' * 64)
        except OSError:
            pass
    os._exit(0)


def flood_and_abort(ctx: Any, size: int = 64 * 1024 * 1024, stream: str = "stderr") -> None:
    """Write ``size`` bytes, the cause in the last line, then abort: memory and disk must not fill."""
    fd = 1 if stream == "stdout" else 2
    block = b"x" * 65535 + b"\n"
    for _ in range(int(size) // len(block)):
        _write_all(fd, block)
    _write_all(fd, _TEXTS["page-fault"].encode())
    os.abort()


def _write_all(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


KINDS: Dict[str, Callable[..., Any]] = {
    "segfault": segfault,
    "stack-overflow": stack_overflow,
    "abort": abort,
    "bus-error": bus_error,
    "illegal-instruction": illegal_instruction,
    "divide": divide,
    "kill-self": kill_self,
    "exit": leave,
    "system-exit": system_exit,
    "native-exit": native_exit,
    "binary-abort": binary_abort,
    "close-and-abort": close_and_abort,
    "garbage": garbage_and_leave,
    "flood-abort": flood_and_abort,
}
