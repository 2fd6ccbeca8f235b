"""A case in a "container": a stand-in for podman gives the command line a namespace of its own and a new
root.

No container engine runs where these tests run. What is proved here: the argv is one that a strict parser of
podman's options takes, the protocol works over stdin/stdout, the case sees the container's environment and
not the runner's, mounts are read-only, and kill reaches what the dead engine client left behind.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rmcp.matrix.model import Case, RuntimeSpec, Timeouts

# The venv's base interpreter: the venv itself may lie in a folder that the container does not see.
PYTHON = os.path.realpath(sys.executable)

_STANDIN = r'''#!@PYTHON@ -S
"""podman run|kill|rm|image for tests: unshare + chroot into a new root that shows the host's folders."""
import os, subprocess, sys
STATE = "@STATE@"
VALUES = {"--name", "--label", "--pull", "--network", "--log-driver", "--shm-size", "--ulimit", "--device",
          "--group-add", "--security-opt", "--cap-add", "--mount", "--workdir", "--env", "--gpus"}
FLAGS = {"--rm", "--interactive"}
INNER = """
import os, subprocess, sys
root = sys.argv[1]
mounts = [m for m in sys.argv[2].split(chr(31)) if m]
sh = lambda *w: subprocess.run(w, check=True)
sh("mount", "-t", "tmpfs", "tmpfs", root)
for name in os.listdir("/"):
    source = "/" + name
    if os.path.islink(source):
        os.symlink(os.readlink(source), root + source)
    elif os.path.isdir(source) and name not in ("proc", "tmp"):
        os.mkdir(root + source)
        sh("mount", "--rbind", source, root + source)
for name in ("proc", "tmp"):
    os.mkdir(root + "/" + name)
sh("mount", "-t", "proc", "proc", root + "/proc")
for mount in mounts:
    parts = dict(p.partition("=")[::2] for p in mount.split(","))
    target = root + parts["target"]
    os.makedirs(target, exist_ok=True)
    sh("mount", "--bind", parts["source"], target)
    if "readonly" in parts:
        sh("mount", "-o", "remount,bind,ro", target)
os.chroot(root)
os.chdir(sys.argv[3])
os.execvp(sys.argv[4], sys.argv[4:])
"""

def run(words):
    options, env = {}, {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/", "container": "podman"}
    mounts = []
    while words and words[0].startswith("-"):
        flag = words.pop(0)
        if flag in FLAGS:
            continue
        if flag not in VALUES:
            sys.exit("Error: unknown flag: " + flag)
        value = words.pop(0)
        options[flag] = value
        if flag == "--env":
            name, _, text = value.partition("=")
            env[name] = text
        elif flag == "--mount":
            mounts.append(value)
    image = words.pop(0)
    if image != "stand-in":
        sys.exit("Error: %s: image not known" % image)
    root = os.path.join(STATE, "root-" + options["--name"])
    os.mkdir(root)
    command = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"]
    command += ["@PYTHON@", "-S", "-c", INNER, root, chr(31).join(mounts), options.get("--workdir", "/")]
    command += words
    # Like the real one: the container is no child that a signal to this client reaches.
    child = subprocess.Popen(command, env=env, start_new_session=True)
    with open(os.path.join(STATE, options["--name"]), "w") as file:
        file.write(str(child.pid))
    code = child.wait()
    sys.exit(code if code >= 0 else 128 - code)

def main():
    verb, words = sys.argv[1], sys.argv[2:]
    with open(os.path.join(STATE, "log"), "a") as file:
        file.write(verb + " " + " ".join(words) + "\n")
    if verb == "run":
        run(words)
    elif verb == "kill":
        assert words[:2] == ["--signal", "KILL"], words
        os.kill(int(open(os.path.join(STATE, words[2])).read()), 9)
    elif verb == "rm":
        assert words[0] == "--force"
        os.path.exists(os.path.join(STATE, words[-1])) and os.unlink(os.path.join(STATE, words[-1]))
    elif verb == "image":
        sys.exit(0 if words[-1] == "stand-in" else "Error: %s: image not known" % words[-1])

main()
'''

_WORKLOAD = """
import os, sys, time

def look(ctx):
    def refused(path):
        try:
            open(path, "w").close()
        except OSError as error:
            return type(error).__name__
        return "written"
    return {
        "case": os.environ.get("CASE"), "secret": os.environ.get("RUNNERS_SECRET"),
        "pid_1": os.readlink("/proc/1/exe"),
        "removed": "container" in os.environ, "package": sys.modules["rmcp_torch"].__file__,
        "write": refused(os.path.join(os.path.dirname(__file__), "x")), "tmp": os.listdir("/tmp") != [],
    }

def noisy(ctx):
    os.write(1, b"garbage on stdout \\xff\\n")
    os.write(2, b"and on stderr\\n")
    return {"ok": 1}

def stuck(ctx):
    import signal
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
    time.sleep(600)

def dies(ctx):
    os.kill(os.getpid(), 11)
"""


def _namespaces() -> bool:
    try:
        done = subprocess.run(
            [
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--fork",
                "mount",
                "-t",
                "tmpfs",
                "x",
                "/mnt",
            ],
            capture_output=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


pytestmark = pytest.mark.skipif(not _namespaces(), reason="no unprivileged namespaces here")


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stand-in as `podman`, first on PATH; its state folder is returned."""
    state = tmp_path / "state"
    state.mkdir()
    podman = tmp_path / "bin" / "podman"
    podman.parent.mkdir()
    podman.write_text(_STANDIN.replace("@PYTHON@", PYTHON).replace("@STATE@", str(state)))
    podman.chmod(0o755)
    monkeypatch.setenv("PATH", f"{podman.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("RUNNERS_SECRET", "s")
    (tmp_path / "matrix").mkdir()
    (tmp_path / "matrix" / "w.py").write_text(_WORKLOAD)
    return state


def case(folder: Path, name: str, **timeouts: float) -> Case:
    return Case(
        id=f"w[{name}]",
        key=name,
        row=name,
        workload=f"{folder}/w.py:{name}",
        axes={},
        env={"CASE": "a b", "container": None},
        device="cpu",
        runtime=RuntimeSpec("in", image="stand-in", python=PYTHON),
        timeout=Timeouts(start=40.0, case=20.0, **timeouts),
    )


@pytest.mark.slow
def test_cases_in_a_container(engine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lane_module = pytest.importorskip("rmcp.isolation.lane")
    # These workloads need no torch, and its import would be most of the test.
    monkeypatch.setattr(
        lane_module,
        "TORCH_FREE",
        [case(engine.parent / "matrix", n).workload for n in ("look", "noisy", "stuck", "dies")],
    )
    matrix = engine.parent / "matrix"
    lane = lane_module.Lane(lane_module.LaneOptions(mounts=(matrix,), kill_grace=1.0))
    try:
        looked = lane.attempt(case(matrix, "look"), 1)
        assert looked.harness is None, looked
        assert looked.error is None, looked.error
        assert looked.metrics == {
            "case": "a b",
            "secret": None,
            "pid_1": PYTHON,
            "removed": False,
            "package": "/rmcp/rmcp_torch/__init__.py",
            "write": "OSError",
            "tmp": True,
        }
        noisy = lane.attempt(case(matrix, "noisy"), 1)
        assert (noisy.metrics, noisy.error) == ({"ok": 1}, None)
        assert b"garbage on stdout \xff" in noisy.stdout.data()
        assert b"and on stderr" in noisy.stderr.data()
        assert lane.attempt(case(matrix, "dies"), 1).signal == "SIGSEGV"
        stuck = lane.attempt(case(matrix, "stuck", silent=2.0), 1)
        assert stuck.deadline is not None
        assert stuck.signal == "SIGKILL"
        assert lane.attempt(case(matrix, "noisy"), 2).metrics == {"ok": 1}
    finally:
        lane.close()
    log = (engine / "log").read_text().splitlines()
    assert sum(line.startswith("run ") for line in log) == 1
    assert _gone(engine)


@pytest.mark.slow
def test_kill_from_outside_reaches_what_a_dead_client_left(engine: Path) -> None:
    from rmcp.runtimes import launch

    package = Path(__file__).resolve().parents[2] / "harness" / "rmcp_torch"
    spec = RuntimeSpec("in", image="stand-in", python=PYTHON)
    plan = launch(spec, {}, base_env=os.environ, package_dir=package, token="t")
    sleeper = [*plan.argv[:-1], "-c", "import time; print('up', flush=True); time.sleep(600)"]
    client = subprocess.Popen(sleeper, env=dict(plan.env), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert client.stdin is not None
    assert client.stdout is not None
    assert client.stdout.readline() == b"up\n"
    client.send_signal(signal.SIGKILL)
    client.wait(timeout=10)
    assert not _gone(engine, 0.3), "the container outlives its client; else this test proves nothing"
    for command in (plan.kill, plan.remove):
        assert subprocess.run(command, env=dict(plan.env), timeout=20).returncode == 0
    client.stdin.close()
    client.stdout.close()
    assert not (engine / "rmcp-in-t").exists()


def _gone(state: Path, seconds: float = 5.0) -> bool:
    """Whether no container of this state folder runs any more."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not any(_alive(int(file.read_text())) for file in state.glob("rmcp-*")):
            return True
        time.sleep(0.05)
    return False


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
