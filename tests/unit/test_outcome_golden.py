"""Golden folders: raw evidence of one attempt and the judgement of it. One per outcome and precedence rule.

A folder has `attempt.json` (fields of Attempt; what is absent has its default), optional `stdout.txt`, `stderr.txt`
and `kernel.log`, and `expected.json`. `pytest --update` writes `expected.json` anew.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rmcp.attempt import (
    Attempt,
    Captured,
    Check,
    Deadline,
    Leaked,
    Phase,
    PythonError,
    Sent,
    TaskState,
)
from rmcp.device.kernel_events import parse
from rmcp.outcome.evidence import Incident
from rmcp.outcome.judge import RULES, judge
from rmcp.words import DeviceEvent, Outcome

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "outcome"
FOLDERS = sorted(folder for folder in GOLDEN.iterdir() if folder.is_dir())
_SEQUENCES = {"checks": Check, "phases": Phase, "sent": Sent, "tasks": TaskState, "leaked": Leaked}
# Outcomes that are not read from an attempt: the session gives them (docs/outcomes.md).
NOT_JUDGED = {Outcome.LOST, Outcome.UNSUPPORTED, Outcome.BLOCKED}


def load(folder: Path):
    data = json.loads((folder / "attempt.json").read_text())
    incidents = [Incident(DeviceEvent(item.pop("kind")), **item) for item in data.pop("incidents", [])]
    options = data.pop("judge", {})
    for name, kind in _SEQUENCES.items():
        if name in data:
            data[name] = tuple(kind(**item) for item in data[name])
    for name in ("protocol", "remarks", "predecessors"):
        if name in data:
            data[name] = tuple(data[name])
    if "deadline" in data:
        data["deadline"] = Deadline(**data["deadline"])
    if "error" in data:
        data["error"] = PythonError(**data["error"])
    for name in ("stdout", "stderr"):
        path = folder / f"{name}.txt"
        if path.exists():
            data[name] = Captured(head=path.read_bytes())
    log = folder / "kernel.log"
    kernel = parse(log.read_text().splitlines()) if log.exists() else []
    return Attempt(**data), kernel, incidents, options


def as_json(judgement) -> dict:
    return {
        "outcome": str(judgement.outcome),
        "cause": str(judgement.cause),
        "source": judgement.source,
        "device": str(judgement.device),
        "message": judgement.message,
        "signature": judgement.signature,
        "titles": list(judgement.titles),
        "notes": list(judgement.notes),
        "fields": dict(sorted(judgement.fields.items())),
    }


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_golden(folder, request):
    attempt, kernel, incidents, options = load(folder)
    found = as_json(judge(attempt, kernel=kernel, device_events=incidents, **options))
    path = folder / "expected.json"
    if request.config.getoption("--update", False):
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    assert found == json.loads(path.read_text())


def test_every_rule_and_outcome_has_a_folder():
    expected = [json.loads((folder / "expected.json").read_text()) for folder in FOLDERS]
    assert {item["fields"]["rule"] for item in expected} == {rule.name for rule in RULES}
    assert {item["outcome"] for item in expected} == {str(outcome) for outcome in set(Outcome) - NOT_JUDGED}
