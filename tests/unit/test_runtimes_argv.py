"""Runtime + environment -> argv, as data: what is set, what is removed, what a container gets."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rmcp.errors import UserError
from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.runtimes import HostDevices, Launch, launch, start_command
from rmcp.runtimes.argv import INSIDE, discover
from rmcp.runtimes.available import why_not
from rmcp.runtimes.environment import base_environment, private_miopen

PACKAGE = Path(__file__).resolve().parents[2] / "harness" / "rmcp_torch"
ROCM = HostDevices(("/dev/kfd", "/dev/dri"), False, (44, 109), False)
PARENT = {"PATH": "/bin", "HOME": "/home/u", "PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/l"}


def start(spec: RuntimeSpec, env: dict[str, str | None] | None = None, **more: object) -> Launch:
    options = {"base_env": PARENT, "package_dir": PACKAGE, "token": "t", "host": ROCM, **more}
    return launch(spec, env or {}, **options)  # type: ignore[arg-type]


def test_this_is_the_interpreter_that_runs_pytest() -> None:
    got = start(RuntimeSpec(), {"A": "1", "HOME": None})
    assert got.argv == (sys.executable, str(PACKAGE / "__main__.py"))
    assert got.env == {"PATH": "/bin", "PYTHONPATH": "/x", "LD_LIBRARY_PATH": "/l", "A": "1"}
    assert (got.control, got.container, got.kill, got.folders) == ("fd", None, (), ())


def test_another_interpreter_does_not_inherit_what_binds_to_ours(tmp_path: Path) -> None:
    got = start(RuntimeSpec("old", python="/usr/bin/python3"))
    assert got.argv[0] == "/usr/bin/python3"
    assert "PYTHONPATH" not in got.env
    assert start(RuntimeSpec("old", python="/usr/bin/python3"), {"PYTHONPATH": "/mine"}).env["PYTHONPATH"] == "/mine"
    assert start(RuntimeSpec("venv", python=str(tmp_path))).argv[0] == str(tmp_path / "bin" / "python")
    assert start(RuntimeSpec("home", python="~/v/bin/python")).argv[0] == str(Path.home() / "v/bin/python")


@pytest.mark.parametrize(
    ("parent", "left"),
    [
        ({"HSA_ENABLE_VM_FAULT_MESSAGE": "0"}, {}),
        ({"HSA_ENABLE_VM_FAULT_MESSAGE": "1"}, {"HSA_ENABLE_VM_FAULT_MESSAGE": "1"}),
        ({"AMD_LOG_LEVEL_FILE": "/tmp/x"}, {}),
        ({"PYTEST_CURRENT_TEST": "t", "PYTEST_XDIST_WORKER": "gw0", "COV_CORE_SOURCE": "s"}, {}),
        ({"RMCP_CRASH_CORPUS": "/c", "RMCP_HIP_ALLOC": "fine"}, {"RMCP_HIP_ALLOC": "fine"}),
        ({"HSA_ENABLE_SDMA": "0", "LANG": "C"}, {"HSA_ENABLE_SDMA": "0", "LANG": "C"}),
    ],
)
def test_the_base_environment_hides_no_evidence(parent: dict[str, str], left: dict[str, str]) -> None:
    assert base_environment(parent) == left


def test_the_case_may_hide_evidence_itself() -> None:
    assert start(RuntimeSpec(), {"AMD_LOG_LEVEL_FILE": "/f"}).env["AMD_LOG_LEVEL_FILE"] == "/f"


def test_a_prefix_comes_before_the_libraries_and_after_nothing() -> None:
    got = start(
        RuntimeSpec("patched", prefix="/opt/r"),
        {"LD_LIBRARY_PATH": "/case", "HIP_PATH": "/h", "ROCM_HOME": None},
    )
    assert got.env["LD_LIBRARY_PATH"] == "/opt/r/lib:/opt/r/lib64:/case"
    assert got.env["PATH"] == "/opt/r/bin:/bin"
    assert (got.env["ROCM_PATH"], got.env["HIP_PATH"]) == ("/opt/r", "/h")
    assert "ROCM_HOME" not in got.env
    plain = start(RuntimeSpec("patched", prefix="/opt/r"), {"LD_LIBRARY_PATH": None})
    assert plain.env["LD_LIBRARY_PATH"] == "/opt/r/lib:/opt/r/lib64"
    assert plain.env["PYTHONPATH"] == "/x"  # our own interpreter behind another ROCm


def test_miopen_folders_are_private_to_an_environment_and_the_case_decides(tmp_path: Path) -> None:
    one, two = (private_miopen(tmp_path, "this", env) for env in ({"A": "1"}, {"A": None}))
    assert one.keys() == two.keys() == {"MIOPEN_USER_DB_PATH", "MIOPEN_CUSTOM_CACHE_DIR"}
    assert not set(one.values()) & set(two.values())
    assert private_miopen(tmp_path, "this", {"A": "1"}) == one
    assert private_miopen(tmp_path, "other", {"A": "1"}) != one
    got = start(RuntimeSpec(), {"MIOPEN_USER_DB_PATH": "/mine", "MIOPEN_CUSTOM_CACHE_DIR": None}, miopen_root=tmp_path)
    assert got.env["MIOPEN_USER_DB_PATH"] == "/mine"
    assert "MIOPEN_CUSTOM_CACHE_DIR" not in got.env
    assert got.folders == ()
    assert len(start(RuntimeSpec(), {}, miopen_root=tmp_path).folders) == 2


@pytest.mark.parametrize(
    ("engine", "devices"),
    [
        (
            None,
            "--device /dev/kfd --device /dev/dri --group-add keep-groups --security-opt seccomp=unconfined "
            "--security-opt label=disable",
        ),
        (
            "docker",
            "--device /dev/kfd --device /dev/dri --group-add 44 --group-add 109 --security-opt seccomp=unconfined",
        ),
    ],
)
def test_a_container_as_one_command(engine: str | None, devices: str) -> None:
    spec = RuntimeSpec("6.2", image="rocm/pytorch:rocm6.2", engine=engine)
    got = start(spec, {"HSA_ENABLE_SDMA": "0", "LD_PRELOAD": None})
    name = engine or "podman"
    assert got.shell("zygote", "--control", "stdio") == (
        f"{name} run --rm --interactive --name rmcp-6-2-t --label rmcp=zygote --pull never --network none "
        f"--log-driver none --shm-size 8g --ulimit core=0 {devices} --cap-add SYS_PTRACE "
        f"--mount type=bind,source={PACKAGE},target={INSIDE},readonly --workdir /tmp "
        "--env HSA_ENABLE_SDMA=0 rocm/pytorch:rocm6.2 "
        f"env -u LD_PRELOAD python3 {INSIDE}/__main__.py zygote --control stdio"
    )
    assert got.control == "stdio"
    assert got.kill == (name, "kill", "--signal", "KILL", "rmcp-6-2-t")
    assert got.remove[:3] == (name, "rm", "--force")
    assert got.env == PARENT  # the engine's own; nothing of the case's leaks into it


def test_a_containers_folders_are_mounted_where_they_are(tmp_path: Path) -> None:
    spec = RuntimeSpec("i", image="x", python="/opt/conda/bin/python")
    got = start(spec, miopen_root=tmp_path / "m", mounts=[tmp_path, tmp_path])
    mounts = [got.argv[i + 1] for i, word in enumerate(got.argv) if word == "--mount"]
    assert f"type=bind,source={tmp_path},target={tmp_path},readonly" in mounts
    assert len(mounts) == 4
    assert [m for m in mounts if not m.endswith("readonly")] == [
        f"type=bind,source={folder},target={folder}" for folder in got.folders
    ]
    assert got.argv[-2] == "/opt/conda/bin/python"
    assert {w.split("=")[0] for i, w in enumerate(got.argv) if got.argv[i - 1] == "--env"} == {
        "MIOPEN_USER_DB_PATH",
        "MIOPEN_CUSTOM_CACHE_DIR",
    }


def test_the_matrix_own_engine_options_win() -> None:
    words = start(RuntimeSpec("i", image="x", options=("--network=host", "--ipc=host", "--pull", "missing"))).argv
    assert "none" not in words[: words.index("--log-driver")]
    assert "--shm-size" not in words
    assert words.count("--pull") == 1


def test_no_devices_no_device_words_and_nvidia_its_own() -> None:
    bare = start(RuntimeSpec("i", image="x"), host=HostDevices()).argv
    assert "--device" not in bare
    assert "seccomp=unconfined" not in bare
    assert "nvidia.com/gpu=all" in start(RuntimeSpec("i", image="x"), host=HostDevices(nvidia=True)).argv
    docker = start(RuntimeSpec("i", image="x", engine="docker"), host=HostDevices(nvidia=True)).argv
    assert docker[docker.index("--gpus") + 1] == "all"
    root = start(RuntimeSpec("i", image="x"), host=HostDevices(("/dev/kfd",), False, (44,), True)).argv
    assert root[root.index("--group-add") + 1] == "44"


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (RuntimeSpec("i", image="x", engine="lxc"), "podman or docker"),
        (RuntimeSpec("i", image="x", prefix="/p"), "exclude each other"),
        (RuntimeSpec("i", engine="podman"), "needs an `image`"),
    ],
)
def test_contradictions_are_messages(spec: RuntimeSpec, says: str) -> None:
    with pytest.raises(UserError, match=says):
        start(spec)


def test_discovery_looks_at_device_nodes(tmp_path: Path) -> None:
    assert discover(tmp_path).nodes == ()
    (tmp_path / "kfd").touch()
    (tmp_path / "nvidiactl").touch()
    found = discover(tmp_path)
    assert (found.nodes, found.nvidia) == ((str(tmp_path / "kfd"),), True)


@given(st.dictionaries(st.from_regex(r"[A-Z_]{1,8}", fullmatch=True), st.one_of(st.none(), st.text(max_size=12))))
def test_the_printed_command_is_the_command(env: dict[str, str | None]) -> None:
    env = {k: v for k, v in env.items() if v is None or "\0" not in v}
    container = start(RuntimeSpec("i", image="x"), env)
    assert tuple(shlex.split(container.shell())) == container.argv
    host = start(RuntimeSpec(), env)
    words = shlex.split(host.shell())
    assert tuple(words[-2:]) == host.argv
    for name, value in env.items():
        if value is not None:
            assert host.env[name] == value
            assert f"{name}={value}" in words or PARENT.get(name) == value
        else:
            assert name not in host.env


def test_the_printed_command_runs_with_the_very_environment() -> None:
    got = start(RuntimeSpec(), {"A": "x y", "HOME": None}, base_env={**PARENT, "PATH": "/usr/bin:/bin"})
    show = f"{shlex.quote(sys.executable)} -c 'import os; print(sorted(os.environ.items()))'"
    command = got.shell().replace(shlex.join(got.argv), show)
    env = {**PARENT, "PATH": "/usr/bin:/bin"}
    shown = subprocess.run(["sh", "-c", command], env=env, capture_output=True, text=True, timeout=20, check=True)
    seen = dict(eval(shown.stdout))
    assert {k: v for k, v in seen.items() if k not in ("PWD", "_", "SHLVL", "OLDPWD", "LC_CTYPE")} == dict(got.env)


def test_why_a_runtime_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not(RuntimeSpec()) is None
    assert "no interpreter" in str(why_not(RuntimeSpec("a", python="/no/python")))
    assert "no folder /no" in str(why_not(RuntimeSpec("a", prefix="/no")))
    file = tmp_path / "py"
    file.touch()
    assert "not executable" in str(why_not(RuntimeSpec("a", python=str(file))))
    assert "on PATH" in str(why_not(RuntimeSpec("a", python="python-that-is-not")))
    engine = tmp_path / "podman"
    engine.write_text("#!/bin/sh\necho 'Error: x: image not known' >&2; exit 125\n")
    engine.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert "podman pull x" in str(why_not(RuntimeSpec("a", image="x")))
    assert why_not(RuntimeSpec("a", image="x", options=("--pull=missing",))) is None
    engine.write_text("#!/bin/sh\necho sha256:1\n")
    assert why_not(RuntimeSpec("a", image="x")) is None
    assert (
        "docker is not installed" in str(why_not(RuntimeSpec("a", image="x", engine="docker")))
        or Path("/usr/bin/docker").exists()
    )


def test_the_start_command_as_text(tmp_path: Path) -> None:
    here = Case("m[a]", "k", "k", "noop", {}, env={"A": "1 2", "HOME": None})
    text = start_command(here, base_env=PARENT)
    assert text == (f"env -uHOME 'A=1 2' {shlex.quote(sys.executable)} {PACKAGE / '__main__.py'} zygote --control FD")
    inside = Case("m[b]", "k", "k", "noop", {}, env={"A": "1"}, runtime=RuntimeSpec("i", image="x"))
    words = shlex.split(start_command(inside, mounts=[tmp_path], base_env=PARENT, host=HostDevices()))
    assert words[:2] == ["podman", "run"]
    assert words[-3:] == ["zygote", "--control", "stdio"]
    assert f"type=bind,source={tmp_path},target={tmp_path},readonly" in words
    assert "rmcp-i-XXXXXXXX" in words
