"""What one child does: take a case from its command pipe, run the workload, report, tear down, leave."""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import gc
import os
import resource
import signal
import sys
import threading
import time
import traceback
from typing import Any, Callable, Dict, List, NoReturn, Optional

from rmcp_torch import linux
from rmcp_torch.forking import ChildEnds
from rmcp_torch.frames import Decoder

_TEXT_LIMIT = 64 * 1024  # characters kept of an exception's text or traceback, half from each end
_THREAD_GRACE_S = 1.0  # a process waits for its non-daemon threads at exit; ours does so for this long
_COMMAND_BYTES = 1024 * 1024
_OOM_SCORE = 1000  # when memory runs out the kernel shall take the case, never the runner


def serve(ends: ChildEnds, fresh: bool = False) -> NoReturn:
    """Life of a child: cases until the command pipe ends, then an orderly exit. ``fresh``: own interpreter."""
    prepare(ends, fresh)
    decoder = Decoder(ends.marker)
    last: Dict[str, Any] = {}
    served = 0
    while True:
        data = os.read(ends.command_fd, _COMMAND_BYTES)
        if not data:
            break
        for command in decoder.feed(data):
            spent = run_case(ends, command)
            served += 1
            last = command
            if spent or not command.get("keep"):
                leave(ends, last, fresh)
    if not served:
        os._exit(0)  # a spare that was never used
    leave(ends, last, fresh)


def prepare(ends: ChildEnds, fresh: bool) -> None:
    """Signals, stack dumper, streams and exit handlers as a fresh process has them."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    faulthandler.enable(file=ends.stacks_fd, all_threads=True)
    faulthandler.register(signal.SIGQUIT, file=ends.stacks_fd, all_threads=True, chain=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # New streams, because the inherited ones belong to other files; line-buffered, because what was printed must
    # be in the pipe when the process is shot.
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)
    if not fresh:
        _forget_inherited_exit_handlers()
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(_OOM_SCORE))
    except OSError:
        pass


def _forget_inherited_exit_handlers() -> None:
    """Exit handlers that the zygote registered belong to the zygote: torch's alone take 60 ms per child."""
    clear = getattr(atexit, "_clear", None)
    if clear is None:
        return
    clear()
    util = sys.modules.get("multiprocessing.util")
    handler = getattr(util, "_exit_function", None)
    if handler is not None:
        atexit.register(handler)  # ends the worker processes that the case itself starts


def run_case(ends: ChildEnds, command: Dict[str, Any]) -> bool:
    """Run one case and send its result frame. Whatever the workload raises is part of the result.

    Returns whether this process is spent: its device answers every further call with the fault of this case.
    """
    from rmcp_torch.context import Context

    context: Optional[Context] = None
    metrics: Dict[str, Any] = {}
    error: Optional[Dict[str, str]] = None
    phases: List[str] = ["setup"]

    def note(message: Dict[str, Any]) -> None:
        phases.append(str(message.get("name")))
        ends.note(message)

    device = str(command.get("device") or "cpu")
    try:
        _enter(command)
        note({"t": "phase", "name": "setup", "at": time.monotonic()})
        context = Context(device, int(command.get("seed", 0)), note)
        workload = _resolve(str(command["workload"]))
        returned = workload(context, **command.get("args", {}))
        if isinstance(returned, dict):
            metrics.update(returned)
        note({"t": "phase", "name": "sync", "at": time.monotonic()})
        context.synchronize()
    except BaseException as raised:
        error = describe(raised, phases[-1])
    observed: Dict[str, Any] = {}
    if context is not None:
        metrics = {**context.metrics, **metrics}
        observed.update(context.observed)
        if error is None and "torch" in sys.modules and device != "cpu":
            observed["libraries"] = linux.mapped_libraries(_LIBRARIES)
    spent = error is not None and context is not None and not _answers(context)
    result = {
        "t": "result",
        "error": error,
        "spent": spent,
        "checks": context.checks if context is not None else [],
        "metrics": metrics,
        "observed": observed,
        "remarks": list(context.remarks) if context is not None else [],
    }
    try:
        ends.send(result)
    except (TypeError, ValueError) as unsendable:
        result["metrics"] = {}
        result["observed"] = {}
        result["checks"] = []
        result["error"] = error or describe(
            TypeError("the workload's metrics are not JSON-able: %s" % unsendable), "compare"
        )
        ends.send(result)
    return spent


def _answers(context: Any) -> bool:
    """Whether the device still works for this process: a CUDA or HIP fault is answered by every call after it."""
    try:
        context.synchronize()
    except Exception:
        return False
    return True


# Libraries that say which runtime really ran; torch wheels carry their own copies.
_LIBRARIES = (
    "libtorch_",
    "libamdhip64",
    "libMIOpen",
    "librocblas",
    "libhipblaslt",
    "libhsa-runtime64",
    "libcudart",
    "libcudnn",
    "libcublas",
)


def _enter(command: Dict[str, Any]) -> None:
    """Scratch folder, limits, threads: everything that belongs to this case and not to the environment."""
    if command.get("cwd"):
        os.chdir(str(command["cwd"]))
    limits = command.get("limits") or {}
    for name, value in limits.items():
        number = getattr(resource, "RLIMIT_" + name)
        hard = resource.getrlimit(number)[1]
        wanted = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(number, (wanted, hard))
    if "torch" in sys.modules:
        threads = command.get("threads")
        if threads is None and command.get("device") == "cpu":
            threads = 1  # two threads double the cost of a small case and make a second worker worthless
        if threads is not None:
            sys.modules["torch"].set_num_threads(int(threads))


def _resolve(spec: str) -> Callable[..., Any]:
    from rmcp_torch.workloads.registry import resolve

    return resolve(spec)


def describe(raised: BaseException, phase: str = "") -> Dict[str, str]:
    """Type, text and traceback of an exception as plain text, also when its own ``__str__`` raises."""
    try:
        message = str(raised)
    except BaseException as again:
        message = "<%s raised in __str__ of %s>" % (type(again).__name__, type(raised).__name__)
    try:
        lines = "".join(traceback.format_exception(type(raised), raised, raised.__traceback__))
    except BaseException:
        # Since Python 3.13 it imports a module to read the source lines, which fails when no file can be opened.
        frames = [
            (frame.f_code.co_filename, line, frame.f_code.co_name)
            for frame, line in traceback.walk_tb(raised.__traceback__)
        ]
        lines = "".join('  File "%s", line %d, in %s\n' % frame for frame in frames)
    kind = type(raised)
    own = kind.__module__ in ("builtins", "__main__")
    name = kind.__qualname__ if own else kind.__module__ + "." + kind.__qualname__
    return {"type": name, "message": shorten(message), "traceback": shorten(lines), "in_phase": phase}


def shorten(text: str, limit: int = _TEXT_LIMIT) -> str:
    """At most about ``limit`` characters, half from each end, with a line that says what is missing."""
    if len(text) <= limit:
        return text
    half = limit // 2
    return "%s\n[rmcp: %d characters left out]\n%s" % (text[:half], len(text) - 2 * half, text[-half:])


def leave(ends: ChildEnds, command: Dict[str, Any], fresh: bool) -> NoReturn:
    """Tear down like a process would: threads, exit handlers, buffers, and native destructors where they matter."""
    ends.note({"t": "phase", "name": "exit", "at": time.monotonic()})
    give_up = time.monotonic() + _THREAD_GRACE_S
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, give_up - time.monotonic()))
    left = [t.name for t in threading.enumerate() if t.is_alive() and not t.daemon and t is not threading.main_thread()]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    ends.send({"t": "bye", "threads": left})
    if fresh or command.get("teardown") == "full":
        # Runs the native exit handlers: a HIP or CUDA teardown that aborts or deadlocks is seen on its own case.
        gc.collect()
        ctypes.CDLL(None).exit(0)
    os._exit(0)


def exec_main(argv: List[str]) -> int:
    """Entry of a freshly exec'd child: ``child COMMAND_FD RESULT_FD STACKS_FD MARKER_HEX IMPORT``."""
    command_fd, result_fd, stacks_fd = (int(word) for word in argv[:3])
    ends = ChildEnds(command_fd, result_fd, stacks_fd, bytes.fromhex(argv[3]))
    for fd in (command_fd, result_fd, stacks_fd):
        os.set_inheritable(fd, False)
    ends.send({"t": "phase", "name": "import", "at": time.monotonic()})
    if len(argv) > 4 and argv[4] == "torch":
        try:
            __import__("torch")
        except BaseException as raised:
            ends.send(
                {"t": "result", "error": describe(raised, "import"), "checks": [], "metrics": {}, "observed": {}}
            )
            leave(ends, {}, True)
    serve(ends, fresh=True)
