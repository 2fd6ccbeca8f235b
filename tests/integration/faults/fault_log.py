"""A plugin (`-p fault_log`) that writes every report of a run, with what rmcp made of it, as JSON lines."""

import json
import os
import resource

_TEXT = 200_000  # characters of a text that the checks look at


def _write(line):
    with open(os.environ["FAULT_LOG"], "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _memory():
    _write({"maxrss_kb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss})


def pytest_collection_finish():
    """Memory of the runner before the first test."""
    _memory()


def pytest_sessionfinish():
    """Memory of the runner after the last."""
    _memory()


def pytest_runtest_logreport(report):
    """One line per report into the file that FAULT_LOG names."""
    line = {
        "nodeid": report.nodeid,
        "when": report.when,
        "outcome": report.outcome,
        "xfail": getattr(report, "wasxfail", None),
        "duration": report.duration,
        "text": report.longreprtext[:_TEXT],
        "stdout": report.capstdout[:_TEXT],
        "stderr": report.capstderr[:_TEXT],
        "rmcp": getattr(report, "rmcp_isolated", None),
    }
    _write(line)
