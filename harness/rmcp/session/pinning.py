"""One GPU per case: its lock's name, and the variables that show the case that GPU and no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rmcp.device.facts import HostFacts
from rmcp.device.lock import CPU
from rmcp.device.pin import VISIBLE, pin
from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.runtimes.environment import merged
from rmcp.session.facts import Facts


@dataclass(frozen=True)
class Place:
    """``device``: the name that the case's device is locked by; ``case``: the case as it is to be started."""

    device: str
    case: Case


class Pinning:
    """Where cases run. Pure but for what ``facts`` asks of a runtime the first time."""

    def __init__(self, host: HostFacts, facts: Facts, environ: Mapping[str, str]) -> None:
        self._host = host
        self._facts = facts
        self._environ = environ

    def place(self, case: Case) -> Place:
        """The case's GPU.

        Variables are set only where there is a choice: the runtime sees several GPUs, and as many as /sys shows
        (in a container it may see fewer, and then the numbers would mean others). A case that sets one of them
        itself is left alone, since that is what it tests.
        """
        facts = self._facts.runtime(case)
        kind = str(facts.get("device", CPU))
        if kind == CPU or case.device == CPU:
            return Place(CPU, case)
        wanted = kind if case.device == "auto" else case.device
        try:
            found = pin(self._host, wanted, merged(self._environ, case.env), hip=kind == "rocm")
        except UserError:
            return Place(wanted, case)  # torch sees a device that /sys does not show (WSL, a container)
        if found.among < 2 or facts.get("count") != found.among or any(name in case.env for name in VISIBLE):
            return Place(found.name, case)
        return Place(found.name, replace(case, device=found.device, env={**case.env, **found.env}))

    def upcoming(self, cases: Sequence[Case]) -> list[Case]:
        """Following cases as they will be started; those of a runtime that was not asked yet stay as they are."""
        return [self.place(case).case if self._facts.known(case) else case for case in cases]
