"""Who writes: the boot and the host, so that a later reader can tell a dead runner from a dead machine."""

from __future__ import annotations

import functools
import hashlib
import socket
from pathlib import Path


@functools.lru_cache(maxsize=1)
def boot_id() -> str:
    """The kernel's random id of this boot; empty where /proc does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


@functools.lru_cache(maxsize=1)
def host_tag() -> str:
    """A short tag of this installation. Hashed: the machine id itself is confidential (machine-id(5))."""
    try:
        name = Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        name = ""
    return hashlib.sha256(f"rmcp:{name or socket.gethostname()}".encode()).hexdigest()[:12]
