"""pytest entry point: options and marks only. Without an rmcp option or mark nothing else is imported."""

from __future__ import annotations

import os

import pytest

_MARKS = (
    "rmcp_isolated(timeout=None, memory=None, retries=0): run this test in an isolated, guarded child process",
    "rmcp(**axes): set on matrix cases with their axis values, for -m \"rmcp(dtype='float16')\"",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Every option starts with ``--rmcp-``; `rmcp run` takes the same ones."""
    group = parser.getgroup("rmcp", "rmcp: crash-safe test matrix")
    group.addoption(
        "--rmcp-matrix", nargs="?", const="", default=None, metavar="NAME|FILE|DIR",
        help="run a test matrix instead of tests; without a value the shipped default",
    )  # fmt: skip
    group.addoption("--rmcp-select", metavar="EXPR", help="only cases for which the expression holds")
    group.addoption("--rmcp-case", action="append", default=[], metavar="ID", help="only this case (repeatable)")
    group.addoption("--rmcp-profile", metavar="NAME", help="a profile of the matrix")
    group.addoption(
        "--rmcp-runtime", action="append", default=[], metavar="NAME=PYTHON",
        help="a further runtime: an interpreter, a venv, or {prefix: ...} or {image: ...} (repeatable)",
    )  # fmt: skip
    group.addoption("--rmcp-device", metavar="DEVICE", help="cpu, cuda, cuda:1, xpu ...; overrides the matrix")
    group.addoption(
        "--rmcp-isolation", choices=("fork", "exec", "batch"), default="fork",
        help="fork (default): a child per case; exec: a fresh interpreter per case; batch: many cases per child",
    )  # fmt: skip
    group.addoption("--rmcp-shard", metavar="K/N", help="only the K-th of N parts, by hash of the case key")
    group.addoption(
        "--rmcp-resume", nargs="?", const="latest", default=None, metavar="RUN",
        help="go on with a run that was interrupted: only its outstanding cases",
    )  # fmt: skip
    group.addoption("--rmcp-out", default="reports", metavar="DIR", help="where runs are written (reports)")
    group.addoption("--rmcp-timeout", type=float, metavar="SECONDS", help="budget of a case, overrides the matrix")
    group.addoption("--rmcp-retries", type=int, default=0, metavar="N", help="further attempts for a failed case")
    group.addoption("--rmcp-repeat", type=int, default=1, metavar="N", help="attempts for every case")
    group.addoption("--rmcp-memory", metavar="SIZE", help="memory limit of a case, for example 2GiB")
    group.addoption("--rmcp-force", action="store_true", help="with resume: also cases that twice lost the machine")
    group.addoption(
        "--rmcp-update-expectations", action="store_true",
        help="after the run, write what was seen as expectations of the matrix",
    )  # fmt: skip
    group.addoption("--rmcp-isolate", action="store_true", help="run every ordinary test in an isolated child")


def pytest_configure(config: pytest.Config) -> None:
    """Register the parts that are asked for."""
    for mark in _MARKS:
        config.addinivalue_line("markers", mark)
    if config.option.rmcp_matrix is not None or config.option.rmcp_resume is not None:
        from rmcp.pytest_plugin.matrix_session import register

        register(config)
    if "RMCP_ISOLATED_FRESH" in os.environ:
        from rmcp.pytest_plugin.isolated_fresh import register_fresh

        register_fresh(config)
    elif config.option.rmcp_isolate:
        _isolate(config)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The mark alone is enough: isolation is loaded when a collected test carries it."""
    if config.pluginmanager.hasplugin("rmcp-isolated-fresh"):
        return
    if any(item.get_closest_marker("rmcp_isolated") is not None for item in items):
        _isolate(config)


def _isolate(config: pytest.Config) -> None:
    from rmcp.pytest_plugin.isolated_session import register

    register(config)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Hooks that users may implement."""
    from rmcp import hookspecs

    pluginmanager.add_hookspecs(hookspecs)
