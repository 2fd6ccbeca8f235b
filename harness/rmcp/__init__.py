"""rmcp, the runner's side: matrix, isolation, outcomes, runs and reports. Never imports torch.

Importing this package is cheap on purpose: pytest loads :mod:`rmcp.plugin` in every
session, also where nobody asked for a matrix.
"""

__version__ = "0.1.0"
