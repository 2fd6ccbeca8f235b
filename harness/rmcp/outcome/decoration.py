"""What stands before a message on its line: time stamps, ranks, journal prefixes, comment and quote signs. Pure.

`undecorate` takes the decoration off and remembers it.
"""

# ruff: noqa: E501 - regular expressions read better in one piece

from __future__ import annotations

import re
from dataclasses import dataclass

_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|ERR|CRITICAL|FATAL|SEVERE|[EWIF](?=\d))"
# What loggers, journals and launchers put before a message. Order: special before general.
_LOG = re.compile(
    "|".join(
        (
            r"\[?\d{4}[-/]\d\d[-/]\d\d[T ,_-]+\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z| ?[+-]\d\d:?\d\d)?(?: [A-Z]{2}\d+)*\]?[:,]?",
            r"\[[A-Z][a-z]{2} [A-Z][a-z]{2} +\d+ \d\d:\d\d:\d\d(?:\.\d+)? \d{4}\]",
            r"[^\W\d_]{2,5}\.? +\d{1,2} \d\d:\d\d:\d\d(?:\.\d+)?(?: \d{4})? (?:[\w.-]+ )?(?=[\w./@-]+(?:\[\d+\])?:)",
            r"\[ *\d+\.\d+\]",
            r"\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?",
            r"(?:stdout|stderr) [FP]\b",
            r"kernel:",
            r"\((?:[\w.:/-]+ )*(?:\w+=\S+ )*pid=\d+[^)\n]{0,80}\)",
            r"\[rank\d+\]:?",
            r"\[\d+,\d+\]<std(?:err|out)>:?",
            r"[EWIF]\d{4} [\d:.]+ +\d+ \S+:\d+\]",
            # a progress bar of tqdm that the message was printed behind
            r"[^|\n]{0,60}?\b\d{1,3}%(?:\|[^|\n]{0,120}\||(?= \d+/\d+ \[))\s*\d+[\w.]*/\d+[\w.]*\s*(?:\[[^\]\n]{0,60}\]|…)",
            r"[EWIF] [\w./-]+\.(?:cc|cpp|cu|h):\d+\]",
            r"\d+\.\d\d\.\d{3}\.\d{3} [A-Z]\b",
            r"time=\S+ level=\w+ source=\S+ msg=",
            # a line in JSON: Docker's json-file, Google Cloud's textPayload, launchers that write one event a line
            r"\{\"(?:log|(?:event|level|ts|time|timestamp|stream|pipe|pid)\"\s*:[^{}\n]{1,120}?\"(?:data|log|msg|message|line))\"\s*:\s*\"",
            r"\"textPayload\"\s*:\s*\"",
            r"(?:thread '[^'\n]{1,60}'[^\n]{0,40}? panicked at [^\n]{0,200}?)?called `Result::\w+\(\)` on an `Err` value: ",
            _LEVEL + r"\s*[:|]?\s*(?:\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?\s*)?(?:\[?[\w./<>-]+\.(?:py|cpp|cc|go|rs|cu):\d+\]:?)?"
            r"(?=\s|:|$)(?:\s*:\s?[\w.]+:)?",
            r"[\w.-]+-\d+ +\| ",
            r"[\w./@-]+\[\d+\]:(?! segfault| trap)",
            r"\[(?!gfxhub|mmhub|\d+\]\s)[^\]\n]{1,60}\]:?",
            r"amdgpu(?: [0-9a-f]{4}:[0-9a-f:.]+)?:",
            r"!!! Exception during processing ?!*!!!",
            r"E {3,}(?!assert\b|[-+?|] )(?=\S)",  # pytest's mark beside the lines of an exception
            r"(?:FAILED|ERROR) \S+\.py(?:::\S+)? - (?!assert\b)",
        )
    )
)
_MARK = re.compile(r">+(?= |$)|REM(?=\s|$)|#+(?=\s)(?! HCC )|//+!?(?= |$)|/\*+|\*(?=\s)|;+(?= )|[-+•‣](?= )|\d{1,2}[.)](?= )|[│║┃|](?= )|`{1,3}|<(?:pre|code|p|td|li)>")
_ANSI = re.compile(r"\x1b(?:\[[0-9;:?<=>]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78cDEHMNOZ])")
_LIMIT = 4000  # characters of a line that are looked at; beyond that stand template names and dumped tensors


@dataclass(frozen=True)
class Core:
    """A line without its decoration. ``text`` is the message; the flags say what was taken off before it."""

    text: str
    logged: bool = False  # a logger, journal or launcher prefix: the program itself printed it
    comment: bool = False  # comment sign of a source file
    heading: bool = False  # markdown heading
    bullet: bool = False
    quoted: bool = False  # mail or issue quote sign
    table: bool = False  # row of a markdown table
    ticked: bool = False  # begins with a code tick: a quotation inside prose, or a line that is quoted whole
    indent: int = 0


def strip_ansi(text: str) -> str:
    """The text without terminal control sequences."""
    return _ANSI.sub("", text) if "\x1b" in text else text


_JSON_END = re.compile(r"(?<!\\)\"\s*(?:[,}]|$)")


def _json_value(rest: str) -> str:
    """The text of a JSON string whose beginning is cut off: up to its closing quote, without line ends."""
    end = _JSON_END.search(rest)
    value = rest[: end.start()] if end else rest
    value = re.sub(r"(?:\\+[rn])+$", "", value)
    return value.replace('\\"', '"').replace("\\t", " ")


def undecorate(line: str) -> Core:
    """Take log prefixes, quote, comment and list signs off the beginning of a line."""
    text = strip_ansi(line[:_LIMIT]).rstrip()
    rest = text.lstrip()
    indent = len(text) - len(rest)
    logged = comment = heading = bullet = quoted = table = ticked = False
    for _ in range(12):  # a line has a handful of prefixes; the bound keeps a hostile line cheap
        rest = rest.lstrip()
        found = _LOG.match(rest)
        if found is not None and found.end():
            logged, rest = True, rest[found.end() :]
            if found.group().startswith(("{", '"')):
                rest = _json_value(rest)
            continue
        found = _MARK.match(rest)
        if found is None:
            break
        sign = found.group()
        if sign == "REM":
            comment = True
        elif sign.startswith("#"):
            heading = heading or len(sign) > 1
            comment = True
        elif sign.startswith(("/", ";")) or sign == "*":
            comment, bullet = comment or sign != "*", bullet or sign == "*"
        elif sign.startswith(">"):
            quoted = True
        elif sign == "|":
            table = table or (not logged and rest.count(" | ") > 0)
        elif sign in ("`", "``"):
            ticked = True
        elif sign[0] in "-+•‣" or sign[0].isdigit():
            bullet = True
        rest = rest[found.end() :]
    return Core(rest, logged, comment, heading, bullet, quoted, table, ticked, indent)
