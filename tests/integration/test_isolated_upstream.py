"""The test suite of pytest-forked, read from its sdist; only the names of option, mark and plugin are changed."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SDIST = "pytest-forked==1.7.5"
_DOWNLOAD_S = 60.0

NAMES = {
    "--forked": "--rmcp-isolate",
    "mark.forked": "mark.rmcp_isolated",
    "option.forked": "option.rmcp_isolate",
    "plugins:* forked*": "plugins:* rmcp*",
}
# What fails here and passes there, and why.
DIFFERENCES = {
    "test_xfail[strict xfail]": "asks for the words 'pytest-forked reason'; ours says 'rmcp: crash by SIGTERM (15)'",
    "test_xfail[non-strict xfail]": "the same",
}
# What fails there, as its own xfail marks say, and passes here.
BETTER = {"test_functional_boxed_capturing[sys]", "test_functional_boxed_capturing[fd]"}


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:", "-d", tmp_path]
    argv.append(SDIST)
    try:
        subprocess.run(argv, check=True, timeout=_DOWNLOAD_S, capture_output=True)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"the sdist of {SDIST} cannot be had: {type(error).__name__}")
    archive = next(tmp_path.glob("pytest*forked*.tar.gz"))
    with tarfile.open(archive) as tar:
        for member in tar.getmembers():
            if "/testing/" in member.name and member.isfile():
                stream = tar.extractfile(member)
                assert stream is not None
                text = stream.read().decode("utf-8")
                for old, new in NAMES.items():
                    text = text.replace(old, new)
                (tmp_path / "suite").mkdir(exist_ok=True)
                (tmp_path / "suite" / Path(member.name).name).write_text(text, "utf-8")
    return tmp_path / "suite"


@pytest.mark.slow
def test_suite_of_pytest_forked(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One of its tests counts on where the summary is cut: at the terminal's width, and nowhere where pytest sees a CI.
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("CI", "BUILD_NUMBER"):
        monkeypatch.delenv(name, raising=False)
    argv = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "."]
    argv += ["-rA", "--tb=no"]
    done = subprocess.run(argv, cwd=suite, capture_output=True, text=True, timeout=300, check=False)
    lines = re.findall(r"^(PASSED|FAILED|XPASS|XFAIL|ERROR) \S+::(test_\w+(?:\[[^\]]*\])?)", done.stdout, re.MULTILINE)
    assert len(lines) >= 12, done.stdout
    found: dict[str, set[str]] = {}
    for word, name in lines:
        found.setdefault(word, set()).add(name)
    assert found.get("FAILED", set()) | found.get("ERROR", set()) == set(DIFFERENCES), done.stdout
    assert found["XPASS"] == BETTER
