"""`rmcp schema`: the JSON Schema of the matrix file, for completion and checks in editors."""

from __future__ import annotations

import argparse
import json


def configure(parser: argparse.ArgumentParser) -> None:
    """No options."""
    parser.epilog = (
        "In an editor with the YAML language server: # yaml-language-server: $schema=rmcp.schema.json"
    )


def run(args: argparse.Namespace) -> int:
    """Print the schema."""
    from rmcp.matrix.schema import json_schema

    print(json.dumps(json_schema(), indent=2))
    return 0
