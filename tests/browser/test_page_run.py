"""The run page in a real browser: every interaction, on a desktop and on a phone."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import synthetic
from conftest import OpenPage, until

from rmcp.report.html import write_html

pytestmark = pytest.mark.browser
COUNTS = Counter(case.outcome.value for case in synthetic.large(500))
BOTH = pytest.mark.parametrize("size", ["desktop", "phone"])


def rows(page: Any) -> list[str]:
    return page.locator(".grid-body [role=row]:not([hidden])").all_inner_texts()  # type: ignore[no-any-return]


def shown(page: Any) -> str:
    return page.locator("#shown").inner_text()  # type: ignore[no-any-return]


def fill(page: Any, text: str) -> None:
    page.locator("#filter").fill(text)
    until(page, "new URLSearchParams(location.hash.slice(1)).get('q')", text)


@BOTH
def test_first_screen_says_what_happened(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, size=size)
    assert "of 500 cases failed unexpectedly" in page.locator("h1").inner_text()
    assert page.locator(".cluster h3").first.is_visible()
    assert shown(page) == "500 cases" or size == "phone"
    assert "unexpected" in rows(page)[0] or size == "phone"
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), "nothing sticks out sideways"


@BOTH
def test_filter_by_expression_and_by_words(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, size=size)
    fill(page, "outcome == crash and dtype == float16")
    count = int(page.locator("#shown").text_content().split(" of ")[0])
    assert 0 < count <= COUNTS["crash"]
    assert all("crash" in row for row in rows(page))
    fill(page, "is:bad")
    assert page.locator("#shown").text_content() == f"{sum(COUNTS.values()) - COUNTS['pass']} of 500 cases"
    fill(page, "aperture env3")
    assert all("env3" in row for row in rows(page))
    fill(page, "seconds > 3 and gfx == gfx1010")
    assert "of 500" in page.locator("#shown").text_content()
    page.locator(".clear").click()
    until(page, "location.hash.includes('q=')", False)
    assert page.locator("#shown").text_content() == "500 cases"


def test_a_broken_expression_is_shown_where_it_breaks(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    fill(page, "outcome == crash and nosuch == 1")
    assert page.locator("#filter-error mark").inner_text() == "nosuch == 1"
    assert "unknown name nosuch" in page.locator("#filter-error").inner_text()
    assert page.locator("#filter").get_attribute("aria-invalid") == "true"
    fill(page, "outcome == crash")
    assert page.locator("#filter-error").inner_text() == ""


def test_completion_by_keyboard(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "filter"
    page.keyboard.type("memo")
    assert page.locator("#filter-list [role=option]").first.inner_text().startswith("memory_format")
    page.keyboard.press("ArrowDown")
    assert page.locator("#filter").get_attribute("aria-activedescendant") == "filter-0"
    page.keyboard.press("Enter")
    page.keyboard.type("== chan")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert page.locator("#filter").input_value() == "memory_format == channels_last "
    page.keyboard.press("Escape")
    assert page.locator("#filter-list").is_hidden()
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.getAttribute('role')") == "grid"


@BOTH
def test_chips_narrow_to_outcomes(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, size=size)
    page.get_by_role("button", name=re.compile("^mismatch")).click()
    assert page.locator("#shown").text_content() == f"{COUNTS['mismatch']} of 500 cases"
    page.get_by_role("button", name=re.compile("^crash")).click()
    assert page.locator("#shown").text_content() == f"{COUNTS['mismatch'] + COUNTS['crash']} of 500 cases"
    assert page.get_by_role("button", name=re.compile("^crash")).get_attribute("aria-pressed") == "true"
    assert "o=mismatch%2Ccrash" in page.url


def test_grouping_and_folding(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    page.locator("#group").select_option("dtype")
    first = page.locator(".grid-row.group").first
    assert first.inner_text().split("\n")[1] == "dtype = float32"
    before = page.locator("[role=grid]").get_attribute("aria-rowcount")
    first.click()
    assert page.locator(".grid-row.group [role=gridcell]").first.get_attribute("aria-expanded") == "false"
    assert int(page.locator("[role=grid]").get_attribute("aria-rowcount")) < int(before)
    assert page.locator(".grid-row.group").count() >= 2


def test_sorting(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    page.get_by_role("button", name="Time").click()
    assert page.get_by_role("columnheader", name="Time").get_attribute("aria-sort") == "ascending"
    page.get_by_role("button", name="Time").click()
    assert page.get_by_role("columnheader", name="Time").get_attribute("aria-sort") == "descending"
    texts = page.evaluate(
        """() => [...document.querySelectorAll('.grid-body [role=row]:not([hidden])')]
          .sort((a, b) => a.dataset.at - b.dataset.at).map(row => row.querySelector('.c-time').textContent)"""
    )
    times = [float(text.split()[0]) for text in texts if text.endswith(" s")]
    assert len(times) > 5
    assert times == sorted(times, reverse=True)
    page.locator("#order").select_option("_plan")
    assert "env0" in rows(page)[0]
    assert "pass" in rows(page)[0]


@BOTH
def test_drawer_shows_the_evidence(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, "#o=crash", size=size)
    page.locator(".grid-body [role=row]").first.click()
    drawer = page.locator("#drawer")
    drawer.locator("text=Time line").wait_for()
    assert "HSA_STATUS_ERROR_MEMORY_APERTURE_VIOLATION" in drawer.locator(".drawer-top").inner_text()
    assert "crash here" in drawer.locator(".phase-list").inner_text()
    assert drawer.locator(".guilty").first.inner_text().startswith("▶")
    assert drawer.locator("details.evidence").count() == 2
    assert "stock environment" in drawer.inner_text()
    assert "conv_backend" in drawer.inner_text()
    if size == "phone":
        assert drawer.bounding_box()["width"] == pytest.approx(390)
    drawer.get_by_role("button", name="Close").click()
    assert drawer.is_hidden()
    assert "case=" not in page.url


def test_mismatch_draws_the_error_map(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page, "#o=mismatch")
    page.locator(".grid-body [role=row]").first.click()
    canvas = page.locator("canvas.picture")
    canvas.wait_for()
    pixels = canvas.evaluate(
        """c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data
          .filter((value, index) => index % 4 === 3 && value > 200).length"""
    )
    assert pixels > 1000


@BOTH
def test_reproducers_are_copied_both_ways(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, "#o=crash", size=size)
    page.locator(".grid-body [role=row]").first.click()
    page.get_by_role("button", name="Copy rmcp command").click()
    page.get_by_role("button", name="Copy plain script").click()
    page.get_by_role("button", name="Copy link").click()
    until(page, "copied.length", 3)
    command, plain, link = page.evaluate("copied")
    assert command.startswith("rmcp run conv2d.yaml --case 'conv2d[this/")
    assert plain.startswith("cat > repro.py <<'RMCP_EOF'")
    assert "torch.nn.functional.conv2d" in plain
    assert plain.rstrip().endswith("python repro.py")
    assert link == page.url
    compile(plain.split("\n", 1)[1].split("RMCP_EOF")[0], "repro.py", "exec")


def test_keys(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("[role=grid]").get_attribute("aria-activedescendant") == "row-0"
    page.keyboard.press("Enter")
    title = page.locator("#drawer-title")
    first = title.inner_text()
    assert page.locator("#drawer").is_visible()
    page.keyboard.press("j")
    assert title.inner_text() != first
    page.keyboard.press("k")
    assert title.inner_text() == first
    page.keyboard.press("n")
    assert title.inner_text() != first
    page.keyboard.press("p")
    assert title.inner_text() == first
    page.locator("text=Time line").wait_for()
    page.keyboard.press("c")
    until(page, "copied.length", 1)
    assert page.locator("#live").text_content() == "The command is copied"
    page.keyboard.press("Escape")
    assert page.locator("#drawer").is_hidden()
    page.keyboard.press("?")
    assert page.locator("dialog[open]").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0


def test_everything_is_in_the_address(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    fill(page, "is:bad")
    page.locator("#group").select_option("outcome")
    page.get_by_role("button", name="Time").click()
    page.locator(".grid-body [role=row]:not(.group)").first.click()
    address, before = page.url, rows(page)
    title = page.locator("#drawer-title").inner_text()
    again = open_page(run_page, "#" + address.split("#", 1)[1])
    assert again.locator("#filter").input_value() == "is:bad"
    assert again.locator("#group").input_value() == "outcome"
    assert again.locator("#drawer-title").inner_text() == title
    assert rows(again) == before
    page.go_back()
    page.locator("#drawer").wait_for(state="hidden")
    assert "q=is%3Abad" in page.url


@BOTH
def test_tabs(open_page: OpenPage, run_page: Path, size: str) -> None:
    page = open_page(run_page, size=size)
    page.get_by_role("tab", name="Signatures").click()
    assert page.locator(".panel .cluster").count() == 5
    page.locator(".panel .cluster .link").first.click()
    assert page.locator("#filter").input_value().startswith("signature ==")
    largest = max(count for outcome, count in COUNTS.items() if outcome != "pass")
    assert int(page.locator("#shown").text_content().split(" of ")[0]) == largest
    page.get_by_role("tab", name="Overview").click()
    page.locator(".clear").click()
    until(page, "document.querySelector('#shown').textContent", "500 cases")
    page.locator(".heat-table").locator(".h3, .h4, .h5").first.click()
    assert page.locator("#filter").input_value() == "memory_format == channels_last and dtype == float16"
    assert page.locator("#shown").text_content() == "81 of 500 cases"
    page.get_by_role("tab", name="Machine").click()
    assert "gfx1010" in page.locator(".panel").inner_text()
    page.get_by_role("tab", name="Explanations").click()
    assert "Half precision" in page.locator(".panel").inner_text()
    page.get_by_role("button", name="Filter by this rule").click()
    assert page.get_by_role("tab", name="Cases").get_attribute("aria-selected") == "true"


def test_repeated_times_are_said_and_drawn(open_page: OpenPage, tmp_path: Path) -> None:
    times = [0.02, *(0.0005 + i / 1e6 for i in range(20))]
    one = synthetic.attempt(1, metrics={"samples_s": times, "median_s": 0.00051, "flops": [1, 2]})
    write_html(synthetic.run_of([synthetic.case({"shape": "s"}, attempts=(one,))], tmp_path), tmp_path / "r.html")
    page = open_page(tmp_path / "r.html")
    page.locator(".grid-body [role=row]").first.click()
    page.locator("text=Measured").wait_for()
    text = page.locator("#drawer").inner_text()
    assert "21 times: median 510 µs, 500 µs to 20 ms" in text
    assert page.locator("#drawer .times span").count() == 21


@BOTH
def test_coverage_says_what_is_not_known(open_page: OpenPage, coverage_page: Path, size: str) -> None:
    page = open_page(coverage_page, size=size)
    assert "33.3 % of the 6 cells of the full product proven" in page.locator(".top").inner_text()
    page.get_by_role("tab", name="Coverage").click()
    text = page.locator(".panel").inner_text()
    assert "2 of 6 cells: ran and came to a verdict" in text
    assert "4 of 6 cells: nothing is known" in text
    nearest = page.locator(".panel .whole tbody tr").all_inner_texts()
    assert [row.split()[0] for row in nearest[:3]] == ["small[f32/a]", "small[f16/b]", "small[f16/c]"]
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_axis_values_narrow_the_filter(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page, "#tab=overview")
    page.locator(".axis-value", has_text="env3").click()
    assert page.locator("#filter").input_value() == "env == env3"
    page.get_by_role("tab", name="Overview").click()
    page.locator(".heat-pick select").first.select_option("shape")
    assert "ay=shape" in page.url
    assert page.locator(".heat-table tbody th").count() == 9


def test_attempts_of_a_flaky_case(open_page: OpenPage, outcome_page: Path) -> None:
    page = open_page(outcome_page, "#q=is:flaky")
    page.locator(".grid-body [role=row]").first.click()
    assert page.locator(".attempt").count() == 3
    assert page.locator(".attempt[aria-pressed=true]").inner_text().startswith("Attempt 3")
    page.locator(".attempt").first.click()
    assert "crash here" in page.locator("#drawer").inner_text()
    assert "aperture_violation" in page.locator("#drawer .drawer-body").inner_text()


def test_every_outcome_has_its_word_and_letter(open_page: OpenPage, outcome_page: Path) -> None:
    page = open_page(outcome_page, "#s=_plan")
    letters = page.evaluate("[...document.querySelectorAll('.chip .letter')].map(n => n.textContent)")
    assert len(letters) == 17
    assert len(set(letters)) == 17
    page.get_by_role("tab", name="Problems").click()
    assert "torn last line" in page.locator(".panel").inner_text()


def test_only_rows_in_sight_exist(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    grid = page.locator("[role=grid]")
    assert grid.get_attribute("aria-rowcount") == "501"
    assert page.locator(".grid-body [role=row]").count() < 60
    grid.focus()
    page.keyboard.press("End")
    assert grid.get_attribute("aria-activedescendant") == "row-499"
    assert page.locator("#row-499").get_attribute("aria-rowindex") == "501"
    assert page.locator("#row-499").is_visible()
    page.keyboard.press("Home")
    page.keyboard.press("PageDown")
    assert int(grid.get_attribute("aria-activedescendant").split("-")[1]) > 3


def test_nothing_found_can_be_undone(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page, "#q=outcome == nothing")
    assert page.locator(".nothing-found").is_visible()
    page.get_by_role("button", name="Clear it").click()
    assert page.locator("#shown").text_content() == "500 cases"


def test_print_and_no_javascript(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    assert page.locator(".printed").is_hidden()
    page.emulate_media(media="print")
    assert page.locator(".printed").is_visible()
    assert page.locator("#filter").is_hidden()
    bare = open_page(run_page, java_script_enabled=False)
    assert "of 500 cases failed" in bare.locator("h1").inner_text()
    assert "aperture_violation" in bare.locator("body").inner_text()


def test_an_empty_run(open_page: OpenPage, tmp_path: Path) -> None:
    from rmcp.report.html import write_html

    write_html(synthetic.run_of([]), tmp_path / "r.html")
    page = open_page(tmp_path / "r.html")
    assert page.locator("h1").inner_text() == "The run has no cases."


def test_a_filter_without_hits_does_not_unroll_the_grid(open_page: OpenPage, run_page: Path) -> None:
    page = open_page(run_page)
    fill(page, "outcome == nothing")
    until(page, "document.querySelector('#shown').textContent", "0 of 500 cases")
    fill(page, "is:failed or is:expected")
    until(page, "document.querySelector('#shown').textContent", "500 cases")
    assert page.locator(".grid-body [role=row]").count() < 100
