"""`rmcp classify`: paste a log, get the cause, what it means, what people did about it, and links."""

from __future__ import annotations

import argparse
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any, BinaryIO

from rmcp.errors import UserError
from rmcp.outcome.advice import BY_CAUSE, advice_for
from rmcp.outcome.fingerprint import warning
from rmcp.outcome.recognise import recognise, signal_of
from rmcp.outcome.recognition import Recognition
from rmcp.words import Cause

_LARGEST = 1 << 30  # bytes that are read: the recogniser holds the text in memory
_NO_BREAK = "\u00a0"  # keeps a command on one line, so that it can be pasted
_WIDTH = 96  # columns of the printed text
_NAMES = ("ABRT", "BUS", "FPE", "HUP", "ILL", "INT", "KILL", "PIPE", "QUIT", "SEGV", "SYS", "TERM", "TRAP")
_SIGNALS = frozenset(f"SIG{name}" for name in _NAMES)


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the subcommand."""
    parser.add_argument("file", metavar="FILE", help="log file, or - for standard input")
    parser.add_argument("--signal", metavar="NAME", help="signal that ended the process, such as SIGSEGV")
    parser.add_argument("--exit", dest="exit_code", type=int, metavar="N", help="exit status of the process")
    parser.add_argument(
        "--raw", action="store_true", help="the text comes from the program itself: nothing in it is prose"
    )
    parser.add_argument(
        "--meant",
        metavar="VERSION",
        help="ROCm version that should have run: warn when another one printed the fault",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Classify and print; 0 whether or not a cause was found."""
    signal = _signal(args.signal)
    text, rest = _read(args.file)
    unread = why_no_text(text, args.file)
    recognition = recognise(b"" if unread else text, signal=signal, exit_code=args.exit_code, raw=args.raw)
    caution = unread or warning(recognition.runtime_hint, args.meant or "")
    if args.json:
        print(json.dumps(as_json(recognition, caution), ensure_ascii=False))
        return 0
    print(as_text(recognition, caution, signal or signal_of(args.exit_code)))
    if rest:
        print(f"\nOnly the first {_LARGEST >> 20} MiB were read.")
    return 0


def as_json(recognition: Recognition, caution: str = "") -> dict[str, Any]:
    """`{"cause", ...fields}` plus where it was found; no empty entries but the cause."""
    found: dict[str, Any] = {"cause": str(recognition.cause), **recognition.fields}
    extra = {
        "line": recognition.line.strip(),
        "line_number": recognition.line_number,
        "pattern": recognition.pattern_id,
        "runtime_hint": recognition.runtime_hint,
        "warning": caution,
        "also": [str(cause) for cause in recognition.also],
        "also_lines": list(recognition.also_lines),
    }
    found.update({name: value for name, value in extra.items() if value})
    return found


def as_text(recognition: Recognition, caution: str = "", signal: str | None = None) -> str:
    """The same for people: cause, guilty line, fields, meaning, what helped, links."""
    advice = advice_for(recognition, signal)
    lines = [f"cause: {recognition.cause}"]
    if recognition.line:
        shown = " ".join(re.sub(r"[^\x20-\x7e\u00a0-\uffff]", " ", recognition.line).split())
        lines += ["", f"  line {recognition.line_number}:", *_wrap(shown, "  > ", limit=4)]
    elif recognition.cause is not Cause.NONE:
        lines += ["", "  no line of the text says so, only how the process ended"]
    if recognition.fields:
        lines.append("")
        lines += [f"  {name:13s} {value}" for name, value in recognition.fields.items()]
    if recognition.runtime_hint:
        lines.append(
            f"  {'printed by':13s} the HIP runtime of ROCm {recognition.runtime_hint} (from the source line number)"
        )
    if caution:
        lines += ["", *_wrap_commands(f"warning: {caution}", "  ")]
    if recognition.also:
        lines.append("")
    for cause, number in zip(recognition.also, recognition.also_lines, strict=True):
        if number < recognition.line_number:
            said = f"before it, in line {number}: {cause} (probably what led to it)"
        else:
            said = f"after it, in line {number}: {cause} (a consequence, if the program did not go on in between)"
        lines += _wrap(said, "  ")
    if advice is BY_CAUSE[Cause.NONE] and caution:
        return "\n".join(lines)  # nothing was read: there is nothing to say about it
    lines += ["", *_wrap(advice.meaning, "")]
    if advice.tried:
        lines += ["", "What people did about it:" if recognition else "What you can do:"]
        for item in advice.tried:
            lines += _wrap_commands(item, "  - ")
    if advice.links:
        lines += ["", "Read on:", *(f"  {link}" for link in advice.links)]
    return "\n".join(lines)


# Beginnings of files that hold no log as it stands, and what to do with them.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "is compressed (gzip); run `zcat {name} | rmcp classify -`"),
    (b"\xfd7zXZ\0", "is compressed (xz); run `xzcat {name} | rmcp classify -`"),
    (b"\x28\xb5\x2f\xfd", "is compressed (zstd); run `zstdcat {name} | rmcp classify -`"),
    (b"BZh", "is compressed (bzip2); run `bzcat {name} | rmcp classify -`"),
    (b"PK\3\4", "is an archive (zip); run `unzip -p {name} FILE | rmcp classify -`"),
    (b"\x7fELF", "is a program or a core file; for a core paste what `gdb -batch -ex bt PROGRAM {name}` prints"),
    (b"LPKSHHRH", "is a journal of systemd; run `journalctl --file={name} | rmcp classify -`"),
)
_BLANK = b" \t\r\n\0\xef\xbb\xbf"
_CONTROLS = bytes({*range(32)} - {*b"\t\n\v\f\r\x1b\b\a"})
_BINARY = 0.05  # share of control characters from which a file is no text


def why_no_text(data: bytes, name: str) -> str:
    """What is wrong with a file that cannot be a log, "" for text."""
    who = "standard input" if name == "-" else name
    if not data[:4096].strip(_BLANK) and not data.strip(_BLANK):
        return f"{who} is empty: nothing was read"
    for magic, said in _MAGIC:
        if data.startswith(magic):
            return f"{who} {said.format(name=name if name != '-' else 'FILE')}"
    head = data[: 1 << 16]
    wide = max(head[side::2].count(0) for side in (0, 1)) > 0.4 * len(head)  # UTF-16: every second byte is zero
    if not wide and len(head) - len(head.translate(None, _CONTROLS)) > _BINARY * len(head):
        return f"{who} is not a text; give the log itself"
    return ""


def _wrap(text: str, lead: str, limit: int = 0) -> list[str]:
    blank = " " * len(lead) if not lead.strip().startswith(">") else lead
    lines = textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=blank, break_on_hyphens=False)
    if limit and len(lines) > limit:
        return [*lines[:limit], f"{blank}..."]
    return lines


def _wrap_commands(text: str, lead: str) -> list[str]:
    whole = re.sub(r"`[^`]+`", lambda command: command.group().replace(" ", _NO_BREAK), text)
    return [line.replace(_NO_BREAK, " ") for line in _wrap(whole, lead)]


def _signal(name: str | None) -> str | None:
    if name is None:
        return None
    full = name.upper() if name.upper().startswith("SIG") else f"SIG{name.upper()}"
    if full not in _SIGNALS:
        raise UserError(f"--signal {name}: not a signal name; known are {', '.join(sorted(_SIGNALS))}")
    return full


def _read(name: str) -> tuple[bytes, bool]:
    """The text, at most `_LARGEST` bytes, and whether there was more."""
    if name == "-":
        return _bounded(sys.stdin.buffer)
    path = Path(name)
    try:
        with path.open("rb") as stream:
            return _bounded(stream)
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; give a log file, or - and paste the log (end with Ctrl-D)") from None
    except IsADirectoryError:
        raise UserError(f"{name}: a folder; give one log file of it, or `cat {name}/*.log | rmcp classify -`") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from None


def _bounded(stream: BinaryIO) -> tuple[bytes, bool]:
    text = stream.read(_LARGEST)
    return text, bool(stream.read(1))
