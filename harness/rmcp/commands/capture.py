"""`rmcp capture [--out FILE] -- python train.py ...`: run a program and record its convolutions as a
matrix."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp_torch import catalogue
from rmcp_torch.catalogue import Convolution, Sightings

_POLL_S = 60.0  # a training run may take days; the wait is bounded and repeated
_STOP_S = 10.0  # for the program to end after Ctrl-C reached it; then it is killed
_TARGET = Path(os.path.abspath(catalogue.__file__)).parent
# Loaded by every Python that the program starts, before anything else: gives way to the user's own
# sitecustomize, then arms the recording. Nothing here imports torch.
_SITECUSTOMIZE = """
import os, sys
_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [p for p in sys.path if os.path.abspath(p or ".") != _here]
_ours = sys.modules.pop("sitecustomize", None)
try:
    import sitecustomize
except ImportError:
    sys.modules["sitecustomize"] = _ours
import importlib.util
if "rmcp_torch" not in sys.modules:
    _spec = importlib.util.spec_from_file_location(
        "rmcp_torch", {init!r}, submodule_search_locations=[{package!r}])
    _module = importlib.util.module_from_spec(_spec)
    sys.modules["rmcp_torch"] = _module
    _spec.loader.exec_module(_module)
from rmcp_torch.recording import install
install({folder!r})
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp capture`."""
    parser.add_argument(
        "--out", "-o", type=Path, default=Path("captured.yaml"), metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--name", help="name of the matrix (default: from FILE)")
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument(
        "program", nargs=argparse.REMAINDER, metavar="-- PROGRAM ...", help="the command to run"
    )


def run(args: argparse.Namespace) -> int:
    """Run the program; write what it was seen to compute, also when it died. Its failure is exit code 1."""
    from rmcp.catalogue.write import matrix_name, write_matrix

    program = args.program[1:] if args.program[:1] == ["--"] else args.program
    if not program:
        raise UserError("say what to run: rmcp capture -- python train.py")
    if args.out.exists() and not args.force:
        raise UserError(f"{args.out} is already there; choose another with --out, or --force")
    _check_writable(args.out)  # now, and not after hours of training
    with tempfile.TemporaryDirectory(prefix="rmcp-capture-") as folder:
        status = run_program(program, Path(folder))
        seen, processes = collect(Path(folder))
    said = _ended(status)
    if not seen:
        hint = (
            "none of its processes imported torch under our eyes (python -S, -I or -E keeps us out)"
            if not processes
            else "its models may be scripted, or it ended too early"
        )
        raise UserError(f"{program[0]} {said}; no convolution was seen: {hint}")
    doc = f"{len(seen)} distinct convolutions captured from: {' '.join(program)}"
    write_matrix(seen, args.name or matrix_name(str(args.out)), doc, args.out, force=args.force)
    if status:
        print(f"rmcp capture: {program[0]} {said}; the matrix holds what it did until then", file=sys.stderr)
    return 1 if status else 0


def run_program(program: Sequence[str], folder: Path, parent: Mapping[str, str] | None = None) -> int:
    """Run to the end with the recording armed; the return code as subprocess gives it (negative: a
    signal)."""
    site = folder / "site"
    records = folder / "records"
    site.mkdir()
    records.mkdir()
    text = _SITECUSTOMIZE.format(init=str(_TARGET / "__init__.py"), package=str(_TARGET), folder=str(records))
    (site / "sitecustomize.py").write_text(text, encoding="utf-8")
    env = dict(os.environ if parent is None else parent)
    env["PYTHONPATH"] = os.pathsep.join([str(site), *filter(None, [env.get("PYTHONPATH")])])
    # Compiled graphs call no torch function that could be seen: let the model run eagerly.
    env.update(TORCHDYNAMO_DISABLE="1", PYTORCH_JIT="0")
    # `timeout 10m rmcp capture ...` and batch systems end us by SIGTERM: what was seen until then is wanted.
    before = signal.signal(signal.SIGTERM, _stopped)
    try:
        process = subprocess.Popen(list(program), env=env)
        while True:
            try:
                return process.wait(timeout=_POLL_S)
            except subprocess.TimeoutExpired:
                continue
            except KeyboardInterrupt:
                return _stop(process)  # the terminal sent it to the program as well
            except _Stopped:
                process.terminate()
                return _stop(process)
    except OSError as error:
        raise UserError(f"cannot run {program[0]}: {error.strerror or error}{_hint(program[0])}") from error
    finally:
        signal.signal(signal.SIGTERM, before)


class _Stopped(Exception):
    """SIGTERM reached us."""


def _stopped(number: int, frame: object) -> None:
    raise _Stopped


def _hint(program: str) -> str:
    return f"; a script needs its interpreter: rmcp capture -- python {program}" if program.endswith(".py") else ""


def _check_writable(out: Path) -> None:
    folder = out.resolve().parent
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder} for {out.name}; make it, or choose another place with --out")
    if not os.access(out if out.exists() else folder, os.W_OK):
        raise UserError(f"cannot write {out}; choose another place with --out")


def _stop(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(timeout=_STOP_S)
    except (subprocess.TimeoutExpired, KeyboardInterrupt, _Stopped):
        process.kill()
        return process.wait(timeout=_STOP_S)


def collect(folder: Path) -> tuple[dict[Convolution, Sightings], int]:
    """(convolutions of all processes, number of processes that recorded). A process that died has no counts;
    then its first sights count once."""
    parts: list[dict[Convolution, Sightings]] = []
    files = sorted((folder / "records").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
    for path in files:
        part: dict[Convolution, Sightings] = {}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                record: dict[str, Any] = json.loads(line)
                one = catalogue.from_dict(record["conv"])
                if "seen" in record:
                    part[one] = Sightings.from_dict(record["seen"])
                elif record.get("backward"):
                    part[one].backward = 1
                else:
                    first = part.setdefault(one, Sightings(forward=1))
                    first.places.setdefault(str(record["place"]) or "a function", 1)
            except (ValueError, KeyError, TypeError, AttributeError):
                continue  # the last line of a process that was killed while it wrote
        parts.append(part)
    return catalogue.merge(parts), len(files)


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"died of {signal.Signals(-status).name}"
    except ValueError:
        return f"died of signal {-status}"
