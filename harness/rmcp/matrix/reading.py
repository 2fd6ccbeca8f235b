"""Typed reads from positioned nodes: every mistake is reported where it stands, and reading goes on."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rmcp.matrix.document import Patch
from rmcp.matrix.errors import Position, closest, did_you_mean
from rmcp.matrix.expressions import Expression, ExpressionError, compile_expression, misspelt
from rmcp.matrix.nodes import Entry, Node, Scalar, Sequence, Source, typed
from rmcp.matrix.nodes import Mapping as MapNode

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9._+-]{1,80}")
AXIS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,60}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?|\.[0-9]+)\s*(ms|s|m|min|h)?")
_UNITS = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_LONGEST_S = 7 * 86400.0  # a week: longer budgets are typing errors
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_RUNTIME_KEYS = ("python", "prefix", "image", "engine", "options")
_ENGINES = ("podman", "docker")
PATCH_KEYS = ("args", "env", "runtime", "timeout", "workload", "device", "seed", "threads")
TIMEOUT_KEYS = ("start", "case", "silent")


class Reader:
    """Reads one file. ``directory`` is what ``${matrix_dir}`` stands for and where relative paths start."""

    def __init__(self, source: Source, directory: Path) -> None:
        self.source, self.directory = source, directory
        self.misspelt: set[str] = set()  # keys that an unknown key of the last mapping was meant to be
        self.ever_misspelt: set[str] = set()

    def report(self, where: Node | Position, message: str, hint: str = "") -> None:
        """Remember a problem."""
        self.source.report(where, message, hint)

    def mapping(self, node: Node | None, what: str) -> list[Entry]:
        """Entries of a mapping; nothing counts as an empty one."""
        if node is None or (isinstance(node, Scalar) and node.empty):
            return []
        if isinstance(node, MapNode):
            return list(node)
        self.report(node, f"{what} must be a mapping (`key: value`)")
        return []

    def fields(self, node: Node | None, what: str, known: Collection[str]) -> dict[str, Node]:
        """Values by key of a mapping with fixed keys; unknown keys are reported."""
        found: dict[str, Node] = {}
        self.misspelt = set()
        for entry in self.mapping(node, what):
            key = entry.key.text
            if key in known:
                found[key] = entry.value
            else:
                self.report(entry.key, f"unknown key {key!r} in {what}", did_you_mean(key, known))
                self.misspelt.update(closest(key, known))
        self.ever_misspelt |= self.misspelt
        return found

    def lacks(self, found: Collection[str], *keys: str) -> bool:
        """Whether the mapping that ``fields`` read last has none of ``keys``, not even misspelt."""
        return not any(key in found or key in self.misspelt for key in keys)

    def items(self, node: Node | None, what: str) -> list[Node]:
        """Items of a list; nothing counts as an empty one."""
        if node is None or (isinstance(node, Scalar) and node.empty):
            return []
        if isinstance(node, Sequence):
            return node.items
        self.report(node, f"{what} must be a list")
        return []

    def text(self, node: Node | None, what: str, default: str = "") -> str:
        """A scalar as text."""
        if node is None:
            return default
        if isinstance(node, Scalar):
            return default if node.empty else node.text
        self.report(node, f"{what} must be a text")
        return default

    def texts(self, node: Node | None, what: str) -> list[Scalar]:
        """One text or a list of texts."""
        if isinstance(node, Scalar) and not node.empty:
            return [node]
        scalars = []
        for item in self.items(node, what):
            if isinstance(item, Scalar):
                scalars.append(item)
            else:
                self.report(item, f"{what} must be a text or a list of texts")
        return scalars

    def word(self, node: Node | None, what: str, known: Mapping[str, T], default: T) -> T:
        """One of some words."""
        if node is None:
            return default
        word = self.text(node, what)
        if word in known:
            return known[word]
        self.report(node, f"{word!r} is no {what}", did_you_mean(word, known))
        return default

    def whole(self, node: Node | None, what: str, low: int, high: int) -> int | None:
        """A whole number in a range."""
        if node is None:
            return None
        value = typed(node)
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        self.report(node, f"{what} must be a whole number from {low} to {high}")
        return None

    def seconds(self, node: Node, what: str) -> float | None:
        """A duration in seconds: ``120s``, ``2m``, ``500ms``, ``1h``; plain numbers are seconds."""
        text = self.text(node, what).strip()
        found = _DURATION.fullmatch(text)
        value = float(found[1]) * _UNITS[found[2]] if found else 0.0
        if 0 < value <= _LONGEST_S:
            return value
        self.report(node, f"{what} must be a time such as 90s, 2m or 500ms, at most 7 days; found {text!r}")
        return None

    def date(self, node: Node | None, what: str) -> datetime.date | None:
        """A day such as 2027-06-30."""
        if node is None:
            return None
        text = self.text(node, what)
        try:
            return datetime.date.fromisoformat(text)
        except ValueError:
            self.report(node, f"{what} must be a day such as 2027-06-30; found {text!r}")
            return None

    def expression(
        self,
        node: Node | None,
        what: str,
        names: Mapping[str, str],
        values: Mapping[str, Collection[str]] | None = None,
    ) -> Expression | None:
        """An expression; its mistakes are reported at their place inside the text.

        ``values`` are all values of some names: a word that equals none of them is a mistake too.
        """
        if node is None:
            return None
        if not isinstance(node, Scalar):
            self.report(node, f"{what} must be an expression such as `dtype == float16`")
            return None
        try:
            compiled = compile_expression(node.text, names)
        except ExpressionError as error:
            self._report_inside(node, what, error)
            return None
        for mistake in misspelt(compiled, values or {}, names):
            self._report_inside(node, what, mistake)
        return compiled

    def _report_inside(self, node: Scalar, what: str, error: ExpressionError) -> None:
        place, near = self.source.inside(node, error.offset)
        self.report(place, f"in {what}{near}: {error.message}", error.hint)

    def substituted(self, node: Node, value: Any) -> Any:
        """``${matrix_dir}`` replaced in every text of a value; another variable is a mistake."""
        if isinstance(value, str) and "${" in value:
            for found in _VARIABLE.finditer(value):
                if found[1] != "matrix_dir":
                    hint = "only ${matrix_dir} is replaced, so that a matrix means the same everywhere"
                    self.report(node, f"unknown variable {found[0]}", hint)
            return value.replace("${matrix_dir}", str(self.directory))
        if isinstance(value, list):
            return [self.substituted(node, item) for item in value]
        if isinstance(value, dict):
            return {key: self.substituted(node, item) for key, item in value.items()}
        return value

    def patch(self, node: Node | None, what: str, extra: Collection[str] = ()) -> tuple[Patch, dict[str, Node]]:
        """A patch, and the nodes of the ``extra`` keys that the mapping may also hold."""
        found = self.fields(node, what, (*PATCH_KEYS, *extra))
        meant = self.misspelt
        places: dict[str, Position] = {}
        place: Callable[[str, Node], None] = lambda name, at: places.__setitem__(name, self.source.at(at))  # noqa: E731
        args: dict[str, Any] = {}
        for entry in self.mapping(found.get("args"), "`args`"):
            args[entry.key.text] = self.substituted(entry.value, typed(entry.value))
            place("args." + entry.key.text, entry.key)
        env: dict[str, str | None] = {}
        for entry in self.mapping(found.get("env"), "`env`"):
            if not _ENV_NAME.fullmatch(entry.key.text):
                self.report(entry.key, f"{entry.key.text!r} is no name of an environment variable")
            empty = isinstance(entry.value, Scalar) and entry.value.empty
            text = self.substituted(entry.value, self.text(entry.value, f"`env.{entry.key.text}`"))
            env[entry.key.text] = None if empty else text
            place("env." + entry.key.text, entry.key)
        for key in PATCH_KEYS[2:]:
            if key in found:
                place(key, found[key])
        workload = found.get("workload")
        patch = Patch(
            args=args,
            env=env,
            runtime=self.runtime(found.get("runtime")),
            timeout=self._timeout(found.get("timeout")),
            workload=self.workload(workload) if workload is not None else None,
            device=self.text(found.get("device"), "`device`") or None,
            seed=self.whole(found.get("seed"), "`seed`", 0, 2**63 - 1),
            threads=self.whole(found.get("threads"), "`threads`", 1, 4096),
            places=places,
        )
        self.misspelt = meant  # of the patch itself, not of a mapping in it
        return patch, {key: value for key, value in found.items() if key in extra}

    def workload(self, node: Node) -> str:
        """``conv2d``, ``package.module:function``, or ``file.py:function`` made absolute."""
        text = self.text(node, "`workload`")
        path, colon, function = text.rpartition(":")
        if not colon:
            if not AXIS_NAME.fullmatch(text):
                hint = "write conv2d, package.module:function or path/to/file.py:function"
                self.report(node, f"{text!r} is no workload", hint)
            return text
        if not function.isidentifier():
            self.report(node, f"{function!r} is no name of a function")
        if not path.endswith(".py") and "/" not in path:
            return text
        path = str(self.substituted(node, path))
        full = (self.directory / path).resolve()
        if not full.is_file():
            self.report(node, f"there is no file {full}", f"relative paths start at {self.directory}")
        return f"{full}:{function}"

    def _timeout(self, node: Node | None) -> dict[str, float]:
        if node is None:
            return {}
        if isinstance(node, Scalar):
            nodes: dict[str, Node] = {"case": node}
        else:
            nodes = self.fields(node, "`timeout`", TIMEOUT_KEYS)
        read = {key: self.seconds(value, f"`timeout.{key}`") for key, value in nodes.items()}
        return {key: value for key, value in read.items() if value is not None}

    def runtime(self, node: Node | None) -> dict[str, Any]:
        """The given fields of a RuntimeSpec."""
        found = self.fields(node, "`runtime`", _RUNTIME_KEYS)
        spec: dict[str, Any] = {}
        for key in ("python", "prefix", "image", "engine"):
            if key in found:
                spec[key] = self.substituted(found[key], self.text(found[key], f"`runtime.{key}`"))
                if key in ("python", "prefix") and "/" in spec[key] and not spec[key].startswith("~"):
                    # Not resolve(): a venv's python is a link, and following it would leave the venv.
                    spec[key] = str(self.directory / spec[key])
        if "options" in found:
            options = self.texts(found["options"], "`runtime.options`")
            spec["options"] = tuple(str(self.substituted(option, option.text)) for option in options)
        if "engine" in spec and spec["engine"] not in _ENGINES:
            self.report(found["engine"], f"unknown engine {spec['engine']!r}", "known here: " + ", ".join(_ENGINES))
        if node is not None and "image" in spec and ("prefix" in spec):
            self.report(node, "a runtime is either a container image or a prefix, not both")
        if "engine" in spec and "image" not in spec:
            self.report(found["engine"], "an engine needs an image to run")
        return spec
