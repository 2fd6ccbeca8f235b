"""`pytest --rmcp-matrix` from outside, on workloads that need no torch: runs on every supported pytest."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.usefixtures("no_process_left")

MATRIX = """\
rmcp: 1
name: small
defaults: {workload: noop, device: cpu, timeout: {case: 20s, silent: 10s}}
axes:
  size: {values: {a: {}, b: {}, c: {}}}
  dtype: {values: {float32: {}, float16: {}}}
"""

FAULTS = """\
rmcp: 1
name: faults
defaults: {workload: faults, device: cpu, timeout: {case: 20s, silent: 1s}}
axes:
  kind:
    values:
      good: {args: {kind: none}}
      segv: {args: {kind: segfault}}
      hsa: {args: {kind: abort, text: aperture-6}}
      silent: {args: {kind: exit, code: 0}}
      hung: {args: {kind: sleep}}
      raised: {args: {kind: raise, what: ValueError}}
"""


def records(pytester: pytest.Pytester) -> list[dict]:
    """The exported records of the latest run."""
    out = subprocess.run(
        [sys.executable, "-m", "rmcp.cli", "export", "latest", "--format", "jsonl"],
        cwd=pytester.path, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    return [json.loads(line) for line in out.stdout.splitlines()]


def test_every_case_is_an_item_and_passes(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", small=MATRIX)
    result = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*6 of 6 as expected*", "*html*report.html"])
    run = pytester.path / "reports" / "latest"
    assert {"run.json", "report.html", "junit.xml", "summary.md", "journal"} <= {p.name for p in run.iterdir()}
    assert [entry["outcome"] for entry in records(pytester)] == ["pass"] * 6


def test_collection_selection_and_marks(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", small=MATRIX)
    listed = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", "--collect-only", "-q")
    listed.stdout.fnmatch_lines(["small.yaml::small[[]a/float32]", "6 tests collected*"])
    assert not (pytester.path / "reports").exists()
    by_name = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", "-k", "float16", "-q")
    by_name.stdout.fnmatch_lines(["*3 deselected, 3 pass in*"])
    by_mark = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", "-m", "rmcp(dtype='float16', size='a')", "-q")
    by_mark.stdout.fnmatch_lines(["*5 deselected, 1 pass in*"])
    by_expression = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", "--rmcp-select", "size in [a, c]", "-q")
    by_expression.stdout.fnmatch_lines(["*4 pass*"])
    shards = [
        pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", f"--rmcp-shard={k}/2", "--collect-only", "-q")
        for k in (1, 2)
    ]
    ids = [line for shard in shards for line in shard.outlines if "::" in line]
    assert len(ids) == len(set(ids)) == 6


def test_each_fault_is_one_outcome_of_one_case(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", faults=FAULTS)
    result = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--junitxml=pytest.xml", "-v")
    assert result.ret == 1
    seen = {entry["axes"]["kind"]: entry for entry in records(pytester)}
    assert {kind: entry["outcome"] for kind, entry in seen.items()} == {
        "good": "pass", "segv": "crash", "hsa": "crash", "silent": "no-result", "hung": "hang", "raised": "error",
    }  # fmt: skip
    assert seen["segv"]["signal"] == "SIGSEGV"
    assert (seen["hsa"]["signal"], seen["hsa"]["cause"]) == ("SIGABRT", "aperture_violation")
    # The text that names the fault is in the entry of the right test, in our JUnit and in pytest's.
    for file in ("pytest.xml", "reports/latest/junit.xml"):
        cases = ElementTree.parse(pytester.path / file).getroot().iter("testcase")
        texts = {case.get("name"): ElementTree.tostring(case, encoding="unicode") for case in cases}
        named = [name for name, text in texts.items() if "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION" in text]
        assert len(named) == 1, file
        assert "hsa" in named[0], file


def test_expected_failures_and_good_news(pytester: pytest.Pytester) -> None:
    expect = "expect:\n  - {where: kind == segv, outcome: [crash], reason: known}\n"
    pytester.makefile(".yaml", faults=FAULTS + expect)
    known = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--rmcp-select", "kind in [good, segv]")
    assert known.ret == 0
    known.stdout.fnmatch_lines(["*1 pass, 1 expected crash*"])
    better = FAULTS.replace("{kind: segfault}", "{kind: none}") + expect
    pytester.makefile(".yaml", faults=better)
    news = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--rmcp-select", "kind in [good, segv]")
    assert news.ret == 1
    news.stdout.fnmatch_lines(["*1 better than expected*"])


def test_stop_at_first_failure_and_last_failed(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", faults=FAULTS)
    stopped = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "-x", "-q")
    stopped.stdout.fnmatch_lines(["*4 outstanding*"])
    again = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--lf", "-q")
    again.stdout.fnmatch_lines(["*5 deselected, 1 crash in*"])


@pytest.mark.parametrize("level", ["exec", "batch"])
def test_other_levels(pytester: pytest.Pytester, level: str) -> None:
    pytester.makefile(".yaml", faults=FAULTS)
    result = pytester.runpytest_subprocess(
        "--rmcp-matrix=faults.yaml", f"--rmcp-isolation={level}", "--rmcp-select", "kind in [good, segv, hsa]"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 pass, 2 crash*"])


def test_two_workers_one_run(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makefile(".yaml", faults=FAULTS)
    result = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "-n", "2")
    assert result.ret == 1
    assert len(list((pytester.path / "reports").glob("[0-9]*"))) == 1
    assert sorted(entry["outcome"] for entry in records(pytester)) == [
        "crash", "crash", "error", "hang", "no-result", "pass",
    ]  # fmt: skip
    assert not list((pytester.path / "reports").glob(".handshake*"))


def test_pytest_timeout_becomes_the_deadline(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_timeout")
    pytester.makefile(".yaml", faults=FAULTS.replace("silent: 1s", "silent: 15s"))
    result = pytester.runpytest_subprocess(
        "--rmcp-matrix=faults.yaml", "--timeout=1", "--rmcp-select", "kind in [good, hung]"
    )
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*1 pass, 1 hang*"])


def test_eight_mistakes_eight_positions(pytester: pytest.Pytester) -> None:
    pytester.makefile(
        ".yaml",
        wrong="""\
        rmcp: 1
        nmae: wrong
        defaults: {workload: noop, device: cpu, timeout: {case: soon}}
        axes:
          a: {values: {x y: {}, ok: {}}}
          b: {values: {one: {envv: {}}}, default: two}
        exclude:
          - {match: {c: 1}}
        expect:
          - {where: "a === ok", outcome: [crash]}
          - {where: "a == ok", outcome: [explode]}
        limits: {cases: many}
        """,
    )
    result = pytester.runpytest_subprocess("--rmcp-matrix=wrong.yaml")
    assert result.ret == 4
    text = "\n".join(result.errlines)
    assert text.count("wrong.yaml:") >= 8
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rmcp-matrix=conv3d"], "conv2d"),
        (["--rmcp-matrix=small.yaml", "--rmcp-select", "sice == a"], "size"),
        (["--rmcp-matrix=small.yaml", "--rmcp-shard", "3/2"], "2/5"),
        (["--rmcp-matrix=small.yaml", "--rmcp-memory", "lots"], "2GiB"),
        (["--rmcp-matrix=small.yaml", "--rmcp-profile", "smoke"], "profile"),
        (["--rmcp-matrix=small.yaml", "--rmcp-runtime", "/usr/bin/python3"], "NAME=PYTHON"),
        (["--rmcp-matrix=small.yaml", "--rmcp-runtime", "x=/nowhere/python"], "there is no interpreter"),
        (["--rmcp-matrix=small.yaml", "--rmcp-case", "small[a/float23]"], "float32"),
        (["--rmcp-resume"], "run"),
    ],
)
def test_mistakes_on_the_command_line(pytester: pytest.Pytester, options: list[str], words: str) -> None:
    pytester.makefile(".yaml", small=MATRIX)
    result = pytester.runpytest_subprocess(*options)
    text = "\n".join([*result.errlines, *result.outlines])
    assert result.ret == 4, text
    assert words in text
    assert "Traceback" not in text


def test_a_runtime_that_does_not_exist(pytester: pytest.Pytester) -> None:
    gone = "  runtime: {role: compare, values: {gone: {runtime: {python: /no/python}}}}\n"
    pytester.makefile(".yaml", small=MATRIX + gone)
    result = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml")
    assert result.ret == 2
    result.stdout.fnmatch_lines(["*6 harness-error*", "*6 outstanding*"])
    assert "/no/python" in result.stdout.str()


def test_a_runtime_from_the_command_line(pytester: pytest.Pytester) -> None:
    """One command, another interpreter beside this one; resumed, compared and expected like any other runtime."""
    pytester.makefile(".yaml", faults=FAULTS)
    link = pytester.path / "mine"
    link.symlink_to(sys.executable)
    words = ("--rmcp-matrix=faults.yaml", "--rmcp-runtime=mine=./mine", "--rmcp-select=kind in [good, segv, raised]")
    result = pytester.runpytest_subprocess(*words, "--maxfail=2")
    assert result.ret == 1, "stopped at the second failure"
    result = pytester.runpytest_subprocess("--rmcp-resume=latest", "--rmcp-runtime=x=./mine")
    assert "a further one needs a new run" in result.stderr.str() + result.stdout.str()
    pytester.runpytest_subprocess("--rmcp-resume=latest")
    seen = {entry["id"]: (entry["axes"]["runtime"], entry["outcome"]) for entry in records(pytester)}
    assert seen == {
        "faults[good]": ("this", "pass"), "faults[segv]": ("this", "crash"), "faults[raised]": ("this", "error"),
        "faults[mine/good]": ("mine", "pass"), "faults[mine/segv]": ("mine", "crash"),
        "faults[mine/raised]": ("mine", "error"),
    }  # fmt: skip
    rmcp = [sys.executable, "-m", "rmcp.cli"]
    compared = subprocess.run([*rmcp, "compare", "latest"], capture_output=True, text=True, timeout=60, check=True)
    assert "mine against this: 3 unchanged" in compared.stdout
    pytest.importorskip("ruamel.yaml")
    updated = subprocess.run([*rmcp, "expect", "update", "latest"], capture_output=True, text=True, timeout=60)
    assert "3 cases with values that the matrix does not have: left out" in updated.stdout, updated.stderr
    again = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--rmcp-select=kind in [good, segv, raised]")
    assert again.ret == 0, "the rules that were written are about the matrix's own cases"


def test_what_failed_says_how_to_run_it_again(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", faults=FAULTS + "profiles: {some: {select: 'kind in [good, segv]'}}\n")
    link = pytester.path / "mine"
    link.symlink_to(sys.executable)
    result = pytester.runpytest_subprocess(
        "--rmcp-matrix=faults.yaml", "--rmcp-runtime=mine=./mine", "--rmcp-profile=some", "--junitxml=j.xml"
    )
    assert result.ret == 1
    text = (pytester.path / "j.xml").read_text(encoding="utf-8").replace("&#10;", "\n").replace("&apos;", "'")
    line = [line for line in text.splitlines() if "again: rmcp run" in line and "mine" in line][-1]
    words = shlex.split(line.partition("again: rmcp ")[2].partition("<")[0])
    again = subprocess.run(
        [sys.executable, "-m", "rmcp.cli", *words, "-q"], capture_output=True, text=True, timeout=60
    )
    assert again.returncode == 1, again.stdout + again.stderr
    assert "1 crash" in again.stdout
    assert "PytestAssertRewriteWarning" not in again.stdout


def test_nothing_selected_says_why(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", small=MATRIX)
    result = pytester.runpytest_subprocess("--rmcp-matrix=small.yaml", "--rmcp-select=size == a and size == b")
    assert result.ret == 5
    result.stdout.fnmatch_lines(["matrix 'small' has no case under --rmcp-select=size == a and size == b; *"])


def test_unused_means_nothing_is_imported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_it():
            assert not [name for name in sys.modules if name.startswith("rmcp.") and name not in
                        ("rmcp.plugin", "rmcp.hookspecs")]
            assert "rmcp_torch" not in sys.modules and "yaml" not in sys.modules
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_user_hooks(pytester: pytest.Pytester) -> None:
    pytester.makefile(".yaml", small=MATRIX)
    pytester.makeconftest(
        """
        from pathlib import Path
        def pytest_rmcp_modify_cases(config, cases):
            del cases[2:]
        def pytest_rmcp_case_finished(config, result):
            with open("seen", "a") as file:
                file.write(f"{result.case.id} {result.outcome}\\n")
        def pytest_rmcp_run_finished(config, run, reports):
            Path("done").write_text(f"{len(run.cases)} {sorted(reports)}")
        """
    )
    assert pytester.runpytest_subprocess("--rmcp-matrix=small.yaml").ret == 0
    assert Path(pytester.path / "seen").read_text().count("pass") == 2
    assert Path(pytester.path / "done").read_text().startswith("2 ")


def test_github_gets_its_summary_and_annotations(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    pytester.makefile(".yaml", faults=FAULTS)
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = pytester.runpytest_subprocess("--rmcp-matrix=faults.yaml", "--rmcp-select", "kind in [good, segv]")
    result.stdout.fnmatch_lines(["::error file=*faults.yaml,line=8,*"])
    assert "1 crash" in summary.read_text()
