"""rmcp, the runner's side: matrix, isolation, outcomes, runs and reports. Never imports torch.

Importing this package is cheap on purpose: pytest loads :mod:`rmcp.plugin` in every
session, also where nobody asked for a matrix.
"""

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """`rmcp.Crash` and `rmcp.Hang`, for `xfail(raises=...)`; loaded when asked for."""
    if name in ("Crash", "Hang"):
        from rmcp.pytest_plugin import isolated_crash

        return getattr(isolated_crash, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
