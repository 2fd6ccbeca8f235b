"""Variants of a case: the same experiment with other arguments or another environment, under an id and key
of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.runs.model import CaseRecord

_UNSAFE = re.compile(r"[^A-Za-z0-9._+=-]+")
_MOST_NAMED = 4  # changes that the id names; more are counted


def experiment_key(case: Case) -> str:
    """Digest of what runs: workload, arguments, environment, runtime, device, seed. Equal keys, equal
    experiment."""
    runtime = dataclasses.asdict(case.runtime)
    parts = [case.workload, dict(case.args), dict(case.env), runtime, case.device, case.seed, case.threads]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def variant(case: Case, args: Mapping[str, Any] | None = None, env: Mapping[str, str | None] | None = None) -> Case:
    """``case`` with these arguments changed and ``env`` as its whole environment patch (None: unchanged).

    An argument of None is removed. The axes stay: they say where the variant came from.
    """
    changed = dict(case.args)
    for name, value in (args or {}).items():
        if value is None:
            changed.pop(name, None)
        else:
            changed[name] = value
    patch = dict(case.env) if env is None else dict(env)
    if changed == dict(case.args) and patch == dict(case.env):
        return case
    made = dataclasses.replace(case, args=changed, env=patch, origin="variant")
    key = experiment_key(made)
    words = [
        f"{n}={changed.get(n, 'default')}" for n in sorted({*changed, *case.args}) if changed.get(n) != case.args.get(n)
    ]
    words += [
        f"{name}={'unset' if patch.get(name) is None else patch[name]}"
        for name in sorted({*patch, *case.env})
        if patch.get(name) != case.env.get(name) or (name in patch) is not (name in case.env)
    ]
    if len(words) > _MOST_NAMED:
        words = [*words[:_MOST_NAMED], f"{len(words) - _MOST_NAMED}-more"]
    stem = case.id.removesuffix("]")
    name = f"{stem}~{_UNSAFE.sub('_', '~'.join(words))}.{key[:6]}" + ("]" if case.id.endswith("]") else "")
    return dataclasses.replace(made, id=name, key=key, row=key)


def case_of(record: CaseRecord) -> Case:
    """The case that a run's record describes, so that it can be run again."""
    names = {entry.name for entry in dataclasses.fields(RuntimeSpec)}
    runtime = {name: value for name, value in record.runtime.items() if name in names and value is not None}
    if "options" in runtime:
        runtime["options"] = tuple(runtime["options"])
    return Case(
        id=record.id, key=record.key, row=record.row, workload=record.workload, axes=dict(record.axes),
        args=dict(record.args), env=dict(record.env), runtime=RuntimeSpec(**runtime), device=record.device,
        seed=record.seed,
    )  # fmt: skip
