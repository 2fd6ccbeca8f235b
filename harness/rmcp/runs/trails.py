"""The first half of the fold: journal lines -> what they say of each case. Pure; never raises for a line.

A line that makes no sense becomes a Problem with its place, and the lines around it still count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rmcp.runs.codec import attempt_from_dict
from rmcp.runs.model import RUN_FORMAT, AttemptRecord, Problem
from rmcp.words import Outcome, Verdict

_VERDICTS = {word.value: word for word in Verdict}  # a dict is several times faster than calling the enum
_LISTED = 200  # problems of one kind that are listed one by one; the rest is counted


@dataclass(frozen=True)
class JournalLines:
    """One journal: its name, its parsed lines in file order, and whether its writer is alive.

    A line that could not be parsed is ``{"kind": "unreadable", "at": line number, "what": text, "torn":
    bool}``.
    """

    name: str
    lines: Iterable[Mapping[str, Any]]
    live: bool = False


@dataclass(slots=True)
class Origin:
    """One run; a merged run holds the journals of several, each with sessions and a last word of its own."""

    opened: float = 0.0
    finished: float = -1.0
    finished_boot: str = ""
    boots: list[tuple[float, str]] = field(default_factory=list)


@dataclass(slots=True)
class Session:
    """One opening of one journal. ``here``: written on the computer that reads."""

    journal: str
    origin: Origin
    boot: str = ""
    here: bool = True
    live: bool = False


@dataclass(slots=True)
class Started:
    """One attempt. ``reopened``: its writer came back within the same boot, so it was the runner that
    died. ``ahead``: named by an `ahead` line and never seen to start, so it counts only if the machine died."""

    attempt: int
    wall: float
    writer: str
    session: Session
    record: AttemptRecord | None = None
    reopened: bool = False
    ahead: bool = False


@dataclass(slots=True)
class Trail:
    """What the journals say of one case."""

    starts: list[Started] = field(default_factory=list)
    aside: tuple[float, Outcome, str] | None = None
    verdict: tuple[float, Verdict, str] | None = None


@dataclass
class Reading:
    """Everything that the lines said. ``host_now`` is the tag of the computer that reads, None: any."""

    host_now: str | None = None
    trails: dict[str, Trail] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)
    runtimes: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    events: list[Mapping[str, Any]] = field(default_factory=list)
    _problems: list[Problem] = field(default_factory=list)
    _counts: dict[str, int] = field(default_factory=dict)

    def problem(self, where: str, kind: str, detail: str = "") -> None:
        """Note something odd; the first 200 of a kind are kept one by one."""
        count = self._counts[kind] = self._counts.get(kind, 0) + 1
        if count <= _LISTED:
            self._problems.append(Problem(where, kind + (f": {detail}" if detail else "")))

    def problems(self) -> tuple[Problem, ...]:
        """All problems; what was too much of one kind as a number."""
        more = [
            Problem("journal", f"{kind}: {count - _LISTED} more")
            for kind, count in self._counts.items()
            if count > _LISTED
        ]
        return (*self._problems, *more)

    def finished(self) -> bool:
        """Every run in it had its last word after its last opening."""
        return bool(self.origins) and all(o.finished >= o.opened for o in self.origins.values())

    def add(self, journal: JournalLines) -> None:
        """Read one journal."""
        _JournalReader(self, journal).read()


class _JournalReader:
    """The state while one journal is read line by line."""

    def __init__(self, reading: Reading, journal: JournalLines) -> None:
        self.reading = reading
        self.journal = journal
        self.name = f"journal/{journal.name}"
        self.where = self.name
        self.base = ""  # set in a merged run: folder of the run that the journal came from
        self.session = Session(self.name, Origin(), live=journal.live)
        self.expected = 0  # sequence number of the next line; -1: unknown, after an unreadable one
        self.in_flight: dict[tuple[str, int], Started] = {}
        self.ahead: dict[tuple[str, int], Started] = {}
        self.handlers = {
            "open": self._open,
            "ahead": self._ahead,
            "start": self._start,
            "end": self._end,
            "aside": self._aside,
            "verdict": self._verdict,
            "finish": self._finish,
            "runtime": self._runtime,
        }

    def read(self) -> None:
        for number, line in enumerate(self.journal.lines, 1):
            self.where = f"{self.name}:{number}"
            kind = line.get("kind")
            if kind == "unreadable":
                if not (self.journal.live and line.get("torn")):  # else its writer is in the middle of it
                    self.reading.problem(f"{self.name}:{line.get('at', number)}", str(line.get("what")))
                self.expected = -1
                continue
            version = line.get("v")
            if type(version) is not int or not 0 < version <= RUN_FORMAT:
                self.reading.problem(self.where, "a line of an unknown format version", repr(version))
                self.expected = -1
                continue
            try:
                if kind == "base":
                    self.base += str(line["path"]).strip("/") + "/"
                elif kind == "open" or self._in_sequence(line):
                    self.expected = line["seq"] + 1
                    self.handlers.get(str(kind), self.reading.events.append)(line)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                why = f"{type(error).__name__}: {error}"
                self.reading.problem(self.where, "a line that makes no sense", why)
        self._close_ahead()

    def _in_sequence(self, line: Mapping[str, Any]) -> bool:
        """False for a line that came twice. A gap is noted: lines of this journal are missing."""
        seq = line["seq"]
        if self.expected >= 0 and seq != self.expected:
            if seq < self.expected:
                detail = f"number {seq}, expected {self.expected}"
                self.reading.problem(self.where, "a line that came twice", detail)
                return False
            self.reading.problem(self.where, "lines are missing", f"number {seq} follows {self.expected - 1}")
        return True

    def _open(self, line: Mapping[str, Any]) -> None:
        boot, wall = str(line.get("boot", "")), float(line["wall"])
        for started in self.in_flight.values():
            started.reopened = started.session.boot == boot
        self.in_flight.clear()
        if boot == self.session.boot:
            self.ahead.clear()  # the same kernel kept every line: what has no START was not started
        self._close_ahead()
        origin = self.reading.origins.setdefault(self.base, Origin())
        origin.opened = max(origin.opened, wall)
        origin.boots.append((wall, boot))
        here = self.reading.host_now is None or line.get("host") == self.reading.host_now
        self.session.live = False  # what was begun before this opening runs no more, also while the writer lives
        self.session = Session(self.name, origin, boot, here, self.journal.live)

    def _ahead(self, line: Mapping[str, Any]) -> None:
        self.ahead.clear()
        for key, attempt in line["entries"]:
            place = (str(key), int(attempt))
            self.ahead[place] = Started(place[1], float(line["wall"]), str(line["writer"]), self.session, ahead=True)

    def _close_ahead(self) -> None:
        """No more lines of this session: what was announced may have been in flight when the machine died."""
        for (key, _attempt), started in self.ahead.items():
            self._trail(key).starts.append(started)
        self.ahead.clear()

    def _start(self, line: Mapping[str, Any]) -> None:
        key, attempt = str(line["key"]), int(line["attempt"])
        if (key, attempt) in self.in_flight:
            self.reading.problem(self.where, "an attempt that was started twice", f"{key[:16]}, attempt {attempt}")
        started = Started(attempt, float(line["wall"]), str(line["writer"]), self.session)
        self._trail(key).starts.append(started)
        self.in_flight[key, attempt] = started
        self.ahead.pop((key, attempt), None)

    def _end(self, line: Mapping[str, Any]) -> None:
        key = str(line["key"])
        record = attempt_from_dict(line["record"], str(line["writer"]), self.session.boot)
        if self.base and record.directory:
            record = replace(record, directory=self.base + record.directory)
        started = self.in_flight.pop((key, record.number), None)
        if started is not None:
            started.record = record
            return
        trail, which = self._trail(key), f"{key[:16]}, attempt {record.number}"
        if any(s.session is self.session and s.attempt == record.number for s in trail.starts):
            self.reading.problem(self.where, "an attempt that ended twice", f"{which}; the first counts")
            return
        self.reading.problem(self.where, "an END without START", which)
        trail.starts.append(Started(record.number, float(line["wall"]), record.writer, self.session, record))

    def _aside(self, line: Mapping[str, Any]) -> None:
        for place in [place for place in self.ahead if place[0] == str(line["key"])]:
            del self.ahead[place]
        aside = (float(line["wall"]), Outcome(line["outcome"]), str(line.get("reason", "")))
        trail = self._trail(str(line["key"]))
        trail.aside = aside if trail.aside is None or aside[0] >= trail.aside[0] else trail.aside

    def _verdict(self, line: Mapping[str, Any]) -> None:
        verdict = (float(line["wall"]), _VERDICTS[line["verdict"]], str(line.get("reason", "")))
        trail = self._trail(str(line["key"]))
        trail.verdict = verdict if trail.verdict is None or verdict[0] >= trail.verdict[0] else trail.verdict

    def _finish(self, line: Mapping[str, Any]) -> None:
        origin, wall = self.session.origin, float(line["wall"])
        if wall >= origin.finished:
            origin.finished, origin.finished_boot = wall, self.session.boot
        self.ahead.clear()
        self.reading.events.append(line)

    def _runtime(self, line: Mapping[str, Any]) -> None:
        self.reading.runtimes[str(line["name"])] = dict(line.get("facts") or {})

    def _trail(self, key: str) -> Trail:
        trail = self.reading.trails.get(key)
        if trail is None:
            trail = self.reading.trails[key] = Trail()
        return trail
