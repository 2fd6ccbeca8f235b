"""The recogniser against real excerpts: cause and fields by kind. The folder comes from RMCP_CRASH_CORPUS."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from rmcp.outcome.recognise import recognise

CORPUS = os.environ.get("RMCP_CRASH_CORPUS", "")
pytestmark = pytest.mark.skipif(not CORPUS, reason="RMCP_CRASH_CORPUS names no folder")
NEEDED = 0.97  # share of samples whose cause must be right


def samples():
    folder = Path(CORPUS)
    for line in (folder / "index.jsonl").read_text().splitlines():
        row = json.loads(line)
        yield row["file"], row["expected"], (folder / row["file"]).read_bytes()


def test_causes_and_fields(capsys):
    right, all_of, field_right, field_all = Counter(), Counter(), Counter(), Counter()
    wrong = defaultdict(list)
    for name, expected, text in samples():
        kind = expected["kind"]
        found = recognise(text)
        all_of[kind] += 1
        right[kind] += found.cause == kind
        if found.cause != kind:
            wrong["cause"].append((name, kind, str(found.cause), found.line[:80]))
        for field, value in expected.items():
            if field == "kind":
                continue
            field_all[field] += 1
            field_right[field] += found.fields.get(field) == value
            if found.fields.get(field) != value:
                wrong[field].append((name, value, found.fields.get(field)))
    with capsys.disabled():
        print()
        for kind in sorted(all_of):
            print(f"  {kind:26s} {right[kind]:3d} of {all_of[kind]:3d}")
        for field in sorted(field_all):
            print(f"  field {field:20s} {field_right[field]:3d} of {field_all[field]:3d}")
    total = sum(all_of.values())
    assert total > 0, f"no samples in {CORPUS}"
    assert right["none"] == all_of["none"], f"a negative sample was given a cause: {wrong['cause']}"
    assert sum(right.values()) >= NEEDED * total, wrong["cause"]
    assert sum(field_right.values()) >= NEEDED * sum(field_all.values()), dict(wrong)


def test_every_sample_survives_decoration():
    """The same log with journal prefixes and Windows line ends has the same cause."""
    changed = []
    for name, expected, text in samples():
        if expected["kind"] == "none":
            continue
        lines = text.decode("utf-8", "replace").splitlines()
        prefixed = "\r\n".join(f"Nov 21 03:37:00 box python[4711]: {line}" for line in lines)
        found = recognise(prefixed)
        if found.cause != recognise(text).cause:
            changed.append((name, expected["kind"], str(found.cause)))
    assert len(changed) <= 0.05 * 122, changed
