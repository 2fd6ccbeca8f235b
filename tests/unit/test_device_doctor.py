# ruff: noqa: E501  (tables: one row on one line reads best)
"""`rmcp doctor`: probes that hang, the page on every captured host, the user's mistakes."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rmcp import cli
from rmcp.device import page
from rmcp.device.bounded import descendants, run_bounded
from rmcp.device.facts import HostFacts, host_facts
from rmcp.device.kernel_log import parse
from rmcp.device.probes import Probed, Tool, Torch, interpreters, probe_tool, probe_torch
from rmcp.device.verdicts import Mark, examine

HOSTS = Path(__file__).parents[1] / "golden" / "device"
NAMES = sorted(path.stem for path in HOSTS.glob("*.json"))


def host(name: str) -> HostFacts:
    return host_facts(HOSTS / f"{name}.json", deadline_s=5.0)


def script(path: Path, text: str) -> str:
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


# -- bounded children ---------------------------------------------------------------------------------------------


def test_a_child_that_answers() -> None:
    ended = run_bounded(["sh", "-c", "echo out; echo err >&2; exit 3"], 10.0)
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "out\n", "err\n")
    assert not ended.ok
    assert not ended.timed_out


def test_a_child_that_hangs_is_killed_with_its_tree(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    hang = f"sleep 60 & echo $! >> {pids}; setsid sleep 60 & echo $! >> {pids}; echo said; sleep 60"
    start = time.monotonic()
    ended = run_bounded(["sh", "-c", hang], 1.0)
    assert time.monotonic() - start < 5.0
    assert (ended.timed_out, ended.wedged, ended.stdout) == (True, False, "said\n")
    time.sleep(0.2)
    left = [int(word) for word in pids.read_text(encoding="utf-8").split()]
    assert len(left) == 2
    assert not [pid for pid in left if alive(pid)]


def test_a_grandchild_that_keeps_the_pipe_does_not_keep_us() -> None:
    start = time.monotonic()
    ended = run_bounded(["sh", "-c", "sleep 60 & echo $!"], 30.0)
    assert time.monotonic() - start < 5.0
    assert ended.ok
    time.sleep(0.2)
    assert not alive(int(ended.stdout))


def test_a_child_that_closes_its_streams_and_hangs() -> None:
    ended = run_bounded(["sh", "-c", "exec >&- 2>&-; sleep 60"], 0.5)
    assert ended.timed_out


def test_a_flood_is_cut() -> None:
    ended = run_bounded(["sh", "-c", "yes"], 0.5, max_bytes=1000)
    assert (len(ended.stdout), ended.truncated, ended.timed_out) == (1000, True, True)


def test_a_missing_program_is_no_exception() -> None:
    assert run_bounded(["/no/such/program"], 1.0).missing


def test_descendants_of_nobody() -> None:
    assert descendants(2**22 + 1) == []


# -- vendors' tools -----------------------------------------------------------------------------------------------


@pytest.mark.skipif(shutil.which("rocminfo") is None, reason="Debian's rocminfo is not installed")
@pytest.mark.skipif(os.path.exists("/dev/kfd"), reason="there is a GPU, the answer is another")
def test_the_real_rocminfo_without_a_gpu() -> None:
    tool = probe_tool(["rocminfo"], deadline_s=20.0)
    assert tool.status == "failed"
    assert tool.agents == ()
    assert "\x1b" not in "".join(tool.lines)


def test_a_tool_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "rocminfo", "echo 'ROCk module is loaded'; sleep 60\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    tool = probe_tool(["rocminfo"], deadline_s=0.5)
    assert (tool.status, tool.lines) == ("hung", ("ROCk module is loaded",))
    (verdict,) = [one for one in examine(host("rx5600xt"), Probed((tool,))) if one.subject == "rocminfo"]
    assert verdict.mark is Mark.SUSPICIOUS
    assert "reboot" in verdict.advice


def test_what_rocminfo_says_of_agents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "  Name:                    AMD Ryzen\n  Name:                    gfx1010\n      Name: amdgcn-amd-amdhsa--gfx1010\n"
    (tmp_path / "text").write_text(text, encoding="utf-8")
    script(tmp_path / "rocminfo", f"cat {tmp_path}/text\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert probe_tool(["rocminfo"], deadline_s=10.0).agents == ("gfx1010",)


def test_a_tool_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert probe_tool(["rocm-smi-of-nobody"]).status == "missing"


# -- PyTorch ------------------------------------------------------------------------------------------------------

SAYS = 'echo \'RMCP{"stage": "import", "python": "3.9.1"}\'\n'
TORCH = 'echo \'RMCP{"stage": "devices", "torch": "2.2.2+rocm5.7", "hip": "5.7.31921", "cuda": null}\'\n'


@pytest.mark.parametrize(
    ("text", "status", "stage", "detail"),
    [
        ("sleep 60\n", "hung", "start", "no answer"),
        (SAYS + "sleep 60\n", "hung", "import", "no answer"),
        (SAYS + TORCH + "sleep 60\n", "hung", "devices", "no answer"),
        (
            SAYS + TORCH + "echo ':0:rocdevice.cpp aborting' >&2; kill -ABRT $$\n",
            "died",
            "devices",
            "killed by signal 6: :0:rocdevice.cpp aborting",
        ),
        (
            SAYS + 'echo \'RMCP{"error": "ImportError: libamdhip64.so", "absent": false}\'\n',
            "broken",
            "import",
            "libamdhip64",
        ),
        (SAYS + 'echo \'RMCP{"error": "No module", "absent": true}\'\n', "absent", "import", "No module"),
        (SAYS + TORCH + "echo 'RMCP{broken json'; exit 0\n", "died", "devices", "exit code 0"),
    ],
)
def test_pythons_that_fail(tmp_path: Path, text: str, status: str, stage: str, detail: str) -> None:
    torch = probe_torch(script(tmp_path / "python", text), deadline_s=1.0)
    assert (torch.status, torch.stage) == (status, stage)
    assert detail in torch.detail


def test_a_python_that_is_not_there() -> None:
    torch = probe_torch("/no/python", deadline_s=1.0)
    assert (torch.status, "cannot be started" in torch.detail) == ("broken", True)


@pytest.mark.torch
@pytest.mark.slow
def test_the_torch_of_this_interpreter() -> None:
    torch = probe_torch(sys.executable, deadline_s=120.0)
    assert (torch.status, torch.this, torch.canary) == ("ok", True, True)
    assert torch.python_version == ".".join(map(str, sys.version_info[:3]))
    assert torch.torch


@pytest.mark.runtime2
@pytest.mark.slow
def test_the_torch_of_another_interpreter() -> None:
    torch = probe_torch("/usr/bin/python3", deadline_s=120.0)
    assert (torch.status, torch.this, torch.torch[:4]) == ("ok", False, "1.13")


def test_interpreters_are_asked_once_each(tmp_path: Path) -> None:
    venv = tmp_path / "bin"
    venv.mkdir()
    (venv / "python").symlink_to(sys.executable)
    (venv / "python3").symlink_to("python")
    found = interpreters({"VIRTUAL_ENV": str(tmp_path), "PATH": str(venv)}, ["/no/python"])
    assert found[:2] == [sys.executable, "/no/python"]
    assert [one for one in found if one.startswith(str(tmp_path))] == [f"{venv}/python"]


# -- verdicts and the page ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "suspicious", "notes"),
    [
        ("rx5600xt", ["amdgpu.noretry=0"],
         ["AMD Radeon RX 5600 XT", "amdgpu.mtype_local=1", "amdgpu.vm_fragment_size=9"]),
        ("rx5700xt", ["AMD Radeon RX 5700 XT", "/dev/kfd, /dev/dri/renderD128"],
         ["AMD Radeon RX 5700 XT", "AMD Radeon RX 5700 XT"]),
        ("rx5500xt", ["amdgpu.gpu_recovery=0"],
         ["AMD Radeon RX 5500 XT", "amdgpu.lockup_timeout=10000,120000,10000,10000", "lockup_timeout"]),
        ("rx6800", [], []),
        ("rx7900xtx", [], ["amdgpu.mes=1", "Secure Boot"]),
        ("apu", [], []),
        ("two-gpus", ["two GPUs"], ["AMD Radeon RX 5700 XT (GPU 0)"]),
        ("none", [], ["memory"]),
        ("nvidia", [], []),
    ],
)  # fmt: skip
def test_verdicts_of_the_captured_hosts(name: str, suspicious: list[str], notes: list[str]) -> None:
    found = examine(host(name))
    assert [one.subject for one in found if one.mark is Mark.SUSPICIOUS] == suspicious
    assert [one.subject for one in found if one.mark is Mark.NOTE] == notes
    assert [one.mark for one in found] == sorted(
        (one.mark for one in found), key=[Mark.SUSPICIOUS, Mark.NOTE, Mark.FINE].index
    )


def test_the_discrete_card_is_named_by_its_index() -> None:
    (verdict,) = [one for one in examine(host("two-gpus")) if one.subject == "two GPUs"]
    assert verdict.advice == "HIP_VISIBLE_DEVICES=0 shows only AMD Radeon RX 5700 XT"


def torch_of(**changes: Any) -> Torch:
    base: dict[str, Any] = {
        "python": "/venv/bin/python", "status": "ok", "stage": "", "torch": "2.5.1+rocm6.2", "hip": "6.2.41133",
        "kind": "cuda", "devices": ({"name": "AMD Radeon RX 5600 XT", "gfx": "gfx1010"},), "archs": ("gfx900", "gfx1030"),
        "canary": True,
    }  # fmt: skip
    return Torch(**{**base, **changes})


@pytest.mark.parametrize(
    ("torch", "mark", "text"),
    [
        (
            torch_of(archs=("gfx1010", "gfx1030")),
            Mark.FINE,
            "a tiny kernel on AMD Radeon RX 5600 XT gave the right sum",
        ),
        (torch_of(), Mark.SUSPICIOUS, "has no kernels for gfx1010 (only gfx900, gfx1030)"),
        (
            torch_of(canary=False, detail="invalid device function", archs=()),
            Mark.SUSPICIOUS,
            "a tiny kernel failed: invalid",
        ),
        (torch_of(devices=(), canary=True), Mark.SUSPICIOUS, "sees no device"),
        (torch_of(hip="", torch="2.13.0+cpu", devices=(), kind="cpu"), Mark.NOTE, "built for the CPU only"),
        (torch_of(status="hung", stage="devices"), Mark.SUSPICIOUS, "hung asking for devices"),
        (
            torch_of(status="died", stage="canary", detail="killed by signal 6"),
            Mark.SUSPICIOUS,
            "died in a tiny kernel",
        ),
        (torch_of(status="broken", detail="ImportError: libamdhip64.so.6"), Mark.SUSPICIOUS, "ImportError"),
    ],
)
def test_verdicts_on_pytorch(torch: Torch, mark: Mark, text: str) -> None:
    found = examine(host("rx5600xt"), Probed((), (torch,)))
    assert [
        one
        for one in found
        if one.subject.startswith(("torch", "PyTorch")) and one.mark is mark and text in one.text
    ]


def test_what_the_kernel_said_since_boot() -> None:
    lines = [
        "amdgpu 0000:03:00.0: amdgpu: ring comp_1.0.0 timeout, signaled seq=1, emitted seq=2",
        "amdgpu 0000:03:00.0: amdgpu: Process python3 pid 7 thread python3 pid 7",
        "amdgpu 0000:03:00.0: amdgpu: GPU reset begin!",
        "Out of memory: Killed process 9 (x) total-vm:1kB",
    ]
    found = examine(host("rx5600xt"), events=parse(lines), log=("kmsg", ""))
    (verdict,) = [one for one in found if one.subject == "kernel log" and one.mark is Mark.SUSPICIOUS]
    assert verdict.text == "since boot: 1 x ring-timeout, 1 x reset-begin; last blamed: python3 (pid 7)"


def test_a_wedged_read_is_the_first_thing_said() -> None:
    from dataclasses import replace

    found = examine(replace(host("rx6800"), wedged=("sys/bus/pci/devices/0000:2d:00.0/gpu_busy_percent",)))
    assert (found[0].mark, found[0].subject) == (Mark.SUSPICIOUS, "sysfs")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("width", [60, 110])
def test_the_page_fits_and_names_everything(name: str, width: int) -> None:
    facts, style = host(name), page.Style(width=width, colour=False, unicode=False)
    lines = [*page.machine(facts, style), *page.gpus(facts, style), *page.verdicts(examine(facts), style)]
    text = "\n".join(lines)
    assert text.isascii()
    for gpu in facts.gpus:
        assert gpu.name in text
        assert gpu.pci in text
    told = page.verdicts(examine(facts), style)
    assert max(map(len, told)) <= width


# -- the command --------------------------------------------------------------------------------------------------


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = cli.main(["doctor", *words])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_page_of_a_saved_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = doctor(capsys, "--root", str(HOSTS / "rx5600xt.json"))
    assert code == 1
    for expected in (
        "AMD Radeon RX 5600 XT",
        "gfx1010",
        "36 CU",
        "6.0 GiB",
        "1 thing to look at",
        "retry enabled",
    ):
        assert expected in out
    assert "Tools" not in out  # of this machine, which is not the one looked at


def test_json_of_a_saved_host(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = doctor(capsys, "--json", "--root", str(HOSTS / "rx6800.json"))
    told = json.loads(out)
    assert code == 0
    assert told["facts"]["gpus"][0]["gfx"] == "gfx1030"
    assert {one["mark"] for one in told["verdicts"]} == {"fine"}


def test_this_machine_quickly(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HSA_ENABLE_SMDA", "0")
    code, out, _ = doctor(capsys, "--quick")
    assert code == 1
    assert "did you mean HSA_ENABLE_SDMA?" in out
    assert "environment: 1 remark on HSA_ENABLE_SMDA" in out


def test_env_of_the_shell_and_of_the_command_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        if name.startswith(("HIP", "HSA", "MIOPEN", "CUDA", "AMD", "PYTORCH", "TORCH")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("MIOPEN_DEVICE_ARCH", "gfx1030")
    root = ("--root", str(HOSTS / "rx5600xt.json"))
    code, out, _ = doctor(capsys, "--env", *root)
    assert (code, "no case can pass" in out) == (1, True)
    code, out, _ = doctor(capsys, "--env", "HSA_ENABLE_SDMA=0", "AMD_LOG_LEVEL=3", *root)
    assert (code, "2 variables set, nothing to say against them" in out) == (0, True)
    code, out, _ = doctor(capsys, "--json", "--env", "HSA_OVERRIDE_GFX_VERSION=10.3.0", *root)
    (finding,) = json.loads(out)["findings"]
    assert (code, finding["kind"], finding["level"]) == (1, "override", "warning")


def test_kernel_parameters_are_explained_and_not_set(capsys: pytest.CaptureFixture[str]) -> None:
    root = ("--root", str(HOSTS / "rx5600xt.json"))
    code, out, _ = doctor(capsys, "--kernel-params", "amdgpu.noretry=1", "cwsr_enable=0", *root)
    assert code == 0
    for expected in (
        "noretry: retry of faulted memory accesses (XNACK) (now 0, default -1)",
        "0 ENABLES retry",
        "echo 'options amdgpu noretry=1 cwsr_enable=0' | sudo tee /etc/modprobe.d/rmcp.conf",
        "sudo update-initramfs -u",
        "amdgpu.noretry=1 amdgpu.cwsr_enable=0",
        "sudo rm /etc/modprobe.d/rmcp.conf",
    ):
        assert expected in out
    code, out, _ = doctor(capsys, "--kernel-params", *root)
    assert "only code for gfx9 reads it" in out
    code, out, _ = doctor(capsys, "--json", "--kernel-params", "noretry=1", *root)
    assert [(one["name"], one["now"]) for one in json.loads(out)["parameters"]] == [("noretry", "0")]


@pytest.mark.parametrize(
    ("distribution", "command"),
    [
        ("rx7900xtx", "sudo dracut --force"),
        ("rx5500xt", "sudo mkinitcpio -P"),
        ("rx6800", "sudo update-initramfs -u"),
    ],
)
def test_commands_fit_the_distribution(
    capsys: pytest.CaptureFixture[str], distribution: str, command: str
) -> None:
    _, out, _ = doctor(capsys, "--kernel-params", "noretry=1", "--root", str(HOSTS / f"{distribution}.json"))
    assert f"    {command}\n" in out


def test_save_and_look_at_it_elsewhere(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    saved = tmp_path / "host.json"
    code, out, _ = doctor(capsys, "--root", str(HOSTS / "two-gpus.json"), "--save", str(saved))
    assert (code, str(saved) in out) == (0, True)
    _, first, _ = doctor(capsys, "--root", str(HOSTS / "two-gpus.json"))
    _, second, _ = doctor(capsys, "--root", str(saved))
    assert first == second


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--kernel-params", "nortry=1"], "did you mean noretry?"),
        (["--kernel-params", "banana=1"], "known: noretry"),
        (["--kernel-params", "noretry=7"], "none of its values: 0 = retry enabled"),
        (["--kernel-params", "noretry"], "For example: noretry=1"),
        (["--env", "FOO"], "--env takes NAME=VALUE"),
        (["--env", "1X=2"], "--env takes NAME=VALUE"),
        (["--root", "/no/such/host"], "no such folder or file: /no/such/host"),
        (["--deadline", "-3"], "positive number of seconds"),
        (["--quick", "--save", "/no/such/folder/x.json"], "cannot write /no/such/folder/x.json"),
    ],
)
def test_mistakes_are_told(capsys: pytest.CaptureFixture[str], words: list[str], says: str) -> None:
    code, out, err = doctor(capsys, *words)
    assert (code, out) == (4, "")
    assert err.startswith("rmcp doctor: ")
    assert says in err
    assert "Traceback" not in err


def test_a_page_with_everything(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The whole command against tools and a Python that hang: it comes back, and says so."""
    for name in ("rocminfo", "rocm-smi", "amd-smi", "nvidia-smi"):
        script(tmp_path / name, "sleep 60\n")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(
        "rmcp.commands.doctor.interpreters", lambda environ, extra: [script(tmp_path / "py", "sleep 60\n")]
    )
    start = time.monotonic()
    code, out, _ = doctor(capsys, "--deadline", "0.5")
    assert time.monotonic() - start < 20.0
    assert code == 1
    assert out.count("HUNG") == 5
    assert "the GPU is probably wedged" in out


def test_tool_lines_without_output() -> None:
    line = page._tool(Tool("rocminfo", "failed", returncode=1), page.Style())
    assert "exit code 1" in line
