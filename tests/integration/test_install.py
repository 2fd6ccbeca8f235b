"""The wheel: what is in it, and that it leaves the torch of its user alone."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCAL_VERSION = "2.9.9+rocm6.2.gfx1010"


def run(*words: object, cwd: Path | None = None) -> str:
    """Run a command; its output, or a failure that shows it."""
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=600, cwd=cwd, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built with the hatchling of this environment."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", folder, REPOSITORY)
    return next(folder.glob("pytest_rmcp-*.whl"))


def test_the_wheel_holds_both_packages_and_the_matrices(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"rmcp/plugin.py", "rmcp/py.typed", "rmcp/_matrices/conv2d.yaml", "rmcp/_matrices/conv2d.lock.json"}
    wanted |= {"rmcp/_matrices/selftest.yaml", "rmcp_torch/__main__.py", "rmcp/report/page/style.css"}
    wanted |= {"rmcp/device/environment.json", "rmcp_torch/intercept/hip_intercept.c"}
    assert wanted <= names, wanted - names
    metadata = next(name for name in names if name.endswith("METADATA"))
    required = [
        line for line in zipfile.ZipFile(wheel).read(metadata).decode().splitlines()
        if line.startswith("Requires-Dist:") and "extra ==" not in line
    ]  # fmt: skip
    assert not [line for line in required if "torch" in line.split(">")[0].lower()]


@pytest.mark.slow
def test_a_users_torch_stays(wheel: Path, tmp_path: Path) -> None:
    """A build with a local version, as ROCm's are, is still the same after installing and running the plugin."""
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv)
    python = venv / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text(f"__version__ = {LOCAL_VERSION!r}\n")
    info = site / f"torch-{LOCAL_VERSION}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {LOCAL_VERSION}\n")
    (info / "RECORD").write_text("")
    (info / "INSTALLER").write_text("pip\n")
    run(python, "-m", "pip", "install", "-q", wheel)
    assert run(python, "-c", "import torch; print(torch.__version__)").strip() == LOCAL_VERSION
    assert LOCAL_VERSION in run(python, "-m", "pip", "list")
    # And the installed plugin works from the wheel: shipped matrices are found, a torch-free case runs.
    listed = run(venv / "bin" / "pytest", "--rmcp-matrix=selftest", "--rmcp-select", "fault == segfault", cwd=tmp_path)
    assert "1 of 1 as expected" in listed
