"""Run directories on a real disk: writing, cutting, killing, resuming, finding."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.attempt import Attempt, Captured, TaskState
from rmcp.errors import UserError
from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.runs import journal as journal_module
from rmcp.runs import list_runs, load_run, outstanding
from rmcp.runs.journal import Journal
from rmcp.runs.model import AttemptRecord
from rmcp.runs.writer import RunDirectory, create_run, new_run_id, open_run, slug
from rmcp.words import Cause, Outcome


def make(name: str, **more: Any) -> Case:
    key = hashlib.sha256(name.encode()).hexdigest()
    return Case(id=f"conv2d[{name}]", key=key, row=key, workload="conv2d", axes={"shape": name}, **more)


CASES = [make(name) for name in ("a", "b", "c")]


@pytest.fixture
def no_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)
    monkeypatch.setattr(os, "fsync", lambda fd: None)


def record(number: int = 1, outcome: Outcome = Outcome.PASS, **more: Any) -> AttemptRecord:
    return AttemptRecord(number, outcome, **more)


def test_a_run_tells_back_what_was_written(tmp_path: Path) -> None:
    case = make(
        "x",
        args={"kernel": [3, 1], "bias": True, "n": 1},
        env={"A": "1", "B": None},
        seed=7,
        device="cuda:0",
        runtime=RuntimeSpec("old", python="/usr/bin/python3", options=("-v",)),
    )
    run = create_run(tmp_path, [case, *CASES], {"facts": {"kernel": "6.1"}, "compare_axes": ["runtime"]})
    full = record(
        outcome=Outcome.CRASH,
        cause=Cause.SEGFAULT,
        signal="SIGSEGV",
        titles=("t",),
        notes=("n",),
        fields={"address": "0x0"},
        phases=(("import", 0.0), ("launch", 0.5)),
        checks=({"name": "y"},),
        metrics={"ms": 1.5},
        duration_s=2.0,
        directory="attempts/x/1",
        level="batch",
        predecessors=("k",),
    )
    with run.journal("main") as journal:
        journal.event("runtime", name="old", facts={"torch": "1.13.1"})
        journal.start(case.key, 1, zygote=12)
        journal.end(case.key, full)
        journal.set_aside(CASES[0].key, Outcome.UNSUPPORTED, "no ROCm here")
        journal.event("note", text="hello \ud800 ü")
        journal.finish(exit=0)
    read = load_run("latest", tmp_path)
    first = read.cases[0]
    assert (first.id, first.key, dict(first.args), dict(first.env)) == (
        case.id,
        case.key,
        case.args,
        case.env,
    )
    assert (first.seed, first.device) == (7, "cuda:0")
    assert first.runtime == {"name": "old", "python": "/usr/bin/python3", "options": ["-v"]}
    got = first.attempts[0]
    assert got.writer == "main"
    assert got.boot
    for field in (
        "outcome",
        "cause",
        "signal",
        "titles",
        "notes",
        "fields",
        "phases",
        "checks",
        "metrics",
        "duration_s",
        "directory",
        "level",
        "predecessors",
    ):
        assert getattr(got, field) == getattr(full, field), field
    assert (read.cases[1].outcome, read.cases[1].reason) == (Outcome.UNSUPPORTED, "no ROCm here")
    assert read.runtimes == {"old": {"torch": "1.13.1"}}
    assert (read.facts, read.compare_axes, read.finished, read.live) == (
        {"kernel": "6.1"},
        ("runtime",),
        True,
        False,
    )
    assert [e["kind"] for e in read.events] == ["note", "finish"]
    assert read.problems == ()
    assert outstanding(read) == (CASES[1].key, CASES[2].key)


def test_numbers_and_truth_are_not_mixed_up_by_sharing(tmp_path: Path) -> None:
    values: list[Any] = [1, 1.0, True, "1", [1], {"a": 1}]
    create_run(tmp_path, [make(str(i), args={"v": v}) for i, v in enumerate(values)], {})
    got = [case.args["v"] for case in load_run("latest", tmp_path).cases]
    assert [(type(g), g) for g in got] == [(type(v), v) for v in values]


def test_start_is_synced_before_it_returns_and_end_waits_for_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = os.write

    def write(fd: int, data: bytes) -> int:
        calls.append("write")
        return real(fd, data)

    journal = create_run(tmp_path, CASES, {}).journal("main")
    monkeypatch.setattr(journal_module.os, "write", write)
    monkeypatch.setattr(journal_module.os, "fdatasync", lambda fd: calls.append("sync"))
    journal.start("k", 1)
    assert calls == ["write", "sync"]
    journal.end("k", record())
    assert calls[2:] == ["write"]
    assert b'"end"' in journal.path.read_bytes()  # the kernel has it: a killed runner loses nothing
    journal.start("l", 1)
    assert calls[3:] == ["write", "sync"]
    journal.sync()
    assert calls[5:] == []
    monkeypatch.undo()
    journal.close()
    journal.close()


def test_one_sync_serves_a_batch_for_at_most_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = create_run(tmp_path, CASES, {}).journal("main")
    syncs: list[float] = []
    clock = [100.0]
    monkeypatch.setattr(journal_module.os, "fdatasync", lambda fd: syncs.append(clock[0]))
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: clock[0])
    journal.ahead([("a", 1), ("b", 1), ("c", 1)])
    assert syncs == [100.0]
    assert journal.is_ahead("b", 1) and not journal.is_ahead("b", 2)
    journal.start("a", 1)
    journal.end("a", record())
    assert len(syncs) == 1  # named on disk before it began
    assert not journal.is_ahead("a", 1)
    journal.start("a", 2)  # a second attempt was not announced
    assert len(syncs) == 2
    clock[0] += 0.9
    journal.start("b", 1)
    assert len(syncs) == 2
    clock[0] += 0.2  # now the END of the second attempt is more than a second old
    journal.start("c", 1)
    assert len(syncs) == 3
    monkeypatch.undo()
    kinds = [json.loads(line)["kind"] for line in journal.path.read_text().splitlines()]
    assert kinds == ["open", "ahead", "start", "end", "start", "start", "start"]
    journal.close()


def test_writing_is_cheap(tmp_path: Path, no_sync: None) -> None:
    """The budget is about 60 us of CPU a record on a quiet machine; four times that is a mistake, not
    noise."""
    journal = create_run(tmp_path, CASES, {}).journal("main")
    one = record(phases=(("import", 0.0), ("setup", 0.01), ("launch", 0.02)), metrics={"ms": 1.0}, duration_s=0.1)
    count = 2000
    begun = time.process_time()
    for number in range(count):
        journal.start("k" * 64, number)
        journal.end("k" * 64, one)
    each_us = (time.process_time() - begun) / (2 * count) * 1e6
    journal.close()
    print(f"{each_us:.1f} us of CPU per record")
    assert each_us < 240


def test_what_json_does_not_know_is_kept_as_text(tmp_path: Path) -> None:
    with create_run(tmp_path, CASES, {}).journal("main") as journal:
        key = CASES[0].key
        journal.start(key, 1)
        loop: dict[str, Any] = {}
        loop["self"] = loop
        journal.end(key, record(metrics={"a": {1, 2}, "b": object, ("t",): 1, "nan": float("nan"), "loop": loop}))
    read = load_run("latest", tmp_path)
    assert read.cases[0].outcome is Outcome.PASS
    assert read.cases[0].metrics["nan"] != read.cases[0].metrics["nan"]


def test_a_giant_record_is_cut_with_a_note(tmp_path: Path) -> None:
    with create_run(tmp_path, CASES, {}).journal("main") as journal:
        journal.start(CASES[0].key, 1)
        journal.end(CASES[0].key, record(message="m" * 2000, metrics={"x": "y" * 5_000_000}))
    case = load_run("latest", tmp_path).cases[0]
    assert case.outcome is Outcome.PASS
    assert "left out" in case.attempts[0].notes[0]
    assert len(case.attempts[0].message) == 1000


def test_two_live_writers_of_one_name_get_two_files_and_a_resume_gets_the_first_again(tmp_path: Path) -> None:
    run = create_run(tmp_path, CASES, {})
    first, second = run.journal("main"), run.journal("main")
    assert (first.path.name, second.path.name) == ("main.jsonl", "main-2.jsonl")
    assert load_run("latest", tmp_path).live
    first.close()
    second.close()
    assert not load_run("latest", tmp_path).live
    with open_run(run.path).journal("main") as third:
        assert third.path.name == "main.jsonl"
    assert load_run("latest", tmp_path).problems == ()


def test_names_of_writers_cannot_leave_the_folder(tmp_path: Path) -> None:
    with create_run(tmp_path, CASES, {}).journal("../../x y") as journal:
        assert journal.path.parent.name == "journal"


def write_story(run: RunDirectory) -> None:
    with run.journal("main") as journal:
        for case in CASES:
            journal.start(case.key, 1)
            journal.end(case.key, record(outcome=Outcome.CRASH, message="bröken\n"))
        journal.finish()


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_anywhere_then_resume(data: Any) -> None:
    """A crash at any byte: every case one row; resume runs what is outstanding; then nothing is."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda fd: None)
        patch.setattr(os, "fsync", lambda fd: None)
        run = create_run(Path(folder), CASES, {})
        write_story(run)
        file = run.path / "journal" / "main.jsonl"
        whole = file.read_bytes()
        cut = data.draw(st.integers(0, len(whole)))
        file.write_bytes(whole[:cut])
        lines = whole[:cut].split(b"\n")
        # The last piece is whole when only its newline is missing.
        kept = [json.loads(line) for line in lines if line and _parses(line)]
        before = load_run("latest", Path(folder))
        _check(before, kept)
        torn = lines[-1] != b"" and not _parses(lines[-1])
        assert [p.what for p in before.problems] == (["the last line is torn"] if torn else [])
        todo = outstanding(before)
        again = open_run(run.path)
        with again.journal("main") as journal:
            for case in before.cases:
                if case.key in todo:
                    journal.start(case.key, len(case.attempts) + 1)
                    journal.end(case.key, record(len(case.attempts) + 1))
            journal.finish()
        after = load_run("latest", Path(folder))
        assert outstanding(after) == ()
        assert len(after.cases) == len(CASES)
        assert len(after.problems) == int(torn)
        assert after.finished
        for old, new in zip(before.cases, after.cases, strict=True):
            assert new.attempts[: len(old.attempts)] == old.attempts


def _parses(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _check(run: Any, kept: list[dict[str, Any]]) -> None:
    started = {line["key"] for line in kept if line["kind"] == "start"}
    ended = {line["key"] for line in kept if line["kind"] == "end"}
    assert [case.key for case in run.cases] == [case.key for case in CASES]
    for case in run.cases:
        expected = Outcome.CRASH if case.key in ended else Outcome.LOST if case.key in started else Outcome.NOT_RUN
        assert case.outcome is expected
        assert len(case.attempts) == int(case.key in started)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=60), st.data())
def test_garbage_anywhere_never_raises(garbage: bytes, data: Any) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda fd: None)
        patch.setattr(os, "fsync", lambda fd: None)
        run = create_run(Path(folder), CASES, {})
        write_story(run)
        file = data.draw(st.sampled_from([run.path / "journal" / "main.jsonl", run.path / "plan.jsonl"]))
        whole = file.read_bytes()
        header = whole.index(b"\n") + 1 if file.name == "plan.jsonl" else 0
        at = data.draw(st.integers(header, len(whole)))
        file.write_bytes(whole[:at] + garbage + whole[data.draw(st.integers(at, len(whole))) :])
        read = load_run("latest", Path(folder))
        keys = [case.key for case in read.cases]
        assert len(keys) == len(set(keys))
        if set(keys) != {case.key for case in CASES}:
            assert read.problems


_VICTIM = """
import sys
from pathlib import Path
from rmcp.runs.writer import open_run
from rmcp.runs.model import AttemptRecord
from rmcp.words import Outcome
journal = open_run(Path(sys.argv[1])).journal("main")
print("ready", flush=True)
number = 0
while True:
    number += 1
    journal.start("k", number)
    journal.end("k", AttemptRecord(number, Outcome.PASS))
"""


def test_kill_minus_nine_loses_at_most_the_case_in_flight(tmp_path: Path) -> None:
    key_case = Case(id="w[k]", key="k", row="k", workload="w", axes={})
    run = create_run(tmp_path, [key_case], {})
    for pause in (0.0, 0.01, 0.03):
        victim = subprocess.Popen([sys.executable, "-c", _VICTIM, str(run.path)], stdout=subprocess.PIPE)
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        time.sleep(pause)
        victim.send_signal(signal.SIGKILL)
        victim.wait(timeout=10)
        victim.stdout.close()
        read = load_run(run.path)
        assert not read.live
        lost = [a for a in read.cases[0].attempts if a.outcome is Outcome.LOST]
        assert len(lost) <= 3
        assert all(a.fields["lost"] == "runner" for a in lost)
        assert [p.what for p in read.problems if "torn" not in p.what] == []


def test_a_forked_child_cannot_write_its_parents_journal(tmp_path: Path) -> None:
    journal = create_run(tmp_path, CASES, {}).journal("main")
    journal._pid += 1  # what a forked copy looks like
    with pytest.raises(RuntimeError):
        journal.event("note")
    journal._pid -= 1
    journal.close()


def test_evidence_is_stored_and_never_overwritten(tmp_path: Path) -> None:
    run = create_run(tmp_path, CASES, {})
    seen = Attempt(
        number=2,
        stdout=Captured(b"out"),
        stderr=Captured(b"\xff", b"end", 9),
        stacks="File x",
        tasks=(TaskState(1, 2, "t", "D"),),
    )
    first = run.store_attempt(CASES[0], seen, {"repro.py": "print(1)", "kernel.log": b""})
    second = run.store_attempt(CASES[0], seen, {})
    assert first is not None
    assert second is not None
    assert first == f"attempts/conv2d-a-{CASES[0].key[:8]}/2"
    assert second == first + "-2"
    names = sorted(p.name for p in (run.path / first).iterdir())
    assert names == ["repro.py", "stacks.txt", "stderr.txt", "stdout.txt", "tasks.json"]
    assert b"9 bytes dropped" in (run.path / first / "stderr.txt").read_bytes()


def test_a_disk_that_refuses_is_said_and_survived(tmp_path: Path) -> None:
    run = create_run(tmp_path, CASES, {})
    (run.path / "attempts").rmdir()
    (run.path / "attempts").write_text("")
    assert run.store_attempt(CASES[0], Attempt(stderr=Captured(b"x"))) is None
    assert CASES[0].id in run.trouble[0]


def test_a_run_appears_whole_and_latest_moves(tmp_path: Path) -> None:
    first = create_run(tmp_path, CASES, {})
    second = create_run(tmp_path, CASES[:1], {})
    assert os.readlink(tmp_path / "latest") == second.id
    assert [run.id for run in list_runs(tmp_path)] == [first.id, second.id]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    with pytest.raises(ZeroDivisionError):
        create_run(tmp_path, [make("z", args={"f": _Bad()})], {})
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


class _Bad:
    def __repr__(self) -> str:
        raise ZeroDivisionError


def test_ids_that_clash_are_drawn_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(["x1", "x1", "x2", "x2", "x3"])
    monkeypatch.setattr("rmcp.runs.writer.new_run_id", lambda: next(ids))
    assert create_run(tmp_path, CASES, {}).id == "x1"
    assert create_run(tmp_path, CASES, {}).id == "x2"
    (tmp_path / ".x2.new").mkdir()
    assert create_run(tmp_path, CASES, {}).id == "x3"


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="--rmcp-out"):
        create_run(tmp_path / "file" / "deep", CASES, {})


def test_a_full_disk_is_a_message_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left"):
        create_run(tmp_path, CASES, {})
    assert list(tmp_path.iterdir()) == []


def test_without_file_locks_there_is_still_one_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(journal_module.fcntl, "flock", refuse)
    run = create_run(tmp_path, CASES, {})
    with run.journal("main") as journal:
        assert journal.path.name == "main.jsonl"
        assert not load_run(run.path).live


def test_ids_sort_by_time() -> None:
    ids = [new_run_id(1700000000 + i / 10) for i in range(50)]
    assert ids == sorted(ids)
    assert len({new_run_id() for _ in range(20)}) > 1


def test_finding_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="there is no run"):
        load_run("latest", tmp_path)
    runs = [create_run(tmp_path, CASES, {}) for _ in range(2)]
    assert load_run(runs[0].id, tmp_path).id == runs[0].id
    assert load_run(runs[0].path).id == runs[0].id
    assert load_run(str(tmp_path / "latest")).path.name == runs[1].id
    assert load_run(runs[1].id[:-1], tmp_path).id == runs[1].id
    assert load_run(tmp_path).id == runs[1].id
    with pytest.raises(UserError, match="fits 2 runs"):
        load_run("20", tmp_path)
    with pytest.raises(UserError, match="no run '2031'"):
        load_run("2031", tmp_path)
    with pytest.raises(UserError, match=r"holds no run\.json"):
        load_run(tmp_path / "nothing")
    (tmp_path / "latest").unlink()
    assert load_run("latest", tmp_path).id == runs[1].id


def test_a_run_of_another_host_is_not_held_against_our_boot(tmp_path: Path) -> None:
    run = create_run(tmp_path, CASES, {})
    with run.journal("main") as journal:
        journal.start(CASES[0].key, 1)
    assert load_run(run.path).cases[0].attempts[0].fields == {"lost": "runner"}
    file = run.path / "journal" / "main.jsonl"
    text = file.read_text()
    file.write_text(re.sub('"boot":"[^"]*"', '"boot":"before"', text))
    assert load_run(run.path).cases[0].attempts[0].fields == {"lost": "machine"}
    file.write_text(re.sub('"boot":"[^"]*","host":"[^"]*"', '"boot":"before","host":"other"', text))
    assert load_run(run.path).cases[0].attempts[0].fields == {}


def test_newer_formats_are_refused_loudly(tmp_path: Path) -> None:
    run = create_run(tmp_path, CASES, {})
    manifest = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**manifest, "format": 2}))
    with pytest.raises(UserError, match="install a newer"):
        load_run(run.path)
    (damaged,) = list_runs(tmp_path)
    assert "newer" in damaged.problems[0].what
    (run.path / "run.json").write_text(json.dumps(manifest))
    plan = (run.path / "plan.jsonl").read_text().replace('"format":1', '"format":2')
    (run.path / "plan.jsonl").write_text(plan)
    with pytest.raises(UserError, match="install a newer"):
        load_run(run.path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": true}', "\x00"])
def test_a_damaged_manifest_is_a_message(tmp_path: Path, text: str) -> None:
    run = create_run(tmp_path, CASES, {})
    (run.path / "run.json").write_text(text)
    with pytest.raises(UserError, match=r"run\.json"):
        load_run(run.path)


def test_a_big_plan_is_packed_and_a_cut_one_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rmcp.runs.writer._GZIP_FROM", 2)
    run = create_run(tmp_path, CASES, {})
    file = run.path / "plan.jsonl.gz"
    assert [c.id for c in load_run(run.path).cases] == [c.id for c in CASES]
    file.write_bytes(file.read_bytes()[:-30])
    assert any("3 cases were planned" in p.what for p in load_run(run.path).problems)


@given(st.text(max_size=200))
def test_slugs_are_safe_names(text: str) -> None:
    name = slug(text)
    assert 0 < len(name) <= 60
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-")
    assert name not in (".", "..")
    assert not name.startswith((".", "-"))


def test_journal_refuses_names_of_its_own(tmp_path: Path) -> None:
    with Journal(tmp_path, "w") as journal:
        with pytest.raises(ValueError):
            journal.event("start")
        with pytest.raises(ValueError):
            journal.event("note", seq=1)
