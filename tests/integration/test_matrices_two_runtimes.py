"""A few rows of every shipped matrix in this PyTorch and in the distribution's 1.13.1: as expected, and comparable."""

from __future__ import annotations

from pathlib import Path

import pytest

from rmcp.compare.sides import sides_of
from rmcp.device.facts import host_facts
from rmcp.isolation.lane import Lane, LaneOptions
from rmcp.matrix.document import Matrix
from rmcp.matrix.estimate import products, seconds
from rmcp.matrix.expand import expand
from rmcp.matrix.find import shipped_matrices
from rmcp.matrix.load import load_matrix
from rmcp.matrix.model import Case
from rmcp.runs import load_run
from rmcp.session import active
from rmcp.session.active import ActiveRun
from rmcp.session.options import RunOptions
from rmcp.session.prepare import Prepared
from rmcp.session.runner import CaseResult
from rmcp.words import Outcome, Verdict

pytestmark = [pytest.mark.runtime2, pytest.mark.torch, pytest.mark.slow]

OTHER = "debian"
OPTION = f"{OTHER}=/usr/bin/python3"
ROWS = 3  # per matrix: with both runtimes and all matrices half a minute
MOST_PRODUCTS = 3e7  # of one convolution: a tenth of a second with the slowest BLAS
MOST_SECONDS = 12.0  # of one case by estimate, its interpreter included: keeps out the hangs that take a minute
SLOW = ("loader-", "numbers-", "train-", "flood", "fill-", "sleep", "stubborn", "busy", "endless", "compile", "silent")


def chosen(matrix: Matrix) -> list[Case]:
    """Some small rows in the stock environment, spread over the matrix, each with all its runtimes."""
    rows: dict[str, list[Case]] = {}
    cases = expand(matrix).cases
    for case in cases:
        quick = not any(value.startswith(SLOW) for value in case.axes.values())
        quick = quick and seconds([case], matrix.expect, matrix.names) < MOST_SECONDS
        if quick and not case.env:
            rows.setdefault(case.row, []).append(case)
    complete = [row for row in rows.values() if {case.runtime.name for case in row} == {"this", OTHER}]
    assert complete
    complete = [row for row in complete if products(row[0].args) <= MOST_PRODUCTS] or [
        min(complete, key=lambda row: (row[0].args["dtype"] != "float32", products(row[0].args)))
    ]
    count = min(len(complete), 7 if cases[0].workload == "native_crash" else ROWS)
    return [case for index in range(count) for case in complete[index * len(complete) // count]]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[CaseResult]]]:
    """Run directory and results by matrix. One lane for all, first the rows of this interpreter and then those of
    the other, so that each is started once."""
    lane = Lane(LaneOptions())
    close, lane.close = lane.close, lambda: None
    host = host_facts(deadline_s=5.0)
    opened: dict[str, tuple[ActiveRun, Prepared]] = {}
    results: dict[str, list[CaseResult]] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(active, "Lane", lambda *args, **more: lane)
        for path in sorted(shipped_matrices(), key=lambda path: path.stem in ("selftest", "native-crashes")):
            options = RunOptions(matrix=str(path), runtimes=(OPTION,), out=tmp_path_factory.mktemp(path.stem))
            matrix = load_matrix(path, options.runtimes)
            prepared = Prepared(matrix, tuple(chosen(matrix)))
            directory = active.create(prepared, prepared.cases, options)
            opened[path.stem] = ActiveRun(prepared, directory, options, "main", host=host), prepared
        for runtime in ("this", OTHER):
            for name, (running, prepared) in opened.items():
                mine = [case for case in prepared.cases if case.runtime.name == runtime]
                done = [running.case(case, mine[number + 1 :]) for number, case in enumerate(mine)]
                results.setdefault(name, []).extend(done)
    for running, _ in opened.values():
        running.close()
    close()
    return {name: (running.run.path, results[name]) for name, (running, _) in opened.items()}


# Its rows need a GPU, which Debian's PyTorch cannot use; tests/gpu runs it.
NAMES = [path.stem for path in shipped_matrices() if path.stem != "selftest-gpu"]


@pytest.mark.parametrize("name", NAMES)
def test_a_few_rows_of_every_matrix_on_both(name: str, runs: dict[str, tuple[Path, list[CaseResult]]]) -> None:
    folder, seen = runs[name]
    wrong = [
        f"{result.case.id}: {result.outcome} ({result.verdict}) {result.message or result.reason}"
        for result in seen
        if result.verdict is not Verdict.EXPECTED and result.outcome is not Outcome.UNSUPPORTED
    ]
    assert not wrong, "\n".join(wrong)
    for runtime in ("this", OTHER):
        ran = [result for result in seen if result.case.runtime.name == runtime]
        assert any(result.outcome is not Outcome.UNSUPPORTED for result in ran), f"nothing ran in {runtime}"
    sides = {side.name: side for side in sides_of([load_run(folder)], by="runtime")}
    assert set(sides["this"].rows) == set(sides[OTHER].rows), "every row is on both sides"


def test_the_real_difference_is_seen(runs: dict[str, tuple[Path, list[CaseResult]]]) -> None:
    """Integer division by zero in 1.13.1, none in torch 2: a real signal on one side only."""
    seen = {result.case.id: (str(result.outcome), result.signal) for result in runs["native-crashes"][1]}
    assert seen[f"native-crashes[{OTHER}/mkldnn-convolution]"] == ("crash", "SIGFPE")
    assert seen["native-crashes[this/mkldnn-convolution]"] == ("pass", None)
