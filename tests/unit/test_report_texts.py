"""Texts and values of a hostile child made harmless."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
import synthetic
from hypothesis import given
from hypothesis import strategies as st

from rmcp.report.evidence import READ_LIMIT, guilty_lines, read_texts
from rmcp.report.files import write_atomically
from rmcp.report.plain import number, one_line, plain, show_text, visible, xml_text
from rmcp.words import Outcome


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link", "link"),
        ("a\x00b", "a␀b"),
        ("abc\u202egpj.exe", "abc‹U+202E›gpj.exe"),
        ("zero\u200bwidth", "zero‹U+200B›width"),
        ("\ud800", "‹U+D800›"),
        ("one\r\ntwo\rthree", "one\ntwo\nthree"),
        ("tab\tstays", "tab\tstays"),
    ],
)
def test_visible(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_one_line_is_one_line_and_bounded() -> None:
    assert one_line("a\n  b\t c") == "a b c"
    assert len(one_line("x" * 1_000_000)) < 400


def test_long_lines_and_long_texts_are_cut_with_a_note() -> None:
    shown = show_text("short\n" + "y" * 1_000_000 + "\nlast", 10_000)
    assert len(shown) < 11_000
    assert "characters ..." in shown
    assert shown.endswith("last")
    assert show_text("a\nb", 100) == "a\nb"


@given(st.text())
def test_xml_text_has_legal_characters_only(text: str) -> None:
    for char in xml_text(text, 1000):
        code = ord(char)
        assert char in "\t\n\r" or 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.binary() | st.complex_numbers(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
def test_plain_is_strict_json(value: object) -> None:
    json.loads(json.dumps(plain(value), allow_nan=False))


def test_plain_of_a_bottomless_value_ends() -> None:
    endless: list[object] = []
    endless.append(endless)
    json.dumps(plain(endless))


@pytest.mark.parametrize("value", [math.nan, math.inf, None, "7", True, []])
def test_number_of_what_is_none(value: object) -> None:
    assert number(value) == 0.0


def test_of_lines_that_differ_in_numbers_the_first_are_marked() -> None:
    text = "\n".join(f"K.cu:111: block: [0,0,0], thread: [{n},0,0] Assertion `i < n` failed." for n in range(9))
    assert guilty_lines(text + "\nCUDA error: device-side assert triggered") == (0, 1, 2, 9)


def test_guilty_lines_of_a_crash() -> None:
    text = "loading\n:0:rocdevice.cpp: aborting with error : HSA_STATUS_ERROR\nrest\n0x7fdeadbeef"
    assert guilty_lines(text) == (1,)
    assert guilty_lines(text, ("0x7fdeadbeef", "x")) == (1, 3)


@pytest.mark.parametrize(
    "line",
    [
        "0 errors",
        "MIOpen(HIP): Info [Find] ok",
        "hipError_t is a type",
        "no problem",
        "miopenStatusSuccess",
        "errors: none",
    ],
)
def test_harmless_lines_are_not_marked(line: str) -> None:
    assert guilty_lines(line) == ()


def test_only_files_of_the_run_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "stderr.txt").write_text("secret")
    run = synthetic.run_of([], tmp_path / "run")
    (tmp_path / "run" / "a").mkdir(parents=True)
    (tmp_path / "run" / "a" / "stderr.txt").write_text("own")
    os.symlink(tmp_path / "secret" / "stderr.txt", tmp_path / "run" / "a" / "stdout.txt")
    os.mkfifo(tmp_path / "run" / "a" / "kernel.log")
    assert read_texts(run, synthetic.attempt(directory="a")).streams == {"stderr": "own"}
    assert read_texts(run, synthetic.attempt(directory="../secret")).streams == {}
    assert read_texts(run, synthetic.attempt(directory=str(tmp_path / "secret"))).streams == {}


def test_a_huge_file_is_read_at_both_ends(tmp_path: Path) -> None:
    run = synthetic.run_of([synthetic.case({"s": "a"}, Outcome.CRASH)], tmp_path)
    run = synthetic.store_texts(run, {"stderr.txt": "first\n" + "x\n" * READ_LIMIT + "last\n"})
    attempt = run.cases[0].attempts[0]
    text = read_texts(run, attempt).streams["stderr"]
    assert text.startswith("first\n")
    assert text.endswith("last\n")
    assert len(text) < READ_LIMIT + 100


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")

    def pieces():  # type: ignore[no-untyped-def]
        yield b"half"
        raise RuntimeError("odd data")

    with pytest.raises(RuntimeError):
        write_atomically(path, pieces())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_ids_are_made_from_axes_or_written_out() -> None:
    from rmcp.report.payload import index_of

    def stored(*ids: str) -> object:
        axes = [
            {"env": "stock", "shape": "a"},
            {"env": "no-sdma", "shape": "a"},
            {"env": "stock", "shape": "b"},
        ]
        cases = [synthetic.case(axes[i], id=name) for i, name in enumerate(ids)]
        return index_of(synthetic.run_of(cases))["ids"]

    assert stored("m[stock/a]", "m[no-sdma/a]", "m[stock/b]") is None
    assert stored("m[a]", "m[no-sdma/a]", "m[b]") is None
    assert stored("m[default]", "m[no-sdma]", "m[b]") is None
    assert stored("m[stock/a]", "m[a]", "m[x]") == ["m[stock/a]", "m[a]", "m[x]"]
    assert stored("odd", "m[no-sdma/a]", "m[b]") == ["odd", "m[no-sdma/a]", "m[b]"]
