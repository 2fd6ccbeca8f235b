"""The test suites of pytest-forked and pytest-isolate, read from their sdists; only names of options, marks and plugins
are changed. What passes there, on pytest 9.1.1, passes here; the differences are listed with their reasons."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

_DOWNLOAD_S = 120.0


@dataclass(frozen=True)
class Suite:
    """``files``: pattern of what is taken from the sdist; ``names``: old -> new; ``passes`` and ``xfails``: how many
    tests do so there; ``differs``: what does so there and not here, and why; ``better``: xfails there, passes here."""

    sdist: str
    files: str
    names: Mapping[str, str]
    passes: int
    xfails: int
    options: tuple[str, ...] = ()
    differs: Mapping[str, str] = field(default_factory=dict)
    better: frozenset[str] = frozenset()


FORKED = Suite(
    sdist="pytest-forked==1.7.5",
    files=r"/testing/",
    names={
        "--forked": "--rmcp-isolate",
        "mark.forked": "mark.rmcp_isolated",
        "option.forked": "option.rmcp_isolate",
        "plugins:* forked*": "plugins:* rmcp*",
    },
    passes=11,
    xfails=2,
    differs={
        "test_xfail[strict xfail]": "asks for the words 'pytest-forked reason'; ours are 'rmcp: crash by SIGTERM (15)'",
        "test_xfail[non-strict xfail]": "the same",
    },
    # Captured output of a crash.
    better=frozenset({"test_functional_boxed_capturing[sys]", "test_functional_boxed_capturing[fd]"}),
)
# Its other file, test_resource_management.py, imports the plugin's own modules and tests how they deal out GPUs.
ISOLATE = Suite(
    sdist="pytest-isolate==0.0.17",
    files=r"/tests/(conftest|test_isolate)\.py$",
    names={
        '"--isolate"': '"--rmcp-isolate"',
        "mark.isolate": "mark.rmcp_isolated",
        "mem_limit=": "memory=",
        "cpu_limit=": "timeout=",  # there is no budget of processor time here
    },
    passes=15,
    xfails=7,
    options=("--rmcp-isolate", "--rmcp-timeout=2"),  # its tox.ini and its setting isolate_timeout
    differs={
        "test_nvml_cuda_check_is_set_by_importing_the_plugin": "its way to keep torch from initialising CUDA in the "
        "parent; ours changes no variable, it looks before the fork and takes a fresh interpreter",
        "test_durations_report_peak_memory_of_a_freed_allocation": "--durations shows no memory here",
        "test_rss_limit_fail": "a limit of 100 kB, far below what the interpreter has: malloc serves the request from "
        "memory that it holds already; there the limit breaks the plugin's own transport",
    },
)


def texts_of(suite: Suite, folder: Path) -> dict[str, str]:
    """The suite's files with our names."""
    name = suite.sdist.partition("==")[0]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name, "-d", str(folder)]
    try:
        subprocess.run([*argv, suite.sdist], check=True, timeout=_DOWNLOAD_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the sdist of {suite.sdist} cannot be had: {type(error).__name__}")
    texts = {}
    with tarfile.open(next(folder.glob("pytest*.tar.gz"))) as tar:
        for member in tar.getmembers():
            if member.isfile() and re.search(suite.files, member.name):
                stream = tar.extractfile(member)
                assert stream is not None
                text = stream.read().decode("utf-8")
                for old, new in suite.names.items():
                    text = text.replace(old, new)
                texts[Path(member.name).name] = text
    return texts


@pytest.mark.slow
@pytest.mark.parametrize("suite", [FORKED, ISOLATE], ids=lambda suite: suite.sdist)
def test_upstream_suite(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A test of pytest-forked counts on where the summary is cut: at the terminal's width, and nowhere in a CI.
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "suite"
    folder.mkdir()
    for name, text in texts_of(suite, tmp_path).items():
        (folder / name).write_text(text, "utf-8")
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    argv += ["-rA", "--tb=no", *suite.options]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    lines = re.findall(r"^(PASSED|FAILED|XPASS|XFAIL|ERROR) \S+?::(test_\w+(?:\[.*?\](?= - |$))?)", done.stdout, re.M)
    found: dict[str, set[str]] = {}
    for word, name in lines:
        found.setdefault(word, set()).add(name)
    unlike = found.get("FAILED", set()) | found.get("ERROR", set()) | found.get("XPASS", set())
    assert unlike == set(suite.differs) | suite.better, done.stdout
    assert found.get("XPASS", set()) >= suite.better, done.stdout
    as_there = len(found["PASSED"]) + len(found.get("XFAIL", set()))
    assert as_there + len(unlike) == suite.passes + suite.xfails, done.stdout
