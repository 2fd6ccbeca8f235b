"""Judgement: what one attempt came to. The value that the classification returns and the journal stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rmcp.words import Cause, DeviceEvent, Outcome

SIGNATURE_RULE = 1  # raised when a rule of outcome/ changes, so that a changed rule is not a changed crash


@dataclass(frozen=True)
class Judgement:
    """``message`` is one line for people; ``fields`` what was read from the text (hsa_status, address,
    kernel, library, pid ...); ``source`` which evidence named the cause: exit, stderr, stdout, exception,
    kernel-log, timing or ''; ``signature`` the deduplication key, ``titles`` other names of the same crash."""

    outcome: Outcome
    cause: Cause = Cause.NONE
    message: str = ""
    signature: str = ""
    titles: tuple[str, ...] = ()
    device: DeviceEvent = DeviceEvent.NONE
    source: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    rule: int = SIGNATURE_RULE
