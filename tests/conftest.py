"""Shared fixtures: golden files with ``--update``, the machine's optional parts, and guards against stray processes."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

# The many pytest processes of these tests would else compile, and pytest rewrite, every module anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

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
    if os.path.realpath(sys.executable) == SECOND_PYTHON:
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
def no_process_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail the test when a process of its making is still there two seconds after its end."""
    token = f"{os.getpid()}-{time.monotonic_ns()}"
    monkeypatch.setenv("LEAK_TEST_TOKEN", token)
    yield
    give_up = time.monotonic() + 2.0
    while (left := _with_token(token)) and time.monotonic() < give_up:
        time.sleep(0.05)
    assert not left, f"processes left behind: {left}"


def _with_token(token: str) -> dict[int, str]:
    """Living processes that inherited the token, with their command lines; this process is not among them."""
    wanted = f"LEAK_TEST_TOKEN={token}".encode()
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if wanted in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found[int(name)] = Path(f"/proc/{name}/cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
    return found
