"""The bug-report bundle: one .zip with what ROCm's and PyTorch's issue templates ask for, and no secrets.

Secrets are absent by construction, not by search: of the environment only the case's own patch and the
*tested* variables (rmcp.device.environment.tested_variables) are written, machine facts are taken from a
list of names, and the text of logs is passed through a filter for what people leak most. Nothing is read
that is not named here.
"""

from __future__ import annotations

import dataclasses
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rmcp.device.environment import tested_variables
from rmcp.matrix.model import Case
from rmcp.report.repro import reproducer, shell_command
from rmcp.runs.model import AttemptRecord, CaseRecord, Run

_MOST_BYTES = 256 * 1024  # of one log; issue trackers refuse attachments beyond some MB
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the zip format's zero: equal content gives equal files
# Facts that a maintainer needs and that name no person or machine: everything else of the host stays out.
_FACTS = (
    "kernel", "distribution", "taint_reasons", "secure_boot", "container", "cpu", "gpus", "amdgpu_version",
    "parameters", "rocm", "rocm_installations", "nvidia_driver", "gfx", "python", "torch", "git", "hip",
    "cuda", "xpu", "device", "device_name", "libraries", "miopen", "conv_backend",
)  # fmt: skip
_NAMES_A_MACHINE = re.compile(r"(?i)serial|uuid|unique_id|hostname|mac_?address")
_LOGS = ("stdout.txt", "stderr.txt", "stacks.txt", "kernel.log", "tasks.json")
_SECRETS = (
    # NAME=value and "NAME": "value" where the name sounds like a secret.
    re.compile(
        r"""(?i)(["']?[\w.-]*(?:token|secret|passw(?:or)?d|passwd|api[_-]?key|access[_-]?key|private[_-]?key|credential|"""
        r"""cookie|authorization)[\w.-]*["']?\s*[:=]\s*)(?:bearer\s+|basic\s+)?("[^"\n]*"|'[^'\n]*'|["']?[^\s,;"']+)"""
    ),
    re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s@]+(?=@)"),  # user:password@ of a URL
    re.compile(r"()\b(?:gh[pousr]_[A-Za-z0-9]{16,}|github_pat_\w{20,}|hf_[A-Za-z0-9]{16,}|AKIA[0-9A-Z]{12,}|"
               r"xox[abpr]-[\w-]{10,}|sk-[A-Za-z0-9_-]{16,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]+)"),
    re.compile(r"()-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
    re.compile(r"(/(?:home|Users)/)[^/\s:'\"]+"),  # the user's name in paths
)  # fmt: skip
_HIDDEN = "[hidden]"


@dataclass(frozen=True)
class Bundle:
    """What goes into the zip: file name -> text."""

    files: Mapping[str, str]

    def write(self, path: Path) -> None:
        """Write the zip; whole or not at all."""
        fresh = path.with_name(path.name + ".new")
        with zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in sorted(self.files.items()):
                archive.writestr(zipfile.ZipInfo(name, _EPOCH), text, zipfile.ZIP_DEFLATED)
        fresh.replace(path)


def without_secrets(text: str) -> str:
    """``text`` with what looks like a secret, and users' names in paths, replaced."""
    for pattern in _SECRETS:
        text = pattern.sub(lambda found: found.group(1) + _HIDDEN, text)
    return text


def make_bundle(
    case: Case,
    record: CaseRecord | None,
    run: Run | None,
    environ: Mapping[str, str],
    steps: Sequence[str],
) -> Bundle:
    """The bundle of one case. ``environ`` is the environment rmcp runs in, ``steps`` what was left out on
    the way to the smallest case."""
    safe = dataclasses.replace(case, env=_tested_patch(case))
    attempt = record.last if record is not None else None
    facts = _facts(case, run)
    variables = {**tested_variables(dict(environ)), **_own(case)}
    files = {
        "repro.py": reproducer(safe),
        "README.md": _readme(safe, record, attempt, facts, variables, steps),
        "facts.json": json.dumps(facts, indent=1, sort_keys=True, default=str) + "\n",
        "environment.txt": "".join(f"{name}={value}\n" for name, value in sorted(variables.items())),
        "case.json": json.dumps(_case(safe), indent=1, default=str) + "\n",
    }
    if record is not None:
        files["journal.json"] = json.dumps(_journal(record), indent=1, default=str) + "\n"
    if run is not None and attempt is not None and attempt.directory:
        files.update(_logs(run.path / attempt.directory))
    return Bundle({name: text if name == "repro.py" else without_secrets(text) for name, text in files.items()})


def _tested_patch(case: Case) -> dict[str, str | None]:
    """The case's own environment patch, without what is not a tested variable."""
    return {name: value for name, value in case.env.items() if tested_variables({name: value or "0"})}


def _own(case: Case) -> dict[str, str]:
    """The same for people."""
    return {name: "(unset)" if v is None else v for name, v in sorted(_tested_patch(case).items())}


def _facts(case: Case, run: Run | None) -> dict[str, Any]:
    if run is None:
        return {}
    runtime = run.runtimes.get(case.runtime.name, {})
    merged = {**run.facts, **{name: value for name, value in runtime.items() if value is not None}}
    return {name: _anonymous(merged[name]) for name in _FACTS if merged.get(name) not in (None, "", [], {})}


def _anonymous(value: Any) -> Any:
    """Facts without what identifies one machine."""
    if isinstance(value, Mapping):
        return {k: _anonymous(v) for k, v in value.items() if not _NAMES_A_MACHINE.search(str(k))}
    if isinstance(value, (list, tuple)):
        return [_anonymous(part) for part in value]
    return value


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id, "workload": case.workload, "args": dict(case.args), "env": _own(case),
        "device": case.device, "seed": case.seed,
    }  # fmt: skip


def _journal(record: CaseRecord) -> list[dict[str, Any]]:
    """The attempts as journalled, without host paths and machine ids."""
    return [
        {
            "number": a.number, "outcome": str(a.outcome), "cause": str(a.cause), "signal": a.signal,
            "exit_code": a.exit_code, "signature": a.signature, "device": str(a.device), "source": a.source,
            "message": a.message, "fields": dict(a.fields), "phase": a.phase, "phases": list(a.phases),
            "duration_s": round(a.duration_s, 3), "maxrss_kb": a.maxrss_kb,
        }
        for a in record.attempts
    ]  # fmt: skip


def _logs(directory: Path) -> dict[str, str]:
    """The kept logs of an attempt, the ends of long ones."""
    logs = {}
    for name in _LOGS:
        try:
            with (directory / name).open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - _MOST_BYTES))
                text = file.read(_MOST_BYTES).decode("utf-8", "backslashreplace")
        except OSError:
            continue
        if text.strip():
            cut = f"[the first {size - _MOST_BYTES} bytes were left out]\n" if size > _MOST_BYTES else ""
            logs[f"logs/{name}"] = cut + text
    return logs


def _short(fact: Any) -> str:
    """One fact in a line: a nested one by its model or its parts."""
    if isinstance(fact, Mapping):
        return str(fact.get("model") or fact.get("name") or ", ".join(f"{k} {v}" for k, v in fact.items()))
    if isinstance(fact, (list, tuple)):
        return "; ".join(_short(part) for part in fact)
    return "" if fact is None else str(fact)


def _readme(
    case: Case, record: CaseRecord | None, attempt: AttemptRecord | None, facts: Mapping[str, Any],
    variables: Mapping[str, str], steps: Sequence[str],
) -> str:  # fmt: skip
    """The issue text in the order that ROCm's and PyTorch's templates ask for."""

    def fact(*names: str) -> str:
        return next((text for name in names if (text := _short(facts.get(name)))), "unknown")

    told = f"{attempt.outcome}/{attempt.cause}" if attempt is not None else "a failure"
    what = attempt.message if attempt is not None and attempt.message else told
    stability = f" ({record.stability})" if record is not None else ""
    listed = "\n".join(f"- `{n}={v}`" for n, v in sorted(variables.items())) or "- none of the tested variables is set"
    reduced = "\n".join(f"- {step}" for step in steps) or "- not reduced"
    return f"""# {told}: {case.id}

## Problem description
{what}{stability}

Signature: `{attempt.signature if attempt is not None else "unknown"}`

## Operating system and kernel
{fact("distribution")}, kernel {fact("kernel")}

## CPU
{fact("cpu")}

## GPU
{fact("device_name", "gpus", "device")} ({fact("gfx", "gpus")})

## ROCm or CUDA version
ROCm/HIP {fact("hip", "rocm")}, CUDA {fact("cuda")}

## PyTorch and Python
torch {fact("torch")}, Python {fact("python")}

## Steps to reproduce
```
{shell_command(case)}
```
`repro.py` needs only torch and prints the versions it ran with.

## Arguments
```json
{json.dumps(dict(case.args), default=str)}
```

## Environment variables that matter
{listed}

## How the case was reduced
{reduced}

## Files
`facts.json` (machine and libraries), `journal.json` (every attempt), `logs/` (stdout, stderr, stacks, kernel
log where they were readable).
"""
