"""What the run page shows, as JSON-able values: an index of all cases and the evidence behind them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from rmcp import __version__
from rmcp.report.columns import Pool, column
from rmcp.report.coverage import coverage_payload
from rmcp.report.evidence import guilty_lines, needles_of, read_texts
from rmcp.report.facts import axis_types, facts_of_runtime, machine_card, started_of, title_of
from rmcp.report.plain import number, one_line, plain, show_text
from rmcp.report.repro import reproducer, rmcp_command, shell_command
from rmcp.report.tally import Tally, failed, is_bad, tally
from rmcp.runs.model import AttemptRecord, CaseRecord, Run
from rmcp.words import OUTCOMES, Cause, Verdict

FORMAT = 1
_TEXT_LIMIT = 24 * 1024  # characters of one stream of one attempt
_EVIDENCE_BUDGET = 24 * 1024 * 1024  # characters of all evidence in a page, before compression
_SMALL_LIMIT = 2_000  # characters of one stream once half of the budget is spent
_ATTEMPTS_SHOWN = 8
_PLAIN_PASSES = 5_000  # passed cases with details in the page; who looks at more looks into the run's folder


def words() -> dict[str, Any]:
    """The vocabulary, so that the page holds no copy of it: outcomes with letter, class and meaning."""
    return {
        "outcomes": [[str(o), i.letter, str(i.klass), i.meaning, i.outstanding] for o, i in OUTCOMES.items()],
        "causes": [str(cause) for cause in Cause],
        "verdicts": [str(verdict) for verdict in Verdict],
    }


def _pools(run: Run) -> dict[str, Pool]:
    """The values of every axis in order of first use, as they are."""
    pools: dict[str, Pool] = {}
    for case in run.cases:
        for axis, value in case.axes.items():
            pool = pools.get(axis)
            if pool is None:
                pool = pools[axis] = Pool()
            pool.code(str(value))
    return pools


def _left_out(cases: tuple[CaseRecord, ...], axes: tuple[str, ...]) -> dict[str, str] | None:
    """The values (one per axis at most) that ids leave out because they are defaults; None when ids cannot
    be made from the axes at all and must be written into the page."""
    omitted: dict[str, str] = {}
    for case in cases:
        said = case.id.partition("[")[2][:-1].split("/")
        at = 0
        for axis in axes:
            value = case.axes.get(axis)
            if at < len(said) and value == said[at]:
                at += 1
            elif value is not None and omitted.setdefault(axis, value) != value:
                return None
    for case in cases:
        parts = [case.axes[axis] for axis in axes if axis in case.axes and omitted.get(axis) != case.axes[axis]]
        if case.id != f"{case.id.partition('[')[0]}[{'/'.join(parts) or 'default'}]":
            return None
    return omitted


def _flags(case: CaseRecord) -> str:
    flags = []
    if is_bad(case):
        flags.append("bad")
    if failed(case):
        flags.append("failed")
    if case.verdict is Verdict.EXPECTED and failed(case):
        flags.append("known")
    if case.stability.startswith("flaky"):
        flags.append("flaky")
    if OUTCOMES[case.outcome].outstanding:
        flags.append("outstanding")
    if case.last and str(case.last.device) not in ("none", ""):
        flags.append("device")
    if len(case.attempts) > 1:
        flags.append("retried")
    flags.append(str(case.verdict))
    return " ".join(flags)


def index_of(run: Run, counted: Tally | None = None) -> dict[str, Any]:
    """The index: one row per case in plan order, as columns."""
    counted = counted or tally(run)
    pools = _pools(run)
    cases = run.cases
    omitted = _left_out(cases, tuple(pools))
    axes = [
        {
            "name": one_line(axis, 200),
            "values": [one_line(value, 500) for value in pool.values],
            "compare": axis in run.compare_axes,
            "omitted": pool.code(omitted[axis]) if omitted and axis in omitted else -1,
        }
        for axis, pool in pools.items()
    ]
    columns: dict[str, Any] = {
        "outcome": column(str(case.outcome) for case in cases),
        "cause": column(str(case.cause) for case in cases),
        "verdict": column(str(case.verdict) for case in cases),
        "signal": _shown((case.signal or "" for case in cases), 40),
        "signature": column(case.signature for case in cases),
        "stability": _shown((case.stability for case in cases), 80),
        "phase": _shown((case.last.phase if case.last else "" for case in cases), 80),
        "prefix": _shown((case.id.partition("[")[0] for case in cases), 300),
        "workload": _shown((case.workload for case in cases), 300),
        "flags": column(_flags(case) for case in cases),
        "message": _shown((_message(case) for case in cases), 240),
        "facts": _facts(run),
    }
    return {
        "format": FORMAT,
        "kind": "run",
        "version": __version__,
        "title": one_line(title_of(run)),
        "run": one_line(run.id),
        "started": started_of(run),
        "mark": counted.mark,
        "sentence": one_line(counted.sentence, 600),
        "finished": run.finished,
        "words": words(),
        "rows": len(cases),
        "axes": axes,
        "types": axis_types(run),
        "axis_codes": [[p.code(str(c.axes[a])) if a in c.axes else -1 for c in cases] for a, p in pools.items()],
        "columns": columns,
        "ids": None if omitted is not None else [one_line(case.id, 1000) for case in cases],
        "ms": [round(1000 * number(case.duration_s)) for case in cases],
        "rss": [round(number(case.last.maxrss_kb) / 1024) if case.last else 0 for case in cases],
        "attempts": [len(case.attempts) for case in cases],
        "bad": [int(is_bad(case)) for case in cases],
        "clusters": [_cluster(cluster) for cluster in counted.clusters[:200]],
        "card": machine_card(run),
        "problems": [[one_line(p.where), one_line(p.what, 1000)] for p in run.problems[:500]],
        "problem_count": len(run.problems),
        "explain": _explain(run),
        "coverage": coverage_payload(run),
    }


def _shown(values: Iterable[str], limit: int) -> dict[str, Any]:
    """A column for people: every distinct value is made harmless once."""
    found = column(values)
    return {**found, "pool": [one_line(value, limit) for value in found["pool"]]}


def _facts(run: Run) -> dict[str, Any]:
    """Facts for the filter, made once per runtime."""
    found = column(str(case.runtime.get("name", "this")) for case in run.cases)
    return {**found, "pool": [json.dumps(facts_of_runtime(run, name), sort_keys=True) for name in found["pool"]]}


def _message(case: CaseRecord) -> str:
    return (case.last.message if case.last else "") or case.reason


def _cluster(cluster: Any) -> dict[str, Any]:
    return {
        "title": cluster.title,
        "signature": one_line(cluster.signature, 400),
        "raw": cluster.signature,
        "outcome": str(cluster.outcome),
        "cause": cluster.cause,
        "message": one_line(cluster.message, 300),
        "count": cluster.count,
        "known": cluster.known,
        "outside": cluster.outside,
        "shared": dict(cluster.shared),
    }


def _explain(run: Run) -> list[dict[str, Any]]:
    """explain.json of `rmcp explain`, when it is there and has the form that is expected."""
    try:
        found = json.loads((run.path / "explain.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return []
    items = found.get("explanations", []) if isinstance(found, Mapping) else found
    shown = []
    for item in items[:200] if isinstance(items, list) else []:
        if isinstance(item, Mapping) and item.get("sentence"):
            proof = item.get("proof")
            shown.append(
                {
                    "sentence": one_line(item["sentence"], 600),
                    "signature": one_line(item.get("signature") or "", 400),
                    "rule": one_line(item.get("rule") or "", 600),
                    "proof": [one_line(p, 400) for p in proof[:50]] if isinstance(proof, list) else [],
                }
            )
    return shown


class Evidence:
    """Collects details and texts within a budget; equal texts are stored once."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.texts: list[str] = []
        self.details: dict[str, Any] = {}
        self.left = _EVIDENCE_BUDGET
        self.cut = 0
        self._numbers: dict[str, int] = {}
        self._observed: list[Any] = []
        self._observed_codes: dict[str, int] = {}

    def _text(self, text: str) -> int:
        found = self._numbers.get(text)
        if found is None:
            found = self._numbers[text] = len(self.texts)
            self.texts.append(text)
            self.left -= len(text)
        return found

    def _observe(self, observed: Mapping[str, Any]) -> int:
        value = _short(observed)
        key = json.dumps(value, sort_keys=True)
        found = self._observed_codes.get(key)
        if found is None:
            found = self._observed_codes[key] = len(self._observed)
            self._observed.append(value)
            self.left -= len(key)
        return found

    def _attempt(self, attempt: AttemptRecord, with_texts: bool) -> dict[str, Any]:
        detail: dict[str, Any] = {
            "n": attempt.number,
            "outcome": str(attempt.outcome),
            "cause": str(attempt.cause),
            "signal": one_line(attempt.signal or "", 40),
            "exit": attempt.exit_code,
            "signature": one_line(attempt.signature, 500),
            "titles": [one_line(title) for title in attempt.titles[:8]],
            "device": str(attempt.device),
            "source": one_line(attempt.source, 80),
            "message": one_line(attempt.message, 500),
            "notes": [one_line(note, 500) for note in attempt.notes[:30]],
            "fields": _short(attempt.fields),
            "phase": one_line(attempt.phase, 80),
            "phases": [[one_line(n, 80), number(at)] for n, at in attempt.phases[:500]],
            "checks": [_short(check) for check in attempt.checks[:40]],
            "metrics": _short(attempt.metrics),
            "observed": self._observe(attempt.observed) if attempt.observed else None,
            "duration": number(attempt.duration_s),
            "rss_kb": number(attempt.maxrss_kb),
            "wall": number(attempt.wall_start),
            "level": one_line(attempt.level, 40),
            "before": [one_line(p) for p in attempt.predecessors[-20:]],
            "texts": {},
        }
        if with_texts:
            limit = _TEXT_LIMIT if self.left > _EVIDENCE_BUDGET // 2 else _SMALL_LIMIT
            needles = needles_of(attempt)
            for name, text in read_texts(self.run, attempt).streams.items():
                if name == "repro":
                    continue
                shown = show_text(text, limit)
                detail["texts"][name] = [self._text(shown), list(guilty_lines(shown, needles))[:500]]
        return {key: value for key, value in detail.items() if value not in (None, "", [], {})}

    def add(self, row: int, case: CaseRecord) -> None:
        """Add the evidence of one case, unless the budget is spent (then the case is counted in ``cut``)."""
        if self.left <= 0:
            self.cut += 1
            return
        loud = failed(case) or bool(case.attempts[1:]) or str(case.outcome) != "pass"
        detail: dict[str, Any] = {
            "key": one_line(case.key),
            "row": one_line(case.row),
            "args": _short(case.args),
            "env": _short(case.env),
            "runtime": _short(case.runtime),
            "device": one_line(case.device, 80),
            "seed": plain(case.seed),
            "reason": one_line(case.reason, 1000),
            "attempts": [self._attempt(a, loud) for a in case.attempts[-_ATTEMPTS_SHOWN:]],
            "deciding": case.deciding,
            "command": rmcp_command(self.run, case),
            "shell": shell_command(case),
            "repro": self._text(reproducer(case)),
        }
        self.left -= 600  # about what the fields above weigh
        self.details[str(row)] = detail

    def payload(self) -> dict[str, Any]:
        """The JSON-able evidence block of the page."""
        return {"texts": self.texts, "observed": self._observed, "details": self.details, "cut": self.cut}


def _short(values: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping of a hostile child as JSON-able values, each of them bounded."""
    shown: dict[str, Any] = {}
    for key, value in list(values.items())[:200]:
        value = plain(value, limit=4_000)
        if isinstance(value, (list, dict)) and len(json.dumps(value)) > 20_000:
            value = one_line(json.dumps(value), 2_000)
        shown[one_line(key, 200)] = value
    return shown


def evidence_of(run: Run) -> dict[str, Any]:
    """Evidence of the run: bad cases first, then what failed as expected, then the rest, while it fits."""
    evidence = Evidence(run)
    ranked = sorted(
        range(len(run.cases)),
        key=lambda i: 0 if is_bad(run.cases[i]) else 1 if failed(run.cases[i]) else 2,
    )
    passes = 0
    for row in ranked:
        passes += str(run.cases[row].outcome) == "pass"
        if passes > _PLAIN_PASSES:
            evidence.cut += 1
        else:
            evidence.add(row, run.cases[row])
    return evidence.payload()
