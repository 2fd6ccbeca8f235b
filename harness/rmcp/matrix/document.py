"""The values of a matrix file after reading: axes, patches and rules, each with its place in the file."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rmcp.matrix.errors import Position
from rmcp.matrix.expressions import Expression
from rmcp.words import Cause, Outcome

MATRIX_FORMAT = "1"  # the `rmcp:` key of the file
DEFAULT_PROFILE = "default"  # what runs when nobody names a profile
EXPECT_SUFFIX = ".expect.yaml"
DEFAULT_LIMIT = 20_000  # cases; more than a day's run is nearly always a forgotten `reduce`


@dataclass(frozen=True, slots=True)
class Patch:
    """What an axis value, `defaults` or a `set` rule changes in a case. None and {}: nothing.

    ``runtime`` holds the given fields of RuntimeSpec; ``timeout`` seconds by name of the budget; ``places``
    where each thing stands, under names such as ``args.h``, ``env.LD_PRELOAD``, ``runtime``, ``seed``.
    """

    args: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str | None] = field(default_factory=dict)
    runtime: Mapping[str, Any] = field(default_factory=dict)
    timeout: Mapping[str, float] = field(default_factory=dict)
    workload: str | None = None
    device: str | None = None
    seed: int | None = None
    threads: int | None = None
    places: Mapping[str, Position] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Value:
    """One named value of an axis."""

    name: str
    patch: Patch
    position: Position
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """``type`` is `text`, `number` or `version`; ``compare`` axes are report columns, never reduced."""

    name: str
    values: tuple[Value, ...]
    position: Position
    compare: bool = False
    type: str = "text"
    default: str | None = None
    doc: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The values' names, in file order."""
        return tuple(value.name for value in self.values)


@dataclass(frozen=True, slots=True)
class Condition:
    """Which cases a rule is for: per axis the matched value names, and an expression; both must hold."""

    match: Mapping[str, frozenset[str]] = field(default_factory=dict)
    where: Expression | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Exclude:
    """Cases that do not exist."""

    when: Condition
    reason: str
    position: Position


@dataclass(frozen=True, slots=True)
class Reduce:
    """A covering array of ``strength`` over the axes that are not compared. ``lock`` keeps its rows."""

    strength: int
    lock: Path | None
    position: Position


@dataclass(frozen=True, slots=True)
class Addition:
    """Cases put in by hand: value names per axis; axes that are left out follow the rule in expand.py."""

    values: Mapping[str, tuple[str, ...]]
    why: str
    position: Position


@dataclass(frozen=True, slots=True)
class Setting:
    """A patch for some of the cases."""

    when: Condition
    patch: Patch
    position: Position


@dataclass(frozen=True, slots=True)
class Requirement:
    """Judged on the machine: where ``when`` holds, ``needs`` must hold too, else `unsupported`."""

    when: Condition
    needs: Expression
    reason: str
    position: Position


@dataclass(frozen=True, slots=True)
class Expectation:
    """A known failure. Empty ``causes``, ``signals``, ``signatures``: any; the last two are patterns."""

    where: Expression | None
    outcomes: tuple[Outcome, ...]
    reason: str
    position: Position
    causes: tuple[Cause, ...] = ()
    signals: tuple[str, ...] = ()
    signatures: tuple[str, ...] = ()
    bug: str = ""
    until: datetime.date | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """A named way to run the matrix. ``reduce`` counts only when ``changes_reduce``; None then means none."""

    name: str
    position: Position
    select: Expression | None = None
    changes_reduce: bool = False
    reduce: Reduce | None = None
    set: tuple[Setting, ...] = ()
    limit: int | None = None
    doc: str = ""


@dataclass(frozen=True)
class Matrix:
    """One matrix file. ``text`` is the file's own text, ``directory`` where its relative paths start.

    ``names`` are the names that its expressions may use, with their types (see expressions.py). ``runtimes`` are
    the values that the command line added to its axes (see given.py).
    """

    name: str
    path: Path
    directory: Path
    text: str
    digest: str
    defaults: Patch
    axes: tuple[Axis, ...]
    doc: str = ""
    exclude: tuple[Exclude, ...] = ()
    reduce: Reduce | None = None
    add: tuple[Addition, ...] = ()
    set: tuple[Setting, ...] = ()
    requires: tuple[Requirement, ...] = ()
    expect: tuple[Expectation, ...] = ()
    profiles: Mapping[str, Profile] = field(default_factory=dict)
    limit: int = DEFAULT_LIMIT
    names: Mapping[str, str] = field(default_factory=dict)
    runtimes: tuple[str, ...] = ()

    @property
    def expect_path(self) -> Path:
        """Where the matrix's expectations of their own file are, whether or not there is one."""
        return self.path.with_name(self.path.name.removesuffix(".yaml").removesuffix(".yml") + EXPECT_SUFFIX)

    @property
    def compare_axes(self) -> tuple[str, ...]:
        """Names of the axes whose values reports set side by side."""
        return tuple(axis.name for axis in self.axes if axis.compare)

    @property
    def axis_types(self) -> Mapping[str, str]:
        """Declared or inferred type per axis."""
        return {axis.name: axis.type for axis in self.axes}
