"""From pytest's command line to RunOptions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rmcp.errors import UserError
from rmcp.session.options import RunOptions

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}


def options_of(config: pytest.Config) -> RunOptions:
    """The options of this session. Raises UserError for a value that makes no sense."""
    option = config.option
    for name in ("rmcp_timeout", "rmcp_retries", "rmcp_repeat"):
        value = getattr(option, name)
        if value is not None and value < (1 if name == "rmcp_repeat" else 0):
            raise UserError(f"--{name.replace('_', '-')}={value:g} makes no sense")
    return RunOptions(
        matrix=option.rmcp_matrix or None,
        select=option.rmcp_select,
        profile=option.rmcp_profile,
        device=option.rmcp_device,
        isolation=option.rmcp_isolation,
        shard=option.rmcp_shard,
        resume=option.rmcp_resume,
        out=Path(option.rmcp_out),
        timeout=option.rmcp_timeout,
        retries=option.rmcp_retries,
        repeat=option.rmcp_repeat,
        memory=parse_size(option.rmcp_memory) if option.rmcp_memory else None,
        cases=tuple(option.rmcp_case),
        runtimes=tuple(option.rmcp_runtime),
        force=option.rmcp_force,
        update_expectations=option.rmcp_update_expectations,
    )


def parse_size(text: str) -> int:
    """Bytes of a size such as ``2GiB``, ``512M`` or ``1073741824``; powers of 1024."""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?\s*", text, re.IGNORECASE)
    if found is None:
        raise UserError(f"a memory size is written like 2GiB or 512M; found {text!r}")
    return int(float(found[1]) * _UNITS[found[2].lower()])
