"""The picture of the house in docs/architecture.md is true: rooms import in one direction, files stay readable."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import rmcp

PACKAGE = Path(rmcp.__file__).parent

# Each room may import the rooms before it, wherever in a file it does so.
ORDER = [
    "errors", "words", "attempt", "stats", "device", "matrix", "runtimes", "isolation", "outcome", "catalogue",
    "runs", "expect", "compare", "report", "session", "diagnose", "hookspecs", "pytest_plugin", "plugin", "commands",
    "cli",
]  # fmt: skip


def place(module: str) -> str:
    """The room of ``rmcp.<room>...``, or one of the single files; empty for the package itself."""
    return ".".join(module.split(".")[1:2])


def imports_of(path: Path) -> set[str]:
    """Modules of rmcp that the file imports, at its top or in a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "rmcp":
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.split(".")[0] == "rmcp"}
    return found


def test_rooms_import_in_one_direction() -> None:
    wrong = []
    for path in sorted(PACKAGE.rglob("*.py")):
        own = place(".".join(("rmcp", *path.relative_to(PACKAGE).with_suffix("").parts)))
        if own == "__init__":
            continue  # hands out `rmcp.Crash` of the plugin when it is asked for
        for module in imports_of(path):
            other = place(module)
            if other and other != own and ORDER.index(other) > ORDER.index(own):
                wrong.append(f"{path.relative_to(PACKAGE)} imports {module}")
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other() -> None:
    graph = {}
    for path in PACKAGE.rglob("*.py"):
        words = ["rmcp", *path.relative_to(PACKAGE).with_suffix("").parts]
        name = ".".join(words[:-1] if words[-1] == "__init__" else words)
        if name != "rmcp":
            graph[name] = imports_of(path) - {"rmcp", name}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError with the circle


def test_every_room_says_what_lives_there() -> None:
    for folder in sorted(path for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()):
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text())), folder.name


def test_every_room_is_in_the_picture() -> None:
    picture = (PACKAGE.parents[1] / "docs" / "architecture.md").read_text()
    for folder in PACKAGE.iterdir():
        if folder.is_dir() and (folder / "__init__.py").exists():
            assert folder.name in picture, folder.name


def test_files_stay_short() -> None:
    """Data tables may be long; code beyond this is two concepts in one file."""
    data = {"patterns.py"}
    long = [
        f"{path.relative_to(PACKAGE.parent)}: {count}"
        for path in PACKAGE.parent.rglob("*.py")
        if path.name not in data and (count := len(path.read_text(encoding="utf-8").splitlines())) > 400
    ]
    assert not long, "\n".join(long)
