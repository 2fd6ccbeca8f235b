"""Runtimes: from a venv, container image or ROCm prefix to the argv and environment that start its Python."""

from __future__ import annotations

from rmcp.runtimes.argv import HostDevices, Launch, launch
from rmcp.runtimes.available import why_not
from rmcp.runtimes.describe import start_command

__all__ = ["HostDevices", "Launch", "launch", "start_command", "why_not"]
