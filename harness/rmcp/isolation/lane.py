"""A lane runs one case at a time: picks the case's zygote, keeps the pool warm, guards the guards, returns Attempts."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rmcp.attempt import Attempt, Captured, Phase, PythonError
from rmcp.errors import UserError
from rmcp.isolation.evidence import attempt_from
from rmcp.isolation.pool import MAX_LIVE, Live, plan_pool
from rmcp.isolation.start_failures import RuntimeFailed, StartFailed, died_at_start, hung_at_start, status_text
from rmcp.isolation.zygote_process import ZygoteGone, ZygoteProcess
from rmcp.matrix.model import Case
from rmcp.runtimes.argv import Launch, launch
from rmcp.runtimes.available import why_not
from rmcp_torch import cgroup, ladder
from rmcp_torch import linux as target_linux
from rmcp_torch.workloads.registry import TORCH_FREE

PACKAGE_DIR = Path(os.path.abspath(ladder.__file__)).parent

_GUARD_MARGIN_S = 10.0  # the zygote guards the child; the runner steps in this long after it should have answered
_LOOKAHEAD = 64  # following cases that decide which zygotes stay warm
_STEER_EVERY = 16  # cases of one zygote between two looks ahead; a quarter of the view, so nothing comes as a surprise
_START_TRIES = 2  # a runtime that twice failed to start is not started for every case of it
_EXIT_BUDGET_S = 30.0  # a GPU teardown is slow, 10 s have been seen; longer is a deadlock
_MEMORY_SHARE = 0.8  # of the machine's memory: a case on the CPU may take that much, then malloc fails in it
_FILE_BYTES = 8 * 1024**3  # largest file a case may write into its scratch folder
_ENGINE_S = 15.0  # for the engine to kill and remove one container
_BATCH_SIZE = 250  # cases of a batch child: bounds what accumulates in a process, pays its cold start rarely


@dataclass(frozen=True)
class LaneOptions:
    """``level``: fork, exec or batch. ``env_filter`` removes what hides evidence from the parent's environment.

    ``memory`` (bytes) is an explicit limit for every case; None: a share of the machine for CPU cases.
    """

    level: str = "fork"
    base_env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    max_live: int = MAX_LIVE
    memory: int | None = None
    batch_size: int = _BATCH_SIZE
    kill_grace: float = ladder.KILL_GRACE_S
    miopen_root: Path | None = None  # for private MIOpen databases; None on a machine without ROCm's driver
    mounts: tuple[Path, ...] = ()  # folders that a container must see


@dataclass
class _Seat:
    """A started zygote in the pool and what it said of itself."""

    process: ZygoteProcess
    facts: dict[str, Any] = field(default_factory=dict)
    jobs: int = 0
    in_batch: tuple[str, ...] = ()


class Lane:
    """Runs attempts one after the other. ``on_runtime(name, facts)`` hears of each runtime once per zygote;
    ``tick`` is called a few times a second while a case runs."""

    def __init__(
        self,
        options: LaneOptions,
        *,
        on_runtime: Callable[[str, dict[str, Any]], None] = lambda name, facts: None,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._options = options
        self._on_runtime = on_runtime
        self._tick = tick
        self._seats: dict[str, _Seat] = {}
        self._failed: dict[str, list[StartFailed]] = {}
        self._keys: dict[tuple[Any, ...], str] = {}
        self._devices: dict[tuple[str, str], dict[str, Any]] = {}
        self._machine = target_linux.memory_total()
        self._steered = ("", 0)  # key of the last look ahead, and cases since

    # -- what callers use -------------------------------------------------------------------------

    def attempt(self, case: Case, number: int, upcoming: Sequence[Case] = (), level: str | None = None) -> Attempt:
        """Run ``case`` once. Never raises for what the case or its runtime does; that is in the Attempt."""
        level = level or self._options.level
        key = self._key(case, level)
        failures = self._failed.get(key, [])
        if len(failures) >= _START_TRIES:
            remark = "the runtime failed to start before; not tried again"
            return replace(failures[-1].attempt, number=number, remarks=(remark,))
        self._steer_pool(key, case, upcoming, level)
        try:
            seat = self._seat(key, case, level)
        except StartFailed as failed:
            self._failed.setdefault(key, []).append(failed)
            return replace(failed.attempt, number=number)
        more = level == "fork" and any(self._key(other, level) == key for other in upcoming[:_LOOKAHEAD])
        return self._run(seat, key, case, number, level, more)

    def facts_of(self, case: Case, level: str | None = None) -> dict[str, Any]:
        """Facts of the case's runtime (torch, hip, device, device_name ...), starting its zygote if need be.

        {} when there is no such runtime here. Raises RuntimeFailed when it is here and does not start.
        """
        level = level or self._options.level
        key = self._key(case, level)
        failures = self._failed.setdefault(key, [])
        while len(failures) < _START_TRIES and not any(failure.missing for failure in failures):
            self._steer_pool(key, case, (), level)
            try:
                return self._seat(key, case, level).facts
            except StartFailed as failed:
                failures.append(failed)
        if failures[-1].missing:
            return {}
        raise RuntimeFailed(failures[-1].attempt)

    def abort(self) -> None:
        """Stop everything now: kill the zygotes and all below them."""
        for seat in self._seats.values():
            seat.process.kill()
        self._seats.clear()

    def close(self) -> None:
        """Let all zygotes go, in parallel."""
        for seat in self._seats.values():
            seat.process.ask_to_leave()
        for seat in self._seats.values():
            seat.process.close()
        self._seats.clear()

    # -- the pool ---------------------------------------------------------------------------------

    def _key(self, case: Case, level: str) -> str:
        """Name of the zygote that a case needs: one per runtime, environment, preload and kind."""
        module = "" if case.workload in TORCH_FREE else "torch"
        parts = (case.runtime, tuple(case.env.items()), module, level == "exec")
        if parts not in self._keys:
            runtime = case.runtime
            place = [runtime.python, runtime.prefix, runtime.image, runtime.engine, runtime.options]
            self._keys[parts] = json.dumps([*place, sorted(case.env.items()), *parts[2:]])
        return self._keys[parts]

    def _steer_pool(self, key: str, case: Case, upcoming: Sequence[Case], level: str) -> None:
        last, since = self._steered
        if last == key and since < _STEER_EVERY and key in self._seats:
            self._steered = (key, since + 1)
            return
        self._steered = (key, 0)
        cases, workloads = {key: case}, {key: {case.workload}}
        keys = []
        for other in upcoming[:_LOOKAHEAD]:
            other_key = self._key(other, level)
            keys.append(other_key)
            cases.setdefault(other_key, other)
            workloads.setdefault(other_key, set()).add(other.workload)
        live = [Live(name, seat.process.used) for name, seat in self._seats.items()]
        step = plan_pool(live, key, keys, self._options.max_live)
        for name in step.retire:
            self._seats.pop(name).process.close()
        for name in step.start:
            if not self._failed.get(name):
                try:
                    self._seats[name] = _Seat(self._start(cases[name], level, sorted(workloads[name])))
                except StartFailed as failed:
                    self._failed.setdefault(name, []).append(failed)

    def _start(self, case: Case, level: str, workloads: Sequence[str]) -> ZygoteProcess:
        missing = why_not(case.runtime)
        if missing is not None:
            raise StartFailed(Attempt(harness=f"runtime {case.runtime.name}: {missing}", level=level), missing=True)
        try:
            plan = launch(
                case.runtime, case.env, base_env=self._options.base_env, package_dir=PACKAGE_DIR,
                miopen_root=self._options.miopen_root, mounts=self._options.mounts,
            )  # fmt: skip
            for folder in plan.folders:
                os.makedirs(folder, exist_ok=True)
            options = ["--import", "" if case.workload in TORCH_FREE else "torch"]
            if level == "exec":
                options.append("--bare")
            else:
                options += [word for name in workloads if ":" not in name for word in ("--warm", name)]
            # An engine keeps a container in groups of its own.
            pen = cgroup.new_pen(os.environ) if plan.control == "fd" else None
            return ZygoteProcess(
                plan.argv, plan.env, options=options, control=plan.control, stop=_container_stop(plan), pen=pen
            )
        except (OSError, UserError) as error:
            name = case.runtime.python or case.runtime.image or "this interpreter"
            raise StartFailed(Attempt(harness=f"could not start {name}: {error}", level=level)) from error

    def _seat(self, key: str, case: Case, level: str) -> _Seat:
        if key not in self._seats:
            self._seats[key] = _Seat(self._start(case, level, (case.workload,)))
        seat = self._seats[key]
        seat.process.used = time.monotonic()
        if seat.process.hello is None:
            try:
                hello = seat.process.receive(seat.process.started + case.timeout.start, self._tick)
            except ZygoteGone as gone:
                del self._seats[key]
                raise StartFailed(died_at_start(gone, seat.process.started, level)) from gone
            if hello is None:
                attempt = hung_at_start(seat.process, case.timeout.start, level)
                self._seats.pop(key).process.kill()
                raise StartFailed(attempt)
            seat.process.hello = hello
            seat.facts = {name: value for name, value in hello.items() if name not in ("t", "pid", "error")}
            if hello.get("error") is None:
                seat.facts.update(self._device_facts(seat, key, case, level))
                self._confine(seat, case)
            self._on_runtime(case.runtime.name, seat.facts)
        return seat

    def _confine(self, seat: _Seat, case: Case) -> None:
        """RLIMIT_DATA binds one process; the pen, where it can, the case with all that it starts."""
        device = str(seat.facts.get("device", "cpu")) if case.device == "auto" else case.device
        limit = self._limits(device).get("DATA")
        if seat.process.pen is not None and limit is not None:
            seat.process.pen.limit(limit)

    def _device_facts(self, seat: _Seat, key: str, case: Case, level: str) -> dict[str, Any]:
        """What `auto` means here; asked in a child, because asking initialises the device."""
        # A zygote that only starts interpreters has not imported torch and cannot say what it was built for.
        unasked = level == "exec" and case.workload not in TORCH_FREE
        if not unasked and not any(seat.facts.get(name) for name in ("hip", "cuda", "xpu")):
            return {"device": "cpu" if case.device == "auto" else case.device}
        place = (key, case.device)
        if place not in self._devices:
            probe = Case(
                id="probe", key="probe", row="probe", workload="rmcp_torch.probe:run", axes={},
                args={"device": case.device}, runtime=case.runtime, device=case.device, timeout=case.timeout,
            )  # fmt: skip
            seen = self._run(seat, key, probe, 1, level, more=False)
            if seen.error is not None and seen.error.in_phase == "import":
                known: Mapping[str, Any] = {"device": "cpu"}  # no torch: every case will say so by itself
            else:
                # A probe that dies must not send the cases quietly to the CPU: they shall meet the same fault.
                known = seen.metrics if seen.result and seen.error is None else {"device": "cuda"}
            self._devices[place] = dict(known)
        return self._devices[place]

    # -- one case ---------------------------------------------------------------------------------

    def _run(self, seat: _Seat, key: str, case: Case, number: int, level: str, more: bool) -> Attempt:
        seat.jobs += 1
        batch = level == "batch"
        keep = batch and len(seat.in_batch) + 1 < self._options.batch_size
        predecessors = seat.in_batch
        device = str(seat.facts.get("device", "cpu")) if case.device == "auto" else case.device
        timeout = case.timeout
        life = timeout.case + (timeout.start if level == "exec" else 0.0)
        budgets = {
            "case": life,
            "silent": timeout.silent,
            "phases": {"start": timeout.start, "import": timeout.start, "exit": min(_EXIT_BUDGET_S, timeout.case)},
            "kill_grace": self._options.kill_grace,
        }
        message = {
            "t": "run",
            "job": seat.jobs,
            "keep": keep,
            "more": more,
            "budgets": budgets,
            "case": {
                "workload": case.workload,
                "args": dict(case.args),
                "device": device,
                "seed": case.seed,
                "threads": case.threads,
                "teardown": "fast" if device == "cpu" else "full",
                "limits": self._limits(device),
            },
        }
        ladder_s = ladder.DUMP_GRACE_S + ladder.TERM_GRACE_S + self._options.kill_grace
        until = time.monotonic() + life + ladder_s + _GUARD_MARGIN_S
        try:
            seat.process.send(message)
            while True:
                answer = seat.process.receive(until, self._tick)
                if answer is None or answer.get("job") == seat.jobs:
                    break
        except ZygoteGone as gone:
            self._seats.pop(key, None)
            return Attempt(
                number=number, level=level, harness=f"the zygote died under the case ({status_text(gone.status)})",
                stderr=Captured(tail=gone.log), predecessors=predecessors,
            )  # fmt: skip
        except BaseException:
            # Ctrl-C or a stop signal: nothing of this case may live on.
            seat.process.kill()
            self._seats.pop(key, None)
            raise
        if answer is None:
            seat.process.kill()
            self._seats.pop(key, None)
            return Attempt(number=number, level=level, harness="the zygote did not answer; it was killed with its tree")
        if answer["t"] == "refused":
            return self._refused(seat, key, answer, number, level)
        attempt = attempt_from(answer["evidence"], number=number, level=level, predecessors=predecessors)
        seat.in_batch = (*predecessors, case.id) if answer["evidence"]["alive"] else ()
        return attempt

    def _refused(self, seat: _Seat, key: str, answer: Mapping[str, Any], number: int, level: str) -> Attempt:
        error = answer.get("error")
        log = Captured(tail=seat.process.log())
        if error:
            raised = PythonError(error["type"], error["message"], error["traceback"], "import")
            return Attempt(
                number=number, level=level, exit_code=0, result=True, farewell=True, error=raised,
                phases=(Phase("import", 0.0),), stderr=log,
            )  # fmt: skip
        # Not fit to fork any more: the next case gets a new one.
        self._seats.pop(key).process.close()
        return Attempt(number=number, level=level, harness=str(answer.get("reason")), stderr=log)

    def _limits(self, device: str) -> dict[str, int]:
        limits = {"FSIZE": _FILE_BYTES}
        if self._options.memory is not None:
            limits["DATA"] = self._options.memory
        elif device == "cpu" and self._machine is not None:
            # GPU runtimes map far more than they use; there only the kernel's OOM killer guards the machine.
            limits["DATA"] = int(self._machine * _MEMORY_SHARE)
        return limits


def _container_stop(plan: Launch) -> Callable[[], None] | None:
    """What ends a container from outside: it outlives the engine's client that a signal reaches."""
    if not plan.kill:
        return None

    def stop() -> None:
        for argv in (plan.kill, plan.remove):
            try:
                subprocess.run(argv, capture_output=True, timeout=_ENGINE_S, check=False)
            except (OSError, subprocess.TimeoutExpired):
                pass

    return stop
