"""More rows of the pattern table: how launchers, debuggers, sanitizers, test drivers and Windows report a death. Data.

All are WEAK: what a log says of the reason is better.
"""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

from rmcp.outcome.patterns import Pattern, Rank
from rmcp.words import Cause

_SEGV = {"signal": "SIGSEGV"}
_ABRT = {"signal": "SIGABRT"}
_ILL = {"signal": "SIGILL", "where": "cpu"}
_KILL = {"signal": "SIGKILL"}
# A program that reports how another one ended, up to the number.
_ENDED = r"(?:[Ee]xit(?:ed)?|[Cc]ompleted|[Ff]inished|[Ff]ailed|[Tt]erminated)(?: with)?(?: exit)?(?: (?:code|status))?[ :=]{1,3}"
_WINDOWS = r"(?:" + _ENDED + r"|[Ee]xception [Cc]ode:? ?|[Rr]eturn(?:ed)?(?: code)?[ :=]{1,3}|[Ee]rror(?: code)?[ :=(]{1,3})"
_CTEST = r"^\s*(?:\d+/\d+ )?Test\s+#\d+: .{{0,200}}{words}"


def _signal(number: int, name: str, text: str) -> str:
    """The formats of launchers and debuggers for one signal: its number, its name, and the words of strsignal."""
    short = name.removeprefix("SIG")
    return "|".join(
        (
            rf"[Jj]ob \d+, '[^'\n]+' (?:has been )?terminated by signal {name}\b",
            rf"\bterminated by signal {name} \(",
            rf"exited on signal {number} \({text}\)",
            rf"^Signal: {number} \({short}\)",
            rf"code=(?:dumped|killed),? status={number}/{short}\b",
            rf"\bSignal {number} \({name}\) received by PID",
            rf"(?:\(exitcode|exitcode\s*): -{number}\b",
            rf"died with <Signals\.{name}\b",
            rf"terminated (?:with|by) signal {name}\b",
            rf"\{{{name}\(-{number}\)",
            rf"default action of signal {number} \({name}\)",
            rf"stop reason = signal {name}\b",
            rf"interrupted by signal {number}: ?{name}\b",
            rf"terminated due to (?:signal )?{name}\b|^\[signal {name}: ",
        )
    )


PROCESS_PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "told-signal-segfault", Cause.SEGFAULT,
        _signal(11, "SIGSEGV", "Segmentation fault") + r"|stop reason = EXC_BAD_ACCESS|AddressSanitizer: SEGV on unknown address|AddressSanitizer:DEADLYSIGNAL|exception: access violation (?:reading|writing)|SEH exception with code 0x[cC]0000005 thrown\b"
        r"|" + _ENDED + r"139\b\.?\s*$",
        ("SIGSEGV", "signal 11", "Signal: 11", "status=11", "exitcode", "EXC_BAD_ACCESS", "AddressSanitizer", "access violation", "SEH exception", "139"),
        "fish: Job 1, 'python main.py' terminated by signal SIGSEGV (Address boundary error)", "fish, Open MPI, coredumpctl, systemd, joblib, lldb, sanitizers",
        "process", rank=Rank.WEAK, fields=_SEGV, expect=_SEGV,
    ),
    Pattern(
        "told-signal-abort", Cause.UNKNOWN_ABORT,
        _signal(6, "SIGABRT", "Aborted") + r"|" + _ENDED + r"134\b\.?\s*$|^LLVM ERROR: (?!out of memory)[^\n]{3,}|^The futex facility returned an unexpected error code"
        r"|AddressSanitizer: (?:heap|stack|global|attempting|alloc)[\w-]+|fatal runtime error: [a-z][^\n]+, error \d|\bggml[\w./\\-]*\.(?:c|cpp|cu|cuh|m|h):\d+: fatal error\s*$",
        ("SIGABRT", "signal 6", "Signal: 6", "status=6", "exitcode", "134", "LLVM ERROR", "futex facility", "AddressSanitizer", "runtime error", "fatal error"),
        "LLVM ERROR: Cannot select: 0x5591: v2f16 = fp_round 0x5590", "fish, Open MPI, coredumpctl, systemd, LLVM report_fatal_error, glibc, Rust, ggml abort",
        "process", rank=Rank.WEAK, fields=_ABRT, expect=_ABRT,
    ),
    Pattern(
        "told-signal-illegal", Cause.ILLEGAL_INSTRUCTION, _signal(4, "SIGILL", "Illegal instruction") + r"|killed by signal: Illegal instruction|" + _ENDED + r"132\b\.?\s*$",
        ("SIGILL", "signal 4", "Signal: 4", "status=4", "exitcode", "132", "Illegal instruction"),
        "torch.multiprocessing.spawn.ProcessExitedException: process 0 terminated with signal SIGILL", "torch.multiprocessing, Open MPI, systemd, PyCharm", "process",
        rank=Rank.WEAK, fields=_ILL, expect=_ILL,
    ),
    Pattern(
        "told-signal-kill", Cause.CPU_OOM_KILL,
        _signal(9, "SIGKILL", "Killed") + r"|internal compiler error: Killed \(program|died due to signal 9 \(Kill signal\)"
        r"|terminated with signal 9 \[Killed\]|unable to execute command: Killed|exceeded memory limit \(\d+ > \d+\), being killed|[Ee]xceeded (?:job|step) memory limit"
        r"|earlyoom\[\d+\]: sending SIG(?:TERM|KILL) to process (?P<pid>\d+)|sending SIG(?:TERM|KILL) to process (?P<pid2>\d+) uid \d+ \"[^\"\n]+\": (?:badness|oom_score)"
        r"|Killed /\S+ due to memory (?:used|pressure)\b|Worker exit type: NODE_OUT_OF_MEMORY",
        ("SIGKILL", "signal 9", "Signal: 9", "status=9", "exitcode", "error: Killed", "command: Killed", "emory limit", "SIGTERM to process", "Killed /", "NODE_OUT_OF_MEMORY"),
        'earlyoom[500]: sending SIGKILL to process 4711 uid 1000 "python3": badness 900, VmRSS 10000 MiB', "fish, Open MPI, joblib, compilers, Slurm, earlyoom, systemd-oomd, Ray",
        "process", rank=Rank.WEAK, fields=_KILL, expect=_KILL,
    ),
    Pattern(
        "told-signal-bus", Cause.UNKNOWN_ABORT, _signal(7, "SIGBUS", "Bus error") + r"|" + _ENDED + r"135\b\.?\s*$",
        ("SIGBUS", "signal 7", "Signal: 7", "status=7", "exitcode", "135"),
        "torch.multiprocessing.spawn.ProcessExitedException: process 0 terminated with signal SIGBUS", "torch elastic, Open MPI, systemd", "process",
        rank=Rank.WEAK, fields={"signal": "SIGBUS"}, expect={"signal": "SIGBUS"},
    ),
    Pattern(
        "told-signal-fpe", Cause.UNKNOWN_ABORT, _signal(8, "SIGFPE", "Floating point exception") + r"|" + _ENDED + r"136\b\.?\s*$",
        ("SIGFPE", "signal 8", "Signal: 8", "status=8", "exitcode", "136"), "worker exited with exit code 136", "torch elastic, Open MPI, systemd, containers", "process",
        rank=Rank.WEAK, fields={"signal": "SIGFPE"}, expect={"signal": "SIGFPE"},
    ),
    Pattern(
        "told-signal-other", Cause.UNKNOWN_ABORT,
        r"^(?:Trace/breakpoint trap|Bad system call)\b(?=\s*(?:\(core dumped\)|$))"
        r"|^MPI_ABORT was invoked on rank \d+|application called MPI_Abort\(",
        ("breakpoint trap", "Bad system call", "MPI_ABORT was", "MPI_Abort("), "Trace/breakpoint trap (core dumped)",
        "shell, torch DataLoader, MPI", "process", rank=Rank.WEAK,
    ),
    Pattern(
        "glibc-abort-old", Cause.UNKNOWN_ABORT,
        r"^\*\*\* Error in `[^'\n]+': (?:free|malloc|realloc|double free|corrupted|munmap)[^\n]*|^(?:malloc\(\): memory corruption|tcache_thread_shutdown\(\): unaligned|free\(\): unaligned)|^sysmalloc: Assertion `",
        ("*** Error in", "memory corruption", "unaligned", "sysmalloc"), "*** Error in `python3': free(): invalid pointer: 0x00007f0100 ***", "glibc before 2.27, malloc.c",
        "process", rank=Rank.WEAK, fields=_ABRT, whole=True, expect=_ABRT,
    ),
    Pattern(
        "glog-fatal", Cause.UNKNOWN_ABORT, r"^(?:Check failed: [^\n]+|Non-OK-status: [^\n]+ status: )", ("Check failed:", "Non-OK-status"),
        "Check failed: a == b (1 vs. 2)", "glog and absl LOG(FATAL), TensorFlow", "process", rank=Rank.WEAK, whole=True,
    ),
    Pattern(
        "windows-segfault", Cause.SEGFAULT, _WINDOWS + r"(?:-?\d+ \()?0?x?[cC]0000005\b|" + _ENDED + r"(?:-1073741819|3221225477)\b", ("0000005", "1073741819", "3221225477"),
        "Error: llama runner process has terminated: exit status 0xc0000005", "Windows: NTSTATUS access violation", "process", rank=Rank.WEAK,
    ),
    Pattern(
        "windows-abort", Cause.UNKNOWN_ABORT,
        _WINDOWS + r"(?:-?\d+ \()?0?x?[cC]0000(?:409|374)\b|" + _ENDED + r"(?:-1073740791|3221226505|-1073740940|3221226356)\b", ("0000409", "0000374", "107374", "32212"),
        "Process exited with code -1073740940 (0xC0000374)", "Windows: NTSTATUS stack buffer overrun (abort), heap corruption", "process", rank=Rank.WEAK,
    ),
    Pattern(
        "windows-illegal", Cause.ILLEGAL_INSTRUCTION,
        r"(?:" + _WINDOWS + r"|code )(?:-?\d+ \()?0?x?[cC]000001[dD]\b|" + _ENDED + r"(?:-1073741795|3221225501)\b|\bEXCEPTION_ILLEGAL_INSTRUCTION\b(?=\W*$)",
        ("000001d", "000001D", "1073741795", "3221225501", "EXCEPTION_ILLEGAL"), "Process finished with exit code -1073741795 (0xC000001D)", "Windows: NTSTATUS illegal instruction",
        "process", rank=Rank.WEAK, fields={"where": "cpu"}, expect={"where": "cpu"},
    ),
    Pattern(
        "ctest-segfault", Cause.SEGFAULT, _CTEST.format(words=r"\*\*\*Exception: SegFault"), ("SegFault",),
        " 3/10 Test  #3: conv ...............***Exception: SegFault  1.23 sec", "CTest", "process", rank=Rank.WEAK, fields=_SEGV, expect=_SEGV,
    ),
    Pattern(
        "ctest-abort", Cause.UNKNOWN_ABORT, _CTEST.format(words=r"Subprocess aborted\*\*\*Exception"), ("Subprocess aborted",),
        " 3/10 Test  #3: conv ...............Subprocess aborted***Exception:  1.23 sec", "CTest", "process", rank=Rank.WEAK, fields=_ABRT, expect=_ABRT,
    ),
    Pattern(
        "ctest-illegal", Cause.ILLEGAL_INSTRUCTION, _CTEST.format(words=r"\*\*\*Exception: Illegal"), ("Exception: Illegal",),
        " 3/10 Test  #3: conv ...............***Exception: Illegal  1.23 sec", "CTest", "process", rank=Rank.WEAK, fields=_ILL, expect=_ILL,
    ),
)
