"""Inside the child: pytest's own protocol for one item, every report sent as JSON as soon as it is made."""

from __future__ import annotations

import fcntl
import os
import resource
import sys
import warnings
from collections.abc import Generator
from typing import Any, NoReturn

import pytest
from _pytest.runner import runtestprotocol  # what every plugin that runs items itself uses; there is no other door

from rmcp.pytest_plugin.isolated_crash import Crash, Hang
from rmcp.pytest_plugin.isolated_wire import Voice, clean, flush_streams, warning_to_wire
from rmcp_torch import child as child_module
from rmcp_torch.forking import ChildEnds

_HIGH_FDS = (900, 700, 400)  # above what `closerange(3, 256)` and its kind reach, below the usual limit of 1024


class ChildHooks:
    """The plugin of the child. ``stop_at`` is given to pytest as the next item: what it needs stays set up.

    The holder registers it once, because registration costs more than a fork; it does nothing before ``arm``.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.stop_at: Any = None
        self.ended = ""
        self.reported: set[str] = set()
        self.armed = False

    def arm(self, voice: Voice, stop_at: Any) -> None:
        """From now on this process is the child."""
        self.voice = voice
        self.stop_at = stop_at
        self.armed = True

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
        """Setup, call, teardown. The reports leave in `pytest_runtest_makereport`, not here: the test may die."""
        if not self.armed:
            return None
        runtestprotocol(item, log=False, nextitem=self.stop_at)
        return True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, object, object]:
        """Phase marks for the guard."""
        return (yield from self._phase("setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, object, object]:
        """Phase marks, what xfail would say to a crash, and no verdict before the device is quiet."""
        if not self.armed:
            return (yield)
        self.voice.send({"t": "xfail", **xfail_of(item)})
        original = item.add_marker

        def add_marker(*args: Any, **kwargs: Any) -> None:
            original(*args, **kwargs)
            self.voice.send({"t": "xfail", **xfail_of(item)})

        item.add_marker = add_marker  # type: ignore[method-assign]  # a test may find out late that it will crash
        self.voice.send({"t": "phase", "name": "call"})
        try:
            result = yield
            _synchronize()
            return result
        finally:
            self.ended = "call"

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        """Phase marks for the guard."""
        return (yield from self._phase("teardown"))

    def _phase(self, name: str) -> Generator[None, object, object]:
        if not self.armed:
            return (yield)
        self.voice.send({"t": "phase", "name": name})
        try:
            return (yield)
        finally:
            self.ended = name

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Send the report of each phase once. Reports that a test makes inside its call (subtests) are not it."""
        report = yield
        if self.armed and call.when == self.ended and call.when not in self.reported:
            self.reported.add(call.when)
            # pytest 9 fails a test for its failed subtests only here, and only where these were counted.
            self.config.hook.pytest_report_teststatus(report=report, config=self.config)
            flush_streams()
            self.voice.send_and_wait({"t": "report", "when": call.when, "report": to_wire(self.config, report)})
        return report

    @pytest.hookimpl
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Only reports beside the three phases come this way (subtests)."""
        if self.armed:
            self.voice.send({"t": "extra", "report": to_wire(self.config, report)})

    @pytest.hookimpl
    def pytest_warning_recorded(
        self, warning_message: warnings.WarningMessage, when: str, nodeid: str, location: Any
    ) -> None:
        """Warnings are shown by the runner."""
        if self.armed:
            self.voice.send({"t": "warning", "warning": warning_to_wire(warning_message, when, nodeid, location)})

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_set_timer(self, item: pytest.Item, settings: Any) -> bool:
        """The guard keeps the deadline. Only a timer that begins with the call tells it something new."""
        if self.armed and self.ended == "setup":
            self.voice.send({"t": "deadline", "seconds": float(settings.timeout)})
        return True

    @pytest.hookimpl(optionalhook=True, tryfirst=True)
    def pytest_timeout_cancel_timer(self, item: pytest.Item) -> bool:
        """There is no timer here."""
        return True


def to_wire(config: pytest.Config, report: Any) -> dict[str, Any]:
    """A report as bounded JSON."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    cleaned: dict[str, Any] = clean(data)
    return cleaned


def xfail_of(item: pytest.Item) -> dict[str, Any]:
    """Whether the item's xfail marks accept a crash or a hang, and their reason."""
    from _pytest.skipping import evaluate_xfail_marks

    if item.config.option.runxfail:
        return {}
    mark = evaluate_xfail_marks(item)
    if mark is None:
        return {}

    def accepts(error: BaseException) -> bool:
        raises: Any = mark.raises
        if raises is None:
            return True
        if hasattr(raises, "matches"):
            return bool(raises.matches(error))
        return isinstance(error, raises)

    return {"crash": accepts(Crash()), "hang": accepts(Hang()), "reason": str(mark.reason)}


def _synchronize() -> None:
    """Wait for the device: a kernel that faults after the test function returned still belongs to this test."""
    torch = sys.modules.get("torch")
    for name in ("cuda", "xpu"):
        module = getattr(torch, name, None)
        if module is not None and getattr(module, "is_initialized", bool)():
            module.synchronize()


def live(
    ends: ChildEnds, item: pytest.Item, hooks: ChildHooks, *, stop_at: Any, memory: int | None, fresh: bool = False
) -> NoReturn:
    """Run one item in this child, report and leave. ``hooks`` is registered; no other plugin of ours acts any more."""
    child_module.prepare(ends, fresh)
    _raise_fds(ends)
    _limit(memory)
    voice = Voice(ends)
    hooks.arm(voice, stop_at)
    result: dict[str, Any] = {"t": "result", "error": None}
    try:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=stop_at)
    except pytest.exit.Exception as stop:
        result["exit"] = {"reason": str(stop.msg), "returncode": stop.returncode}
    except BaseException as raised:
        result["broken"] = child_module.describe(raised, "protocol")
    if os.getpid() != voice.pid:
        os._exit(0)  # the test forked, and its child came back here
    for name in ("shouldstop", "shouldfail"):
        if getattr(item.session, name, False):
            result[name] = str(getattr(item.session, name))
    result.update(save_coverage())
    flush_streams()
    voice.send_and_wait(result)
    child_module.leave(ends, {}, fresh)


def save_coverage() -> dict[str, Any]:
    """Write what coverage.py measured in this process into a data file of its own; pytest-cov combines them."""
    coverage = sys.modules.get("coverage")
    if coverage is None:
        return {}
    try:
        current = coverage.Coverage.current()
        if current is not None:
            current.stop()
            current.save()
    except Exception as raised:
        return {"remarks": [f"coverage data not saved: {type(raised).__name__}: {raised}"]}
    return {}


def _raise_fds(ends: ChildEnds) -> None:
    """Move the channel out of the reach of code that closes every low descriptor."""
    for name in ("command_fd", "result_fd", "stacks_fd"):
        fd = getattr(ends, name)
        for start in _HIGH_FDS:
            try:
                moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, start)
            except OSError:
                continue
            os.close(fd)
            setattr(ends, name, moved)
            break
    # The stack dumper keeps the number that it was given.
    import faulthandler
    import signal

    faulthandler.enable(file=ends.stacks_fd, all_threads=True)
    faulthandler.register(signal.SIGQUIT, file=ends.stacks_fd, all_threads=True, chain=False)


def _limit(memory: int | None) -> None:
    if memory is None:
        return
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    wanted = memory if hard == resource.RLIM_INFINITY else min(memory, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def detach(config: pytest.Config, belongings: dict[int, tuple[int, int]]) -> None:
    """Cut this process off from what belongs to the runner: its terminal, its channels, its capture files.

    ``belongings`` are the descriptors that were open before any test ran, with device and inode. Files that
    plugins write (a log file) stay; pipes, sockets, terminals and deleted temporary files lead nowhere from now on.
    """
    own = {_identity(fd) for fd in (1, 2)}
    keep = {fd: os.dup(fd) for fd in (1, 2)}
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    runner_streams = {belongings[fd] for fd in (0, 1, 2) if fd in belongings}
    for fd, identity in belongings.items():
        if fd <= 2 or _identity(fd) != identity or identity in own:
            continue
        kind = os.fstat(fd)
        mode = kind.st_mode & 0o170000
        if mode == 0o100000 and kind.st_nlink == 0:
            with_memory = os.memfd_create("rmcp-detached", os.MFD_CLOEXEC)
            os.dup2(with_memory, fd, inheritable=False)
            os.close(with_memory)
        elif mode in (0o010000, 0o140000, 0o020000) or identity in runner_streams:
            os.dup2(null, fd, inheritable=False)
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if capture is not None:
        # The guard reads the descriptors themselves; a second capture would hold text back until the phase ends.
        capture.stop_global_capturing()
        capture._method = "no"
        capture.start_global_capturing()
    for fd, saved in keep.items():
        os.dup2(saved, fd)
        os.close(saved)
    os.close(null)
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter._tw._file = open(os.devnull, "w", encoding="utf-8")


def _identity(fd: int) -> tuple[int, int] | None:
    try:
        seen = os.fstat(fd)
    except OSError:
        return None
    return seen.st_dev, seen.st_ino


def open_descriptors() -> dict[int, tuple[int, int]]:
    """Every open descriptor of this process with device and inode."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        identity = _identity(int(name))
        if identity is not None:
            found[int(name)] = identity
    return found

