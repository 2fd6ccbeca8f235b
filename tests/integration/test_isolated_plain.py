"""Ordinary tests in isolated children: fixtures, marks, output, plugins; what holds without isolation holds with it."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

ISOLATED = ("-p", "no:cacheprovider", "--rmcp-isolate")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The short summary cuts its lines at the width of the terminal."""
    monkeypatch.setenv("COLUMNS", "200")


def counts(result: pytest.RunResult) -> dict[str, int]:
    return {key: value for key, value in result.parseoutcomes().items() if "warning" not in key}


ORDINARY = """
    import logging, os, sys, unittest, warnings
    import pytest

    @pytest.fixture(params=[1, 2], scope="module")
    def number(request):
        return request.param

    @pytest.fixture
    def broken():
        raise ValueError("broken fixture")

    @pytest.fixture
    def broken_end():
        yield
        raise ValueError("broken end")

    def test_pass(tmp_path, monkeypatch):
        monkeypatch.setenv("A", "B")
        (tmp_path / "x").write_text("x")
    def test_fail(): assert [1] == [2]
    def test_error(broken): pass
    def test_error_at_end(broken_end): pass
    def test_skip(): pytest.skip("not today")
    @pytest.mark.skipif(True, reason="by mark")
    def test_skipif(): pass
    @pytest.mark.xfail(reason="known")
    def test_xfail(): assert 0
    @pytest.mark.xfail(strict=True, reason="known")
    def test_xpass_strict(): pass
    @pytest.mark.xfail
    def test_xpass(): pass
    @pytest.mark.xfail(run=False)
    def test_not_run(): os.abort()
    @pytest.mark.parametrize("value", ["a/b", "x::y", "ü", "[z]"])
    def test_many(value, number): pass
    def test_warns(): warnings.warn("old", DeprecationWarning)
    def test_logs(caplog):
        logging.getLogger("x").warning("logged")
        assert "logged" in caplog.text
    def test_capsys(capsys):
        print("hi")
        assert capsys.readouterr().out == "hi\\n"
    def test_capfd(capfd):
        os.write(1, b"raw")
        assert capfd.readouterr().out == "raw"
    def test_exit(): sys.exit(0)
    class TestUnit(unittest.TestCase):
        @classmethod
        def setUpClass(cls): cls.ready = True
        def test_ready(self): self.assertTrue(self.ready)
        def test_bad(self): self.fail("bad")
        @unittest.expectedFailure
        def test_expected(self): self.fail("expected")
        @unittest.skip("why")
        def test_skipped(self): pass
"""


def test_same_results_as_without_isolation(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(ORDINARY)
    plain = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-rA", "--tb=no")
    isolated = pytester.runpytest_subprocess(*ISOLATED, "-rA", "--tb=no")
    assert counts(isolated) == counts(plain)
    pick = re.compile(r"^(?:PASSED|FAILED|ERROR|SKIPPED|XFAIL|XPASS) .*")
    assert sorted(filter(pick.match, isolated.outlines)) == sorted(filter(pick.match, plain.outlines))


def test_wider_fixtures_are_set_up_once_and_torn_down_in_order(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import os, pytest
        def note(text):
            with open(os.path.join(os.path.dirname(__file__), "notes"), "a") as file:
                file.write(text + " ")
        @pytest.fixture(scope="session")
        def whole(tmp_path_factory):
            note("session")
            yield os.getpid()
            note("/session")
        @pytest.fixture(scope="module")
        def module(whole):
            note("module")
            yield os.getpid()
            note("/module")
        @pytest.fixture
        def function(module):
            note("function")
            yield os.getpid()
            note("/function")
        """
    )
    test = """
        import os
        def test_one(whole, module, function):
            assert function == os.getpid() != module == whole
        def test_two(whole, module, function): assert whole == os.getppid()
    """
    pytester.makepyfile(test_a=test, test_b=test)
    pytester.runpytest_subprocess(*ISOLATED).assert_outcomes(passed=4)
    module = "module function /function function /function /module"
    assert (pytester.path / "notes").read_text().split() == f"session {module} {module} /session".split()


def test_wider_fixtures_that_fail_crash_and_hang(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, time, pytest
        @pytest.fixture(scope="module")
        def fails(): raise ValueError("wide failure")
        @pytest.fixture(scope="module")
        def skips(): pytest.skip("wide skip")
        @pytest.fixture(scope="module")
        def crashes():
            os.write(2, b"wide crash")
            os.abort()
        @pytest.fixture(scope="module")
        def hangs(): time.sleep(100)
        @pytest.fixture(scope="class")
        def ends_badly():
            yield
            os.abort()
        def test_fails(fails): pass
        def test_fails_again(fails): pass
        def test_skips(skips): pass
        def test_crashes(crashes): pass
        @pytest.mark.rmcp_isolated(timeout=1)
        def test_hangs(hangs): pass
        class TestEnd:
            def test_ends(self, ends_badly): pass
        def test_last(): pass
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "-rA")
    result.assert_outcomes(errors=5, skipped=1, passed=2)
    text = result.stdout.str()
    assert "wide crash" in text
    assert re.search(r"ERROR .*test_crashes - rmcp: crash by SIGABRT \(6\) in setup", text)
    assert re.search(r"ERROR .*test_hangs - rmcp: hang in setup", text)
    assert re.search(r"ERROR .*test_ends - rmcp: crash by SIGABRT \(6\) in teardown", text)


def test_xfail_accepts_what_it_names(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, time, pytest, rmcp
        @pytest.mark.xfail(raises=rmcp.Crash, strict=True, reason="known crash")
        def test_crash(): os.abort()
        @pytest.mark.xfail(raises=(rmcp.Crash, ValueError))
        def test_one_of(): os.kill(os.getpid(), 11)
        @pytest.mark.xfail(raises=rmcp.Hang)
        @pytest.mark.rmcp_isolated(timeout=0.5)
        def test_hang(): time.sleep(60)
        @pytest.mark.xfail(raises=rmcp.Crash)
        @pytest.mark.rmcp_isolated(timeout=0.5)
        def test_hang_is_no_crash(): time.sleep(60)
        @pytest.mark.xfail(raises=ValueError)
        def test_other(): os.abort()
        @pytest.mark.xfail(raises=rmcp.Crash, strict=True)
        def test_strict(): pass
        def test_dynamic(request):
            request.applymarker(pytest.mark.xfail(reason="found out late"))
            os.abort()
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "-rA")
    assert counts(result) == {"xfailed": 4, "failed": 3}
    assert "XPASS(strict)" in result.stdout.str()
    pytester.runpytest_subprocess(*ISOLATED, "--runxfail", "-k", "test_crash").assert_outcomes(failed=1)


def test_retries_hide_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pathlib, pytest
        @pytest.mark.rmcp_isolated(retries=2)
        def test_flaky():
            file = pathlib.Path("tries")
            tries = len(file.read_text()) if file.exists() else 0
            file.write_text("x" * (tries + 1))
            if tries < 2: os.abort()
        @pytest.mark.rmcp_isolated(retries=1)
        def test_always(): os.abort()
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1, failed=1, warnings=2)
    result.stdout.fnmatch_lines(["*passed only at attempt 3; attempt 1 failed: call:*SIGABRT*"])
    result.stdout.fnmatch_lines(["*rmcp: earlier attempts*", "attempt 1 failed: *SIGABRT*"])


def test_output_by_phase_in_junit(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pytest
        @pytest.fixture
        def talking():
            print("in setup")
            yield
            print("in teardown")
        def test_passes(talking): os.write(1, b"in call")
        def test_crashes(talking):
            os.write(2, b"HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION: beyond \\xff no newline")
            os.abort()
        def test_quiet(): pass
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "--junitxml=j.xml", "-o", "junit_logging=all", "-rA")
    result.assert_outcomes(passed=2, failed=1)
    cases = {case.get("name"): case for case in ElementTree.parse(pytester.path / "j.xml").iter("testcase")}
    text = ElementTree.tostring(cases["test_passes"], encoding="unicode")
    for line in ("in setup", "in call", "in teardown"):
        assert line in text
    result.stdout.fnmatch_lines(["*Captured stdout setup*", "in setup", "*Captured stdout call*", "in call"])
    failure = cases["test_crashes"].find("failure")
    assert failure is not None
    assert "SIGABRT (6)" in failure.get("message", "")
    assert "aperture_violation" in failure.get("message", "")
    assert "APERTURE_VIOLATION: beyond \\xff no newline" in (cases["test_crashes"].findtext("system-err") or "")
    assert "APERTURE" not in ElementTree.tostring(cases["test_quiet"], encoding="unicode")


def test_mark_alone_isolates_only_its_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os, pytest
        RUNNER = os.getpid()
        @pytest.fixture(scope="module")
        def wide():
            yield os.getpid()
            with open("ends", "a") as file: file.write("x")
        def test_plain(wide): assert os.getpid() == RUNNER == wide
        @pytest.mark.rmcp_isolated
        def test_isolated(wide): assert os.getpid() != RUNNER == wide
        def test_plain_again(wide): assert os.getpid() == RUNNER == wide
        @pytest.mark.rmcp_isolated
        def test_isolated_again(wide): assert os.getpid() != RUNNER == wide
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=4)
    assert (pytester.path / "ends").read_text() == "x"


@pytest.mark.parametrize(
    ("mark", "said"),
    [("tmeout=1", "found tmeout"), ("timeout=-1", "positive number"), ("memory='many'", "written like 2GiB")],
)
def test_a_mark_that_makes_no_sense(pytester: pytest.Pytester, mark: str, said: str) -> None:
    pytester.makepyfile(f"import pytest\n@pytest.mark.rmcp_isolated({mark})\ndef test_a(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str() + result.stdout.str()


def test_stopping_the_session_from_a_child(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        def test_own_interrupt(): raise KeyboardInterrupt("own")
        def test_exit(): pytest.exit("enough", returncode=7)
        def test_never(): pass
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED)
    assert result.ret == 7
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Exit: enough*"])
    pytester.makepyfile("def test_a(): assert 0\ndef test_b(): pass\n")
    pytester.runpytest_subprocess(*ISOLATED, "-x").assert_outcomes(failed=1)


def test_memory_limit(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        @pytest.mark.rmcp_isolated(memory="300MB")
        def test_greedy(): bytearray(600 * 1024**2)
        def test_modest(): bytearray(600 * 1024**2)
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED)
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines(["*FAILED*test_greedy - MemoryError*"])


def test_shown_at_once_without_capture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        def test_a():
            print('seen at once')
            os.write(2, b'so is this')
            os.abort()
        """
    )
    result = pytester.runpytest_subprocess(*ISOLATED, "-s")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*seen at once*"])
    assert "so is this" in result.stderr.str()


def test_nothing_is_loaded_unless_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_a():
            assert not [name for name in sys.modules if "isolated" in name and name.startswith("rmcp")]
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_debuggers_get_the_terminal(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("import os\ndef test_a(): assert os.environ['RUNNER'] == str(os.getpid())\n")
    pytester.makeconftest("import os\nos.environ['RUNNER'] = str(os.getpid())\n")
    result = pytester.runpytest_subprocess(*ISOLATED, "--pdb")
    result.stdout.fnmatch_lines(["rmcp: tests are not isolated, because a debugger needs this terminal", "*1 passed*"])
