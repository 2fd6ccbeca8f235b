"""The expression language of ``where``, ``select``, ``--rmcp-select`` and the report's filter box.

    test   := NAME ('==' | '!=' | '<' | '<=' | '>' | '>=') WORD
            | NAME ['not'] 'in' '[' WORD (',' WORD)* ']'  |  'is:' WORD
    expr   := test | 'not' expr | expr 'and' expr | expr 'or' expr | '(' expr ')'

``==`` takes a pattern (``* ? [abc] [!abc]``). Logic is three-valued: a name that the facts do not hold is
*unknown* and so is every test of it; ``not unknown`` is unknown, ``false and unknown`` is false, ``true or
unknown`` is true. A fact that is None is known to be absent: it equals nothing and is in no order, so
``not rocm == *`` finds machines without ROCm. A list equals a word when one of its elements does.
The JavaScript twin in the report reads the same test vectors. Never eval.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from rmcp.errors import UserError
from rmcp.matrix.errors import did_you_mean
from rmcp.matrix.versions import (
    NUMBER,
    TEXT,
    VERSION,
    Matcher,
    Order,
    matcher_of,
    order_of,
    parse_number,
    parse_version,
)

Facts = Mapping[str, object]
Truth = bool | None
_Node = Callable[[Facts], Truth]

_LONGEST = 20_000  # characters of one expression
_DEEPEST = 60  # nested parentheses and nots: far below Python's recursion limit
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<quoted>"[^"]*"|'[^']*')
    | (?P<op>==|!=|<=|>=|<|>|\(|\)|\[|\]|,)
    | (?P<word>[^\s()\[\],'"<>=!]+(?:\[[^\]\s]*\][^\s()\[\],'"<>=!]*)*)
    )""",
    re.VERBOSE,
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_KEYWORDS = frozenset({"and", "or", "not", "in"})


class ExpressionError(UserError):
    """A mistake in an expression; ``offset`` counts characters from 0 inside ``text``."""

    def __init__(self, text: str, offset: int, message: str, hint: str = "") -> None:
        self.text, self.offset, self.message, self.hint = text, offset, message, hint
        lines = [f"column {offset + 1}: {message}", text.replace("\n", " "), " " * offset + "^", hint]
        super().__init__("\n    ".join(line for line in lines if line))


@dataclass(frozen=True)
class Expression:
    """A compiled expression. ``names`` are the facts that it reads.

    ``words`` are the (name, word, offset) of its tests for equality, so that a caller who knows all values of
    a name can find misspelt ones.
    """

    text: str
    names: frozenset[str]
    words: tuple[tuple[str, str, int], ...]
    _run: _Node = field(repr=False, compare=False)

    def evaluate(self, facts: Facts) -> Truth:
        """True, False, or None where the facts do not tell."""
        return self._run(facts)

    def matches(self, facts: Facts) -> bool:
        """Whether it is certainly true: what is unknown does not match."""
        return self._run(facts) is True


def misspelt(
    expression: Expression, values: Mapping[str, Collection[str]], types: Mapping[str, str]
) -> list[ExpressionError]:
    """Tests for equality that none of the known ``values`` of their name can meet."""
    errors = []
    for name, word, offset in expression.words:
        known = values.get(name)
        if known and not any(map(matcher_of(word, types.get(name, "")), known)):
            message = f"no value of axis {name!r} is {word!r}"
            errors.append(ExpressionError(expression.text, offset, message, did_you_mean(word, known)))
    return errors


def compile_expression(text: str, names: Mapping[str, str] | Collection[str] | None = None) -> Expression:
    """Compile once, evaluate often.

    ``names`` are the legal names, as a mapping to their types (`text`, `number`, `version`, or "" for
    whatever the fact turns out to be) or as a plain collection; None allows every name.
    Raises ExpressionError with the offset of the mistake.
    """
    return _Parser(text, names).parse()


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # op, word, quoted, end
    text: str
    offset: int


class _Parser:
    def __init__(self, text: str, names: Mapping[str, str] | Collection[str] | None) -> None:
        self.text, self.known = text, names
        self.types: Mapping[str, str] = names if isinstance(names, Mapping) else {}
        self.used: set[str] = set()
        self.words: list[tuple[str, str, int]] = []
        self.at = self.depth = 0
        if len(text) > _LONGEST:
            raise ExpressionError(text[:60], 0, f"expression is longer than {_LONGEST} characters")
        self.tokens = self._tokens()

    def parse(self) -> Expression:
        if self._peek().kind == "end":
            raise ExpressionError(self.text, 0, "empty expression")
        node = self._or()
        token = self._peek()
        if token.kind != "end":
            hint = "join tests with `and` or `or`"
            raise self._error(token, f"unexpected {token.text!r}", hint)
        return Expression(self.text, frozenset(self.used), tuple(self.words), node)

    def _tokens(self) -> list[_Token]:
        tokens: list[_Token] = []
        at, end = 0, len(self.text.rstrip())
        while at < end:
            found = _TOKEN.match(self.text, at)
            if found is None or found.end() == at:
                start = at + len(self.text[at:]) - len(self.text[at:].lstrip())
                bad = self.text[start]
                hint = {"=": "write `==`", "!": "write `!=` or `not`"}.get(bad, "")
                what = "this quote is not closed" if bad in "'\"" else f"unexpected {bad!r}"
                raise ExpressionError(self.text, start, what, hint)
            kind = str(found.lastgroup)
            tokens.append(_Token(kind, found.group(kind), found.start(kind)))
            at = found.end()
        tokens.append(_Token("end", "end of the expression", end))
        return tokens

    def _error(self, token: _Token, message: str, hint: str = "") -> ExpressionError:
        return ExpressionError(self.text, token.offset, message, hint)

    def _peek(self) -> _Token:
        return self.tokens[self.at]

    def _take(self, text: str) -> bool:
        token = self._peek()
        if token.kind in ("op", "word") and token.text == text:
            self.at += 1
            return True
        return False

    def _or(self) -> _Node:
        parts = [self._and()]
        while self._take("or"):
            parts.append(self._and())
        return parts[0] if len(parts) == 1 else functools.partial(_any, tuple(parts))

    def _and(self) -> _Node:
        parts = [self._not()]
        while self._take("and"):
            parts.append(self._not())
        return parts[0] if len(parts) == 1 else functools.partial(_all, tuple(parts))

    def _not(self) -> _Node:
        token = self._peek()
        if token.text not in ("not", "(") or token.kind == "quoted":
            return self._test()
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self._error(token, f"nested deeper than {_DEEPEST} levels")
        self.at += 1
        if token.text == "not":
            node: _Node = functools.partial(_negate, self._not())
        else:
            node = self._or()
            if not self._take(")"):
                raise self._error(self._peek(), "expected `)`", "a `(` before this is not closed")
        self.depth -= 1
        return node

    def _test(self) -> _Node:
        token = self._peek()
        self.at += token.kind != "end"
        if token.kind == "word" and token.text.startswith("is:"):
            self.used.add("is")
            return functools.partial(_flag, token.text[3:])
        if token.kind != "word" or token.text in _KEYWORDS or not _NAME.fullmatch(token.text):
            raise self._error(token, f"expected a name, found {_shown(token)}")
        name = token.text
        if self.known is not None and name not in self.known:
            raise self._error(token, f"unknown name {name!r}", did_you_mean(name, self.known))
        self.used.add(name)
        if self._take("in"):
            return self._in(name)
        if self._peek().text == "not" and self.tokens[min(self.at + 1, len(self.tokens) - 1)].text == "in":
            self.at += 2
            return functools.partial(_negate, self._in(name))
        operator = self._peek()
        if operator.kind != "op" or operator.text not in _OPERATORS:
            hint = f"write for example `{name} == value`"
            raise self._error(operator, f"expected an operator, found {_shown(operator)}", hint)
        self.at += 1
        word = self._word()
        kind = self.types.get(name, "")
        if operator.text in ("==", "!="):
            self.words.append((name, word.text, word.offset))
            test: _Node = functools.partial(_equals, name, matcher_of(word.text, kind))
            return functools.partial(_negate, test) if operator.text == "!=" else test
        self._orderable(name, kind, operator, word)
        return functools.partial(_ordered, name, _OPERATORS[operator.text], order_of(kind), word.text)

    def _in(self, name: str) -> _Node:
        kind = self.types.get(name, "")
        if not self._take("["):
            raise self._error(self._peek(), "expected `[`", f"write `{name} in [a, b]`")
        matchers = []
        while not self._take("]"):
            word = self._word()
            self.words.append((name, word.text, word.offset))
            matchers.append(matcher_of(word.text, kind))
            if not self._take(",") and not (self._peek().kind == "op" and self._peek().text == "]"):
                raise self._error(self._peek(), "expected `,` or `]`")
        return functools.partial(_equals, name, lambda value: any(matcher(value) for matcher in matchers))

    def _word(self) -> _Token:
        token = self._peek()
        if token.kind == "quoted":
            token = _Token("quoted", token.text[1:-1], token.offset)
        elif token.kind != "word" or token.text in _KEYWORDS:
            raise self._error(token, f"expected a value, found {_shown(token)}")
        self.at += 1
        return token

    def _orderable(self, name: str, kind: str, operator: _Token, word: _Token) -> None:
        if kind == TEXT:
            hint = f"give the axis `type: version` or `type: number`, or use == and in with {name!r}"
            raise self._error(operator, f"{name!r} is text and has no order", hint)
        fits = {
            NUMBER: parse_number(word.text) is not None,
            VERSION: parse_version(word.text) is not None,
        }
        if not fits.get(kind, any(fits.values())):
            raise self._error(word, f"{word.text!r} is not a {kind or 'number or a version'}")


def _shown(token: _Token) -> str:
    return token.text if token.kind == "end" else repr(token.text)


def _all(parts: tuple[_Node, ...], facts: Facts) -> Truth:
    result: Truth = True
    for part in parts:
        value = part(facts)
        if value is False:
            return False
        if value is None:
            result = None
    return result


def _any(parts: tuple[_Node, ...], facts: Facts) -> Truth:
    result: Truth = False
    for part in parts:
        value = part(facts)
        if value is True:
            return True
        if value is None:
            result = None
    return result


def _negate(part: _Node, facts: Facts) -> Truth:
    value = part(facts)
    return None if value is None else not value


def _flag(word: str, facts: Facts) -> Truth:
    if "is" not in facts:
        return None
    flags = facts["is"]
    return isinstance(flags, (list, tuple, set, frozenset)) and word in flags


def _equals(name: str, matcher: Matcher, facts: Facts) -> Truth:
    if name not in facts:
        return None
    value = facts[name]
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(matcher(item) for item in value)
    return matcher(value)


def _ordered(name: str, test: Callable[[int], bool], order: Order, word: str, facts: Facts) -> Truth:
    if name not in facts:
        return None
    value = facts[name]
    if value is None:
        return False
    sign = order(value, word)
    return None if sign is None else test(sign)


_OPERATORS: dict[str, Callable[[int], bool]] = {
    "==": lambda sign: sign == 0,
    "!=": lambda sign: sign != 0,
    "<": lambda sign: sign < 0,
    "<=": lambda sign: sign <= 0,
    ">": lambda sign: sign > 0,
    ">=": lambda sign: sign >= 0,
}
