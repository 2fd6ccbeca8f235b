"""The forms on disk: attempt records and plan lines as JSON-able dicts, and back. Only what differs from the
default is written, so that a passing case costs a short line and a new field needs no new version."""

from __future__ import annotations

import dataclasses
import json
import marshal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rmcp.errors import UserError
from rmcp.matrix.model import Case, RuntimeSpec
from rmcp.runs.model import RUN_FORMAT, AttemptRecord
from rmcp.words import Cause, DeviceEvent, Outcome

_MAX_LINE = 4 * 1024 * 1024  # bytes; a journal line is an index entry, evidence belongs into attempts/
_BULKY = ("metrics", "observed", "checks", "fields", "titles", "notes")

_ATTEMPT_DEFAULTS: tuple[tuple[str, Any], ...] = tuple(
    (f.name, {} if f.default_factory is dict else f.default)
    for f in dataclasses.fields(AttemptRecord)
    if f.name not in ("number", "outcome", "writer", "boot")
)
_TUPLES = frozenset({"titles", "notes", "checks", "predecessors"})
_MEMBERS: dict[str, dict[str, Any]] = {  # a dict is several times faster than calling the enum
    "outcome": {word.value: word for word in Outcome},
    "cause": {word.value: word for word in Cause},
    "device": {word.value: word for word in DeviceEvent},
}
_FIELDS = frozenset(f.name for f in dataclasses.fields(AttemptRecord))


def dump(value: Any) -> str:
    """Compact ASCII JSON. What JSON does not know is written as its repr, so that no record is ever lost."""
    try:
        return _encode(value)
    except (TypeError, ValueError, RecursionError):
        return _encode(_plain(value, 0))


_encode = json.JSONEncoder(separators=(",", ":"), default=repr).encode


def _plain(value: Any, depth: int) -> Any:
    """``value`` with keys as text and at most 20 levels, for data that the JSON encoder refuses."""
    if depth > 20:
        return repr(type(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item, depth + 1) for item in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


def attempt_to_dict(record: AttemptRecord) -> dict[str, Any]:
    """The record without its defaults, and without writer and boot, which the journal itself knows."""
    out: dict[str, Any] = {"number": record.number, "outcome": record.outcome.value}
    for name, default in _ATTEMPT_DEFAULTS:
        value = getattr(record, name)
        if value != default:
            out[name] = value.value if name in _MEMBERS else value
    return out


def attempt_text(record: AttemptRecord) -> str:
    """``attempt_to_dict`` as JSON; over 4 MiB the bulky fields are left out, with a note."""
    text = dump(attempt_to_dict(record))
    if len(text) <= _MAX_LINE:
        return text
    small = {k: v for k, v in attempt_to_dict(record).items() if k not in _BULKY}
    small["message"] = str(small.get("message", ""))[:1000]
    small["notes"] = [f"record of {len(text)} bytes cut: " + ", ".join(_BULKY) + " left out"]
    return dump(small)


def attempt_from_dict(data: Mapping[str, Any], writer: str = "", boot: str = "") -> AttemptRecord:
    """The record again; raises ValueError, TypeError or KeyError when the data are no attempt record."""
    kwargs = dict(data)
    if not kwargs.keys() <= _FIELDS:
        # Written by a later minor release: a field more does not change the others' meaning.
        kwargs = {name: value for name, value in kwargs.items() if name in _FIELDS}
    for name, members in _MEMBERS.items():
        if name in kwargs:
            kwargs[name] = members[kwargs[name]]
    if "phases" in kwargs:
        kwargs["phases"] = tuple([(sys.intern(phase), float(at)) for phase, at in kwargs["phases"]])
    for name in _TUPLES:
        if name in kwargs:
            kwargs[name] = tuple(kwargs[name])
    kwargs["writer"], kwargs["boot"] = writer, boot
    if type(kwargs["number"]) is not int or "outcome" not in kwargs:
        raise ValueError("no attempt record")
    return AttemptRecord(**kwargs)


def runtime_to_dict(runtime: RuntimeSpec) -> dict[str, Any]:
    """A runtime without its empty fields; ``name`` is always there."""
    out: dict[str, Any] = {"name": runtime.name}
    for name in ("python", "prefix", "image", "engine"):
        if getattr(runtime, name) is not None:
            out[name] = getattr(runtime, name)
    if runtime.options:
        out["options"] = list(runtime.options)
    return out


def plan_lines(cases: Iterable[Case]) -> Iterator[str]:
    """One line of JSON per case (no newline), enough for a report and a reproducer without the matrix."""
    runtimes: dict[RuntimeSpec, dict[str, Any]] = {}
    for case in cases:
        runtime = runtimes.get(case.runtime)
        if runtime is None:
            runtime = runtimes[case.runtime] = runtime_to_dict(case.runtime)
        line: dict[str, Any] = {
            "id": case.id,
            "key": case.key,
            "row": case.row,
            "workload": case.workload,
            "axes": dict(case.axes),
            "args": dict(case.args),
            "env": dict(case.env),
            "runtime": runtime,
        }
        if case.row == case.key:
            del line["row"]
        if case.device != "auto":
            line["device"] = case.device
        if case.seed != 1234:
            line["seed"] = case.seed
        if case.threads is not None:
            line["threads"] = case.threads
        if case.origin != "product":
            line["origin"] = case.origin
        yield dump(line)


class Sharing:
    """Makes equal small dicts one object and equal strings one string: a plan of 100,000 lines repeats a few
    environments, runtimes and axis names, and a parsed line would hold its own copy of each."""

    def __init__(self) -> None:
        self._dicts: dict[bytes, dict[str, Any]] = {}

    def text(self, value: Any) -> str:
        """One shared string for all that are equal."""
        return sys.intern(str(value))

    def strings(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """A dict of the same items with interned keys and interned string values."""
        intern = sys.intern
        return {intern(k): intern(v) if type(v) is str else v for k, v in data.items()}

    def whole(self, data: dict[str, Any]) -> dict[str, Any]:
        """One shared dict for all that are equal."""
        # Tells 1, 1.0 and True apart, which are equal as keys but not as arguments; version 0 writes equal values
        # alike, whether or not a string is interned, and costs a third of a repr.
        key = marshal.dumps(data, 0)
        shared = self._dicts.get(key)
        if shared is None:
            shared = self._dicts[key] = self.strings(data)
        return shared


def parse(line: str) -> Any:
    """One JSON value that fills the line. Raises ValueError. Saves half of the time of ``json.loads``."""
    try:
        value, end = _scan(line, 0)
    except StopIteration:
        raise ValueError("no JSON value") from None
    if line[end:].strip():
        raise ValueError(f"data after the JSON value, at character {end}")
    return value


_decoder: Any = json.JSONDecoder()
_scan: Callable[[str, int], tuple[Any, int]] = _decoder.scan_once


def check_format(found: Any, where: str) -> None:
    """Raise UserError when a file was written by a newer rmcp than this one, or has no version."""
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UserError(f"{where}: no rmcp format version in it (found {found!r}); is this an rmcp run?")
    if found > RUN_FORMAT:
        raise UserError(
            f"{where}: written in format {found}, this rmcp reads up to format {RUN_FORMAT}; "
            "install a newer pytest-rmcp to read this run"
        )
