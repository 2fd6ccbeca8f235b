"""A matrix file -> Matrix, or MatrixError with every mistake in it at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.axes import check_clashes, read_axes
from rmcp.matrix.document import DEFAULT_LIMIT, EXPECT_SUFFIX, MATRIX_FORMAT, Matrix, Patch, Profile, Reduce
from rmcp.matrix.errors import MatrixError
from rmcp.matrix.facts import known_names
from rmcp.matrix.given import Given, given_runtime, with_runtimes
from rmcp.matrix.nodes import Mapping as MapNode
from rmcp.matrix.nodes import Node, Scalar, Source, compose
from rmcp.matrix.reading import NAME, Reader
from rmcp.matrix.rules import RuleReader
from rmcp.matrix.signatures import check_arguments

TOP_KEYS = (
    "rmcp",
    "name",
    "doc",
    "defaults",
    "axes",
    "exclude",
    "reduce",
    "add",
    "set",
    "requires",
    "expect",
    "profiles",
    "limits",
)
PROFILE_KEYS = ("doc", "select", "reduce", "set", "limits")
_MOST_CASES = 5_000_000  # an upper bound for `limits.cases`: the plan is kept in memory, about 1.5 kB a case


def load_matrix(path: Path, runtimes: Iterable[str] = ()) -> Matrix:
    """Read a matrix file, and the expectations beside it (``<name>.expect.yaml``) when there are any.

    ``runtimes`` are further values of its runtime axis as ``--rmcp-runtime`` takes them (see given.py).
    Raises MatrixError with all mistakes, UserError when the file cannot be read.
    """
    return _load(Source(read_text(path), str(path)), _expect_file(path), runtimes)


def load_text(text: str, origin: str, beside: bool = False, runtimes: Iterable[str] = ()) -> Matrix:
    """The same for a text; ``origin`` is its name in messages, and its folder where relative paths start.

    With ``beside`` the expectations beside ``origin`` are read too.
    """
    return _load(Source(text, origin), _expect_file(Path(origin)) if beside else None, runtimes)


def load_recorded(recorded: Mapping[str, Any], fallback: str, beside: bool = False) -> Matrix:
    """The matrix as a run recorded it (``matrix`` of its manifest: text, path, runtimes given on the command
    line), as when it is resumed. ``fallback`` is the origin when no path was recorded. Raises like load_text."""
    runtimes = tuple(str(each) for each in recorded.get("runtimes") or ())
    return load_text(str(recorded["text"]), str(recorded.get("path") or fallback), beside, runtimes)


def _expect_file(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".yaml").removesuffix(".yml") + EXPECT_SUFFIX)


def read_text(path: Path) -> str:
    """The text of a YAML file; raises UserError when it cannot be read or is not UTF-8."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        source = Source(data[: error.start].decode("utf-8-sig", "replace"), str(path))
        line = source.text.count("\n") + 1
        at = source.position(line, len(source.text) - source.text.rfind("\n"))
        raise MatrixError([source.problem(at, f"byte {data[error.start]:#04x} is not UTF-8")]) from None


def _load(source: Source, beside: Path | None, runtimes: Iterable[str]) -> Matrix:
    root = compose(source)
    if root is None:
        source.stop()
    if not isinstance(root, MapNode):
        what = "the file is empty" if root is None else "a matrix is a mapping"
        hint = "it begins with `rmcp: 1`, then `name`, `axes` and rules"
        raise MatrixError([source.problem(source.position(1) if root is None else source.at(root), what, hint)])
    origin = Path(source.origin)
    directory = (origin.parent if origin.parent.is_dir() else Path()).resolve()
    reader = Reader(source, directory)
    given = [given_runtime(text, Path.cwd()) for text in runtimes]
    matrix = _document(reader, root, origin, given)
    if beside is not None and beside.is_file():
        matrix = _with_expectations(matrix, beside, source)
    source.stop()
    return matrix


def _document(reader: Reader, root: MapNode, origin: Path, given: Sequence[Given]) -> Matrix:
    found = reader.fields(root, "the matrix", TOP_KEYS)
    if reader.lacks(found, "axes"):
        hint = "a matrix varies something: `axes: {dtype: [float32]}`"
        reader.report(root, "the key `axes` is missing", hint)
    _format(reader, root, found)
    name = reader.text(found.get("name"), "`name`") or origin.name.removesuffix(".yaml").removesuffix(".yml")
    if not NAME.fullmatch(name):
        at = found.get("name", root)
        reader.report(at, f"the name {name!r} holds more than letters, digits and . _ + -", "it begins every id")
    defaults, _ = reader.patch(found.get("defaults"), "`defaults`")
    axes = with_runtimes(read_axes(reader, found.get("axes")), given)
    check_clashes(reader, axes)
    patches: list[Patch] = [defaults, *(value.patch for axis in axes for value in axis.values)]
    rules = RuleReader(reader, axes, {})
    settings_seen = rules.setting_patches(found.get("set"), found.get("profiles"))
    args = {arg for patch in (*patches, *settings_seen) for arg in patch.args}
    names = known_names({axis.name: axis.type for axis in axes}, args)
    rules = RuleReader(reader, axes, names)
    settings = rules.settings(found.get("set"))
    limit = _limit(reader, found.get("limits"))
    reduce = rules.reduce(found.get("reduce"))
    matrix = Matrix(
        name=name,
        path=origin,
        directory=reader.directory,
        text=reader.source.text,
        digest=hashlib.sha256(reader.source.text.encode("utf-8", "surrogatepass")).hexdigest(),
        defaults=defaults,
        axes=axes,
        doc=reader.text(found.get("doc"), "`doc`"),
        exclude=rules.excludes(found.get("exclude")),
        reduce=reduce,
        add=rules.additions(found.get("add")),
        set=settings,
        requires=rules.requirements(found.get("requires")),
        expect=rules.expectations(found.get("expect")),
        profiles=_profiles(reader, rules, found.get("profiles"), reduce),
        limit=DEFAULT_LIMIT if limit is None else limit,
        names=names,
        runtimes=tuple(each.text for each in given),
    )
    has_workload = any(patch.workload for patch in (*patches, *settings_seen))
    if not has_workload and not {"workload", "defaults"} & reader.ever_misspelt:
        hint = "write for example `defaults: {workload: conv2d}`"
        reader.report(found.get("defaults", root), "no workload is given", hint)
    check_arguments(reader, matrix)
    return matrix


def _format(reader: Reader, root: MapNode, found: dict[str, Node]) -> None:
    node = found.get("rmcp")
    if node is None:
        if reader.lacks(found, "rmcp"):
            reader.report(root, "the key `rmcp` is missing", "write `rmcp: 1` as the first line")
    elif not isinstance(node, Scalar) or node.text != MATRIX_FORMAT:
        text = node.text if isinstance(node, Scalar) else "something else"
        reader.report(node, f"this rmcp reads matrix format {MATRIX_FORMAT}, found {text!r}", "update rmcp?")


def _limit(reader: Reader, node: Node | None) -> int | None:
    return reader.whole(reader.fields(node, "`limits`", ("cases",)).get("cases"), "`limits.cases`", 1, _MOST_CASES)


def _profiles(reader: Reader, rules: RuleReader, node: Node | None, base: Reduce | None) -> dict[str, Profile]:
    profiles: dict[str, Profile] = {}
    for entry in reader.mapping(node, "`profiles`"):
        name = entry.key.text
        what = f"profile {name!r}"
        if not NAME.fullmatch(name):
            reader.report(entry.key, f"the name {name!r} holds more than letters, digits and . _ + -")
        found = reader.fields(entry.value, what, PROFILE_KEYS)
        profiles[name] = Profile(
            name=name,
            position=reader.source.at(entry.key),
            select=reader.expression(found.get("select"), "`select`", rules.names, rules.values),
            changes_reduce="reduce" in found,
            reduce=rules.reduce(found.get("reduce"), base),
            set=rules.settings(found.get("set")),
            limit=_limit(reader, found.get("limits")),
            doc=reader.text(found.get("doc"), "`doc`"),
        )
    return profiles


def _with_expectations(matrix: Matrix, beside: Path, source: Source) -> Matrix:
    import dataclasses

    other = Source(read_text(beside), str(beside))
    root = compose(other)
    rules = RuleReader(Reader(other, matrix.directory), matrix.axes, matrix.names)
    more = rules.expectation_file(root)
    source.problems.extend(other.problems)
    return dataclasses.replace(matrix, expect=(*matrix.expect, *more))
