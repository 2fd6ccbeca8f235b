"""`rmcp build-intercept`: compile the library that stands between a program and hipMalloc."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from rmcp.errors import UserError
from rmcp_torch.intercept import MODES, SOURCE

_FLAGS = ("-shared", "-fPIC", "-O2", "-g", "-Wall", "-Wextra", "-fvisibility=hidden")
_COMPILE_S = 120.0  # takes half a second; a compiler on a stalled network disk must not hang the shell


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of `rmcp build-intercept`."""
    parser.add_argument(
        "--out",
        "-o",
        type=Path,
        default=Path("libhip_intercept.so"),
        metavar="FILE",
        help="default: %(default)s; put it beside the matrix",
    )
    parser.add_argument("--cc", help="compiler command (default: $CC, else cc, gcc or clang)")


def run(args: argparse.Namespace) -> int:
    """Compile and say how to use the result."""
    out = build(args.out, compiler(args.cc))
    print(f"{out}: preload it and choose the memory that hipMalloc gives, one of {', '.join(MODES)}:")
    print(f"  LD_PRELOAD={out.resolve()} RMCP_HIP_ALLOC=uncached RMCP_HIP_LOG=/tmp/hip.%p.log python ...")
    print("as a value of a matrix axis:")
    print(f'  uncached: {{env: {{LD_PRELOAD: "${{matrix_dir}}/{out.name}", RMCP_HIP_ALLOC: uncached}}}}')
    return 0


def compiler(given: str | None) -> list[str]:
    """The compiler as words. Raises UserError when there is none."""
    words = shlex.split(given or os.environ.get("CC", ""))
    if words:
        if shutil.which(words[0]) is None:
            raise UserError(f"there is no compiler {words[0]!r} on PATH")
        return words
    found = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    if found is None:
        raise UserError("no C compiler found (cc, gcc, clang); install one, or name it with --cc")
    return [found]


def build(out: Path, cc: list[str]) -> Path:
    """Compile to ``out``, which appears whole or not at all. Raises UserError with the compiler's words."""
    beside = out.with_name(f".{out.name}.{os.getpid()}")
    command = [*cc, *_FLAGS, "-o", str(beside), SOURCE, "-ldl", "-lpthread"]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_S)
        if done.returncode:
            raise UserError(f"{shlex.join(command)} failed:\n{done.stderr.strip() or done.stdout.strip()}")
        os.replace(beside, out)
    except subprocess.TimeoutExpired:
        raise UserError(f"{cc[0]} did not end within {_COMPILE_S:.0f} s") from None
    except OSError as error:
        raise UserError(f"cannot write {out}: {error.strerror or error}") from error
    finally:
        beside.unlink(missing_ok=True)
    return out
