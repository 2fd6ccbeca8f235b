"""YAML text -> a tree of nodes that know where they stand. Every scalar is text here.

The tree is built from the events of PyYAML's C parser (its pure Python one where that is not compiled in),
without recursion and with bounds, so that no input can exhaust the stack or the memory: an alias counts with
the size of what it stands for, an alias to a node that is still open is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rmcp.matrix.errors import MatrixError, Position, Problem
from rmcp.matrix.versions import parse_number

_LARGEST = 32 * 2**20  # characters; a captured matrix of 100,000 shapes has about 10 million
_DEEPEST = 50  # levels; a matrix needs seven
_MOST_NODES = 3_000_000  # nodes with aliases written out

_TOO_DEEP = f"nested deeper than {_DEEPEST} levels"

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Node:
    """A place in the file and what stands there.

    ``weight`` is the number of nodes and ``height`` the number of levels, with aliases written out.
    """

    line: int  # from 1
    column: int  # from 1
    weight: int = 1
    height: int = 1


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """``text`` as written; ``plain`` when it had no quotes, so that `args` may type it."""

    text: str = ""
    plain: bool = True

    @property
    def empty(self) -> bool:
        """Nothing, ``~`` or ``null``."""
        return self.plain and self.text in ("", "~", "null")


@dataclass(slots=True, eq=False)
class Sequence(Node):
    """A list."""

    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Entry:
    """One ``key: value`` of a mapping."""

    key: Scalar
    value: Node


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """Entries by key text, in file order; merge keys (``<<``) are already folded in, own keys first."""

    entries: dict[str, Entry] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries.values())

    def get(self, key: str) -> Node | None:
        """The value of a key, or None."""
        entry = self.entries.get(key)
        return None if entry is None else entry.value


class Source:
    """The text of one file, and the problems found in it so far."""

    def __init__(self, text: str, origin: str) -> None:
        self.text, self.origin = text, origin
        self._lines: list[str] | None = None
        self.problems: list[Problem] = []

    def position(self, line: int, column: int = 1) -> Position:
        """A place in this file."""
        return Position(self.origin, line, column)

    def at(self, node: Node) -> Position:
        """Where a node begins."""
        return Position(self.origin, node.line, node.column)

    def inside(self, node: Scalar, offset: int) -> tuple[Position, str]:
        """The place of a character of a scalar's text, and "" or, where escapes or line breaks hide that
        place, the scalar's beginning and the text near the character."""
        column = node.column + offset + (not node.plain)
        line = self._line(node.line)
        written = line[node.column - 1 + (not node.plain) :]
        if written.startswith(node.text[: offset + 1]):
            return Position(self.origin, node.line, column), ""
        near = node.text[offset : offset + 24].strip()
        return self.at(node), f" near {near!r}" if near else " at its end"

    def problem(self, position: Position, message: str, hint: str = "") -> Problem:
        """Make a problem with its source line."""
        return Problem(position, message, self._line(position.line), hint)

    def _line(self, number: int) -> str:
        if self._lines is None:
            # Only what YAML takes for a line end: str.splitlines() would also split at form feeds.
            self._lines = re.split("\r\n|[\r\n\u0085\u2028\u2029]", self.text)
        return self._lines[number - 1] if 0 < number <= len(self._lines) else ""

    def report(self, where: Node | Position, message: str, hint: str = "") -> None:
        """Remember a problem and go on, so that all of them can be told at once."""
        position = where if isinstance(where, Position) else self.at(where)
        self.problems.append(self.problem(position, message, hint))

    def stop(self) -> None:
        """Raise MatrixError when there was any problem."""
        if self.problems:
            raise MatrixError(self.problems)


@dataclass(slots=True)
class _Open:
    node: Sequence | Mapping
    key: Scalar | None = None
    bad_key: bool = False
    merges: list[Node] = field(default_factory=list)
    anchor: str | None = None


def compose(source: Source) -> Node | None:
    """The root node of the only document, None when the file is empty. Problems go to ``source``."""
    if len(source.text) > _LARGEST:
        source.report(source.position(1), f"the file is larger than {_LARGEST // 2**20} MiB")
        return None
    try:
        source.text.encode("utf-8")
        loader = _LOADER(source.text)
    except (yaml.YAMLError, UnicodeError) as error:
        source.report(*_readable(source, error))
        return None
    try:
        return _Composer(source, loader).document()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        source.report(*_readable(source, error))
        return None
    finally:
        loader.dispose()


def _readable(source: Source, error: Exception) -> tuple[Position, str]:
    if isinstance(error, yaml.MarkedYAMLError):
        marks: list[Any] = [error.problem_mark, error.context_mark]
        mark = next((m for m in marks if m is not None), None)
        message = ", ".join(part for part in (error.problem, error.context) if part)
        line, column = (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)
        if "nesting depth" in message:  # newer parsers stop by themselves, far deeper, before we see any event
            return source.position(line, column), _TOO_DEEP
        hint = " (indent with spaces)" if "\\t" in message else ""
        return source.position(line, column), f"not valid YAML: {message}{hint}"
    offset = getattr(error, "position", getattr(error, "start", 0))
    reason = getattr(error, "reason", "") or "unreadable text"
    before = source.text[: offset if isinstance(offset, int) else 0]
    return (
        source.position(before.count("\n") + 1, len(before) - before.rfind("\n")),
        f"not valid YAML: {reason}",
    )


def _place(event: Any) -> tuple[int, int]:
    """Line and column of an event, from 1."""
    return event.start_mark.line + 1, event.start_mark.column + 1


class _Composer:
    def __init__(self, source: Source, loader: Any) -> None:
        self.source, self.loader = source, loader
        self.stack: list[_Open] = []
        self.anchors: dict[str, Node] = {}
        self.open_anchors: set[str] = set()
        self.root: Node | None = None
        self.total = 0

    def document(self) -> Node | None:
        documents = 0
        while self.loader.check_event():
            event = self.loader.get_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                if event.tag is not None:
                    self._tag(event, "tag:yaml.org,2002:str")
                scalar = Scalar(*_place(event), text=event.value, plain=event.style in (None, ""))
                if event.anchor is not None:
                    self.anchors[event.anchor] = scalar
                self._add(scalar)
                continue
            if kind is yaml.DocumentStartEvent:
                documents += 1
                if documents > 1:
                    self._report(event, "a second document begins here", "a matrix is one YAML document")
                    break
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind in (yaml.SequenceStartEvent, yaml.MappingStartEvent):
                self._begin(event)
            elif kind in (yaml.SequenceEndEvent, yaml.MappingEndEvent):
                self._end()
            # Not asked after every scalar: those are bounded by the size of the file.
            if self.total > _MOST_NODES:
                message = f"more than {_MOST_NODES:,} values, aliases counted"
                self._report(event, message, "is this an alias bomb?")
                return None
            if len(self.stack) > _DEEPEST or (self.stack and self.stack[-1].node.height > _DEEPEST):
                self._report(event, _TOO_DEEP)
                return None
        return self.root

    def _report(self, event: Any, message: str, hint: str = "") -> None:
        self.source.report(self.source.position(*_place(event)), message, hint)

    def _tag(self, event: Any, plain_tag: str) -> None:
        if event.tag not in (None, "!", plain_tag):
            self._report(event, f"the tag {event.tag} is not understood", "a matrix needs no tags: leave it out")

    def _alias(self, event: Any) -> None:
        if event.anchor in self.open_anchors:
            self._report(event, f"*{event.anchor} stands inside itself")
            self._add(Scalar(*_place(event)))
        elif event.anchor not in self.anchors:
            self._report(event, f"nothing is anchored as &{event.anchor} before this")
            self._add(Scalar(*_place(event)))
        else:
            self._add(self.anchors[event.anchor])

    def _begin(self, event: Any) -> None:
        is_map = isinstance(event, yaml.MappingStartEvent)
        self._tag(event, "tag:yaml.org,2002:" + ("map" if is_map else "seq"))
        node = Mapping(*_place(event)) if is_map else Sequence(*_place(event))
        self.stack.append(_Open(node, anchor=event.anchor))
        if event.anchor is not None:
            self.open_anchors.add(event.anchor)

    def _end(self) -> None:
        top = self.stack.pop()
        if isinstance(top.node, Mapping):
            for other in top.merges:
                self._merge(top.node, other)
        if top.anchor is not None:
            self.open_anchors.discard(top.anchor)
            self.anchors[top.anchor] = top.node
        self.total -= top.node.weight - 1  # its children were counted when they were added; keep one for itself
        self._add(top.node)

    def _merge(self, into: Mapping, other: Node) -> None:
        if isinstance(other, Sequence):
            for item in other.items:
                self._merge(into, item) if isinstance(item, Mapping) else self._no_merge(item)
        elif isinstance(other, Mapping):
            for entry in other:
                into.entries.setdefault(entry.key.text, entry)
        else:
            self._no_merge(other)

    def _no_merge(self, node: Node) -> None:
        self.source.report(node, "`<<` takes a mapping or a list of mappings")

    def _add(self, node: Node) -> None:
        self.total += node.weight
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        top.node.weight += node.weight
        top.node.height = max(top.node.height, node.height + 1)
        if isinstance(top.node, Sequence):
            top.node.items.append(node)
        elif top.key is None and not top.bad_key:
            top.key, top.bad_key = (node, False) if isinstance(node, Scalar) else (None, True)
            if top.bad_key:
                self.source.report(node, "a key must be a text")
        else:
            key, top.key, top.bad_key = top.key, None, False
            if key is None:
                return
            if key.plain and key.text == "<<":
                top.merges.append(node)
            elif key.text in top.node.entries:
                first = top.node.entries[key.text].key
                self.source.report(
                    key, f"{key.text!r} is here twice", f"first at line {first.line}, column {first.column}"
                )
            else:
                top.node.entries[key.text] = Entry(key, node)


_INTEGER = re.compile(r"[-+]?[0-9]{1,400}")
_OTHER_BASE = re.compile(r"0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_INFINITE = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


def typed(node: Node) -> Any:
    """The value under `args`: plain scalars by the YAML 1.2 core schema, quoted ones are text."""
    if isinstance(node, Sequence):
        return [typed(item) for item in node.items]
    if isinstance(node, Mapping):
        return {entry.key.text: typed(entry.value) for entry in node}
    if not isinstance(node, Scalar) or not node.plain:
        return getattr(node, "text", None)
    text = node.text
    if text in _WORDS or (text.lower() in _WORDS and text in (text.upper(), text.capitalize())):
        return _WORDS[text.lower()]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _OTHER_BASE.fullmatch(text):
        return int(text, 0)
    if text.lower() in _INFINITE and text[-3:] in (
        text[-3:].lower(),
        text[-3:].upper(),
        text[-3:].capitalize(),
    ):
        return float(_INFINITE[text.lower()])
    number = parse_number(text)
    return text if number is None else number
