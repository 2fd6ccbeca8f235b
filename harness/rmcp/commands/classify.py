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
from rmcp.outcome.advice import advice_for
from rmcp.outcome.fingerprint import warning
from rmcp.outcome.recognise import recognise
from rmcp.outcome.recognition import Recognition
from rmcp.outcome.words import Cause

_LARGEST = 1 << 30  # bytes that are read: the recogniser holds the text in memory
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
    recognition = recognise(text, signal=signal, exit_code=args.exit_code, raw=args.raw)
    caution = warning(recognition.runtime_hint, args.meant or "")
    if args.json:
        print(json.dumps(as_json(recognition, caution), ensure_ascii=False))
        return 0
    print(as_text(recognition, caution))
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
    }
    found.update({name: value for name, value in extra.items() if value})
    return found


def as_text(recognition: Recognition, caution: str = "") -> str:
    """The same for people: cause, guilty line, fields, meaning, what helped, links."""
    advice = advice_for(recognition)
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
        lines += ["", *_wrap(f"warning: {caution}", "  ")]
    if recognition.also:
        lines += [
            "",
            *_wrap(
                "later in the text: " + ", ".join(map(str, recognition.also)) + " (probably a consequence)",
                "  ",
            ),
        ]
    lines += ["", *_wrap(advice.meaning, "")]
    if advice.tried:
        lines += ["", "What people did about it:" if recognition else "What you can do:"]
        for item in advice.tried:
            lines += _wrap(item, "  - ")
    if advice.links:
        lines += ["", "Read on:", *(f"  {link}" for link in advice.links)]
    return "\n".join(lines)


def _wrap(text: str, lead: str, limit: int = 0) -> list[str]:
    blank = " " * len(lead) if not lead.strip().startswith(">") else lead
    lines = textwrap.wrap(text, _WIDTH, initial_indent=lead, subsequent_indent=blank, break_on_hyphens=False)
    if limit and len(lines) > limit:
        return [*lines[:limit], f"{blank}..."]
    return lines


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
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror or error}") from None


def _bounded(stream: BinaryIO) -> tuple[bytes, bool]:
    text = stream.read(_LARGEST)
    return text, bool(stream.read(1))
