"""The canary: a known-good, tiny piece of work on a device, in a child of its own with a short deadline.

It says whether the device still computes at all, so it uses nothing that is under test: no convolution, no
BLAS, no MIOpen; a fill, an addition, a sum and a copy back, with sizes that cross a few work-groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from rmcp.device.bounded import Ended, run_bounded

CANARY_S = (
    60.0  # a cold `import torch` takes up to 20 s, a first HIP initialisation after a reset about as long
)

# Runs in the target's interpreter (Python 3.8 or later). Exactly representable in float32: 4099 * 3 = 12297.
_SOURCE = """
import sys
import torch
device = sys.argv[1]
ones = torch.ones(4099, device=device)
total = float((ones + ones + ones).sum().cpu())
back = bool((torch.arange(4099, device=device).cpu() == torch.arange(4099)).all())
print("RMCP-CANARY", total, back, flush=True)
"""
_GOOD = "RMCP-CANARY 12297.0 True"

Run = Callable[..., Ended]


@dataclass(frozen=True)
class CanaryResult:
    """``ok``: right numbers and a clean exit; ``detail`` one line of why not; ``wedged``: it survived
    SIGKILL."""

    ok: bool
    detail: str = ""
    seconds: float = 0.0
    wedged: bool = False


def run_canary(
    python: Sequence[str],
    device: str,
    *,
    deadline_s: float = CANARY_S,
    env: Mapping[str, str] | None = None,
    run: Run = run_bounded,
) -> CanaryResult:
    """Run the canary with the interpreter ``python`` (an argv, such as ["/opt/venv/bin/python"]) on
    ``device``.

    ``env`` is the child's whole environment, None: ours. A CPU needs no canary and answers at once.
    """
    if device.partition(":")[0] == "cpu":
        return CanaryResult(True)
    ended = run([*python, "-c", _SOURCE, device], deadline_s, env=env)
    return CanaryResult(
        ok=not (why := _trouble(ended, deadline_s)), detail=why, seconds=ended.seconds, wedged=ended.wedged
    )


def _trouble(ended: Ended, deadline_s: float) -> str:
    if ended.missing:
        return f"cannot be started: {ended.missing}"
    said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
    last = f": {said[-1][:200]}" if said else ""
    if ended.timed_out:
        return f"no answer within {deadline_s:g} s" + (" and it survived SIGKILL" if ended.wedged else "")
    if ended.returncode is not None and ended.returncode < 0:
        return f"killed by signal {-ended.returncode}{last}"
    if ended.returncode != 0:
        return f"exit code {ended.returncode}{last}"
    if _GOOD not in ended.stdout.splitlines():
        return f"wrong numbers: {ended.stdout.strip()[-200:] or 'no answer'}"
    return ""
