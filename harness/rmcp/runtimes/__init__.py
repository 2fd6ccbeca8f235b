"""Runtimes: from a venv, container image or ROCm prefix to the argv and environment that start its Python."""
