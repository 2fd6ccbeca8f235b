"""The LD_PRELOAD library: symbols are found in every scope, modes reach the runtime, nothing falls back in
silence.

Against a stand-in HIP runtime for the semantics, and against Debian's real libamdhip64.so.5 for symbol
resolution (no GPU is needed for that: the real calls return an error through us).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rmcp.cli import main
from rmcp.commands.build_intercept import build, compiler
from rmcp.errors import UserError
from rmcp.matrix.model import RuntimeSpec
from rmcp.runtimes import launch

pytestmark = pytest.mark.skipif(not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler")

_FAKE = r"""
#include <stdlib.h>
#include <stdio.h>
int hipExtMallocWithFlags(void **p, size_t n, unsigned f)
{
    if (f == 4) return 1;
    printf("runtime ext size=%zu flags=%u\n", n, f);
    fflush(stdout);
    *p = malloc(n);
    return 0;
}
/* As a real runtime might: through the symbol that is interposed. */
int hipMalloc(void **p, size_t n) { printf("runtime malloc\n"); fflush(stdout); return
hipExtMallocWithFlags(p, n, 0); } int hipFree(void *p) { printf("runtime free\n"); fflush(stdout); free(p);
return 0; }
"""

_USER = r"""
#include <stddef.h>
int hipMalloc(void **, size_t);
int hipExtMallocWithFlags(void **, size_t, unsigned);
int hipFree(void *);
int main(int argc, char **argv)
{
    void *p = 0, *q = 0;
    (void)argv;
    int status = hipMalloc(&p, 100);
    if (status == 0) hipFree(p);
    if (argc > 1) status |= hipExtMallocWithFlags(&q, 64, 2);
    return status;
}
"""

_LOCAL = """
import ctypes, sys
runtime = ctypes.CDLL(sys.argv[1])          # a local scope, as Python loads torch
ours, p = ctypes.CDLL(None), ctypes.c_void_p()
print("status", ours.hipMalloc(ctypes.byref(p), ctypes.c_size_t(100)), flush=True)
ours.rmcp_hip_library.restype = ctypes.c_char_p
print("library", ours.rmcp_hip_library().decode(), flush=True)
ours.rmcp_hip_alloc.restype = ctypes.c_void_p
q = ours.rmcp_hip_alloc(ctypes.c_ssize_t(32), 0, None)
print("alloc", bool(q), ours.rmcp_hip_alloc(ctypes.c_ssize_t(0), 0, None), flush=True)
ours.rmcp_hip_free(ctypes.c_void_p(q), ctypes.c_ssize_t(32), 0, None)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the library, the stand-in runtime and a program that is linked to it."""
    folder = tmp_path_factory.mktemp("hip")
    build(folder / "libhip_intercept.so", compiler(None))
    (folder / "fake.c").write_text(_FAKE)
    (folder / "user.c").write_text(_USER)
    for words in (
        ["-shared", "-fPIC", "-o", "libamdhip64.so.6", "fake.c", "-Wl,-soname,libamdhip64.so.6"],
        ["-o", "user", "user.c", "./libamdhip64.so.6"],
    ):
        subprocess.run([*compiler(None), *words], cwd=folder, check=True, timeout=60)
    return folder


def call(built: Path, *command: str, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
    full = {
        "LD_PRELOAD": str(built / "libhip_intercept.so"),
        "LD_LIBRARY_PATH": str(built),
        "PATH": os.environ["PATH"],
    }
    done = subprocess.run(command, env={**full, **env}, capture_output=True, text=True, timeout=60)
    assert not check or done.returncode == 0, done
    return done


def test_without_a_mode_calls_pass_as_they_came(built: Path, tmp_path: Path) -> None:
    done = call(built, str(built / "user"), "ext", RMCP_HIP_LOG=str(tmp_path / "log.%p"))
    assert done.stdout.split("\n")[:3] == ["runtime malloc", "runtime ext size=100 flags=0", "runtime free"]
    assert "runtime ext size=64 flags=2" in done.stdout
    (log,) = tmp_path.glob("log.*")
    assert re.fullmatch(r"log\.\d+", log.name)
    lines = log.read_text().splitlines()
    assert re.match(rf"open pid=\d+ library={re.escape(str(built))}/libamdhip64\.so\.6 mode=-1", lines[0])
    assert re.match(r"hipMalloc size=100 flags=-1 ptr=0x[0-9a-f]+ status=0 us=\d+\.\d tid=\d+$", lines[1])
    assert re.match(r"hipFree ptr=0x[0-9a-f]+ status=0$", lines[2])
    assert len(lines) == 4, "the runtime's own inner call is not the program's"


@pytest.mark.parametrize(("mode", "flags"), [("default", 0), ("fine", 1), ("uncached", 3)])
def test_a_mode_reaches_the_runtime(mode: str, flags: int, built: Path) -> None:
    done = call(built, str(built / "user"), "ext", RMCP_HIP_ALLOC=mode)
    assert done.stdout.startswith(f"runtime ext size=100 flags={flags}\nruntime free\n")
    assert "size=64 flags=2" in done.stdout, "who asks for special memory gets it"


def test_a_refusal_is_a_refusal(built: Path) -> None:
    done = call(built, str(built / "user"), check=False, RMCP_HIP_ALLOC="contiguous")
    assert done.returncode == 1
    assert "runtime" not in done.stdout


def test_mistakes_are_said(built: Path) -> None:
    assert "is not default, fine" in call(built, str(built / "user"), RMCP_HIP_ALLOC="fast").stderr
    wrong = call(built, str(built / "user"), check=False, RMCP_HIP_LIBRARY="/no/lib.so")
    assert "RMCP_HIP_LIBRARY=/no/lib.so" in wrong.stderr
    assert wrong.returncode == 302 % 256
    assert "cannot write /no/log" in call(built, str(built / "user"), RMCP_HIP_LOG="/no/log").stderr
    assert call(built, "true").stderr == "", "a program without HIP notices nothing"


def test_a_runtime_in_a_local_scope_is_found(built: Path) -> None:
    library = str(built / "libamdhip64.so.6")
    done = call(built, sys.executable, "-S", "-c", _LOCAL, library, RMCP_HIP_ALLOC="uncached")
    assert done.stdout.splitlines() == [
        "runtime ext size=100 flags=3",
        "status 0",
        f"library {library}",
        "runtime ext size=32 flags=3",
        "alloc True None",
        "runtime free",
    ]


def test_as_an_axis_value(built: Path) -> None:
    env: dict[str, str | None] = {"LD_PRELOAD": str(built / "libhip_intercept.so"), "RMCP_HIP_ALLOC": "fine"}
    start = launch(RuntimeSpec(), env, base_env=os.environ, package_dir=built)
    done = call(built, start.argv[0], "-S", "-c", _LOCAL, str(built / "libamdhip64.so.6"), **dict(start.env))
    assert "flags=1" in done.stdout


_REAL = "libamdhip64.so.5"
_HAS_REAL = Path(f"/usr/lib/x86_64-linux-gnu/{_REAL}").exists()


@pytest.mark.skipif(not _HAS_REAL, reason="Debian's libamdhip64-5 is not installed")
@pytest.mark.parametrize("how", ["local scope", "linked", "by name"])
def test_the_real_runtime_answers_through_us(how: str, built: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    env = {"RMCP_HIP_LOG": str(log), "RMCP_HIP_ALLOC": "uncached", "LD_LIBRARY_PATH": ""}
    if how == "linked":
        real = f"/usr/lib/x86_64-linux-gnu/{_REAL}"
        words = [*compiler(None), "-o", str(tmp_path / "user"), str(built / "user.c"), real]
        linked = subprocess.run(
            [*words, "-Wl,--allow-shlib-undefined"], capture_output=True, text=True, timeout=60
        )
        assert linked.returncode == 0, linked.stderr
        done = call(built, str(tmp_path / "user"), check=False, **env)
        assert done.returncode in (100, 101)
    else:
        load = _REAL if how == "local scope" else "libc.so.6"
        call(built, sys.executable, "-S", "-c", _LOCAL.split("ours.rmcp_hip_alloc")[0], load, **env)
    first, second = log.read_text().splitlines()[:2]
    assert f"{_REAL} mode=3" in first
    # 100 hipErrorNoDevice or 101 hipErrorInvalidDevice: there is no GPU, and the answer is the runtime's.
    assert re.match(r"hipMalloc size=100 flags=3 ptr=\(nil\) status=10[01] ", second)


def test_the_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "new" / "lib.so"
    assert main(["build-intercept", "--out", str(out)]) == 0
    assert os.listdir(out.parent) == ["lib.so"]
    assert f"LD_PRELOAD={out}" in capsys.readouterr().out
    assert main(["build-intercept", "--cc", "no-such-compiler"]) == 4
    assert "no compiler 'no-such-compiler'" in capsys.readouterr().err
    assert main(["build-intercept", "--out", str(out), "--cc", f"{compiler(None)[0]} -include no.h"]) == 4
    assert "no.h" in capsys.readouterr().err
    assert os.listdir(out.parent) == ["lib.so"]
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(UserError, match="no C compiler"):
        compiler(None)


@pytest.mark.torch
def test_the_allocator_says_when_it_cannot(built: Path) -> None:
    pytest.importorskip("torch", exc_type=ImportError)
    source = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import torch\nfrom rmcp_torch.intercept import use_allocator\n"
        "for words in ((sys.argv[2], 'fast'), ('/no.so', 'fine'), (sys.argv[2], 'fine')):\n"
        "    try:\n        use_allocator(*words)\n"
        "    except Exception as error:\n        print(type(error).__name__, error)\n"
    )
    harness = Path(__file__).resolve().parents[2] / "harness"
    words = [sys.executable, "-c", source, str(harness), str(built / "libhip_intercept.so")]
    told = subprocess.run(words, capture_output=True, text=True, timeout=60).stdout.splitlines()
    assert told[0].startswith("ValueError mode 'fast'")
    assert told[1].startswith("OSError /no.so")
    if len(told) > 2:
        assert told[2].startswith("RuntimeError")
