"""Capture: the matrix holds exactly the model's convolutions, as forward hooks see them, on every torch
here."""

from __future__ import annotations

import functools
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rmcp.cli import main
from rmcp.commands import capture as command
from rmcp.matrix.expand import expand
from rmcp.matrix.load import load_text

HARNESS = Path(__file__).resolve().parents[2] / "harness"

# Prints what forward hooks see of a model with all kinds of layers, and what the recorder saw.
_MODEL = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import torch
import torch.nn as nn
import torch.nn.functional as F
torch.set_num_threads(1)

class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.depth = nn.Conv2d(c, c, 3, padding=1, groups=c, bias=False)
        self.point = nn.Conv2d(c, 2 * c, 1)
    def forward(self, x):
        return self.point(self.depth(x))

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, (3, 5), stride=(2, 1), dilation=(1, 2), padding=(1, 2))
        self.body = nn.Sequential(Block(8), nn.ReLU(), nn.Conv2d(16, 16, 3, padding="same"))
        self.up = nn.ConvTranspose2d(16, 4, 2, stride=2, output_padding=1)
        self.line = nn.Conv1d(4, 6, 7, padding=3)
        self.volume = nn.Conv3d(1, 2, (1, 3, 3))
    def forward(self, x):
        x = self.up(self.body(self.stem(x)))
        y = self.line(x.flatten(2)[:, :, :64])
        return x, y, self.volume(x[:, :1, None])

def shapes(module, x, out):
    transposed = isinstance(module, nn.ConvTranspose2d)
    hooked.append([list(x[0].shape), module.out_channels, list(module.kernel_size), list(module.stride),
                   list(module.dilation), module.groups, module.bias is not None, transposed])

net, hooked = Net(), []
for module in net.modules():
    if hasattr(module, "kernel_size"):
        module.register_forward_hook(shapes)
"""

_COMPARE = (
    _MODEL
    + """
from rmcp_torch import capture
with capture() as seen:
    sum(out.sum() for out in net(torch.randn(2, 3, 16, 16))).backward()
    with torch.no_grad():
        net(torch.randn(2, 3, 16, 16))
net(torch.randn(1, 3, 16, 16))  # outside: not recorded
recorded = [[[c.n, c.c, *c.size], c.k, list(c.kernel), list(c.stride), list(c.dilation), c.groups, c.bias,
             c.transposed] for c in seen.convolutions]
tallies = [[s.forward, s.backward, s.places] for s in seen.convolutions.values()]
print(json.dumps({"hooked": hooked[:7], "recorded": recorded, "tallies": tallies}))
seen.save(sys.argv[2])
"""
)


@functools.lru_cache(maxsize=1)
def _second_torch() -> bool:
    try:
        done = subprocess.run(["/usr/bin/python3", "-c", "import torch"], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


PYTHONS = [
    pytest.param(sys.executable, marks=pytest.mark.torch, id="this"),
    pytest.param("/usr/bin/python3", marks=pytest.mark.runtime2, id="second"),
]


@pytest.fixture(autouse=True)
def _needs_torch(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("torch"):
        pytest.importorskip("torch", exc_type=ImportError)
    if request.node.get_closest_marker("runtime2") and not _second_torch():
        pytest.skip("no PyTorch in /usr/bin/python3")


def run(python: str, source: str, *arguments: str) -> str:
    done = subprocess.run([python, "-c", source, str(HARNESS), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("python", PYTHONS)
def test_the_matrix_is_the_models_convolutions(python: str, tmp_path: Path) -> None:
    out = tmp_path / "net.yaml"
    told = json.loads(run(python, _COMPARE, str(out)))
    assert told["recorded"] == told["hooked"]
    names = [
        "Net.stem",
        "Net.body.0.depth",
        "Net.body.0.point",
        "Net.body.2",
        "Net.up",
        "Net.line",
        "Net.volume",
    ]
    assert told["tallies"] == [[2, 1, {name: 2}] for name in names]
    cases = expand(load_text(out.read_text(), str(out))).cases
    assert [case.workload for case in cases] == ["conv2d"] * 5 + ["conv1d", "conv3d"]
    assert all(case.args["direction"] == "backward" for case in cases)
    assert cases[0].args == {
        "n": 2, "c": 3, "h": 16, "w": 16, "k": 8, "kernel": [3, 5], "stride": [2, 1], "padding": [1, 2],
        "dilation": [1, 2], "direction": "backward",
    }  # fmt: skip
    assert cases[3].args["padding"] == 1
    assert cases[4].args["output_padding"] == 1


_LAYOUTS = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.path.insert(0, sys.argv[1])
import torch
import torch.nn.functional as F
from rmcp_torch import capture
x, w = torch.randn(2, 4, 8, 8), torch.randn(6, 4, 3, 3)
nhwc = lambda t: t.to(memory_format=torch.channels_last)
with capture() as seen:
    F.conv2d(x, w)
    F.conv2d(nhwc(x), nhwc(w))
    F.conv2d(nhwc(x), w)
    F.conv2d(x.double(), weight=w.double(), stride=2)
    F.conv2d(input=x[0], weight=w, bias=torch.zeros(6))
    F.conv2d(x, torch.randn(6, 4, 4, 3), padding="same")
    F.conv2d(x, w, padding="valid")
    torch.conv2d(x, w, None, [2, 2], [1, 1])
    torch.convolution(x, w, None, [3, 3], [0, 0], [1, 1], False, [0, 0], 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        F.conv2d(x, w)
    try:
        F.conv2d(x, torch.randn(6, 5, 3, 3))
    except RuntimeError as error:
        print("raised", file=sys.stderr)
    x + x
for one, s in seen.convolutions.items():
    print(json.dumps([one.n, one.size, one.kernel, one.stride, one.padding, one.bias, one.dtype,
    one.memory_format,
                      one.autocast, s.forward]))
"""


@pytest.mark.parametrize("python", PYTHONS)
def test_layouts_dtypes_and_ways_to_call(python: str) -> None:
    plain: list[Any] = [2, [8, 8], [3, 3], [1, 1], [0, 0], False, "float32", "contiguous", "", 1]

    def but(**changes: Any) -> list[Any]:
        at = {
            "n": 0,
            "size": 1,
            "kernel": 2,
            "stride": 3,
            "padding": 4,
            "bias": 5,
            "dtype": 6,
            "format": 7,
            "amp": 8,
        }
        at["times"] = 9
        row = list(plain)
        for name, value in changes.items():
            row[at[name]] = value
        return row

    expected = [
        but(times=3),  # the plain one, padding="valid", and the call that raised after it was noted
        but(format="channels_last"),
        but(format="preserve"),
        but(dtype="float64", stride=[2, 2]),
        but(n=1, bias=True),
        but(kernel=[4, 3], padding=[1, 1], size=[9, 8]),  # an even kernel is padded on one side first
        but(stride=[2, 2], padding=[1, 1]),
        but(stride=[3, 3]),
        but(amp="bfloat16"),
    ]
    got = [json.loads(line) for line in run(python, _LAYOUTS).splitlines()]
    assert got == expected


def test_nothing_seen_is_a_message(tmp_path: Path) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    source = "import sys; sys.path.insert(0, sys.argv[1])\n"
    source += "from rmcp_torch.recording import Recorder\nRecorder().save('x')"
    done = subprocess.run([sys.executable, "-c", source, str(HARNESS)], capture_output=True, text=True, timeout=60)
    assert "no convolution was seen" in done.stderr


_TRAIN = """
import os, sys
import torch, torch.nn as nn
torch.set_num_threads(1)
net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1))
def step(n=2):
    net(torch.randn(n, 3, 8, 8)).sum().backward()
step(); step()
what = sys.argv[1] if len(sys.argv) > 1 else ""
if what == "abort":
    class Bad(nn.Module):
        def forward(self, x):
            out = nn.functional.conv2d(x, torch.randn(5, 3, 3, 3))
            os.abort()
    Bad()(torch.randn(1, 3, 9, 9))
if what == "all":
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    if hasattr(torch, "compile"):
        torch.compile(net)(torch.randn(7, 3, 8, 8))
    torch.jit.script(net)(torch.randn(7, 3, 8, 8))
if what == "exit":
    sys.exit(3)
print("told", what)
"""


def captured(out: Path) -> list[Any]:
    return [dict(case.args) for case in expand(load_text(out.read_text(), str(out))).cases]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "train.py"
    path.write_text(_TRAIN)
    monkeypatch.chdir(tmp_path)
    return path


@pytest.mark.torch
@pytest.mark.parametrize(("what", "code"), [("all", 0), ("exit", 1)])
def test_a_program(what: str, code: int, script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["capture", "--out", "m.yaml", "--", sys.executable, str(script), what]) == code
    text = Path("m.yaml").read_text()
    args = captured(Path("m.yaml"))
    assert [one["k"] for one in args[:2]] == [8, 4]
    # Compiled and scripted models are run eagerly, so they are seen as well.
    assert [one["n"] for one in args] == ([2, 2, 7, 7] if what == "all" else [2, 2])
    assert "2 x forward, 2 x backward; Sequential.0" in text
    out, err = capfd.readouterr()
    assert ("told" in out) == (code == 0)
    assert ("exit code 3" in err) == (code == 1)
    assert "sitecustomize" not in err
    assert main(["capture", "--out", "m.yaml", "--", sys.executable, str(script)]) == 4
    assert Path("m.yaml").read_text() == text


@pytest.mark.parametrize("python", PYTHONS)
def test_a_program_that_dies_has_told_which_convolution_it_was(
    python: str, script: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main(["capture", "--out", "m.yaml", "--", python, str(script), "abort"]) == 1
    got = captured(Path("m.yaml"))
    assert [args["k"] for args in got] == [8, 4, 5]
    assert [args.get("direction") for args in got] == ["backward", "backward", None]
    assert "Bad" in Path("m.yaml").read_text()
    assert "died of SIGABRT" in capfd.readouterr().err


def test_the_users_own_sitecustomize_still_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "sitecustomize.py").write_text("import os; os.environ['MINE'] = '1'\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "mine"))
    source = "import os, sys\n"
    source += "print(os.environ['MINE'], sys.modules['sitecustomize'].__file__, 'torch' in sys.modules)"
    script = tmp_path / "s.py"
    script.write_text(f"import sys; sys.stdout = open({str(tmp_path / 'out')!r}, 'w')\n{source}\n")
    work = tmp_path / "work"
    work.mkdir()
    assert command.run_program([sys.executable, str(script)], work) == 0
    assert (tmp_path / "out").read_text().split() == [
        "1",
        str(tmp_path / "mine" / "sitecustomize.py"),
        "False",
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["capture"], "say what to run"),
        (["capture", "--", "program-that-is-not"], "cannot run program-that-is-not"),
        (["capture", "--", sys.executable, "-c", "1"], "no convolution was seen"),
    ],
)
def test_mistakes(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 4
    assert re.search(says, capsys.readouterr().err)
    assert os.listdir(tmp_path) == []


def test_records_of_a_killed_process_count_once_and_torn_lines_not(tmp_path: Path) -> None:
    conv = {"n": 1, "c": 3, "size": [8, 8], "k": 4, "kernel": [3, 3], "stride": [1, 1], "padding": [0, 0]}
    conv |= {"dilation": [1, 1]}
    (tmp_path / "records").mkdir()
    first = json.dumps({"conv": conv, "place": "Net.a"})
    seen = json.dumps({"conv": conv, "seen": {"forward": 5, "backward": 2, "places": {"Net.a": 5}}})
    (tmp_path / "records" / "1.jsonl").write_text(first + "\n" + seen + "\n")
    (tmp_path / "records" / "2.jsonl").write_text(first + "\n" + seen[:40])
    (both,), processes = command.collect(tmp_path)[0].values(), command.collect(tmp_path)[1]
    assert (both.forward, both.backward, both.places, processes) == (6, 2, {"Net.a": 6}, 2)


@pytest.mark.torch
def test_a_stopped_capture_keeps_what_was_seen_and_leaves_nothing_running(tmp_path: Path) -> None:
    """As `timeout 10m rmcp capture ...` and batch systems stop it."""
    script = tmp_path / "train.py"
    script.write_text(
        "import os, time, torch\ntorch.nn.Conv2d(3, 4, 3)(torch.randn(1, 3, 8, 8))\n"
        "open('pid.tmp', 'w').write(str(os.getpid()))\nos.rename('pid.tmp', 'pid')\ntime.sleep(600)\n"
    )
    words = [sys.executable, "-m", "rmcp.cli", "capture", "--out", "seen.yaml", "--", sys.executable, str(script)]
    process = subprocess.Popen(words, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    give_up = time.monotonic() + 60
    while not (tmp_path / "pid").exists() and time.monotonic() < give_up and process.poll() is None:
        time.sleep(0.05)
    process.terminate()
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 1
    assert "died of SIGTERM; the matrix holds what it did until then" in told
    assert len(expand(load_text((tmp_path / "seen.yaml").read_text(), "seen.yaml")).cases) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--out", "no/where.yaml", "--", "touch", "ran"], "there is no folder"),
        (["--", "train.py"], "a script needs its interpreter: rmcp capture -- python train.py"),
        (["--", "pyton", "train.py"], "cannot run pyton: No such file or directory"),
        (["--out", "there.yaml", "--", "touch", "ran"], "is already there"),
        ([], "say what to run"),
    ],
)
def test_mistakes_are_told_before_the_program_runs(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.yaml").write_text("")
    assert main(["capture", *words]) == 4
    assert told in capsys.readouterr().err
    assert not (tmp_path / "ran").exists()
