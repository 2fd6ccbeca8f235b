"""Ways around a broken convolution, as axis values and for users' own training code.

    from rmcp_torch import patch_model, safe_conv2d
    model = patch_model(model, "unfold")

See docs/workarounds.md for what each does and costs. Importing this imports no torch (`policy` is pure).
"""

from __future__ import annotations

from typing import Any

from rmcp_torch.workarounds.policy import Policy, PolicyError, load

_LAZY = {
    "FUNCTIONS": "functional",
    "SafeConv2d": "modules",
    "WorkaroundError": "modules",
    "convolution": "modules",
    "patch_model": "modules",
    "safe_conv2d": "modules",
    "unpatch_model": "modules",
}


def __getattr__(name: str) -> Any:
    """Load what needs torch on first use (PEP 562)."""
    if name in _LAZY:
        import importlib

        return getattr(importlib.import_module("rmcp_torch.workarounds." + _LAZY[name]), name)
    raise AttributeError("module 'rmcp_torch.workarounds' has no attribute %r" % name)


def apply_policy(model: Any, path: str) -> Any:
    """Patch ``model`` by a policy file that `rmcp policy` wrote; in place, and returned. Warns of expired rules.

    Raises PolicyError or WorkaroundError for a file that is no policy, OSError when it cannot be read.
    """
    import datetime
    import warnings

    from rmcp_torch.workarounds.modules import patch_model

    policy = load(path)
    today = datetime.date.today().isoformat()
    for number, rule in enumerate(policy.rules):
        if rule.expires and rule.expires < today:
            text = "%s: rules[%d] (%s) was proven until %s: test again whether it is still needed"
            warnings.warn(text % (path, number, rule.workaround, rule.expires), stacklevel=2)
    return patch_model(model, policy)


__all__ = [
    "FUNCTIONS",
    "Policy",
    "PolicyError",
    "SafeConv2d",
    "WorkaroundError",
    "apply_policy",
    "convolution",
    "load",
    "patch_model",
    "safe_conv2d",
    "unpatch_model",
]
