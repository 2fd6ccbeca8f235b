"""Shared fixtures: golden files with ``--update``, the machine's optional parts, and guards against stray processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

REPOSITORY = Path(__file__).resolve().parents[1]
SECOND_PYTHON = "/usr/bin/python3"


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update` writes golden files anew instead of comparing with them."""
    parser.addoption("--update", action="store_true", help="write golden files anew")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what this machine does not have, and say what that is."""
    missing = {
        "torch": None if importlib.util.find_spec("torch") else "torch is not installed here",
        "runtime2": second_runtime(),
        "gpu": no_gpu(),
        "browser": no_browser(),
    }
    wanted = {mark.name for item in items for mark in item.iter_markers()}
    for name, reason in missing.items():
        if reason is not None and name in wanted:
            skip = pytest.mark.skip(reason=reason)
            for item in items:
                if item.get_closest_marker(name) is not None:
                    item.add_marker(skip)


def second_runtime() -> str | None:
    """Why /usr/bin/python3 with its own PyTorch cannot be used, or None."""
    if SECOND_PYTHON == os.path.realpath(sys.executable):
        return f"{SECOND_PYTHON} is the interpreter of this run"
    try:
        probe = [SECOND_PYTHON, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"]
        found = subprocess.run(probe, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{SECOND_PYTHON}: {error}"
    return None if found else f"{SECOND_PYTHON} has no torch (Debian: python3-torch)"


def no_gpu() -> str | None:
    """Why there is no GPU to test on, or None; asked of the driver's device nodes, never of torch."""
    nodes = ("/dev/kfd", "/dev/nvidia0")
    return None if any(os.path.exists(node) for node in nodes) else f"none of {', '.join(nodes)} exists"


def no_browser() -> str | None:
    """Why pages cannot be tested, or None."""
    if importlib.util.find_spec("playwright") is None:
        return "playwright is not installed here"
    return None if shutil.which("chromium") else "no chromium on the PATH"


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """True when golden files are to be written."""
    return bool(request.config.getoption("--update"))


@pytest.fixture(scope="session")
def crash_corpus() -> Path:
    """Folder of labelled real logs; RMCP_CRASH_CORPUS names it."""
    return _folder("RMCP_CRASH_CORPUS")


@pytest.fixture(scope="session")
def shape_catalogues() -> Path:
    """Folder of shape catalogues; RMCP_SHAPES names it."""
    return _folder("RMCP_SHAPES")


def _folder(variable: str) -> Path:
    folder = Path(os.environ.get(variable, ""))
    if variable not in os.environ or not folder.is_dir():
        pytest.skip(f"{variable} names no folder")
    return folder


@pytest.fixture
def no_process_left() -> Iterator[None]:
    """Fail the test when a process of its making is still there at its end."""
    before = set(_ours())
    yield
    left = {pid: text for pid, text in _ours().items() if pid not in before}
    assert not left, f"processes left behind: {left}"


def _ours() -> dict[int, str]:
    """Processes whose command line names rmcp_torch's entry: zygotes and their children."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if any(word.endswith(b"rmcp_torch/__main__.py") for word in words):
                found[int(name)] = b" ".join(words).decode("utf-8", "replace")
    return found
