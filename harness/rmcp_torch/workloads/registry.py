"""Finds the function behind `workload:`: a built-in name, a function of a module, or a function of a file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from typing import Any, Callable, Tuple

# Built-in workloads that do not need torch at all: the zygote may then skip importing it.
TORCH_FREE = frozenset({"faults", "noop"})

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


class WorkloadError(Exception):
    """The workload that the matrix names cannot be found or is not callable."""


def builtin_names() -> Tuple[str, ...]:
    """Names that a matrix may use without a colon; every module here that is public and has `run`."""
    folder = os.path.dirname(os.path.abspath(__file__))
    helpers = {"registry", "numerics", "fingerprints", "reference", "measure", "__init__"}
    found = (name[:-3] for name in os.listdir(folder) if name.endswith(".py"))
    return tuple(sorted(name for name in found if name not in helpers and not name.startswith("_")))


def resolve(spec: str) -> Callable[..., Any]:
    """The callable ``run(ctx, **args)`` behind ``spec``; imports its module. Raises WorkloadError.

    ``spec`` is a built-in name (`conv2d`), `package.module:function` or `/abs/path/file.py:function`.
    """
    place, _, function = spec.rpartition(":")
    if not place:
        known = "rmcp_torch.workloads." + spec
        # A child finds what the zygote imported; listing the folder again would cost it half a millisecond.
        if known not in sys.modules and (not _NAME.match(spec) or spec not in builtin_names()):
            raise WorkloadError(
                "there is no built-in workload %r; known: %s. Others are written package.module:function"
                " or path/to/file.py:function" % (spec, ", ".join(builtin_names()))
            )
        module, function = sys.modules.get(known) or importlib.import_module(known), "run"
    elif place.endswith(".py") or os.sep in place:
        module = _load_file(place)
    else:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not (place + ".").startswith(error.name + "."):
                raise
            text = "workload %r: no module %r on sys.path of %s" % (spec, error.name, sys.executable)
            raise WorkloadError(text) from None
    found = getattr(module, function, None)
    if not callable(found):
        raise WorkloadError("workload %r: %s has no function %r" % (spec, place or spec, function))
    return found


def warm(spec: str) -> None:
    """Import what ``spec`` will need, computing nothing, so that forked children find it ready.

    A workload of a user's file or module is left to the child: its import may touch the device.
    """
    if ":" not in spec:
        function = resolve(spec)
        for name in getattr(sys.modules[function.__module__], "WARM", ()):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                pass  # an older torch without it: nothing to warm


def _load_file(path: str) -> Any:
    path = os.path.abspath(path)
    if not os.path.isfile(path):
        raise WorkloadError("workload file %s does not exist" % path)
    name = "rmcp_workload_" + hashlib.sha256(path.encode()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise WorkloadError("workload file %s cannot be loaded as Python" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
