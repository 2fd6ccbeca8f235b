"""What travels between the processes of an isolated test: plain JSON, bounded, never an object of theirs."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Iterable
from typing import Any

from rmcp_torch.child import shorten
from rmcp_torch.forking import ChildEnds

_STRING_LIMIT = 1_000_000  # characters of one text in a report; a 50 MB assertion message is cut to this
_REPORT_LIMIT = 8_000_000  # characters of all texts of one report; half of it for the largest when it is more
_ITEMS_LIMIT = 20_000  # elements of one list or dict
_DEPTH_LIMIT = 24  # a chain of exceptions is nested about six levels deep
_ACK_S = 10.0  # the guard answers in microseconds; a child whose guard is silent goes on without it
_REPR_LIMIT = 10_000


def clean(value: Any, limit: int = _STRING_LIMIT) -> Any:
    """The same as values that JSON takes: subclasses flattened, everything else its repr, long texts cut."""
    budget = [_REPORT_LIMIT]

    def text(value: str) -> str:
        cut = shorten(str.__str__(value), max(200, min(limit, budget[0])))
        budget[0] -= len(cut)
        return cut

    def walk(value: Any, depth: int) -> Any:
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return text(value)
        if isinstance(value, int):
            return int.__int__(value) if value.bit_length() < 4096 else text(hex(value))
        if isinstance(value, float):
            return float.__float__(value)
        if depth > _DEPTH_LIMIT:
            return text(safe_repr(value))
        if isinstance(value, dict):
            pairs = _some(value.items())
            return {text(key if isinstance(key, str) else safe_repr(key)): walk(each, depth + 1) for key, each in pairs}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [walk(each, depth + 1) for each in _some(value)]
        if isinstance(value, os.PathLike):
            return text(os.fsdecode(value))
        return text(safe_repr(value))

    return walk(value, 0)


def _some(values: Iterable[Any]) -> list[Any]:
    return [value for number, value in enumerate(values) if number < _ITEMS_LIMIT]


def safe_repr(value: Any) -> str:
    """repr() that never raises and never is long."""
    try:
        return shorten(repr(value), _REPR_LIMIT)
    except BaseException as raised:
        return f"<{type(value).__name__} whose repr() raised {type(raised).__name__}>"


class Voice:
    """The child's side of the result channel. A process that the test forked off is not the child: it stays mute."""

    def __init__(self, ends: ChildEnds) -> None:
        self.ends = ends
        self.pid = os.getpid()

    def send(self, message: dict[str, Any]) -> None:
        """One frame to the guard."""
        if os.getpid() == self.pid:
            self.ends.send(message)

    def send_and_wait(self, message: dict[str, Any]) -> None:
        """One frame, and go on only when the guard has read all output that was written before it."""
        if os.getpid() != self.pid:
            return
        self.ends.send(message)
        if select.select([self.ends.command_fd], [], [], _ACK_S)[0]:
            os.read(self.ends.command_fd, 65536)


def flush_streams() -> None:
    """Everything printed so far leaves Python's buffers."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass


def restored(wire: dict[str, Any]) -> dict[str, Any]:
    """JSON knows lists only; reporters insist on tuples in some places of a report."""
    revived = dict(wire)
    if isinstance(wire.get("longrepr"), list):
        revived["longrepr"] = tuple(wire["longrepr"])
    if isinstance(wire.get("location"), list):
        revived["location"] = tuple(wire["location"])
    for name in ("sections", "user_properties"):
        revived[name] = [tuple(pair) if isinstance(pair, list) else pair for pair in wire.get(name) or ()]
    return revived


def warning_to_wire(message: warnings.WarningMessage, when: str, nodeid: str, location: Any) -> dict[str, Any]:
    """A recorded warning as JSON."""
    category = message.category
    wire = {
        "text": str(message.message), "module": category.__module__, "name": category.__qualname__,
        "filename": message.filename, "lineno": message.lineno, "line": message.line,
        "when": when, "nodeid": nodeid, "location": location,
    }  # fmt: skip
    cleaned: dict[str, Any] = clean(wire)
    return cleaned


def warning_from_wire(wire: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `pytest_warning_recorded`; a category that this process does not know becomes UserWarning."""
    found: Any = sys.modules.get(wire["module"])
    for part in wire["name"].split("."):
        found = getattr(found, part, None)
    category = found if isinstance(found, type) and issubclass(found, Warning) else UserWarning
    try:
        instance = category(wire["text"])
    except Exception:
        category = UserWarning
        instance = UserWarning(f"{wire['name']}: {wire['text']}")
    return {
        "warning_message": warnings.WarningMessage(
            instance, category, wire["filename"], wire["lineno"], line=wire["line"]
        ),
        "when": wire["when"],
        "nodeid": wire["nodeid"],
        "location": tuple(wire["location"]) if wire["location"] else None,
    }
