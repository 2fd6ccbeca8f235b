"""`rmcp classify` as a user runs it."""

from __future__ import annotations

import io
import json
import sys

import pytest

from rmcp.cli import main
from rmcp.outcome.advice import BY_CAUSE, BY_PATTERN, BY_SIGNAL, advice_for
from rmcp.outcome.patterns import RUNTIME_ERRORS
from rmcp.outcome.recognise import ALL_PATTERNS, recognise
from rmcp.outcome.recognition import Recognition
from rmcp.words import CAUSE_TEXT, Cause

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
    for advice in [*BY_CAUSE.values(), *BY_PATTERN.values(), *BY_SIGNAL.values()]:
        assert advice.meaning.endswith((".", "e"))
        assert advice.meaning.count(". ") + advice.meaning.count("; ") >= 1
        assert all(link.startswith("https://") for link in advice.links)


def test_special_advice_belongs_to_something():
    known = {pattern.id for pattern in ALL_PATTERNS} | {f"runtime-{status.code}" for status in RUNTIME_ERRORS}
    known |= {"miopen-sqlite", "miopen-kernel_compile"}
    assert set(BY_PATTERN) <= known
    sqlite = recognise("MIOpen Error: /MIOpen/src/sqlite_db.cpp:220: Internal error while accessing SQLite database: x")
    assert advice_for(sqlite) is BY_PATTERN["miopen-sqlite"]
    assert advice_for(Recognition()) is BY_CAUSE[Cause.NONE]


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("empty.log", b"\n \n", "is empty"),
        ("log.gz", b"\x1f\x8b\x08\x00rest", "zcat"),
        ("log.zst", b"\x28\xb5\x2f\xfdrest", "zstdcat"),
        ("core", b"\x7fELF\x02\x01\x01 Segmentation fault\n", "gdb"),
        ("noise.bin", bytes(range(256)) * 20, "is not a text"),
        ("weights.bin", b"\x00\x00\x80\x3f" * 100 + b"\nAborted (core dumped)\n", "is not a text"),
    ],
)
def test_what_is_no_log_is_said(name, data, said, tmp_path, capsys):
    path = tmp_path / name
    path.write_bytes(data)
    assert main(["classify", str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("cause: none\n")
    assert said in " ".join(out.split())
    assert "No message that rmcp knows" not in out
    assert main(["classify", str(path), "--json"]) == 0
    assert said in json.loads(capsys.readouterr().out)["warning"]


def test_text_of_windows_is_read(tmp_path, capsys):
    path = tmp_path / "power.log"
    for encoding in ("utf-16", "utf-16-le"):  # with and without a byte order mark
        path.write_bytes("RuntimeError: HIP error: out of memory\r\n".encode(encoding))
        assert main(["classify", str(path)]) == 0
        assert "cause: out_of_memory" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("extra", "cause", "said"),
    [
        (["--exit", "137"], "none", "killed from outside"),
        (["--exit", "-15"], "none", "asked to stop"),
        (["--signal", "INT"], "none", "Ctrl-C"),
        (["--exit", "-11"], "segfault", "SIGSEGV"),
        (["--exit", "3221225477"], "segfault", "exit_code"),
        (["--exit", "-1073741819"], "segfault", "exit_code"),
        (["--exit", "1"], "none", "No message that rmcp knows"),
    ],
)
def test_how_it_ended_is_explained(extra, cause, said, tmp_path, capsys):
    path = tmp_path / "quiet.log"
    path.write_text("epoch 3 loss 0.31\n")
    assert main(["classify", str(path), *extra]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"cause: {cause}\n")
    assert said in out


def test_other_faults_are_shown_with_their_place(tmp_path, capsys):
    path = tmp_path / "kern.log"
    path.write_text(
        "amdgpu 0000:03:00.0: amdgpu: [gfxhub] page fault (src_id:0 ring:24 vmid:8 pasid:32770, for process x pid 5)\n"
        "amdgpu 0000:03:00.0: amdgpu: GPU reset begin!\n"
    )
    assert main(["classify", str(path)]) == 0
    out = capsys.readouterr().out
    assert "cause: gpu_hang_reset" in out
    assert "before it, in line 1: memory_access_fault" in out
    path.write_text("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB.\n" + FAULT)
    assert main(["classify", str(path)]) == 0
    assert "after it, in line 3: aperture_violation" in capsys.readouterr().out
    assert main(["classify", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["also"], found["also_lines"]) == (["aperture_violation"], [3])


def test_commands_stay_on_one_line(tmp_path, capsys):
    for advice in [*BY_CAUSE.values(), *BY_PATTERN.values(), *BY_SIGNAL.values()]:
        assert all(len(command) < 90 for item in advice.tried for command in item.split("`")[1::2])
    path = tmp_path / "quiet.log"
    path.write_text("done\n")
    assert main(["classify", str(path), "--exit", "137"]) == 0
    assert "`dmesg -T | grep -iE 'out of memory|killed process'`" in capsys.readouterr().out


def test_a_folder_and_what_to_do(tmp_path, capsys):
    assert main(["classify", str(tmp_path)]) == 4
    assert "a folder; give one log file" in capsys.readouterr().err


PYTEST = """    def test_same():
>       torch.testing.assert_close(a, b)
E       AssertionError: Tensor-likes are not close!
E
E       Mismatched elements: 3 / 16

tests/test_conv.py:9: AssertionError
"""
SUMMARY = "=== short test summary info ===\nFAILED tests/test_conv.py::test_same - assert 3 == 4\n1 failed in 0.31s\n"


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (PYTEST, "python_exception_other"),
        (PYTEST.replace("AssertionError: T", "RuntimeError: HIP error: out of memory T"), "out_of_memory"),
        (SUMMARY, "python_exception_other"),
        (SUMMARY.replace("assert 3 == 4", "torch.OutOfMemoryError: HIP out of memory."), "out_of_memory"),
        ("tests/test_conv.py ..x.s   [100%]\n3 passed, 1 skipped, 1 xfailed in 0.31s\n", "none"),
        ("Level E   assert that errors are handled\n", "none"),
    ],
)
def test_output_of_pytest(text, cause):
    assert recognise(text).cause == cause


def test_quotes_of_a_traceback_are_no_documentation():
    end = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\nRuntimeError: HIP error: out of memory\n'
    assert recognise('multiprocessing.pool.RemoteTraceback:\n"""\n' + end).cause is Cause.OUT_OF_MEMORY
    shown = '  File "a.py", line 3, in f\n    q("""\nRuntimeError: HIP error: out of memory\n'
    assert recognise("Traceback (most recent call last):\n" + shown).cause is Cause.OUT_OF_MEMORY
    documented = 'def retry():\n    """Try again.\n\n    RuntimeError: HIP error: out of memory\n    """\n'
    assert recognise(documented).cause is Cause.NONE
