"""Text -> Recognition: the first cause in a log. Pure, linear in the text, safe on any bytes.

Stages: find candidate lines by a few short words (`scan`), take their decoration off (`context`), match the rows of
the table (`patterns`), drop warnings and lines that only name an error, then let the hits compete: the highest rank
wins, inside a rank the first line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rmcp.outcome import scan
from rmcp.outcome.compete import Hit, choose, compatible, details, is_other
from rmcp.outcome.context import only_names
from rmcp.outcome.decoration import Core, undecorate
from rmcp.outcome.fields import tidy
from rmcp.outcome.fingerprint import runtime_of_line
from rmcp.outcome.localised import LOCALISED
from rmcp.outcome.patterns import BENIGN, CYCLES_TEXTS, PATTERNS, XIDS, Pattern, Rank
from rmcp.outcome.patterns_driver import DRIVER_PATTERNS
from rmcp.outcome.patterns_library import LIBRARY_PATTERNS, MIOPEN_STATUSES
from rmcp.outcome.patterns_process import PROCESS_PATTERNS
from rmcp.outcome.recognition import Recognition
from rmcp.outcome.runtime_errors import RUNTIME_NEEDLES, runtime_error
from rmcp.outcome.surroundings import in_diff, in_docstring, is_python, lead_of
from rmcp.words import Cause

_EXCEPTIONS = tuple(row for row in PATTERNS if row.layer.startswith("python"))
# Rows of one line and rank compete by their place here: an exception's name says least.
ALL_PATTERNS = (
    *(row for row in PATTERNS if row not in _EXCEPTIONS),
    *DRIVER_PATTERNS,
    *LIBRARY_PATTERNS,
    *PROCESS_PATTERNS,
    *_EXCEPTIONS,
)
_FOLLOWING = 3  # lines that may belong to a wrapped message
_WRAP = (56, 130)  # length of a line that a poster or mail program may have broken
_AFTER_DECISION = 400  # candidate lines that are still read for fields once a primary cause is known
_TAIL = 60  # last lines that are read whole: how a process ended stands there, in whatever language
_BEFORE, _AFTER = 6, 12  # lines around the guilty one that are read whole
_DISTINCT = 20_000  # different lines that are looked at closely; what comes later in an endless log is more of it
_HITS = 2000  # weak hits that are kept of an endless log
# A warning sign on these lines proves nothing: a driver sentence stands on it, or the error is logged as a warning.
_NEVER_BENIGN = frozenset({"rocr-memory-access-fault", "rocr-hw-exception", "cuda-init", "miopen-sqlite-warning"})
_BENIGN = re.compile("|".join(f"(?:{regex})" for _, regex in BENIGN))
_SIGNAL_CAUSES: Mapping[str, Cause] = {
    "SIGSEGV": Cause.SEGFAULT,
    "SIGILL": Cause.ILLEGAL_INSTRUCTION,
    "SIGABRT": Cause.UNKNOWN_ABORT,
    "SIGBUS": Cause.UNKNOWN_ABORT,
    "SIGFPE": Cause.UNKNOWN_ABORT,
    "SIGTRAP": Cause.UNKNOWN_ABORT,
    "SIGSYS": Cause.UNKNOWN_ABORT,
}
_SIGNAL_NUMBERS = {
    4: "SIGILL",
    5: "SIGTRAP",
    6: "SIGABRT",
    7: "SIGBUS",
    8: "SIGFPE",
    9: "SIGKILL",
    11: "SIGSEGV",
    13: "SIGPIPE",
    15: "SIGTERM",
    31: "SIGSYS",
}


# Windows ends a process with an NTSTATUS where Unix sends a signal.
_WINDOWS_STATUSES: Mapping[int, Cause] = {
    0xC0000005: Cause.SEGFAULT,
    0xC00000FD: Cause.SEGFAULT,
    0xC000001D: Cause.ILLEGAL_INSTRUCTION,
    0xC0000374: Cause.UNKNOWN_ABORT,
    0xC0000409: Cause.UNKNOWN_ABORT,
}


def signal_of(exit_code: int | None) -> str | None:
    """The signal that an exit status stands for: 128 + its number for a shell, minus its number for Python."""
    if exit_code is None:
        return None
    return _SIGNAL_NUMBERS.get(exit_code - 128 if exit_code > 0 else -exit_code)


@lru_cache(maxsize=1)
def _table() -> tuple[tuple[Pattern, re.Pattern[str], tuple[str, ...]], ...]:
    return tuple((row, re.compile(row.regex), row.needles) for row in (*ALL_PATTERNS, *LOCALISED))


@lru_cache(maxsize=1)
def _needles() -> tuple[bytes, ...]:
    """Every literal that a line must have one of to be looked at."""
    rows = [needle for pattern in ALL_PATTERNS if pattern.rank is not Rank.DETAIL for needle in pattern.needles]
    return tuple(dict.fromkeys(needle.encode() for needle in (*rows, *RUNTIME_NEEDLES)))


_BY_HSA_CODE = {
    "0x29": Cause.APERTURE_VIOLATION,
    "0x2a": Cause.ILLEGAL_INSTRUCTION,
    "0x2b": Cause.MEMORY_ACCESS_FAULT,
    "0x1008": Cause.OUT_OF_MEMORY,
}


def recognise(
    text: str | bytes,
    *,
    signal: str | None = None,
    exit_code: int | None = None,
    raw: bool = False,
) -> Recognition:
    """Name the first cause in a text.

    ``signal`` (a name) and ``exit_code`` are what is known of the process from elsewhere; they add fields and give a
    cause when the text has none. ``raw`` says that the text was captured from the process itself, so that a line
    cannot be prose about somebody else's crash; warnings are still only warnings.
    """
    data = scan.clean(text if isinstance(text, bytes) else text.encode("utf-8", "backslashreplace"))
    hits = _hits(data, raw)
    known = {hit.offset for hit in hits}
    hits += [hit for hit in _tail(data, raw) if hit.offset not in known]
    best = choose(hits, data)
    if best is not None:
        hits = sorted([*hits, *_neighbours(data, best, raw)], key=lambda hit: hit.offset)
        best = choose(hits, data)
    told = details(hits)
    ended = signal or signal_of(exit_code)
    fields: dict[str, Any] = {}
    if best is None:
        cause = _SIGNAL_CAUSES.get(ended or "") or _WINDOWS_STATUSES.get((exit_code or 0) & 0xFFFFFFFF, Cause.NONE)
        if cause is Cause.NONE:
            return Recognition()
        if ended:
            fields["signal"] = ended
        if cause is Cause.ILLEGAL_INSTRUCTION:
            fields["where"] = "cpu"
        if exit_code:
            fields["exit_code"] = exit_code
        return Recognition(cause, fields, layer="process", pattern_id="exit-status")
    fields = {**compatible(told, best), **best.fields}
    if ended:
        fields["signal"] = ended
    if exit_code:
        fields["exit_code"] = exit_code
    line = data[best.offset : best.end].decode("utf-8", "backslashreplace").rstrip()
    others = {hit.cause: hit.offset for hit in reversed(hits) if is_other(hit, best)}
    others = dict(sorted(others.items(), key=lambda item: item[1]))
    source_line = fields.pop("source_line", None)
    return Recognition(
        cause=best.cause,
        fields=tidy(best.cause, fields, data, tuple(h.fields.get("detail", "") for h in hits if h.cause is best.cause)),
        line=line[:4000],
        line_number=data.count(b"\n", 0, best.offset) + 1,
        pattern_id=best.pattern.id,
        layer=best.pattern.layer,
        device=best.pattern.device,
        runtime_hint=runtime_of_line(int(source_line)) if source_line else "",
        also=tuple(others),
        also_lines=tuple(data.count(b"\n", 0, offset) + 1 for offset in others.values()),
    )


def _hits(data: bytes, raw: bool) -> list[Hit]:
    hits: list[Hit] = []
    seen: dict[bytes, bool] = {}
    after_decision = 0
    decided = False
    for line in scan.candidates(data, _needles()):
        body = data[line.offset : min(line.end, line.offset + 4000)]
        shape = body.translate(None, b"0123456789")
        if seen.get(shape) is False:
            continue  # the same line but for its numbers matched nothing before
        found = _match_line(data, line, body, raw)
        seen[shape] = bool(found)
        if len(seen) > _DISTINCT:
            break
        hits += found
        decided = decided or any(hit.rank is Rank.PRIMARY for hit in found)
        if decided:
            after_decision += 1
        if after_decision > _AFTER_DECISION or len(hits) > _HITS:
            break
    return hits


def _tail(data: bytes, raw: bool) -> list[Hit]:
    """What the last lines say, whether or not one of the searched words stands in them."""
    found: list[Hit] = []
    end = len(data)
    for _ in range(_TAIL):
        if end <= 0:
            break
        start = data.rfind(b"\n", 0, end) + 1
        if end > start:
            found = _match_line(data, scan.Line(start, end), data[start : min(end, start + 4000)], raw) + found
        end = start - 1
    return found


def _neighbours(data: bytes, best: Hit, raw: bool) -> list[Hit]:
    """What the lines around the guilty one add: a wrapped beginning, the kernel's name, how the process ended."""
    start = best.offset
    for _ in range(_BEFORE):
        start = data.rfind(b"\n", 0, max(0, start - 1)) + 1
    found: list[Hit] = []
    for _ in range(_BEFORE + 1 + _AFTER):
        if start >= len(data):
            break
        end = data.find(b"\n", start)
        line = scan.Line(start, len(data) if end < 0 else end)
        if line.offset != best.offset:
            found += _match_line(data, line, data[line.offset : min(line.end, line.offset + 4000)], raw)
        start = line.end + 1
    return found


def _match_line(data: bytes, line: scan.Line, body: bytes, raw: bool) -> list[Hit]:
    text = body.decode("utf-8", "backslashreplace")
    core = undecorate(text)
    if not core.text:
        return []
    if not raw and body.startswith(b"+") and in_diff(data, line):
        return []
    if not raw and not core.logged and in_docstring(data, line):
        return []
    following = [undecorate(b.decode("utf-8", "backslashreplace")) for b in scan.line_after(data, line, _FOLLOWING)]
    joined = core.text
    for other in following:
        if not other.text or len(joined) > 3000:
            break
        joined += " " + other.text
    wrapped = ""
    if following and following[0].text and not following[0].logged and _WRAP[0] <= len(text.rstrip()) <= _WRAP[1]:
        wrapped = core.text + " " + following[0].text
    found: list[Hit] = []
    below = next((other.text for other in following if other.text), "")
    lead: str | None = None
    for pattern, regex, needles in _table():
        subject = joined if pattern.wraps else core.text
        hard = bool(wrapped) and pattern.rank is not Rank.DETAIL
        if not any(needle in subject or (hard and needle in wrapped) for needle in needles):
            continue
        match = regex.search(subject)
        if match is None and hard:
            match = regex.search(wrapped)
            if match is not None and match.end() <= len(core.text):
                match = None  # it matched what only the end of the line makes right
        if match is None or match.start() >= len(core.text):
            continue
        shown = wrapped if match.string is wrapped else core.text
        before, after = core.text[: match.start()], shown[match.end() :]
        if pattern.rank is not Rank.DETAIL:
            if _is_benign(pattern, core, match.start()):
                continue
            if not raw:
                if lead is None:
                    lead = lead_of(data, line, core)
                if only_names(
                    core,
                    before,
                    match.group(),
                    after,
                    lead,
                    below=below,
                    device=_is_sentence(pattern, match.group()),
                    weak=pattern.rank <= Rank.WEAK,
                ):
                    continue
            if pattern.whole and not _begins(core, before, pattern, raw):
                continue
            if pattern.layer == "python" and not is_python(data, line, core, raw):
                continue
        found.append(_hit(pattern, match, line, core))
    if any(needle in joined for needle in RUNTIME_NEEDLES):
        whole = core.text
        status = runtime_error(whole, joined)
        if (status is None or status.rank <= Rank.WEAK) and wrapped:
            spanning = runtime_error(wrapped, wrapped)
            if spanning is not None and spanning.start < len(core.text) < spanning.end:
                whole, status = wrapped, spanning
        if status is not None:
            lead = lead_of(data, line, core) if lead is None else lead
            before, after = whole[: status.start], whole[status.end :]
            benign = _is_benign(status.pattern, core, status.start)
            if not benign and (raw or not only_names(core, before, status.text, after, lead, below=below)):
                found.append(
                    Hit(
                        status.pattern,
                        status.cause,
                        line.offset,
                        line.end,
                        status.fields,
                        status.rank,
                        core.comment,
                    )
                )
    return found


def _is_sentence(pattern: Pattern, matched: str) -> bool:
    """True when the message is a whole line of the driver or of a launcher, so that words before it prove nothing.

    A status name alone, without the runtime's words around it, can be quoted inside a sentence.
    """
    if pattern.id.startswith("told-"):
        return True
    return pattern.device and pattern.layer != "kernel-log" and not matched.startswith(("HSA_STATUS", "The agent"))


def _begins(core: Core, before: str, pattern: Pattern, raw: bool) -> bool:
    """True when the message begins its line, or follows something that cannot be the start of a sentence."""
    rest = before.strip(" \t\"'`*")
    if not rest or pattern.layer == "python":
        return not rest
    return bool(re.search(r"[:>\])|!=.$%#]$", rest)) or (core.logged and len(rest.split()) <= 12)


def _is_benign(pattern: Pattern, core: Core, start: int) -> bool:
    found = _BENIGN.search(core.text)
    if found is None or pattern.id in _NEVER_BENIGN:
        return False
    return found.start() <= start


def _hit(pattern: Pattern, match: re.Match[str], line: scan.Line, core: Core) -> Hit:
    fields: dict[str, Any] = dict(pattern.fields)
    for name, value in match.groupdict().items():
        if value is not None and value != "":
            fields[name.rstrip("23")] = value.strip()
    if pattern.id == "cycles":
        flavour = "HIP" if "HIP" in match.group() or fields.get("call") == "hip" else "CUDA"
        status = runtime_error(f"{flavour} error {CYCLES_TEXTS[fields['text']]}", "")
        assert status is not None
        return Hit(status.pattern, status.cause, line.offset, line.end, status.fields, Rank.PRIMARY, core.comment)
    if "text" in fields:
        status = runtime_error(f"{fields['flavour']} error: {fields['text']}", "")
        fields.update(status.fields if status else {})
    cause = pattern.cause
    if pattern.id == "xid":
        number = int(fields["xid"])
        cause, fields["reason"] = XIDS.get(number, (Cause.UNKNOWN_ABORT, f"Xid {number}"))
        if number == 13 and "Illegal Instruction" in match.string:
            cause = Cause.ILLEGAL_INSTRUCTION
        return Hit(pattern, cause, line.offset, line.end, fields, Rank.PRIMARY, core.comment)
    if "miopen_number" in fields:
        status_name = MIOPEN_STATUSES.get(int(fields.pop("miopen_number")))
        fields |= {"miopen_status": f"miopenStatus{status_name}"} if status_name else {}
    if pattern.id == "hsa-abort-by-number":
        cause = _BY_HSA_CODE.get(fields["code"].lower(), cause)
    return Hit(pattern, cause, line.offset, line.end, fields, pattern.rank, core.comment)
