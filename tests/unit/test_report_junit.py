"""JUnit: valid against both schemas for a run of every outcome, and it says what happened."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
import synthetic
from hypothesis import given, settings
from hypothesis import strategies as st

from rmcp.report.junit import kind_of, render_junit, write_junit
from rmcp.words import Outcome, Verdict

SCHEMAS = Path(__file__).parents[1] / "golden" / "report" / "xsd"
BOTH = ("jenkins-junit-10.xsd", "ant-junit-rules.xsd")
HOSTILE = "</failure>]]><script>alert(1)</script>&#0;\x00\x08\x1b[31mred\x1b[0m\u202egnp\ud800\uffff\r\n" + "x" * 5000


ORIGINAL = Path(os.environ.get("RMCP_JUNIT_XSD", "")) / "JUnit.xsd"  # see the schemas' README


def validate(text: bytes, *names: str) -> None:
    etree = pytest.importorskip("lxml.etree")
    document = etree.fromstring(text)
    for name in names:
        etree.XMLSchema(file=str(SCHEMAS / name)).assertValid(document)
    if len(names) > 1 and ORIGINAL.is_file():
        etree.XMLSchema(file=str(ORIGINAL)).assertValid(document)


# What Windy Road's schema refuses, one change each of a document that it accepts.
REFUSED = {
    "a type on skipped": ("<skipped ", '<skipped type="x" '),
    "an error without a type": (' type="aperture_violation"', ""),
    "a suite without a time stamp": (" timestamp=", " stamp="),
    "a time stamp with a zone": ('" hostname', 'Z" hostname'),
    "a suite without a host": (" hostname=", " host="),
    "a suite without a package": (' package="rmcp"', ""),
    "a case without a class name": (" classname=", " class="),
    "a time that is no number": ('time="', 'time="about '),
    "a document without properties": ("properties>", "facts>"),
    "no system-out": ("<system-out></system-out>", ""),
    "Surefire's elements": ("<skipped ", "<flakyError "),
    "a property without a name": ("<property name=", "<property key="),
    "an empty name": ('<property name="rmcp.run"', '<property name=""'),
}


@pytest.mark.parametrize("change", REFUSED.values(), ids=REFUSED)
def test_what_windy_road_refuses_is_refused(change: tuple[str, str]) -> None:
    """Our own statement of the schema is as strict as the original, which is asked too where it is at hand."""
    etree = pytest.importorskip("lxml.etree")
    whole = junit_text(synthetic.every_outcome()).decode()
    changed = whole.replace(*change)
    if "flakyError" in change[1]:
        changed = changed.replace("</skipped>", "</flakyError>")
    assert changed != whole
    for schema in (SCHEMAS / "ant-junit-rules.xsd", *([ORIGINAL] if ORIGINAL.is_file() else [])):
        rules = etree.XMLSchema(file=str(schema))
        assert rules.validate(etree.fromstring(whole.encode())), schema
        assert not rules.validate(etree.fromstring(changed.encode())), schema


def junit_text(run: object, retries: bool = False) -> bytes:
    return "".join(render_junit(run, retries)).encode("utf-8")  # type: ignore[arg-type]


def test_every_outcome_is_valid_against_both_schemas() -> None:
    validate(junit_text(synthetic.every_outcome()), *BOTH)


def test_retries_are_valid_for_jenkins_and_named_as_surefire_does() -> None:
    text = junit_text(synthetic.every_outcome(), retries=True)
    validate(text, "jenkins-junit-10.xsd")
    root = ElementTree.fromstring(text)
    flaky = next(case for case in root.iter("testcase") if "/flaky]" in case.get("name", ""))
    assert [child.tag for child in flaky] == ["flakyError", "flakyFailure"]


EXPECTED = {
    Outcome.PASS: "",
    Outcome.WARN: "",
    Outcome.MISMATCH: "failure",
    Outcome.ERROR: "failure",
    Outcome.TAINTED: "failure",
    Outcome.UNSUPPORTED: "skipped",
}


@pytest.mark.parametrize("outcome", list(Outcome))
def test_mapping_of_outcomes(outcome: Outcome) -> None:
    case = synthetic.case({"shape": "s"}, outcome)
    assert kind_of(case) == EXPECTED.get(outcome, "error")


@pytest.mark.parametrize(
    ("outcome", "verdict", "kind"),
    [
        (Outcome.CRASH, Verdict.EXPECTED, "skipped"),
        (Outcome.CRASH, Verdict.LATERAL, "error"),
        (Outcome.PASS, Verdict.IMPROVED, "failure"),
        (Outcome.WARN, Verdict.UNEXPECTED, "failure"),
        (Outcome.PASS, Verdict.EXPECTED, ""),
        (Outcome.PASS, Verdict.NO_VERDICT, ""),
    ],
)
def test_mapping_of_verdicts(outcome: Outcome, verdict: Verdict, kind: str) -> None:
    assert kind_of(synthetic.case({"shape": "s"}, outcome, verdict=verdict)) == kind


def test_counts_agree_with_the_elements() -> None:
    root = ElementTree.fromstring(junit_text(synthetic.every_outcome()))
    suite = root.find("testsuite")
    assert suite is not None
    for name, tag in (
        ("tests", "testcase"),
        ("failures", "failure"),
        ("errors", "error"),
        ("skipped", "skipped"),
    ):
        assert int(suite.get(name, "-1")) == len(list(suite.iter(tag))), name


def test_junitparser_reads_it_back(tmp_path: Path) -> None:
    junitparser = pytest.importorskip("junitparser")
    write_junit(synthetic.every_outcome(), tmp_path / "junit.xml")
    suite = next(iter(junitparser.JUnitXml.fromfile(str(tmp_path / "junit.xml"))))
    assert suite.tests == len(Outcome) + 3
    kinds = {"failure": junitparser.Failure, "error": junitparser.Error, "skipped": junitparser.Skipped}
    found = {case.name: case.result for case in suite}
    for case in synthetic.every_outcome().cases:
        assert [type(result) for result in found[case.id]] == [kinds[k] for k in [kind_of(case)] if k], case.id
        assert all(str(case.outcome) in result.message for result in found[case.id])
    crash = next(case for case in suite if case.name == "conv2d[this/float32/s-crash]")
    assert crash.result[0].type == "aperture_violation"
    assert "MEMORY_APERTURE_VIOLATION" in crash.result[0].message


def test_evidence_is_in_the_body_and_hostile_text_is_harmless(tmp_path: Path) -> None:
    run = synthetic.run_of([synthetic.case({"shape": "a<b>&\"'"}, Outcome.CRASH)], tmp_path)
    run = synthetic.store_texts(run, {"stderr.txt": HOSTILE, "kernel.log": "amdgpu: GPU reset begin!\n"})
    text = junit_text(run)
    validate(text, *BOTH)
    body = "".join(ElementTree.fromstring(text).find(".//error").itertext())  # type: ignore[union-attr]
    assert "GPU reset begin!" in body
    assert "<script>alert(1)</script>" in body
    assert "\x1b" not in body
    assert b"\x00" not in text
    assert b"<script>" not in text


def test_the_file_stays_small_whatever_the_evidence(tmp_path: Path) -> None:
    cases = [synthetic.case({"shape": f"s{i}"}, Outcome.CRASH) for i in range(20)]
    run = synthetic.store_texts(synthetic.run_of(cases, tmp_path), {"stderr.txt": "line\n" * 200_000})
    assert len(junit_text(run)) < 20 * 40_000


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=40))
def test_any_text_gives_a_valid_file(message: str, reason: str, value: str) -> None:
    one = synthetic.attempt(1, Outcome.ERROR, message=message, phase=value, notes=(reason,))
    case = synthetic.case({"shape": value}, Outcome.ERROR, attempts=(one,), reason=reason, id=value or "x")
    validate(
        junit_text(synthetic.run_of([case], facts={"host": value, reason: message})),
        *BOTH,
    )


def test_an_empty_run_is_valid() -> None:
    validate(junit_text(synthetic.run_of([])), *BOTH)
