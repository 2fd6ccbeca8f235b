"""Reads the rules: exclude, reduce, add, set, requires, expect."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from rmcp.matrix.document import (
    MATRIX_FORMAT,
    Addition,
    Axis,
    Condition,
    Exclude,
    Expectation,
    Patch,
    Reduce,
    Requirement,
    Setting,
)
from rmcp.matrix.errors import did_you_mean
from rmcp.matrix.expressions import Expression, ExpressionError, compile_expression
from rmcp.matrix.facts import CASE_FACTS, MACHINE_FACTS, REPORT_FACTS
from rmcp.matrix.nodes import Entry, Node, Scalar, Source
from rmcp.matrix.nodes import Mapping as MapNode
from rmcp.matrix.reading import PATCH_KEYS, Reader
from rmcp.matrix.versions import glob_pattern
from rmcp.words import Cause, Outcome

EXCLUDE_KEYS = ("match", "where", "reason")
REDUCE_KEYS = ("strength", "lock")
SET_KEYS = ("match", "where", *PATCH_KEYS)
REQUIRE_KEYS = ("match", "where", "needs", "reason")
EXPECT_KEYS = ("match", "where", "outcome", "cause", "signal", "signature", "reason", "bug", "until")
EXPECT_FILE_KEYS = ("rmcp", "doc", "expect")
_STRONGEST = 6  # a covering array of more factors is larger than what it was to reduce
_SIGNAL = re.compile(r"SIG[A-Z0-9+*?]{1,20}")
_OUTCOMES = {word.value: word for word in Outcome}
_CAUSES = {word.value: word for word in Cause}


class RuleReader:
    """Reads rules against the axes; ``names`` are the legal names of expressions with their types."""

    def __init__(self, reader: Reader, axes: tuple[Axis, ...], names: Mapping[str, str]) -> None:
        self.reader, self.axes, self.names = reader, {axis.name: axis for axis in axes}, names
        self.values = {axis.name: axis.names for axis in axes}

    def excludes(self, node: Node | None) -> tuple[Exclude, ...]:
        """`exclude`: judged at expansion, so facts of the machine are refused."""
        rules = []
        for item in self.reader.items(node, "`exclude`"):
            found = self.reader.fields(item, "an `exclude` rule", EXCLUDE_KEYS)
            when = self._condition(item, found, needed=True)
            self._only_planned(item, found, when)
            reason = self.reader.text(found.get("reason"), "`reason`")
            rules.append(Exclude(when, reason, self.reader.source.at(item)))
        return tuple(rules)

    def reduce(self, node: Node | None, base: Reduce | None = None) -> Reduce | None:
        """`reduce: none` or ``{strength, lock}``; a profile inherits the lock only with the same strength."""
        if node is None or (isinstance(node, Scalar) and node.text == "none"):
            return None
        found = self.reader.fields(node, "`reduce`", REDUCE_KEYS)
        strength = self.reader.whole(found.get("strength"), "`strength`", 1, _STRONGEST)
        lock: Path | None = None
        if "lock" in found:
            lock = self.reader.directory / self.reader.text(found["lock"], "`lock`")
        elif base is not None and base.strength == strength:
            lock = base.lock
        return Reduce(2 if strength is None else strength, lock, self.reader.source.at(node))

    def additions(self, node: Node | None) -> tuple[Addition, ...]:
        """`add`: one entry per case or group of cases."""
        rules = []
        for item in self.reader.items(node, "`add`"):
            found = self.reader.fields(item, "an `add` entry", (*self.axes, "why"))
            if self.reader.lacks(found, "why"):
                self.reader.report(item, "an `add` entry says `why`", 'for example why: "user report"')
            values = {name: self._values(self.axes[name], at) for name, at in found.items() if name != "why"}
            why = self.reader.text(found.get("why"), "`why`")
            rules.append(Addition(values, why, self.reader.source.at(item)))
        return tuple(rules)

    def settings(self, node: Node | None) -> tuple[Setting, ...]:
        """`set`: patches for the cases that match."""
        rules = []
        for item in self.reader.items(node, "`set`"):
            patch, found = self.reader.patch(item, "a `set` rule", ("match", "where"))
            when = self._condition(item, found, needed=True)
            self._only_planned(item, found, when)
            if not patch.places:
                self.reader.report(item, "this rule sets nothing", "give one of: " + ", ".join(PATCH_KEYS))
            rules.append(Setting(when, patch, self.reader.source.at(item)))
        return tuple(rules)

    def setting_patches(self, node: Node | None, profiles: Node | None) -> list[Patch]:
        """Patches of all `set` rules, profiles' too, without reporting: only to learn argument names."""
        quiet = Reader(Source(self.reader.source.text, self.reader.source.origin), self.reader.directory)
        lists = [node]
        if isinstance(profiles, MapNode):
            lists += [entry.value.get("set") for entry in profiles if isinstance(entry.value, MapNode)]
        return [
            quiet.patch(item, "a `set` rule", ("match", "where"))[0]
            for part in lists
            for item in quiet.items(part, "`set`")
        ]

    def requirements(self, node: Node | None) -> tuple[Requirement, ...]:
        """`requires`: what must hold on the machine for some of the cases."""
        rules = []
        for item in self.reader.items(node, "`requires`"):
            found = self.reader.fields(item, "a `requires` rule", REQUIRE_KEYS)
            if self.reader.lacks(found, "needs"):
                hint = "for example needs: {device: rocm}"
                self.reader.report(item, "a `requires` rule says what it `needs`", hint)
            needs = self._needs(found.get("needs"))
            if needs is not None:
                when = self._condition(item, found, needed=False)
                reason = self.reader.text(found.get("reason"), "`reason`")
                rules.append(Requirement(when, needs, reason, self.reader.source.at(item)))
        return tuple(rules)

    def expectations(self, node: Node | None) -> tuple[Expectation, ...]:
        """`expect`: known failures."""
        return tuple(
            rule for item in self.reader.items(node, "`expect`") if (rule := self._expectation(item)) is not None
        )

    def expectation_file(self, root: Node | None) -> tuple[Expectation, ...]:
        """The rules of an expectations file: ``rmcp: 1`` and ``expect: [...]``."""
        if root is None:
            return ()
        found = self.reader.fields(root, "an expectations file", EXPECT_FILE_KEYS)
        version = self.reader.text(found.get("rmcp"), "`rmcp`")
        if version != MATRIX_FORMAT:
            self.reader.report(found.get("rmcp", root), f"write `rmcp: {MATRIX_FORMAT}`; found {version!r}")
        return self.expectations(found.get("expect"))

    def _expectation(self, item: Node) -> Expectation | None:
        reader = self.reader
        found = reader.fields(item, "an `expect` rule", EXPECT_KEYS)
        if reader.lacks(found, "outcome"):
            reader.report(item, "an `expect` rule needs an `outcome`", "for example outcome: [crash]")
        if reader.lacks(found, "reason"):
            reader.report(item, "an `expect` rule says its `reason`", "somebody will ask in a year")
        names = {**REPORT_FACTS, **self.names}
        where = self._where(item, found, {name: names[name] for name in names if name not in REPORT_FACTS})
        outcomes = self._words(found.get("outcome"), "`outcome`", _OUTCOMES)
        signals = tuple(scalar.text for scalar in reader.texts(found.get("signal"), "`signal`"))
        for signal in signals:
            if not _SIGNAL.fullmatch(signal):
                reader.report(found["signal"], f"{signal!r} is no signal name", "for example SIGSEGV")
        reason = reader.text(found.get("reason"), "`reason`")
        return Expectation(
            where=where,
            outcomes=outcomes,
            reason=reason,
            position=reader.source.at(item),
            causes=self._words(found.get("cause"), "`cause`", _CAUSES),
            signals=signals,
            signatures=tuple(s.text for s in reader.texts(found.get("signature"), "`signature`")),
            bug=reader.text(found.get("bug"), "`bug`"),
            until=reader.date(found.get("until"), "`until`"),
        )

    def _words(self, node: Node | None, what: str, known: Mapping[str, object]) -> tuple:  # type: ignore[type-arg]
        words = []
        for scalar in self.reader.texts(node, what):
            if scalar.text in known:
                words.append(known[scalar.text])
            else:
                hint = did_you_mean(scalar.text, known)
                self.reader.report(scalar, f"{scalar.text!r} is no {what.strip('`')}", hint)
        return tuple(words)

    def _where(self, item: Node, found: Mapping[str, Node], names: Mapping[str, str]) -> Expression | None:
        """``where`` and ``match`` as one expression; None: every case."""
        where = self.reader.expression(found.get("where"), "`where`", names, self.values)
        tests = [f"({where.text})"] if where is not None else []
        for entry in self._match_entries(found.get("match")):
            words = self.reader.texts(entry.value, "`match`")
            self._values(self.axes[entry.key.text], entry.value)
            tests.append(f"{entry.key.text} in [{', '.join(quoted(word.text) for word in words)}]")
        if not tests:
            return None
        try:
            return compile_expression(" and ".join(tests) if found.get("match") else where.text, names)  # type: ignore[union-attr]
        except ExpressionError as error:
            self.reader.report(item, error.message, error.hint)
            return None

    def _match_entries(self, node: Node | None) -> list[Entry]:
        known = []
        for entry in self.reader.mapping(node, "`match`"):
            if entry.key.text in self.axes:
                known.append(entry)
            else:
                hint = did_you_mean(entry.key.text, self.axes)
                self.reader.report(entry.key, f"there is no axis {entry.key.text!r}", hint)
        return known

    def _condition(self, item: Node, found: Mapping[str, Node], needed: bool) -> Condition:
        match = {
            entry.key.text: frozenset(self._values(self.axes[entry.key.text], entry.value))
            for entry in self._match_entries(found.get("match"))
        }
        where = self.reader.expression(found.get("where"), "`where`", self.names, self.values)
        if needed and "match" not in found and "where" not in found and self.reader.lacks(found, "match", "where"):
            self.reader.report(item, "this rule needs `match` or `where`", "for example match: {dtype: float16}")
        texts = [f"{axis} in [{', '.join(sorted(values))}]" for axis, values in match.items()]
        texts += [where.text] if where is not None else []
        return Condition(match, where, " and ".join(texts) or "every case")

    def _values(self, axis: Axis, node: Node) -> tuple[str, ...]:
        """Value names of an axis that a name, a pattern or a list of them stands for, in axis order."""
        wanted: set[str] = set()
        for scalar in self.reader.texts(node, f"the values of {axis.name!r}"):
            names = axis.names
            if scalar.text in names:
                wanted.add(scalar.text)
                continue
            matched = [name for name in names if glob_pattern(scalar.text).fullmatch(name)]
            if not matched and names:
                hint = did_you_mean(scalar.text, names)
                self.reader.report(scalar, f"no value of axis {axis.name!r} is {scalar.text!r}", hint)
            wanted.update(matched)
        return tuple(name for name in axis.names if name in wanted)

    def _only_planned(self, item: Node, found: Mapping[str, Node], when: Condition) -> None:
        """Refuse facts of the machine in a rule that is judged when the plan is made."""
        known = {*self.axes, *(name for name, kind in self.names.items() if kind == "")}
        machine = sorted(
            name for name in (when.where.names if when.where else ()) if name in MACHINE_FACTS and name not in known
        )
        if machine:
            hint = "the plan is the same on every machine; use `requires` or `expect` for this"
            self.reader.report(found["where"], f"{machine[0]!r} is known only on the machine that runs", hint)
        unplanned = sorted(set(when.where.names if when.where else ()) & (set(CASE_FACTS) - {"workload"}) - known)
        if unplanned:
            self.reader.report(found["where"], f"{unplanned[0]!r} is not known yet when rules are judged")

    def _needs(self, node: Node | None) -> Expression | None:
        if node is None:
            return None
        if isinstance(node, Scalar):
            return self.reader.expression(node, "`needs`", self.names, self.values)
        entries = self.reader.mapping(node, "`needs`")
        if isinstance(node, MapNode) and not entries:
            self.reader.report(node, "`needs` is empty", "for example needs: {device: rocm}")
        tests = []
        for entry in entries:
            name = entry.key.text
            if name not in self.names:
                self.reader.report(entry.key, f"unknown name {name!r}", did_you_mean(name, self.names))
                continue
            words = [quoted(scalar.text) for scalar in self.reader.texts(entry.value, "`needs`")]
            if words:
                tests.append(f"{name} == {words[0]}" if len(words) == 1 else f"{name} in [{', '.join(words)}]")
            else:
                self.reader.report(entry.value, f"`{name}` needs a value")
        return compile_expression(" and ".join(tests), self.names) if tests else None


_BARE = re.compile(r"[A-Za-z0-9._+*?:/-]+")


def quoted(word: str) -> str:
    """A word as it must be written in an expression."""
    if _BARE.fullmatch(word) and word not in ("and", "or", "not", "in"):
        return word
    quote = "'" if '"' in word else '"'
    return f"{quote}{word.replace(quote, '?')}{quote}"
