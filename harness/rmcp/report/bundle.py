"""Puts the page's ES modules into one script and writes the page around it, under a strict policy."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources

# In the order of their imports; one scope, so a top-level name is given once (a test holds them to that).
MODULES = (
    "util.js",
    "expr.js",
    "table.js",
    "state.js",
    "grid.js",
    "parts.js",
    "complete.js",
    "drawer.js",
    "panels.js",
    "view.js",
    "run.js",
    "compare.js",
    "main.js",
)
_IMPORT = re.compile(r"^import\s[^;]*;\s*$", re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(?=(?:async\s+)?(?:function|class|const|let)\b)", re.MULTILINE)


def _file(name: str) -> str:
    return resources.files("rmcp.report").joinpath("page").joinpath(name).read_text(encoding="utf-8")


@functools.lru_cache(maxsize=1)
def script() -> str:
    """All modules as one module script; imports and exports fall away."""
    parts = []
    for name in MODULES:
        text = _EXPORT.sub("", _IMPORT.sub("", _file(name)))
        parts.append(f"// {name}\n{text.strip()}\n")
    return "\n" + "\n".join(parts)


@functools.lru_cache(maxsize=1)
def style() -> str:
    """The style sheet."""
    return "\n" + _file("style.css")


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii") + "'"


@functools.lru_cache(maxsize=1)
def policy() -> str:
    """Nothing is loaded from anywhere; only this script and this style sheet, named by hash, count."""
    return (
        f"default-src 'none'; script-src {_hash(script())}; style-src {_hash(style())}; "
        "base-uri 'none'; form-action 'none'"
    )


def page(title: str, top: str, static: str, blocks: dict[str, str]) -> Iterator[bytes]:
    """The document. ``top`` and ``static`` (for readers without JavaScript and for print) are trusted HTML
    made by the caller with everything escaped; ``blocks`` are base64 texts by element id."""
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy(), quote=True)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(title)}</title>\n<style>{style()}</style>\n</head>\n<body>\n{top}\n"
        '<main id="app"><p class="loading">Unpacking …</p></main>\n'
        f'<noscript><div class="static">{static}</div></noscript>\n'
        f'<div class="printed static">{static}</div>\n'
        '<div id="live" role="status" aria-live="polite"></div>\n'
    ).encode("utf-8", "backslashreplace")
    for name, text in blocks.items():
        yield f'<script type="application/gzip" id="{name}">'.encode()
        yield text.encode("ascii")
        yield b"</script>\n"
    yield f'<script type="module">{script()}</script>\n</body>\n</html>\n'.encode()


def top(mark: str, sentence: str, sub: Iterable[str]) -> str:
    """The head of the page: a sign, the verdict sentence, and what the page is about."""
    sign, name = {"ok": ("✓", "good"), "bad": ("✗", "bad")}.get(mark, ("?", "open"))
    words = [word for word in sub if word]
    about = "".join(
        f"<{tag}>{escape(word)}</{tag}>" for tag, word in zip(["strong"] + ["span"] * len(words), words, strict=False)
    )
    return (
        f'<header class="top"><div class="mark {escape(mark)}" role="img" aria-label="{name}">{sign}</div>'
        f'<div><h1>{escape(sentence)}</h1><p class="sub">{about}</p></div></header>'
    )


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A plain HTML table, everything escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
