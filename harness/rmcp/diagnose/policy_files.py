"""A compiled policy as files (policy.yaml, a shell file, expectations to re-test with) and as the decision
page."""

from __future__ import annotations

import json
import shlex

from rmcp.diagnose.policy import Compiled

POLICY_FORMAT = 1  # of policy.yaml, as rmcp_torch.workarounds.policy reads it


def policy_text(compiled: Compiled, expires: str, run_id: str) -> str:
    """policy.yaml: JSON, which is YAML too, because the target's side reads it with its standard library."""
    rules = []
    for choice in compiled.choices:
        if choice.remedy is None or choice.remedy.kind not in ("workaround", "cpu"):
            continue
        remedy, e = choice.remedy, choice.explanation
        name = str(remedy.patch.get("workaround", "cpu"))
        rules.append(
            {
                "where": dict(choice.where),
                "workaround": name,
                "why": e.sentence,
                "cases": list(remedy.cases),
                "proof": {
                    "run": run_id,
                    "cases": list(remedy.cases),
                    "failing": remedy.failing,
                    "cured": remedy.cured,
                    "signature": e.signature,
                },
                "slowdown": None if remedy.slowdown is None else round(remedy.slowdown, 3),
                "scope": dict(choice.scope),
                "expires": expires,
            }
        )
    document = {
        "rmcp_policy": POLICY_FORMAT,
        "default": "none",
        "run": run_id,
        "rules": rules,
        "env": dict(compiled.env),
        "unsolved": [choice.explanation.sentence for choice in compiled.unsolved],
    }
    return json.dumps(document, indent=2) + "\n"


def env_text(compiled: Compiled, expires: str, run_id: str) -> str:
    """The shell file: `. rmcp-env.sh` sets what the environment remedies need."""
    lines = [f"# Made by `rmcp policy` from run {_comment(run_id)}; proven until {_comment(expires)}."]
    for choice in compiled.choices:
        if choice.remedy is not None and choice.remedy.kind == "env":
            lines.append(f"# {_comment(choice.explanation.sentence)}")
            lines.append(f"#   {_comment(choice.remedy.text())}")
    for name, value in sorted(compiled.env.items()):
        lines.append(f"unset {name}" if value is None else f"export {name}={shlex.quote(value)}")
    if not compiled.env:
        lines.append("# No rule needs a variable.")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Text that cannot leave its comment line."""
    return " ".join(text.split())


def retest_text(compiled: Compiled, expires: str, run_id: str) -> str:
    """Expectations for the cells that the policy works around: a rule that is no longer needed shows up as
    improved."""
    entries = [
        {
            "where": choice.explanation.expression,
            "outcome": [choice.explanation.outcome],
            "cause": choice.explanation.cause,
            "reason": f"worked around by the policy of run {run_id}",
            "until": expires,
        }
        for choice in compiled.choices
        if choice.explanation.expression
    ]
    return json.dumps({"rmcp": 1, "expect": entries}, indent=2) + "\n"


def decision_page(compiled: Compiled, run_id: str) -> str:
    """What to do about this machine, for people."""
    lines = [f"policy of run {run_id}", ""]
    for choice in compiled.choices:
        lines.append(choice.explanation.sentence)
        if choice.remedy is not None:
            lines.append(f"  take {choice.remedy.text()}")
            if choice.remedy.kind in ("layout", "dtype", "backend", "runtime"):
                lines.append("  this one is for you to set in your program: it is not in policy.yaml")
        elif choice.considered:
            lines.append("  nothing that was tried is sufficient; the best of it:")
            lines.append(f"    {choice.considered[0].text()}")
        else:
            lines.append("  nothing was tried that could cure it: no other environment, workaround or device")
        lines += [
            f"  rejected: {r.text()}"
            for r in choice.considered[1 if choice.remedy is None else 0 :]
            if not r.sufficient
        ][:5]
        lines += [f"  dearer: {r.text()}" for r in choice.considered if r.sufficient and r is not choice.remedy][:5]
        lines += [f"  {note}" for note in choice.notes] + [""]
    if not compiled.choices:
        lines += ["nothing failed: no policy is needed", ""]
    working = [c for c in compiled.configurations if c.passed == c.total]
    lines.append(
        "configurations in which everything that ran passed, fastest first:"
        if working
        else "no configuration passed everything that ran in it; the nearest:"
    )
    for c in (working or list(compiled.configurations))[:8]:
        name = " ".join(f"{axis}={value}" for axis, value in c.axes.items()) or "the only one"
        speed = "" if c.relative_time is None else f", {c.relative_time:.2f} times the fastest time"
        lines.append(f"  {name}: {c.passed} of {c.total} passed{speed}")
    if compiled.unsolved:
        lines += [
            "",
            "what is left for the rules above that have no remedy:",
            *(f"  {text}" for text in _LAST_STEPS),
        ]
    return "\n".join([*lines, *compiled.notes]).rstrip() + "\n"


_LAST_STEPS = (
    "add `workaround` and `env` axes to the matrix and run the failing cells again (rmcp run --select ...)",
    "run these layers on the CPU (workaround `cpu`): right, at the cost of two copies and the CPU's speed",
    "try another runtime (a ROCm or PyTorch version) as a value of the runtime axis",
    "other hardware: a device that the vendor supports",
)
