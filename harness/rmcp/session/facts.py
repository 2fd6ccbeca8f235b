"""Facts of a case for expressions: its axes and arguments, the host's facts, and what its runtime reported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from rmcp.device.facts import HostFacts, flat
from rmcp.isolation.start_failures import RuntimeFailed
from rmcp.matrix.facts import CaseFacts
from rmcp.matrix.model import Case


class Facts:
    """Knows each runtime after its first zygote. ``ask(case)`` starts one and returns what it reported."""

    def __init__(self, host: HostFacts, ask: Callable[[Case], Mapping[str, Any]]) -> None:
        self._host = host
        self._ask = ask
        self._runtimes: dict[tuple[str, str], dict[str, Any]] = {}
        self._failed: set[tuple[str, str]] = set()

    def of(self, case: Case) -> CaseFacts:
        """The case as facts. Asks the runtime once, in its stock environment: what a variable of some other case
        breaks must not decide what is supported. None is known to be absent, a missing name is unknown."""
        return CaseFacts(case, self.runtime(case))

    def known(self, case: Case) -> bool:
        """Whether the case's runtime was asked already, so that asking again costs nothing."""
        return (case.runtime.name, case.device) in self._runtimes

    def failed(self, case: Case) -> bool:
        """Whether the case's runtime is there but died or hung at its start, so that nothing is known of it."""
        self.runtime(case)
        return (case.runtime.name, case.device) in self._failed

    def runtime(self, case: Case) -> Mapping[str, Any]:
        """Facts of the case's runtime and of the host, by the names of the expression language."""
        place = (case.runtime.name, case.device)
        if place not in self._runtimes:
            reported: Mapping[str, Any] = {}
            try:
                reported = self._ask(replace(case, env={})) if case.needs else self._ask(case)
            except RuntimeFailed:
                self._failed.add(place)
            self._runtimes[place] = {**dict(reported), **flat(self._host, reported)}
        return self._runtimes[place]
