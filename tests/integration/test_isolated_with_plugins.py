"""Isolated tests together with other plugins of pytest, and with torch in the runner."""

from __future__ import annotations

import json
import re

import pytest

ISOLATED = ("-p", "no:cacheprovider", "--rmcp-isolate")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short summary cuts its lines at the width of the terminal."""
    monkeypatch.setenv("COLUMNS", "200")


def test_xdist(pytester: pytest.Pytester) -> None:
    pytest.importorskip("xdist")
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.mark.parametrize("number", range(8))
        def test_many(number):
            os.write(1, b"words")
            if number % 4 == 1:
                os.write(2, b"HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: beyond")
                os.abort()
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "-n", "2", "-rA")
    result.assert_outcomes(passed=6, failed=2)
    assert len(re.findall(r"FAILED .*test_many\[[15]\] - rmcp: crash by SIGABRT", result.stdout.str())) == 2


@pytest.mark.parametrize("more", [(), ("-n", "2")])
def test_coverage_of_the_children(pytester: pytest.Pytester, more: tuple[str, ...]) -> None:
    pytest.importorskip("pytest_cov")
    pytester.makepyfile(measured="def pick(flag):\n    if flag:\n        return 1\n    return 2\n")
    pytester.makepyfile(
        """
        import os, measured
        def test_one(): assert measured.pick(True) == 1
        def test_two(): assert measured.pick(False) == 2
        def test_dies(): os.abort()
        """
    )
    report = "--cov-report=json:cov.json"
    pytester.runpytest_subprocess(*ISOLATED, "--cov=measured", "--cov-branch", report, *more).assert_outcomes(
        passed=2, failed=1
    )
    files = json.loads((pytester.path / "cov.json").read_text())["files"]
    assert files["measured.py"]["summary"]["percent_covered"] == 100.0


@pytest.mark.parametrize(
    ("mark", "args", "ini"),
    [
        ("@pytest.mark.timeout(1)", (), ""),
        ("@pytest.mark.timeout(1, func_only=True)", (), ""),
        ("", ("--timeout=1",), ""),
        ("", ("--timeout=1", "--timeout-method=thread"), ""),
        ("", (), "timeout = 1"),
        ("@pytest.mark.rmcp_isolated(timeout=1)", ("--timeout=50",), ""),
    ],
)
def test_a_timeout_becomes_the_deadline(pytester: pytest.Pytester, mark: str, args: tuple[str, ...], ini: str) -> None:
    pytest.importorskip("pytest_timeout")
    pytester.makeini(f"[pytest]\n{ini}\n")
    pytester.makepyfile(
        f"""
        import ctypes, pytest
        {mark}
        def test_hangs():
            while True: ctypes.PyDLL(None).sleep(100)
        def test_after(): pass
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, *args)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*FAILED*test_hangs - rmcp: hang in call*"])


def test_asyncio_and_hypothesis(pytester: pytest.Pytester) -> None:
    pytest.importorskip("pytest_asyncio")
    pytest.importorskip("hypothesis")
    pytester.makepyfile(
        """
        import asyncio, os, pytest
        from hypothesis import given, strategies as st
        @pytest.mark.asyncio
        async def test_async(): await asyncio.sleep(0.01)
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session_loop(): await asyncio.sleep(0.01)
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session_loop_dies(): os.abort()
        @pytest.mark.asyncio(loop_scope="session")
        async def test_session_loop_again(): await asyncio.sleep(0.01)
        @given(st.integers())
        def test_property(number): assert isinstance(number, int)
        @given(st.integers())
        def test_falsified(number): assert number < 100
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "-o", "asyncio_default_fixture_loop_scope=function")
    result.assert_outcomes(passed=4, failed=2)
    assert "number=100" in result.stdout.str()


def test_subtests(pytester: pytest.Pytester) -> None:
    if not hasattr(pytest, "Subtests"):
        pytest.skip("this pytest has no subtests")
    pytester.makepyfile(
        """
        def test_parts(subtests):
            with subtests.test("bad"): assert 0
            with subtests.test("good"): pass
        """
    )
    plain = pytester.runpytest_subprocess("-p", "no:cacheprovider").parseoutcomes()
    assert pytester.runpytest_subprocess(*ISOLATED).parseoutcomes() == plain


TORCH_IN_RUNNER = """
    import os, pytest, torch
    def convolve():
        torch.nn.Conv2d(3, 8, 3)(torch.randn(1, 3, 32, 32)).sum().backward()
    convolve()
    def test_works(tmp_path): convolve()
    def test_dies():
        os.write(2, b"HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: beyond")
        os.abort()
"""
TORCH_IN_FIXTURE = """
    import os, pytest, torch
    def convolve():
        torch.nn.Conv2d(3, 8, 3)(torch.randn(1, 3, 32, 32)).sum().backward()
    @pytest.fixture(scope="module")
    def warm(): convolve()
    def test_before(): convolve()
    def test_warm(warm): convolve()
"""


@pytest.mark.torch
@pytest.mark.slow
def test_a_runner_that_computed_is_not_forked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TORCH_IN_RUNNER)
    result = pytester.runpytest_subprocess(*ISOLATED, "-rA", "--rmcp-timeout=60")
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "ran in a freshly started interpreter, because torch has run an operation on the CPU" in text
    assert "crash by SIGABRT (6) in call [aperture_violation]" in text


@pytest.mark.torch
@pytest.mark.slow
def test_a_fixture_that_computes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TORCH_IN_FIXTURE)
    result = pytester.runpytest_subprocess(*ISOLATED, "-rA", "--rmcp-timeout=60")
    result.assert_outcomes(passed=2)
    assert "because after its wider fixtures (warm) torch has run an operation" in result.stdout.str()


def test_a_runner_with_an_initialised_gpu(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import sys, types
        sys.modules["torch"] = torch = types.ModuleType("torch")
        torch.cuda = types.SimpleNamespace(is_initialized=lambda: True, synchronize=lambda: None)
        """
    )
    pytester.makepyfile("import os\ndef test_a(): pass\ndef test_b(): os.abort()\n")
    result = pytester.runpytest_subprocess(*ISOLATED, "-rA")
    result.assert_outcomes(passed=1, failed=1)
    assert "because torch.cuda is initialised in this process" in result.stdout.str()


def test_a_fresh_interpreter_that_does_not_find_the_test(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import sys, types
        sys.modules["torch"] = torch = types.ModuleType("torch")
        torch.cuda = types.SimpleNamespace(is_initialized=lambda: True, synchronize=lambda: None)
        """
    )
    pytester.makepyfile(
        """
        import os
        if not os.path.exists("seen"):
            open("seen", "w").close()
            def test_once(): pass
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*harness-error*was not collected by the fresh interpreter*"])
