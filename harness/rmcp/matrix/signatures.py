"""Which arguments a workload takes, read from its source without importing it (so without torch)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rmcp.matrix.document import Matrix, Patch
from rmcp.matrix.errors import did_you_mean
from rmcp.matrix.reading import Reader


@dataclass(frozen=True, slots=True)
class Signature:
    """Arguments besides the context. ``any`` when the function takes ``**kwargs``."""

    names: tuple[str, ...]
    required: tuple[str, ...]
    any: bool


def builtin_workloads() -> tuple[str, ...]:
    """Names of the built-in workloads."""
    from rmcp_torch.workloads import registry

    return registry.builtin_names()


def read_signature(path: Path, function: str) -> Signature | str | None:
    """Signature of a function of a file; a hint when the file surely has none of that name.

    None when that cannot be told without running it: newer Python, decorated, imported, assigned.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text, str(path))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = functions.get(function)
    if found is not None:
        return None if found.decorator_list else _signature(found.args)
    if re.search(rf"\b{re.escape(function)}\b|import\s*\*|__getattr__", text):
        return None
    return did_you_mean(function, [name for name in functions if not name.startswith("_")])


def _signature(given: ast.arguments) -> Signature:
    positional = [argument.arg for argument in (*given.posonlyargs, *given.args)]
    without_default = positional[: len(positional) - len(given.defaults)]
    keywords = [argument.arg for argument in given.kwonlyargs]
    required = [name for name, value in zip(keywords, given.kw_defaults, strict=True) if value is None]
    return Signature(tuple(positional[1:] + keywords), tuple(without_default[1:] + required), given.kwarg is not None)


def check_arguments(reader: Reader, matrix: Matrix) -> None:
    """Report workloads that do not exist and arguments that no workload of the matrix takes."""
    patches = list(_patches(matrix))
    signatures: list[Signature | None] = []
    for patch in patches:
        if patch.workload is not None:
            signatures.append(_of(reader, patch, patch.workload))
    known = [signature for signature in signatures if signature is not None]
    if not known or len(known) < len(signatures) or any(signature.any for signature in known):
        return
    names = dict.fromkeys(name for signature in known for name in signature.names)
    what = " or ".join(sorted({Path(patch.workload or "").name for patch in patches if patch.workload}))
    for patch in patches:
        for name in patch.args:
            if name not in names:
                reader.report(
                    patch.places["args." + name],
                    f"{what} takes no argument {name!r}",
                    did_you_mean(name, names) or f"it takes {', '.join(names) or 'none'}",
                )
    given = {name for patch in patches for name in patch.args}
    for signature in known:
        missing = [name for name in signature.required if name not in given]
        if missing and len(known) == 1:
            at = next(patch.places["workload"] for patch in patches if patch.workload is not None)
            reader.report(at, f"{what} needs the argument {missing[0]!r}", "give it in `args` or as an axis")


def _patches(matrix: Matrix) -> Iterable[Patch]:
    yield matrix.defaults
    for axis in matrix.axes:
        for value in axis.values:
            yield value.patch
    for setting in (*matrix.set, *(rule for profile in matrix.profiles.values() for rule in profile.set)):
        yield setting.patch


def _of(reader: Reader, patch: Patch, workload: str) -> Signature | None:
    place, colon, function = workload.rpartition(":")
    if not colon:
        builtin = builtin_workloads()
        if workload not in builtin:
            hint = did_you_mean(workload, builtin)
            reader.report(patch.places["workload"], f"there is no built-in workload {workload!r}", hint)
            return None
        from rmcp_torch.workloads import registry

        place, function = str(Path(registry.__file__).with_name(workload + ".py")), "run"
    elif not place.endswith(".py"):
        return None
    found = read_signature(Path(place), function)
    if isinstance(found, str):
        reader.report(patch.places["workload"], f"{place} has no function {function!r}", found)
        return None
    return found
