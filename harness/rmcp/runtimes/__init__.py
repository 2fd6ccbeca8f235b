"""Runtimes: from a venv, container image or ROCm prefix to the argv and environment that start its Python."""

from __future__ import annotations

from rmcp.runtimes.argv import HostDevices, Launch, launch

__all__ = ["HostDevices", "Launch", "launch"]
