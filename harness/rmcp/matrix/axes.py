"""Reads the axes: short and long form, types, defaults; finds clashes between axes."""

from __future__ import annotations

from collections.abc import Iterable

from rmcp.matrix.document import Axis, Patch, Value
from rmcp.matrix.errors import Position, did_you_mean
from rmcp.matrix.facts import RESERVED
from rmcp.matrix.nodes import Entry, Node, Scalar, Sequence, typed
from rmcp.matrix.nodes import Mapping as MapNode
from rmcp.matrix.reading import AXIS_NAME, NAME, Reader
from rmcp.matrix.versions import NUMBER, TEXT, VERSION

AXIS_KEYS = ("role", "type", "default", "doc", "values")
ROLES = {"compare": True, "factor": False}
TYPES = {TEXT: TEXT, NUMBER: NUMBER, VERSION: VERSION}


def read_axes(reader: Reader, node: Node | None) -> tuple[Axis, ...]:
    """All axes in file order. One that cannot be read has no values, so that rules may still name it."""
    return tuple(_axis(reader, entry) for entry in reader.mapping(node, "`axes`"))


def _axis(reader: Reader, entry: Entry) -> Axis:
    name, node = entry.key.text, entry.value
    if not AXIS_NAME.fullmatch(name):
        hint = "letters, digits, _ and -, a letter first"
        reader.report(entry.key, f"{name!r} is no name of an axis", hint)
    elif name in RESERVED:
        reader.report(entry.key, f"{name!r} has a meaning in expressions and cannot name an axis")
    position = reader.source.at(entry.key)
    if isinstance(node, Sequence):
        return _made(reader, name, node, {}, position)
    if isinstance(node, MapNode):
        found = reader.fields(node, f"axis {name!r}", AXIS_KEYS)
        if "values" in found:
            return _made(reader, name, found["values"], found, position)
        if reader.lacks(found, "values"):
            reader.report(entry.key, f"axis {name!r} has no `values`")
    else:
        hint = f"write `{name}: [a, b]` or `{name}: {{values: {{a: {{...}}}}}}`"
        reader.report(node, f"axis {name!r} needs a list of values", hint)
    return Axis(name, (), position, type="")


def _made(reader: Reader, name: str, values: Node, found: dict[str, Node], position: Position) -> Axis:
    told = len(reader.source.problems)
    read = _short(reader, name, values) if isinstance(values, Sequence) else _long(reader, name, values)
    if not read and len(reader.source.problems) == told:
        reader.report(values, f"axis {name!r} has no values")
    short = isinstance(values, Sequence)
    numbers = short and all(_is_number(value.patch.args.get(name)) for value in read)
    default = reader.text(found.get("default"), "`default`") or None
    names = {value.name for value in read}
    if default is not None and default not in names:
        if names:
            hint = did_you_mean(default, names)
            reader.report(found["default"], f"the default {default!r} is no value of axis {name!r}", hint)
        default = None
    # An unknown type orders anything, so that `<` in rules is not a second mistake.
    inferred = NUMBER if numbers else TEXT
    kind = reader.word(found["type"], "`type`", TYPES, "") if "type" in found else inferred
    return Axis(
        name=name,
        values=tuple(read),
        position=position,
        compare=reader.word(found.get("role"), "`role`", ROLES, False),
        type=kind if read else "",
        default=default,
        doc=reader.text(found.get("doc"), "`doc`"),
    )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _short(reader: Reader, axis: str, node: Sequence) -> list[Value]:
    """Value v of axis a means ``args: {a: v}``."""
    values: dict[str, Value] = {}
    for item in node.items:
        if not isinstance(item, Scalar):
            hint = f"write {axis}: {{values: {{NAME: {{args: {{...}}}}}}}}"
            reader.report(item, f"a value in the short form of axis {axis!r} must be a single word", hint)
            continue
        _check_name(reader, item, axis)
        at = reader.source.at(item)
        if item.text in values:
            first = values[item.text].position
            reader.report(item, f"value {item.text!r} is twice in axis {axis!r}", f"first at {first}")
        patch = Patch(args={axis: typed(item)}, places={"args." + axis: at})
        values.setdefault(item.text, Value(item.text, patch, at))
    return list(values.values())


def _long(reader: Reader, axis: str, node: Node) -> list[Value]:
    values = []
    for entry in reader.mapping(node, f"`values` of axis {axis!r}"):
        _check_name(reader, entry.key, axis)
        patch, extra = reader.patch(entry.value, f"value {entry.key.text!r} of axis {axis!r}", ("doc",))
        doc = reader.text(extra.get("doc"), "`doc`")
        values.append(Value(entry.key.text, patch, reader.source.at(entry.key), doc))
    return values


def _check_name(reader: Reader, node: Scalar, axis: str) -> None:
    if not NAME.fullmatch(node.text):
        hint = "names may hold letters, digits and . _ + - (at most 80)"
        reader.report(node, f"{node.text!r} cannot name a value of axis {axis!r}", hint)


def check_clashes(reader: Reader, axes: tuple[Axis, ...]) -> None:
    """Two axes may not patch the same thing, nor share a name where ids would become ambiguous.

    Ids list value names in axis order and leave defaults out. They stay unambiguous as long as an axis whose
    part may be missing shares no shown name with another axis.
    """
    owner: dict[str, tuple[Axis, Position]] = {}
    for axis in axes:
        for thing, place in _patched(axis.values).items():
            if thing in owner and owner[thing][0] is not axis:
                first, where = owner[thing]
                hint = f"axis {first.name!r} sets it at {where}; one of the two would silently win"
                reader.report(place, f"axis {axis.name!r} sets `{thing}`, which another axis sets too", hint)
            owner.setdefault(thing, (axis, place))
    shown: dict[str, tuple[Axis, Value]] = {}
    told: set[tuple[str, str]] = set()
    for axis in axes:
        for value in axis.values:
            if value.name == axis.default:
                continue
            if value.name in shown and (axis.default or shown[value.name][0].default):
                first, other = shown[value.name]
                if (first.name, axis.name) in told:
                    continue
                told.add((first.name, axis.name))
                hint = f"axis {first.name!r} has it at {other.position}; ids leave defaults out, so rename one"
                message = f"value {value.name!r} of axis {axis.name!r} clashes with another axis in ids"
                reader.report(value.position, message, hint)
            shown.setdefault(value.name, (axis, value))


def _patched(values: Iterable[Value]) -> dict[str, Position]:
    places: dict[str, Position] = {}
    for value in values:
        for thing, place in value.patch.places.items():
            places.setdefault(thing, place)
    return places
