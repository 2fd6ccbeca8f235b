"""The verdict sentence, clusters, and the Markdown that is made of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import synthetic

from rmcp.report.markdown import SIZE_LIMIT, append_step_summary, cell, render_markdown
from rmcp.report.tally import tally
from rmcp.runs.model import Run
from rmcp.words import Outcome, Verdict


def cases(*outcomes: Outcome, **changes: object) -> list:  # type: ignore[type-arg]
    return [synthetic.case({"shape": f"s{i}"}, o, **changes) for i, o in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("run", "mark", "sentence"),
    [
        (synthetic.run_of([]), "open", "The run has no cases."),
        (synthetic.run_of(cases(Outcome.PASS, Outcome.PASS)), "ok", "All 2 cases passed."),
        (
            synthetic.run_of(cases(Outcome.PASS, Outcome.CRASH)),
            "bad",
            "1 of 2 cases failed unexpectedly: 1 crash (aperture_violation).",
        ),
        (
            synthetic.run_of(cases(Outcome.PASS, Outcome.NOT_RUN), finished=False),
            "open",
            "Nothing has failed unexpectedly so far. 1 case has no verdict and must run again.",
        ),
        (
            synthetic.run_of(cases(Outcome.NOT_RUN), finished=False),
            "open",
            "Nothing has run yet. 1 case has no verdict and must run again.",
        ),
        (
            synthetic.run_of(cases(Outcome.CRASH, verdict=Verdict.EXPECTED) + cases(Outcome.PASS)),
            "ok",
            "1 of 2 cases passed, nothing unexpected failed. 1 case failed as expected.",
        ),
        (
            synthetic.run_of(cases(Outcome.PASS, verdict=Verdict.IMPROVED)),
            "ok",
            "1 of 1 case passed, nothing unexpected failed. 1 passed although a failure was expected: record it.",
        ),
    ],
)
def test_sentence(run: Run, mark: str, sentence: str) -> None:
    counted = tally(run)
    assert (counted.mark, counted.sentence) == (mark, sentence)


def test_no_verdict_is_never_green() -> None:
    assert tally(synthetic.run_of(cases(Outcome.PASS, Outcome.LOST))).mark == "open"
    assert tally(synthetic.run_of(cases(Outcome.PASS), finished=False)).mark == "open"


def test_cluster_names_what_its_cases_share() -> None:
    crash = [synthetic.case({"dtype": "float16", "shape": f"s{i}"}, Outcome.CRASH) for i in range(3)]
    fine = [synthetic.case({"dtype": "float32", "shape": f"s{i}"}) for i in range(3)]
    (cluster,) = tally(synthetic.run_of(crash + fine)).clusters
    assert (cluster.title, dict(cluster.shared), cluster.outside) == (
        "3 cases share: crash (aperture_violation)",
        {"dtype": "float16"},
        0,
    )
    (cluster,) = tally(synthetic.run_of([*crash, *fine, synthetic.case({"dtype": "float16", "shape": "s9"})])).clusters
    assert cluster.outside == 1


def test_failures_come_before_cases_without_a_verdict() -> None:
    run = synthetic.run_of(cases(Outcome.LOST, Outcome.LOST, Outcome.CRASH))
    assert [c.outcome for c in tally(run).clusters] == [Outcome.CRASH, Outcome.LOST]


def test_markdown_of_a_large_run_degrades_until_it_fits() -> None:
    run = synthetic.run_of(list(synthetic.large(3000, fail=1.0)))
    full = render_markdown(run)
    assert len(full.encode()) <= SIZE_LIMIT
    assert "### Needs attention" in full
    for limit in (60_000, 8_000, 1_000):
        text = render_markdown(run, limit=limit)
        assert len(text.encode()) <= limit
        assert "failed unexpectedly" in text


@pytest.mark.parametrize(
    "text",
    [
        "a|b",
        "<img src=x onerror=1>",
        "`code`",
        "[link](http://x)",
        "@someone",
        "#1",
        "http://example.org",
        "a\nb",
        "**b**",
    ],
)
def test_cell_is_inert(text: str) -> None:
    shown = cell(text)
    assert not re.search(r"[|<>`\[\]@*\n]|://|(?<!&)#", shown)


def test_hostile_names_stay_inside_their_table() -> None:
    evil = "x | y\n# heading <script>alert(1)</script> `"
    run = synthetic.run_of([synthetic.case({"shape": evil}, Outcome.CRASH)])
    text = render_markdown(run)
    outside = re.sub(r"^```sh\n[^\n]*\n```$", "", text, flags=re.MULTILINE)
    assert "<script>" not in outside
    assert "\n# heading" not in text
    assert len({line.count("|") for line in outside.splitlines() if line.startswith("| <code>")}) == 1


def test_step_summary_is_found_by_itself_and_kept_under_the_limit(tmp_path: Path) -> None:
    file = tmp_path / "summary"
    environ = {"GITHUB_STEP_SUMMARY": str(file)}
    assert not append_step_summary("x", {})
    assert append_step_summary("one\n", environ)
    assert append_step_summary("two\n", environ)
    assert file.read_text() == "one\ntwo\n"
    assert not append_step_summary("x" * SIZE_LIMIT, environ)
    assert file.read_text() == "one\ntwo\n"
