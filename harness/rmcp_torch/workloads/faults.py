"""Real faults on demand: what `matrices/selftest.yaml` runs, so that users can prove the harness on their machine.

Needs no torch, except for the kinds that return wrong numbers. Each kind is a function of a `_faults_*` module
that takes the context and keyword arguments; kinds that print text print it as the ROCm runtime does, and then
really abort: the cause must be read from the text and the status, as with a real card.
"""

from __future__ import annotations

from typing import Any, Callable, Dict

from rmcp_torch.workloads import _faults_deaths, _faults_leftovers, _faults_results, _faults_stalls

KINDS: Dict[str, Callable[..., Any]] = {}
for _module in (_faults_deaths, _faults_stalls, _faults_leftovers, _faults_results):
    KINDS.update(_module.KINDS)


def run(ctx: Any, kind: str, **options: Any) -> Any:
    """Commit the fault ``kind``; ``options`` are its own (bytes, seconds ...). ValueError for an unknown kind."""
    fault = KINDS.get(kind)
    if fault is None:
        raise ValueError("no fault is called %r; known: %s" % (kind, ", ".join(sorted(KINDS))))
    return fault(ctx, **options)
