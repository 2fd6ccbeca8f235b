"""Entry of the target's side: ``python /path/to/rmcp_torch/__main__.py zygote|child ...``.

Started by path, so that the tested interpreter needs nothing installed and its ``sys.path`` stays as a fresh
process has it: the package is registered from its own folder instead of being put on the path.
"""

from __future__ import annotations

import sys


def _register() -> None:
    import importlib.util
    import os

    folder = os.path.dirname(os.path.abspath(__file__))
    if sys.path and os.path.abspath(sys.path[0]) == folder:
        # Python put this folder first; names such as `capture` would hide modules of the user's.
        del sys.path[0]
    if "rmcp_torch" in sys.modules:
        return
    spec = importlib.util.spec_from_file_location(
        "rmcp_torch", os.path.join(folder, "__init__.py"), submodule_search_locations=[folder]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rmcp_torch"] = module
    spec.loader.exec_module(module)


def main() -> int:
    """Run the role named by the first argument."""
    _register()
    role = sys.argv[1] if len(sys.argv) > 1 else ""
    if role == "zygote":
        from rmcp_torch.zygote import main as zygote_main

        return zygote_main(sys.argv[2:])
    if role == "child":
        from rmcp_torch.child import exec_main

        return exec_main(sys.argv[2:])
    sys.stderr.write("usage: python -m rmcp_torch zygote|child (started by rmcp, not by hand)\n")
    return 4


if __name__ == "__main__":
    sys.exit(main())
