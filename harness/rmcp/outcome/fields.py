"""Field values as they are stored: numbers as numbers, codes in small letters, libraries by their plain name. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rmcp.words import Cause

_NUMBERS = ("node", "pid", "exit_code", "gpu_index", "xid", "free_mb")
_SQLITE = re.compile(r"SQLite|sqlite_db|sqlite3|Timeout while waiting for Database", re.IGNORECASE)
_COMPILE = re.compile(
    r"HIPRTC|hiprtc|Code object build failed|Can't execute|BuildHip|BuildOcl|BuildAsm|Build(?:Code|Program)|comgr|clang"
    r"|error generated when compiling"
    r"|fatal error: '|COMPIL|Failed to build|kernel compil",
    re.IGNORECASE,
)
_MIOPEN_STATUS = re.compile(rb"\bmiopenStatus(?!Success)[A-Z]\w+")
_GGML = re.compile(rb"ggml[-_]cuda|ggml[-_]hip")
_HIPBLAS = re.compile(rb"hipblas|HIPBLAS|rocBLAS|ROCm error|rocblas")


def tidy(cause: Cause, fields: Mapping[str, Any], data: bytes, details: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of one recognition in their stored form; ``data`` is the cleaned text, for what stands elsewhere,
    ``details`` the free texts of all lines of the same cause."""
    tidied: dict[str, Any] = {}
    for name, value in fields.items():
        if name in ("detail", "at", "text", "flavour", "number", "call"):
            continue
        if name in _NUMBERS:
            if not str(value).isdigit():
                continue
            value = int(value)
        if name == "code" and isinstance(value, str) and value[:2] in ("0x", "0X"):
            value = value.lower()
        if name == "queue" and value.endswith("..."):
            continue
        if name == "library" and isinstance(value, str) and ".so" in value:
            value = value.split(".so")[0].rpartition("/")[2]
        if name == "kernel":
            value = value.strip(" ,;.")
            if value in ("operator()", ""):
                continue
        tidied[name] = value
    if cause is Cause.MIOPEN_ERROR:
        _tidy_miopen(tidied, "\n".join(details), data)
    if "BLAS_STATUS" in str(tidied.get("code", "")):
        tidied.setdefault("library", "hipBLAS" if _HIPBLAS.search(data[:1_000_000]) else "cuBLAS")
    if "code" in tidied and cause is not Cause.DEVICE_ASSERT and _GGML.search(data[:1_000_000]):
        tidied.setdefault("library", "ggml")
    return tidied


def _tidy_miopen(tidied: dict[str, Any], details: str, data: bytes) -> None:
    """Subkind and status of a MIOpen error stand on any of the lines that it leaves."""
    if "miopen_status" not in tidied:
        status = _MIOPEN_STATUS.search(data[:1_000_000])
        if status:
            tidied["miopen_status"] = status.group().decode()
    if _SQLITE.search(details):
        tidied["subkind"] = "sqlite"
    elif _COMPILE.search(details):
        tidied["subkind"] = "kernel_compile"
