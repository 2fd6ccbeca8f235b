"""The words of an outcome: outcome, cause, device event, class and verdict. One place for all of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Word(str, Enum):
    """A string enum that prints as its value, on every Python since 3.10."""

    __hash__ = str.__hash__  # the enum's own is Python code: reports look words up millions of times

    def __str__(self) -> str:
        return str(self.value)


class Outcome(Word):
    """What a case did."""

    PASS = "pass"
    WARN = "warn"
    MISMATCH = "mismatch"
    ERROR = "error"
    OOM = "oom"
    TAINTED = "tainted"
    CRASH = "crash"
    NO_RESULT = "no-result"
    TIMEOUT = "timeout"
    HANG = "hang"
    UNKILLABLE = "unkillable"
    LOST = "lost"
    COLLATERAL = "collateral"
    HARNESS_ERROR = "harness-error"
    UNSUPPORTED = "unsupported"
    BLOCKED = "blocked"
    NOT_RUN = "not-run"


class Cause(Word):
    """The recognised reason of an outcome."""

    APERTURE_VIOLATION = "aperture_violation"
    MEMORY_ACCESS_FAULT = "memory_access_fault"
    ILLEGAL_INSTRUCTION = "illegal_instruction"
    GPU_HANG_RESET = "gpu_hang_reset"
    OUT_OF_MEMORY = "out_of_memory"
    NO_KERNEL_IMAGE = "no_kernel_image"
    MISSING_LIBRARY_KERNELS = "missing_library_kernels"
    MIOPEN_ERROR = "miopen_error"
    HIP_INIT_ERROR = "hip_init_error"
    DEVICE_ASSERT = "device_assert"
    SEGFAULT = "segfault"
    CPU_OOM_KILL = "cpu_oom_kill"
    UNKNOWN_ABORT = "unknown_abort"
    PYTHON_EXCEPTION_OTHER = "python_exception_other"
    NONE = "none"


class DeviceEvent(Word):
    """What the case did to the device."""

    NONE = "none"
    FAULT = "fault"
    RESET = "reset"
    WEDGED = "wedged"
    LOST = "lost"


class OutcomeClass(Word):
    """The class that comparisons use; there is no total order of outcomes."""

    PASSED = "passed"
    FAILED_SILENTLY = "failed, silently"
    FAILED = "failed"
    DIED = "died"
    NO_VERDICT = "no verdict"
    NOT_RUN = "not run"


class Verdict(Word):
    """An outcome held against its expectation."""

    EXPECTED = "expected"
    UNEXPECTED = "unexpected"
    IMPROVED = "improved"
    LATERAL = "lateral"
    NEW = "new"
    NO_VERDICT = "no-verdict"


@dataclass(frozen=True)
class OutcomeInfo:
    """How an outcome is shown: a letter for progress lines, its class, and when it is given."""

    letter: str
    klass: OutcomeClass
    meaning: str
    outstanding: bool = False  # still has to run: resume takes it up again


OUTCOMES: dict[Outcome, OutcomeInfo] = {
    Outcome.PASS: OutcomeInfo(".", OutcomeClass.PASSED, "right numbers, clean exit"),
    Outcome.WARN: OutcomeInfo("w", OutcomeClass.PASSED, "passed with a remark (loose tolerance, leak, slow)"),
    Outcome.MISMATCH: OutcomeInfo("M", OutcomeClass.FAILED_SILENTLY, "complete but wrong numbers"),
    Outcome.ERROR: OutcomeInfo("E", OutcomeClass.FAILED, "clean Python exception or HIP/MIOpen status"),
    Outcome.OOM: OutcomeInfo("O", OutcomeClass.FAILED, "device or host memory exhausted"),
    Outcome.TAINTED: OutcomeInfo(
        "T", OutcomeClass.FAILED, "right result, but a device event or a death in teardown"
    ),
    Outcome.CRASH: OutcomeInfo("C", OutcomeClass.DIED, "killed by a signal that rmcp did not send"),
    Outcome.NO_RESULT: OutcomeInfo("N", OutcomeClass.DIED, "exited without a result"),
    Outcome.TIMEOUT: OutcomeInfo("t", OutcomeClass.DIED, "budget spent while still progressing"),
    Outcome.HANG: OutcomeInfo("H", OutcomeClass.DIED, "no progress until the stall budget"),
    Outcome.UNKILLABLE: OutcomeInfo("U", OutcomeClass.DIED, "not reaped after SIGKILL"),
    Outcome.LOST: OutcomeInfo("L", OutcomeClass.NO_VERDICT, "the runner or the machine died under it", True),
    Outcome.COLLATERAL: OutcomeInfo(
        "c", OutcomeClass.NO_VERDICT, "died in an incident that another case owns", True
    ),
    Outcome.HARNESS_ERROR: OutcomeInfo("!", OutcomeClass.NO_VERDICT, "could not be run or judged", True),
    Outcome.UNSUPPORTED: OutcomeInfo("s", OutcomeClass.NOT_RUN, "a declared requirement is false here"),
    Outcome.BLOCKED: OutcomeInfo("b", OutcomeClass.NOT_RUN, "the device gate refused", True),
    Outcome.NOT_RUN: OutcomeInfo("-", OutcomeClass.NOT_RUN, "planned, never started", True),
}


def class_of(outcome: Outcome, signal: str | None = None) -> OutcomeClass:
    """Class of an outcome; `oom` failed when it was reported and died when a signal ended it."""
    if outcome is Outcome.OOM and signal is not None:
        return OutcomeClass.DIED
    return OUTCOMES[outcome].klass


# A cause as people say it, for messages and titles.
CAUSE_TEXT: dict[Cause, str] = {
    Cause.APERTURE_VIOLATION: "GPU aperture violation",
    Cause.MEMORY_ACCESS_FAULT: "GPU memory access fault",
    Cause.ILLEGAL_INSTRUCTION: "illegal instruction",
    Cause.GPU_HANG_RESET: "GPU hang or reset",
    Cause.OUT_OF_MEMORY: "out of memory",
    Cause.NO_KERNEL_IMAGE: "no kernel for this GPU",
    Cause.MISSING_LIBRARY_KERNELS: "library without kernels for this GPU",
    Cause.MIOPEN_ERROR: "MIOpen error",
    Cause.HIP_INIT_ERROR: "GPU could not be opened",
    Cause.DEVICE_ASSERT: "assertion in a GPU kernel",
    Cause.SEGFAULT: "segmentation fault",
    Cause.CPU_OOM_KILL: "killed by the kernel for lack of memory",
    Cause.UNKNOWN_ABORT: "abort",
    Cause.PYTHON_EXCEPTION_OTHER: "exception",
    Cause.NONE: "no known cause",
}
