"""A run's cases as expectations see them: facts for `where`, and what each case did over its attempts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmcp.device.facts import Cpu, HostFacts, flat
from rmcp.runs.model import CaseRecord, Run
from rmcp.words import OUTCOMES, Cause, Outcome, OutcomeClass

_OWN_SIGNAL = (Outcome.CRASH, Outcome.OOM, Outcome.TAINTED)
_NO_WORD = (OutcomeClass.NO_VERDICT, OutcomeClass.NOT_RUN)


@dataclass(frozen=True)
class Observed:
    """``outcomes`` and ``causes`` hold more than one word when the attempts of a flaky case differ."""

    id: str
    axes: Mapping[str, str]
    facts: Mapping[str, object]
    outcome: Outcome
    cause: Cause
    signal: str | None
    signature: str
    outcomes: tuple[Outcome, ...]
    causes: tuple[Cause, ...]
    signals: tuple[str, ...]

    @property
    def judged(self) -> bool:
        """Whether the run says anything about the case."""
        return OUTCOMES[self.outcome].klass not in _NO_WORD

    @property
    def passed(self) -> bool:
        """Every attempt passed."""
        return all(OUTCOMES[outcome].klass is OutcomeClass.PASSED for outcome in self.outcomes)


def observe(run: Run) -> list[Observed]:
    """Every case of a run."""
    machine: dict[str, Mapping[str, object]] = {}
    found = []
    arguments = {name for record in run.cases for name in record.args}
    absent = {prefix + name: None for name in arguments for prefix in ("", "args.")}
    for record in run.cases:
        name = str(record.runtime.get("name", "this"))
        if name not in machine:
            machine[name] = machine_facts(run.facts, run.runtimes.get(name, {}))
        found.append(_observed(record, {**absent, **machine[name]}))
    return found


def machine_facts(host: Mapping[str, Any], runtime: Mapping[str, Any]) -> dict[str, object]:
    """The machine's facts as they were when the run was made, by the names of the expression language."""
    cpu = host.get("cpu") or {}
    known = HostFacts(
        hostname=str(host.get("hostname") or ""),
        kernel=str(host.get("kernel") or ""),
        amdgpu_version=str(host.get("amdgpu_version") or ""),
        nvidia_driver=str(host.get("nvidia_driver") or ""),
        cpu=Cpu(model=str(cpu.get("model") or ""), cores=int(cpu.get("cores") or cpu.get("logical") or 0)),
    )
    facts = {
        **flat(known, runtime),
        **{name: runtime[name] for name in ("backend", "gfx", "miopen") if name in runtime},
    }
    facts.pop("machine", None)  # flat() asks the machine of today
    return {name: value for name, value in facts.items() if value != ""}


def _observed(record: CaseRecord, machine: Mapping[str, object]) -> Observed:
    facts: dict[str, object] = {**machine, "workload": record.workload, "id": record.id, "key": record.key}
    facts.update({"row": record.row, "seed": record.seed})
    facts.update(record.args)
    facts.update({"args." + name: value for name, value in record.args.items()})
    facts.update(record.axes)
    said = [a for a in record.attempts if OUTCOMES[a.outcome].klass not in _NO_WORD]
    flaky = record.stability.startswith("flaky") and len(said) > 1
    outcomes = {a.outcome for a in said} if flaky else {record.outcome}
    causes = {a.cause for a in said if a.cause is not Cause.NONE} if flaky else {record.cause} - {Cause.NONE}
    # The signal that ended a hang is one of ours and says nothing about the failure.
    ended = said if flaky else [record]
    signals = {a.signal for a in ended if a.signal and a.outcome in _OWN_SIGNAL}
    return Observed(
        id=record.id,
        axes=record.axes,
        facts=facts,
        outcome=record.outcome,
        cause=record.cause,
        signal=record.signal,
        signature=record.signature,
        outcomes=tuple(sorted(outcomes)),
        causes=tuple(sorted(causes)),
        signals=tuple(sorted(signals)),
    )
