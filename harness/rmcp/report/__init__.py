"""Reports of a run or a comparison: HTML, JUnit, Markdown, CSV, Parquet, CTRF, annotations, reproducers."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rmcp.runs.model import Run


def write_reports(run: Run, directory: Path, *, retries: bool = False) -> dict[str, Path]:
    """Write report.html, junit.xml and summary.md of ``run`` into ``directory``, each atomically.

    Returns the paths by `html`, `junit` and `markdown`. Never raises: odd data must not cost a finished
    run its exit code; what goes wrong with one file is written to <name>.error.txt beside it, and that path
    is returned instead.
    ``retries`` adds failed attempts to the JUnit file (Surefire dialect).
    """
    from rmcp.report.html import write_html
    from rmcp.report.junit import write_junit
    from rmcp.report.markdown import write_markdown

    jobs: dict[str, tuple[str, Callable[[Path], None]]] = {
        "junit": ("junit.xml", lambda path: write_junit(run, path, retries)),
        "markdown": ("summary.md", lambda path: write_markdown(run, path)),
        "html": ("report.html", lambda path: write_html(run, path)),
    }
    written = {}
    for name, (file, job) in jobs.items():
        path = directory / file
        error = path.with_name(file + ".error.txt")
        try:
            job(path)
            error.unlink(missing_ok=True)
            written[name] = path
        except Exception:
            try:
                error.write_text(traceback.format_exc(), encoding="utf-8", errors="backslashreplace")
                written[name] = error
            except OSError:
                pass  # a full or read-only disk: the journal holds the truth, `rmcp report` makes these again
    return written


__all__ = ["write_reports"]
