"""Can this runtime be started here at all? Asked once per runtime, before its first case, so that a wrong
path is one clear reason on its cases instead of a riddle."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from rmcp.matrix.model import RuntimeSpec
from rmcp.runtimes.argv import interpreter

_ENGINE_S = 20.0  # `podman image exists` takes 0.1 s; a cold store on a slow disk has been seen to take seconds


def why_not(runtime: RuntimeSpec) -> str | None:
    """None when the runtime is there, else one sentence that says what is missing and what to do."""
    if runtime.image is not None:
        return _no_image(runtime)
    path = interpreter(runtime)
    if os.sep in path:
        if not os.path.exists(path):
            return f"there is no interpreter {path}"
        if not os.access(path, os.X_OK):
            return f"{path} is not executable"
    elif shutil.which(path) is None:
        return f"no program {path} on PATH"
    if runtime.prefix is not None and not Path(runtime.prefix).expanduser().is_dir():
        return f"there is no folder {runtime.prefix} (the `prefix` of runtime {runtime.name})"
    return None


def _no_image(runtime: RuntimeSpec) -> str | None:
    engine = runtime.engine or "podman"
    if shutil.which(engine) is None:
        return f"{engine} is not installed (runtime {runtime.name} is the image {runtime.image})"
    if any(option.split("=", 1)[0] == "--pull" for option in runtime.options):
        return None
    try:
        done = subprocess.run(
            [engine, "image", "inspect", "--format", "{{.Id}}", str(runtime.image)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_ENGINE_S,
        )
    except subprocess.TimeoutExpired:
        return f"{engine} did not answer within {_ENGINE_S:.0f} s"
    except OSError as error:
        return f"{engine} cannot be started: {error}"
    if done.returncode:
        said = done.stderr.strip().splitlines()
        return (
            f"the image {runtime.image} is not here ({said[-1] if said else 'no message'}); "
            f"get it with `{engine} pull {runtime.image}`"
        )
    return None
