"""The environment knowledge base: environment.json as values. What reads a variable, when, and what it
does."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

FORMAT = 1  # of environment.json


@dataclass(frozen=True)
class NeedsArgs:
    """The variable is inert unless one of the workload arguments ``names`` has ``value``."""

    names: tuple[str, ...]
    value: str
    why: str
    fix: str


@dataclass(frozen=True)
class Variable:
    """One variable. ``read`` is a class (H, M, B, T, I, X); ``kind`` how its value is parsed; ``noop``
    values that equal unset and why; ``misread`` values that do not mean what people think; ``hides`` values
    that hide evidence ("*": any); ``never`` why no case can pass with it; ``default_from`` {rocm: value
    that is default}."""

    name: str
    component: str
    read: str
    kind: str = "text"
    values: str = ""
    effect: str = ""
    source: str = ""
    default: str = ""
    note: str = ""
    accepts: tuple[str, ...] = ()
    usual: tuple[str, ...] = ()  # plain defaults: setting them changes nothing, and nobody thinks otherwise
    min: int | None = None
    max: int | None = None
    since: str = ""
    until: str = ""
    noop: Mapping[str, str] = field(default_factory=dict)
    misread: Mapping[str, str] = field(default_factory=dict)
    hides: tuple[str, ...] = ()
    never: str = ""
    never_unless: tuple[str, ...] = ()
    instead: str = ""
    needs_env: Mapping[str, str] = field(default_factory=dict)
    needs_args: NeedsArgs | None = None
    default_from: Mapping[str, str] = field(default_factory=dict)
    private: bool = False  # rmcp gives each env set its own value
    described: bool = True  # False: only its name and kind are known
    cuda: bool = False  # CUDA reads it although ROCm does not


@dataclass(frozen=True)
class Family:
    """Variables known by pattern only. ``entry`` says what is known of every member."""

    pattern: re.Pattern[str]
    entry: Variable


@dataclass(frozen=True)
class Knowledge:
    """All of environment.json. ``families`` come after the exact names."""

    version: str
    about: str
    classes: Mapping[str, str]
    components: Mapping[str, str]
    sources: Mapping[str, str]
    tested_prefixes: tuple[str, ...]
    checked_prefixes: tuple[str, ...]
    variables: Mapping[str, Variable]
    families: tuple[Family, ...]

    def find(self, name: str) -> Variable | None:
        """The entry of a variable, by its name or by its family; None when it is not known."""
        exact = self.variables.get(name)
        if exact is not None:
            return exact
        return next((family.entry for family in self.families if family.pattern.fullmatch(name)), None)


@cache
def knowledge() -> Knowledge:
    """The packaged knowledge base. Raises ValueError when the file is of another format."""
    return read_knowledge(files("rmcp.device").joinpath("environment.json").read_text(encoding="utf-8"))


def read_knowledge(text: str) -> Knowledge:
    """Parse environment.json. Raises ValueError on a duplicate, an unknown class, component or source."""
    raw = json.loads(text)
    if raw.get("format") != FORMAT:
        raise ValueError(
            f"environment.json has format {raw.get('format')!r}, this rmcp reads format {FORMAT}"
        )
    variables: dict[str, Variable] = {}
    for entry in raw["variables"]:
        for name in entry.get("names") or [entry["name"]]:
            if name in variables:
                raise ValueError(f"environment.json names {name} twice")
            variables[name] = _variable(name, entry)
    for declared in raw["declared"]:
        common = {key: declared[key] for key in ("component", "read", "source", "effect")}
        for name, kind in ((name, kind) for kind, names in declared["kinds"].items() for name in names):
            if name in variables:
                raise ValueError(f"environment.json names {name} twice")
            accepts = ("0", "1") if kind == "flag" else ()
            variables[name] = Variable(name=name, kind=kind, accepts=accepts, described=False, **common)
    for variable in variables.values():
        for word, table in (("class", "classes"), ("component", "components"), ("source", "sources")):
            value = variable.read if word == "class" else getattr(variable, word)
            if value not in raw[table]:
                raise ValueError(f"{variable.name}: unknown {word} {value!r}")
    return Knowledge(
        version=raw["version"],
        about=raw["about"],
        classes=raw["classes"],
        components=raw["components"],
        sources=raw["sources"],
        tested_prefixes=tuple(raw["tested_prefixes"]),
        checked_prefixes=tuple(raw["checked_prefixes"]),
        variables=variables,
        families=tuple(_family(entry, variables) for entry in raw["families"]),
    )


def _variable(name: str, entry: Mapping[str, Any]) -> Variable:
    known = dict(entry)
    known.pop("names", None)
    known["name"] = name
    hides = known.pop("hides", ())
    known["hides"] = (hides,) if isinstance(hides, str) else tuple(hides)
    for key in ("accepts", "usual", "never_unless"):
        known[key] = tuple(known.get(key, ()))
    needs = known.pop("needs_args", None)
    if needs is not None:
        value = needs["value"]
        text = str(value).lower() if isinstance(value, bool) else str(value)
        known["needs_args"] = NeedsArgs(tuple(needs["names"]), text, needs["why"], needs["fix"])
    return Variable(**known)


def _family(entry: Mapping[str, Any], variables: Mapping[str, Variable]) -> Family:
    own = {key: value for key, value in entry.items() if key not in ("pattern", "like")}
    if "like" in entry:
        like = variables[entry["like"]]
        merged = {**vars(like), **own}
        variable = Variable(**merged)
    else:
        variable = _variable(entry["pattern"], own)
    return Family(re.compile(entry["pattern"]), variable)
