"""The final table on the terminal, as values in and lines out."""

from __future__ import annotations

from rmcp.pytest_plugin.summary import Line, axis_table, outcome_counts, signature_lines


def line(env: str, outcome: str, verdict: str = "expected", message: str = "", signature: str = "", n: int = 0) -> Line:
    return Line(f"m[{env}/{n}]", {"env": env, "n": str(n)}, outcome, verdict, signature, message)


SEGV = "crash|segfault|SIGSEGV|process|?|launch"


def test_an_axis_shows_its_worst_values_first_and_counts_what_never_ran() -> None:
    lines = [line("good", "pass", n=n) for n in range(3)] + [line("bad", "crash", "unexpected", n=n) for n in range(3)]
    lines += [line(name, "unsupported", "no-verdict", n=n) for name in ("rocm", "miopen") for n in range(3)]
    rows = [row.split() for row in axis_table(lines)]
    assert rows[0] == ["axis", "value", "pass", "crash", "unsupported"]
    assert rows[1:4] == [
        ["env", "bad", ".", "3", "."],
        ["env", "good", "3", ".", "."],
        ["env", "(2", "unsupported", "here)"],
    ]
    assert [row[:2] for row in rows[4:]] == [["n", "0"], ["n", "1"], ["n", "2"]]


def test_more_values_than_fit_are_counted() -> None:
    lines = [line(f"e{at}", outcome, n=n) for at in range(15) for n, outcome in enumerate(("pass", "warn"))]
    assert any(row.split()[:3] == ["env", "(3", "more)"] for row in axis_table(lines))


def test_no_table_where_it_would_tell_nothing() -> None:
    assert axis_table([line("a", "pass"), line("b", "pass")]) == []  # one outcome
    assert axis_table([line("a", "pass"), line("b", "crash")]) == []  # every value is one case


def test_counts_are_in_the_order_of_the_outcomes() -> None:
    lines = [line("a", "crash"), line("a", "pass"), line("a", "crash")]
    assert [(str(outcome), number) for outcome, number in outcome_counts(lines)] == [("pass", 1), ("crash", 2)]


def test_failures_come_first_then_warnings_then_what_has_no_verdict() -> None:
    lines = [
        line("a", "unsupported", "no-verdict", "read by ROCm only"),
        line("a", "unsupported", "no-verdict", "read by ROCm only", n=1),
        line("a", "warn", message="left a process behind"),
        line("a", "crash", "expected", signature=SEGV),
        line("b", "crash", "unexpected", "SIGSEGV in phase launch", SEGV, 1),
        line("b", "crash", "unexpected", "SIGSEGV in phase launch", SEGV, 2),
        line("b", "hang", "lateral", "no progress for 5 s", "hang|none|?|?|?|sync"),
    ]
    assert [row.strip() for row in signature_lines(lines)] == [
        f"2 x {SEGV}",
        "m[b/1]: SIGSEGV in phase launch",
        "1 x hang|none|?|?|?|sync",
        "m[b/0]: no progress for 5 s",
        "1 x warn: passed, but",
        "m[a/0]: left a process behind",
        "2 x unsupported: read by ROCm only",
    ]


def test_many_signatures_are_cut_and_counted() -> None:
    lines = [line("a", "error", "unexpected", "x", f"error|{n}", n) for n in range(20)]
    rows = signature_lines(lines)
    assert rows[-1].strip() == "and 8 more; the report has them all"
    assert len(rows) == 2 * 12 + 1
