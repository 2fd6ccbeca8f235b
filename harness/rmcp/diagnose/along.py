"""``--along``: how one whole number t moves the arguments of a case: ``h,w``, ``c``, ``h=t,w=2*t``,
``k=8*t``."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rmcp.errors import UserError

_LONGEST = 200  # characters of one expression


@dataclass(frozen=True)
class Along:
    """Arguments and the arithmetic in ``t`` that sets each; a bare name is ``name=t``."""

    text: str
    parts: tuple[tuple[str, str], ...]

    def args(self, t: int) -> dict[str, int]:
        """The arguments for one value of t."""
        return {name: _value(expression, t) for name, expression in self.parts}

    def start(self, args: Mapping[str, Any]) -> int:
        """The t that gives the case's own arguments; raises UserError when there is none."""
        name, expression = self.parts[0]
        own = args.get(name)
        if not isinstance(own, int) or isinstance(own, bool):
            raise UserError(
                f"--along {self.text}: the case has no whole number {name} (its arguments: {', '.join(args)})"
            )
        for t in range(max(1, abs(own)) * 2 + 2):
            if _value(expression, t) == own:
                return t
        raise UserError(f"--along {self.text}: no t gives {name}={own}; name the start with --start")


def parse_along(text: str, args: Mapping[str, Any]) -> Along:
    """Parse ``h,w`` or ``h=t,w=2*t``; every name must be an argument of the case."""
    parts: list[tuple[str, str]] = []
    for part in text.split(","):
        name, _, expression = (piece.strip() for piece in part.partition("="))
        if not name or name not in args:
            raise UserError(
                f"--along {text}: {name!r} is not an argument of the case; it has {', '.join(sorted(args))}"
            )
        _value(expression or "t", 1)
        parts.append((name, expression or "t"))
    return Along(text, tuple(parts))


def _value(expression: str, t: int) -> int:
    """Whole-number arithmetic in t: + - * // % and parentheses. Nothing is evaluated by Python."""
    if len(expression) > _LONGEST:
        raise UserError(f"--along: the expression is longer than {_LONGEST} characters")
    try:
        return _walk(ast.parse(expression, mode="eval").body, t)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError) as error:
        raise UserError(f"--along: cannot compute {expression!r} for t={t}: {error}") from None


def _walk(node: ast.AST, t: int) -> int:
    if isinstance(node, ast.Name) and node.id == "t":
        return t
    if isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) < 2**31:
        return int(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_walk(node.operand, t)
    if isinstance(node, ast.BinOp):
        left, right = _walk(node.left, t), _walk(node.right, t)
        if isinstance(node.op, ast.Add):
            return left + right
        if isinstance(node.op, ast.Sub):
            return left - right
        if isinstance(node.op, ast.Mult):
            return left * right
        if isinstance(node.op, ast.FloorDiv):
            return left // right
        if isinstance(node.op, ast.Mod):
            return left % right
    raise ValueError("only t, whole numbers, + - * // % and parentheses are understood")
