"""A policy: which convolution gets which workaround. Pure values and JSON, no torch; `rmcp policy` writes the file.

The file is YAML that is also JSON, because the target's side has no YAML reader:

    {"rmcp_policy": 1, "default": "none", "rules": [
      {"where": {"h": {"min": 43}, "c": {"in": [16, 32]}, "k": {"mod": [8, [0]]}},
       "workaround": "unfold", "why": "...", "cases": ["..."], "expires": "2027-06-30"}]}

Conditions are over the arguments of a convolution: n, c, h, w, hw (output pixels), k, kernel, stride, padding,
dilation (each the larger of the two, or kernel_h, kernel_w ...), groups, dtype, memory_format. All must hold;
the first rule that matches decides.
"""

from __future__ import annotations

import json
from typing import Any, Dict, FrozenSet, List, Mapping, NamedTuple, Optional, Tuple

FORMAT = 1
# Known when a layer is built; the others only when an input arrives.
STATIC = frozenset(
    ["c", "k", "groups"]
    + [name + suffix for name in ("kernel", "stride", "padding", "dilation") for suffix in ("", "_h", "_w")]
)
DYNAMIC = frozenset(["n", "h", "w", "hw", "dtype", "memory_format"])
NAMES = STATIC | DYNAMIC
_TESTS = ("min", "max", "in", "mod")


class PolicyError(ValueError):
    """A policy that cannot be used; the message names the rule and what is wrong with it."""


class Test(NamedTuple):
    """What one argument must be. None: not asked. ``mod`` is (m, remainders): argument % m in remainders."""

    min: Optional[float] = None
    max: Optional[float] = None
    among: Optional[FrozenSet[Any]] = None
    mod: Optional[Tuple[int, FrozenSet[int]]] = None

    def holds(self, value: Any) -> bool:
        """Whether ``value`` passes every part of the test; a text passes only `in`."""
        if self.among is not None and value not in self.among:
            return False
        if isinstance(value, str):
            return self.min is None and self.max is None and self.mod is None
        if (self.min is not None and value < self.min) or (self.max is not None and value > self.max):
            return False
        return self.mod is None or value % self.mod[0] in self.mod[1]


class Rule(NamedTuple):
    """Conditions by argument, the workaround they lead to, and why."""

    where: Mapping[str, Test]
    workaround: str
    why: str = ""
    cases: Tuple[str, ...] = ()
    expires: str = ""

    def matches(self, arguments: Mapping[str, Any]) -> Optional[bool]:
        """True, False, or None when it depends on arguments that are not given."""
        unknown = False
        for name, test in self.where.items():
            if name not in arguments:
                unknown = True
            elif not test.holds(arguments[name]):
                return False
        return None if unknown else True


class Policy(NamedTuple):
    """Rules in order and the workaround of everything else."""

    rules: Tuple[Rule, ...] = ()
    default: str = "none"

    def choose(self, arguments: Mapping[str, Any]) -> Optional[str]:
        """The workaround for these arguments; None when that needs arguments that are not given."""
        for rule in self.rules:
            matched = rule.matches(arguments)
            if matched is None:
                return None
            if matched:
                return rule.workaround
        return self.default


def load(path: str) -> Policy:
    """Read a policy file. Raises PolicyError when it is not a policy, OSError when it cannot be read."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    try:
        document = json.loads(text)
    except ValueError as error:
        raise PolicyError("%s is not JSON (a policy is YAML that is also JSON): %s" % (path, error)) from None
    return parse(document, path)


def parse(document: Any, origin: str = "policy") -> Policy:
    """A policy from its JSON value; every mistake is a PolicyError that says where."""
    if not isinstance(document, dict) or document.get("rmcp_policy") != FORMAT:
        found = document.get("rmcp_policy") if isinstance(document, dict) else type(document).__name__
        raise PolicyError("%s: expected rmcp_policy: %d, found %r" % (origin, FORMAT, found))
    rules = document.get("rules", [])
    if not isinstance(rules, list):
        raise PolicyError("%s: rules is not a list" % origin)
    default = document.get("default", "none")
    return Policy(
        tuple(_rule(rule, "%s: rules[%d]" % (origin, i)) for i, rule in enumerate(rules)),
        _name(default, origin),
    )


def _name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise PolicyError("%s: a workaround is a name, found %r" % (where, value))
    return value


def _rule(rule: Any, where: str) -> Rule:
    if not isinstance(rule, dict) or not isinstance(rule.get("where", {}), dict):
        raise PolicyError("%s: expected {where: {...}, workaround: NAME}, found %r" % (where, rule))
    tests: Dict[str, Test] = {}
    for name, test in rule.get("where", {}).items():
        if name not in NAMES:
            raise PolicyError(
                "%s: no argument is called %r; known: %s" % (where, name, ", ".join(sorted(NAMES)))
            )
        tests[name] = _test(test, "%s.where.%s" % (where, name))
    cases = rule.get("cases", [])
    return Rule(
        tests,
        _name(rule.get("workaround"), where),
        str(rule.get("why") or ""),
        tuple(str(case) for case in cases) if isinstance(cases, list) else (str(cases),),
        str(rule.get("expires") or ""),
    )


def _test(test: Any, where: str) -> Test:
    if not isinstance(test, dict):
        test = {"in": test if isinstance(test, list) else [test]}
    for name in test:
        if name not in _TESTS:
            raise PolicyError("%s: %r is none of %s" % (where, name, ", ".join(_TESTS)))
    for name in ("min", "max"):
        if name in test and (isinstance(test[name], bool) or not isinstance(test[name], (int, float))):
            raise PolicyError("%s: %s is a number, found %r" % (where, name, test[name]))
    among = test.get("in")
    if among is not None and not isinstance(among, list):
        raise PolicyError("%s: `in` is a list, found %r" % (where, among))
    return Test(
        test.get("min"),
        test.get("max"),
        None if among is None else frozenset(among),
        _mod(test.get("mod"), where),
    )


def _mod(mod: Any, where: str) -> Optional[Tuple[int, FrozenSet[int]]]:
    if mod is None:
        return None
    good = (
        isinstance(mod, list)
        and len(mod) == 2
        and isinstance(mod[0], int)
        and mod[0] > 0
        and isinstance(mod[1], list)
    )
    if not good or not all(isinstance(part, int) for part in mod[1]):
        raise PolicyError("%s: `mod` is [m, [remainders]], found %r" % (where, mod))
    return mod[0], frozenset(mod[1])


def dump(policy: Policy) -> str:
    """The file's text: JSON, which is YAML too."""
    rules: List[Dict[str, Any]] = []
    for rule in policy.rules:
        item: Dict[str, Any] = {"where": {name: _plain(test) for name, test in rule.where.items()}}
        item["workaround"] = rule.workaround
        for key, value in (("why", rule.why), ("cases", list(rule.cases)), ("expires", rule.expires)):
            if value:
                item[key] = value
        rules.append(item)
    return json.dumps({"rmcp_policy": FORMAT, "default": policy.default, "rules": rules}, indent=2) + "\n"


def _plain(test: Test) -> Dict[str, Any]:
    plain: Dict[str, Any] = {}
    if test.min is not None:
        plain["min"] = test.min
    if test.max is not None:
        plain["max"] = test.max
    if test.among is not None:
        plain["in"] = sorted(test.among, key=lambda value: (isinstance(value, str), value))
    if test.mod is not None:
        plain["mod"] = [test.mod[0], sorted(test.mod[1])]
    return plain
