"""Run directories: journal, fold, resume, merge, export. The only writer and reader of them."""

from __future__ import annotations

from rmcp.runs.reader import find_run, list_runs, load_run, outstanding

__all__ = ["find_run", "list_runs", "load_run", "outstanding"]
