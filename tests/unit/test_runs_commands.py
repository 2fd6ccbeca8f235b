"""`rmcp runs`, `rmcp export`, `rmcp merge`, and the committed run of format 1 that every later reader must
read."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rmcp.attempt import Attempt, Captured
from rmcp.cli import main
from rmcp.errors import UserError
from rmcp.matrix.model import Case
from rmcp.runs import load_run, outstanding
from rmcp.runs.export import lines, records
from rmcp.runs.merge import merge_runs
from rmcp.runs.model import AttemptRecord
from rmcp.runs.writer import RunDirectory, create_run
from rmcp.words import Cause, Outcome, Verdict

GOLDEN = Path(__file__).parent.parent / "golden" / "runs"
MATRIX = {"matrix": {"name": "m", "digest": "d1"}}


def make(name: str, **more: Any) -> Case:
    key = hashlib.sha256(name.encode()).hexdigest()
    return Case(id=f"w[{name}]", key=key, row=key, workload="w", axes={"shape": name}, **more)


A, B, C = (make(name) for name in "abc")


def write(
    reports: Path, cases: list[Case], outcomes: dict[str, Outcome], finish: bool = True, **manifest: Any
) -> RunDirectory:
    """A run in which the cases named by id came to the given outcomes; None leaves a START without END."""
    run = create_run(reports, cases, {**MATRIX, **manifest})
    with run.journal("main") as journal:
        for case in cases:
            if case.id not in outcomes:
                continue
            outcome = outcomes[case.id]
            journal.start(case.key, 1)
            folder = run.store_attempt(case, Attempt(stderr=Captured(run.id.encode())), {})
            if outcome is not Outcome.LOST:
                journal.end(case.key, AttemptRecord(1, outcome, directory=folder))
        if finish:
            journal.finish()
    return run


def test_export_prints_one_strict_object_per_case(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = create_run(tmp_path, [A, B], MATRIX)
    with run.journal("main") as journal:
        journal.start(A.key, 1)
        journal.end(
            A.key, AttemptRecord(1, Outcome.CRASH, Cause.SEGFAULT, "SIGSEGV", signature="s", message="\ud800")
        )
        journal.start(A.key, 2)
        metrics = {"ms": float("nan"), "best": float("-inf"), "big": 2**70, "text": "ü"}
        journal.end(A.key, AttemptRecord(2, Outcome.PASS, metrics=metrics))
        journal.verdict(A.key, Verdict.UNEXPECTED, "no rule")
        journal.finish()
    assert main(["export", run.id, "--reports", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    first, second = (
        json.loads(line, parse_constant=lambda c: pytest.fail(f"{c} is not JSON")) for line in printed
    )
    assert first["id"] == "w[a]"
    assert first["axes"] == {"shape": "a"}
    assert (first["outcome"], first["cause"], first["signal"]) == ("crash", "segfault", "SIGSEGV")
    assert (first["verdict"], first["reason"], first["stability"]) == ("unexpected", "no rule", "flaky 1/2")
    assert (first["class"], first["deciding"], first["message"]) == ("died", 0, "\\ud800")
    assert first["attempts"][1]["metrics"] == {"ms": "nan", "best": "-inf", "big": str(2**70), "text": "ü"}
    assert (second["outcome"], second["signal"], second["attempts"]) == ("not-run", None, [])


def test_export_to_a_file_appears_whole(tmp_path: Path) -> None:
    write(tmp_path, [A], {A.id: Outcome.PASS})
    out = tmp_path / "deep" / "cases.jsonl"
    assert main(["export", str(tmp_path), "--out", str(out)]) == 0
    assert json.loads(out.read_text())["outcome"] == "pass"
    assert [p.name for p in out.parent.iterdir()] == ["cases.jsonl"]


def test_a_verdict_belongs_to_the_attempts_before_it(tmp_path: Path) -> None:
    run = create_run(tmp_path, [A], MATRIX)
    with run.journal("main") as journal:
        journal.start(A.key, 1)
        journal.end(A.key, AttemptRecord(1, Outcome.HARNESS_ERROR))
        journal.verdict(A.key, Verdict.EXPECTED)
        journal.start(A.key, 2)
        journal.end(A.key, AttemptRecord(2, Outcome.CRASH))
    assert load_run(run.path).cases[0].verdict is Verdict.NO_VERDICT


def test_merge_joins_shards_and_keeps_every_attempt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = write(tmp_path, [A, B], {A.id: Outcome.CRASH, B.id: Outcome.PASS}, facts={"host": "h1"})
    two = write(
        tmp_path, [A, C], {A.id: Outcome.PASS, C.id: Outcome.LOST}, finish=False, facts={"host": "h2"}
    )
    assert main(["merge", one.id, two.id, "--reports", str(tmp_path), "--out", str(tmp_path / "m")]) == 0
    merged = load_run(tmp_path / "m")
    assert str(merged.path.name) in capsys.readouterr().out
    assert [c.id for c in merged.cases] == [A.id, B.id, C.id]
    assert [c.outcome for c in merged.cases] == [Outcome.CRASH, Outcome.PASS, Outcome.LOST]
    assert merged.cases[0].stability == "flaky 1/2"
    for attempt, source in zip(merged.cases[0].attempts, (one, two), strict=True):
        assert attempt.directory is not None
        assert (merged.path / attempt.directory / "stderr.txt").read_text() == source.id
    assert merged.problems == ()
    assert not merged.finished  # the second one never said its last word
    assert merged.manifest["facts_of"] == {one.id: {"host": "h1"}, two.id: {"host": "h2"}}
    assert [c.outcome for c in load_run(one.path).cases] == [Outcome.CRASH, Outcome.PASS]
    assert outstanding(merged) == (C.key,)


def test_a_merged_run_can_be_merged_again(tmp_path: Path) -> None:
    one = write(tmp_path, [A], {A.id: Outcome.CRASH})
    two = write(tmp_path, [B], {B.id: Outcome.PASS})
    three = write(tmp_path, [C], {C.id: Outcome.HANG})
    first = merge_runs([one.path, two.path], tmp_path)
    both = load_run(merge_runs([first.path, three.path], tmp_path).path)
    assert [c.outcome for c in both.cases] == [Outcome.CRASH, Outcome.PASS, Outcome.HANG]
    assert both.problems == ()
    assert both.finished
    for case in both.cases:
        directory = case.attempts[0].directory
        assert directory is not None
        assert (both.path / directory / "stderr.txt").is_file()


def test_a_merged_run_can_be_resumed(tmp_path: Path) -> None:
    one = write(tmp_path, [A], {A.id: Outcome.LOST})
    two = write(tmp_path, [B], {B.id: Outcome.PASS})
    merged = merge_runs([one.path, two.path], tmp_path)
    with merged.journal("main") as journal:
        journal.start(A.key, 2)
        journal.end(A.key, AttemptRecord(2, Outcome.PASS))
        journal.finish()
    run = load_run(merged.path)
    assert [c.outcome for c in run.cases] == [Outcome.PASS, Outcome.PASS]
    assert run.problems == ()


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"cases": [A], "manifest": {"matrix": {"name": "n", "digest": "d2"}}}, "different matrices"),
        ({"cases": [make("a", args={"n": 2})], "manifest": {}}, "another args"),
        ({"cases": [make("a", env={"X": "1"}, seed=3)], "manifest": {}}, "another env, seed"),
    ],
)
def test_what_does_not_belong_together_is_not_merged(
    tmp_path: Path, other: dict[str, Any], says: str
) -> None:
    one = write(tmp_path, [A], {})
    two = write(tmp_path, other["cases"], {}, **other["manifest"])
    with pytest.raises(UserError, match=says):
        merge_runs([one.path, two.path], tmp_path)


def test_merge_refuses_one_run_twice_and_one_that_is_written(tmp_path: Path) -> None:
    one, two = write(tmp_path, [A], {}), write(tmp_path, [B], {})
    with pytest.raises(UserError, match="two different"):
        merge_runs([one.path, one.path], tmp_path)
    with two.journal("main"), pytest.raises(UserError, match="still being written"):
        merge_runs([one.path, two.path], tmp_path)


def test_the_list_of_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", str(tmp_path)]) == 0
    assert "no runs" in capsys.readouterr().out
    write(tmp_path, [A, B], {A.id: Outcome.CRASH, B.id: Outcome.PASS})
    died = write(tmp_path, [A, B], {A.id: Outcome.LOST}, finish=False)
    broken = write(tmp_path, [A], {})
    (broken.path / "run.json").write_text("{")
    assert main(["runs", str(tmp_path)]) == 0
    out = capsys.readouterr()
    table = [re.split(r"  +", line.strip()) for line in out.out.splitlines()]
    assert table[0][0] == "RUN"
    assert [row[0] for row in table[1:]] == [broken.id, died.id, load_run(died.path).manifest["id"]] or len(
        table
    ) == 4
    assert "run.json cannot be read" in out.err
    assert main(["runs", str(tmp_path), "--format", "json", "--last", "2"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["state"] for row in rows] == ["unreadable", "died"]
    assert rows[1]["outcomes"] == {"lost": 1, "not-run": 1}
    assert main(["runs", str(tmp_path), "--format", "json"]) == 0
    complete = json.loads(capsys.readouterr().out)[2]
    assert (complete["state"], complete["passed"], complete["died"], complete["outstanding"]) == (
        "complete",
        1,
        1,
        0,
    )


@pytest.mark.parametrize(
    "words", [["export", "nothing"], ["merge", "a", "b"], ["export", "latest", "--format", "jsonl"]]
)
def test_mistakes_are_text_and_exit_code_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main([*words, "--reports", str(tmp_path)]) == 4
    assert "rmcp " in capsys.readouterr().err


def test_the_committed_run_of_format_1(tmp_path: Path) -> None:
    """Written by the first release; every later reader must say the same of it."""
    copy = tmp_path / "run"
    shutil.copytree(GOLDEN / "format-1", copy)
    run = load_run(copy)
    expected = [json.loads(line) for line in (GOLDEN / "format-1.jsonl").read_text().splitlines()]
    assert list(records(run)) == expected
    assert [json.loads(line) for line in lines(run)] == expected
    assert [(p.where, p.what) for p in run.problems] == [("journal/gw0.jsonl:4", "the last line is torn")]
    assert run.runtimes == {"this": {"torch": "2.13.0", "device": "cpu"}}
