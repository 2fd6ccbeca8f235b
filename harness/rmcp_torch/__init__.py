"""rmcp_torch, the target's side: runs inside the tested interpreter. Standard library and the target's torch only.

Importing it imports neither torch nor anything else; the public names are loaded on first use.
"""

from __future__ import annotations

_PUBLIC = {
    "patch_model": "rmcp_torch.workarounds",
    "safe_conv2d": "rmcp_torch.workarounds",
    "apply_policy": "rmcp_torch.workarounds",
    "capture": "rmcp_torch.recording",
}

__all__ = ["apply_policy", "capture", "patch_model", "safe_conv2d"]


def __getattr__(name: str) -> object:
    """Load a public name from its module (PEP 562), so that `import rmcp_torch` stays free of torch."""
    if name in _PUBLIC:
        import importlib

        return getattr(importlib.import_module(_PUBLIC[name]), name)
    raise AttributeError("module 'rmcp_torch' has no attribute %r" % name)
