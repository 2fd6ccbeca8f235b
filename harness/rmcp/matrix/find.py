"""Finds matrix files: a shipped matrix by name, a file, a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rmcp.errors import UserError
from rmcp.matrix.document import EXPECT_SUFFIX
from rmcp.matrix.errors import MatrixError, did_you_mean

DEFAULT_MATRIX = "conv2d"
SUFFIXES = (".yaml", ".yml")


def shipped_folder() -> Path:
    """Folder of the shipped matrices: inside the wheel, or the repository's in an editable install."""
    package = Path(__file__).resolve().parents[1]
    packaged = package / "_matrices"
    return packaged if packaged.is_dir() else package.parents[1] / "matrices"


def find_matrix(name: str | None) -> Path:
    """The one matrix file that NAME or FILE stands for; None is the shipped default.

    Raises UserError when there is none, and when a folder holds more than one.
    """
    paths = find_matrices(name)
    if len(paths) != 1:
        listed = ", ".join(path.name for path in paths[:5])
        raise UserError(f"{name} holds {len(paths)} matrices ({listed} ...); name one of them")
    return paths[0]


def find_matrices(name: str | None) -> list[Path]:
    """All matrix files that NAME, FILE or FOLDER stands for, sorted; never an empty list."""
    text = DEFAULT_MATRIX if name is None else name
    path = Path(text).expanduser()
    if path.is_dir() and ("/" in text or not _shipped(text)):
        paths = sorted(_matrices_in(path))
        if not paths:
            raise UserError(f"the folder {path} holds no matrix (*.yaml)")
        return paths
    if path.is_file():
        return [path]
    shipped = _shipped(text)
    if shipped is not None:
        return [shipped]
    names = [found.stem for found in _matrices_in(shipped_folder())]
    hint = did_you_mean(text, names)
    raise UserError(f"there is no matrix {text!r}: no such file or folder, and none of that name is shipped; {hint}")


def shipped_matrices() -> list[Path]:
    """All shipped matrices, sorted by name."""
    return sorted(_matrices_in(shipped_folder()))


@dataclass(frozen=True, slots=True)
class ListedProfile:
    """One profile of a listed matrix, with its number of cases and rough seconds on a CPU."""

    name: str
    doc: str
    cases: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Listed:
    """One matrix for a list: ``cases`` and ``seconds`` (rough, on a CPU) of what runs when no profile is named.

    ``mistakes`` is their number when the matrix cannot be read; everything else is then empty.
    """

    name: str
    path: Path
    doc: str = ""
    cases: int = 0
    seconds: float = 0.0
    profiles: tuple[ListedProfile, ...] = ()
    mistakes: int = 0


def list_matrices(paths: Iterable[Path] | None = None) -> list[Listed]:
    """The shipped matrices, or those of ``paths``, each with what it expands to."""
    from rmcp.matrix.expand import expand
    from rmcp.matrix.load import load_matrix

    listed = []
    for path in shipped_matrices() if paths is None else paths:
        try:
            matrix = load_matrix(path)
            plan = expand(matrix)
            narrowed = {name: expand(matrix, name) for name in matrix.profiles}
        except MatrixError as error:
            listed.append(Listed(path.stem, path, mistakes=len(error.problems)))
            continue
        profiles = tuple(
            ListedProfile(name, matrix.profiles[name].doc, len(made.cases), made.estimate_s())
            for name, made in narrowed.items()
        )
        doc = " ".join(plan.matrix.doc.split())
        listed.append(Listed(plan.matrix.name, path, doc, len(plan.cases), plan.estimate_s(), profiles))
    return listed


def _shipped(name: str) -> Path | None:
    if "/" in name or name in ("", ".", ".."):
        return None
    path = shipped_folder() / f"{name}.yaml"
    return path if path.is_file() else None


def _matrices_in(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix in SUFFIXES and not path.name.endswith(EXPECT_SUFFIX) and path.is_file():
                yield path
