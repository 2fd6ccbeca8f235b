"""Edits the `expect` section of a YAML file as text: rules that stay keep every byte, comments and all.

Only rules that change or are new go through ruamel.yaml, which keeps their comments and quotes; so does the
whole section where it is not written as one rule a line (``expect: [{...}, {...}]``).
"""

from __future__ import annotations

import datetime
import functools
import io
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.document import MATRIX_FORMAT
from rmcp.matrix.errors import Position
from rmcp.matrix.nodes import Mapping as MapNode
from rmcp.matrix.nodes import Node, Source, compose
from rmcp.matrix.nodes import Sequence as SeqNode

_WIDE = 4096  # characters a line: do not fold what the user wrote on one line


@dataclass(frozen=True)
class Edit:
    """Rules are named by their position in the file. ``also`` maps one to a condition that is joined to its
    own, ``until`` to its new last day (ISO). ``added`` are new rules, as mappings in the order of their keys.
    """

    dropped: Collection[Position] = ()
    also: Mapping[Position, str] | None = None
    until: Mapping[Position, str] | None = None
    added: Sequence[Mapping[str, Any]] = ()


def edited(text: str, origin: str, edit: Edit) -> str:
    """The text with its `expect` section changed. Raises UserError without ruamel.yaml or for a file that
    cannot be edited."""
    yaml = _ruamel()
    source = Source(text, origin)
    root = compose(source)
    if root is None and not source.problems:
        head = text if not text or text.endswith("\n") else text + "\n"
        return f"{head}rmcp: {MATRIX_FORMAT}\nexpect:\n" + _new_rules(yaml, edit.added, 2)
    source.stop()
    if not isinstance(root, MapNode):
        raise UserError(f"{origin} is no matrix and no expectations file")
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    entry = root.entries.get("expect")
    if root.column != 1 or text.lstrip().startswith("{"):
        return _whole(yaml, text, entry.value if entry else None, source, edit)
    if entry is None:
        return "".join([*lines, "expect:\n", _new_rules(yaml, edit.added, 2)]) if edit.added else text
    start = entry.key.line
    end = min((other.key.line for other in root if other.key.line > start), default=len(lines) + 1)
    while end > start + 1 and _belongs_to_next(lines[end - 2]):
        end -= 1
    items = entry.value.items if isinstance(entry.value, SeqNode) else []
    if items and all(lines[item.line - 1][: item.column - 1].strip() == "-" for item in items):
        middle = _by_line(yaml, lines, items, end, source, edit)
        return "".join([*lines[: items[0].line - 1], middle, *lines[end - 1 :]])
    section = "".join(lines[start - 1 : end - 1])
    shifted = {item.line: item for item in items}
    changed = _whole(yaml, section, entry.value if shifted else None, source, edit)
    return "".join([*lines[: start - 1], changed, *lines[end - 1 :]])


def _belongs_to_next(line: str) -> bool:
    """Blank lines and comments at the margin stand before the next key, not after this section."""
    return not line.strip() or line.startswith("#")


def _by_line(yaml: Any, lines: list[str], items: Sequence[Node], end: int, source: Source, edit: Edit) -> str:
    indent = lines[items[0].line - 1].index("-")
    starts = [item.line for item in items] + [end]
    out: list[str] = []
    for item, start, stop in zip(items, starts, starts[1:], strict=False):
        core = stop
        while core > start + 1 and _is_remark(lines[core - 2]):
            core -= 1
        position = source.at(item)
        body = lines[start - 1 : core - 1]
        if position in edit.dropped:
            body = []
        elif _changes(edit, position):
            body = [_one(yaml, body, indent, functools.partial(_change, edit=edit, position=position))]
        out += body + lines[core - 1 : stop - 1]
    return "".join(out) + _new_rules(yaml, edit.added, indent)


def _is_remark(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _one(yaml: Any, body: list[str], indent: int, change: Callable[[Any], None]) -> str:
    """One changed rule: read without its indentation, changed, written with it again."""
    rules = yaml.load("".join(line[indent:] if line[:indent].isspace() or not indent else line for line in body))
    change(rules[0])
    return _indented(_dumped(yaml, rules), indent)


def _whole(yaml: Any, text: str, items: Node | None, source: Source, edit: Edit) -> str:
    data = yaml.load(text)
    rules = data.get("expect")
    if rules is None:
        data["expect"] = rules = yaml.load("[]")
    nodes = items.items if isinstance(items, SeqNode) else []
    positions = [source.at(item) for item in nodes]
    for rule, position in zip(list(rules), positions, strict=False):
        if _changes(edit, position):
            _change(rule, edit, position)
    for number in reversed(range(len(positions))):
        if positions[number] in edit.dropped:
            del rules[number]
    if edit.added:
        rules.fa.set_block_style()
    for added in edit.added:
        rules.append(_rule(added))
    return _dumped(yaml, data)


def _changes(edit: Edit, position: Position) -> bool:
    return position in (edit.also or {}) or position in (edit.until or {})


def _change(rule: Any, edit: Edit, position: Position) -> None:
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    also = (edit.also or {}).get(position)
    if also is not None:
        own = str(rule.get("where") or "")
        joined = f"({own}) and {also}" if " or " in own else f"{own} and {also}"
        rule["where"] = DoubleQuotedScalarString(joined if own else also)
    until = (edit.until or {}).get(position)
    if until is not None:
        rule["until"] = datetime.date.fromisoformat(until)


def _rule(given: Mapping[str, Any]) -> Any:
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    rule = CommentedMap()
    for key, value in given.items():
        if isinstance(value, (list, tuple)):
            rule[key] = CommentedSeq(value)
            rule[key].fa.set_flow_style()
        else:
            rule[key] = DoubleQuotedScalarString(value) if key in ("where", "reason") else value
    if "until" in rule:
        rule["until"] = datetime.date.fromisoformat(rule["until"])  # a date is written without quotes
    return rule


def _new_rules(yaml: Any, added: Sequence[Mapping[str, Any]], indent: int) -> str:
    return "".join(_indented(_dumped(yaml, [_rule(given)]), indent) for given in added)


def _dumped(yaml: Any, data: Any) -> str:
    out = io.StringIO()
    yaml.dump(data, out)
    return out.getvalue()


def _indented(text: str, indent: int) -> str:
    return "".join(" " * indent + line if line.strip() else line for line in text.splitlines(keepends=True))


def _ruamel() -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise UserError(
            "changing a matrix file needs ruamel.yaml, which keeps its comments; "
            "install it with `pip install 'pytest-rmcp[expect]'`, or use --dry-run to see what would change"
        ) from None
    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = _WIDE
    yaml.default_flow_style = False
    return yaml
