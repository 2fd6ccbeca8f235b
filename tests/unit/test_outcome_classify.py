"""`rmcp classify` as a user runs it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from rmcp.cli import main
from rmcp.outcome.advice import BY_CAUSE, BY_PATTERN, advice_for
from rmcp.outcome.patterns import PATTERNS, RUNTIME_ERRORS
from rmcp.outcome.recognise import recognise
from rmcp.outcome.recognition import Recognition
from rmcp.outcome.words import CAUSE_TEXT, Cause

FAULT = (
    "loading model\n:0:rocdevice.cpp            :2984: 43 us: [pid:4711  tid:0x7fb3] Callback: Queue "
    "0x7fb168400000 aborting "
    "with error : HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: The agent attempted to access memory beyond the largest "
    "legal address. code: 0x29\nAborted (core dumped)\n"
)


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "crash.log"
    path.write_text(FAULT)
    return str(path)


def test_text(log, capsys):
    assert main(["classify", log]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cause: aperture_violation\n")
    assert "line 2:" in out
    assert "> :0:rocdevice.cpp :2984:" in out
    assert "What people did about it:" in out
    assert "ROCm 6.2" in out
    assert "https://" in out
    assert all(len(line) <= 110 for line in out.splitlines())


def test_json(log, capsys):
    assert main(["classify", log, "--json", "--meant", "5.2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["cause"] == "aperture_violation"
    assert found["hsa_status"] == "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION"
    assert found["code"] == "0x29"
    assert found["queue"] == "0x7fb168400000"
    assert found["pid"] == 4711
    assert found["signal"] == "SIGABRT"
    assert found["line_number"] == 2
    assert "5.2" in found["warning"]


def test_standard_input_and_signal(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"all is well\n")))
    assert main(["classify", "-", "--signal", "segv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "cause": "segfault",
        "signal": "SIGSEGV",
        "pattern": "exit-status",
    }


def test_nothing_found(tmp_path, capsys):
    path = tmp_path / "fine.log"
    path.write_text("UserWarning: expandable_segments not supported on this platform\n")
    assert main(["classify", str(path)]) == 0
    assert "cause: none" in capsys.readouterr().out
    assert main(["classify", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"cause": "none"}


@pytest.mark.parametrize("argv", [["missing.log"], ["."], ["-", "--signal", "SIGNOPE"]])
def test_mistakes_are_text(argv, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["classify", *argv]) == 4
    captured = capsys.readouterr()
    assert captured.err.startswith("rmcp classify: ")
    assert "Traceback" not in captured.err


def test_hostile_bytes_do_not_reach_the_terminal(tmp_path, capsys):
    path = tmp_path / "bad.log"
    path.write_bytes(b"\x07\x1b]0;x\x07Memory access fault by GPU node-1 on address 0x7f00. Reason: Unknown.\x9b\x00\n")
    assert main(["classify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "memory_access_fault" in out
    assert not {character for character in out if ord(character) < 32 and character != "\n"}


def test_every_cause_has_advice_in_two_sentences():
    assert set(BY_CAUSE) == set(Cause) == set(CAUSE_TEXT)
    for advice in [*BY_CAUSE.values(), *BY_PATTERN.values()]:
        assert advice.meaning.endswith((".", "e"))
        assert advice.meaning.count(". ") + advice.meaning.count("; ") >= 1
        assert all(link.startswith("https://") for link in advice.links)


def test_special_advice_belongs_to_something():
    known = {pattern.id for pattern in PATTERNS} | {f"runtime-{status.code}" for status in RUNTIME_ERRORS}
    known |= {"miopen-sqlite", "miopen-kernel_compile"}
    assert set(BY_PATTERN) <= known
    sqlite = recognise("MIOpen Error: /MIOpen/src/sqlite_db.cpp:220: Internal error while accessing SQLite database: x")
    assert advice_for(sqlite) is BY_PATTERN["miopen-sqlite"]
    assert advice_for(Recognition()) is BY_CAUSE[Cause.NONE]
