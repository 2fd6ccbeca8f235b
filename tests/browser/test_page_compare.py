"""The comparison page in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import synthetic
from conftest import OpenPage, until

from rmcp.compare import compare
from rmcp.report.comparison import write_comparison

pytestmark = pytest.mark.browser
BOTH = pytest.mark.parametrize("size", ["desktop", "phone"])


def texts(page: Any) -> list[str]:
    return page.locator(".grid-body [role=row]:not([hidden])").all_inner_texts()  # type: ignore[no-any-return]


@BOTH
def test_first_screen_tells_what_changed(open_page: OpenPage, compare_page: Path, size: str) -> None:
    page = open_page(compare_page, size=size)
    assert page.locator("h1").inner_text().startswith("6.2 against 5.2: 2 regressions, 2 worse")
    assert "regression" in texts(page)[0]
    assert page.locator("#shown").text_content() == "17 of 20 rows"
    assert page.locator(".sides tbody tr").count() == 2
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@BOTH
def test_tabs_hold_the_classes_with_their_counts(open_page: OpenPage, compare_page: Path, size: str) -> None:
    page = open_page(compare_page, size=size)
    tabs = dict(
        re.match(r"(\D+?)\s*(\d+)?$", text.replace("\n", " ")).groups()
        for text in page.locator("[role=tab]").all_inner_texts()
    )  # type: ignore[union-attr]
    assert tabs["Changed"] == "17"
    assert tabs["lateral"] == "3"
    assert tabs["unchanged"] == "3"
    assert tabs["All"] == "20"
    page.get_by_role("tab", name=re.compile("^lateral")).click()
    assert page.locator("#shown").text_content() == "3 of 20 rows"
    assert all("lateral" in row for row in texts(page))
    assert "tab=lateral" in page.url
    page.get_by_role("tab", name=re.compile("^All")).click()
    assert page.locator("#shown").text_content() == "20 rows"


@BOTH
def test_what_changed_most_is_above_the_table(open_page: OpenPage, versions_page: Path, size: str) -> None:
    page = open_page(versions_page, size=size)
    card = page.locator(".lead .cluster").first
    count = int(re.search(r"6\.3: (\d+) regressions: pass → \w+", card.inner_text()).group(1))  # type: ignore[union-attr]
    card.locator(".link").click()
    assert page.locator("#shown").text_content() == f"{count} of 300 rows"
    assert all("regression" in row for row in texts(page))
    page.get_by_role("tab", name=re.compile("^Groups")).click()
    assert page.locator(".panel .cluster").count() > 3
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


@BOTH
def test_a_row_reads_from_the_baseline_on(open_page: OpenPage, tmp_path: Path, size: str) -> None:
    before, after = synthetic.pair_of_every_change()
    write_comparison(compare([synthetic.run_of([*before, *after])], baseline="6.2"), tmp_path / "c.html")
    page = open_page(tmp_path / "c.html", "#tab=fix", size=size)
    assert page.locator(".sides tbody th").first.inner_text().startswith("6.2")
    if size == "desktop":
        heads = page.locator(".grid-head .c-side").all_inner_texts()
        assert heads == ["6.2 (base)", "5.2"]
    assert page.locator(".grid-body .c-name").first.text_content().startswith(("crash → pass", "mismatch → pass"))
    assert "was: " in texts(page)[0], "the message of what is fixed is of the past"


def test_what_decided_a_row_is_said(open_page: OpenPage, compare_page: Path) -> None:
    page = open_page(compare_page)
    page.get_by_role("tab", name=re.compile("^probably-flaky")).click()
    assert "failed 0 of 3 attempts before, 1 of 3 now, p = 1" in texts(page)[0]
    page.locator(".grid-body [role=row]").first.click()
    assert "failed 0 of 3 attempts before, 1 of 3 now, p = 1" in page.locator("#drawer").inner_text()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name=re.compile("^perf")).click()
    assert re.search(r"×2\.97 slower \(95 % interval 2\.\d\d–3\.\d\d\)", texts(page)[0])


def test_filter_knows_sides_and_changes(open_page: OpenPage, versions_page: Path) -> None:
    page = open_page(versions_page, "#tab=all&q=outcome.1 == pass and outcome.4 == crash")
    both = int(page.locator("#shown").text_content().split(" of ")[0])
    assert both > 0
    page.locator("#filter").fill("outcome.1 == pass and outcome.4 == crash and is:regression")
    page.wait_for_timeout(200)
    assert int(page.locator("#shown").text_content().split(" of ")[0]) == both


def test_a_side_shows_its_changes(open_page: OpenPage, versions_page: Path) -> None:
    page = open_page(versions_page)
    page.locator(".sides tbody tr").nth(2).get_by_role("button", name=re.compile("^▲?\\s*fix|fix")).first.click()
    assert page.locator("#filter").input_value() == "change.3 == fix"
    assert int(page.locator("#shown").text_content().split(" of ")[0]) > 0


def test_environment_and_neighbours(open_page: OpenPage, versions_page: Path) -> None:
    page = open_page(versions_page)
    assert "kernel, amdgpu.noretry" in page.locator(".warning").inner_text()
    page.get_by_role("button", name="Show them").click()
    panel = page.locator(".panel").inner_text()
    assert "amdgpu.noretry" in panel
    assert "compared on purpose" in panel
    page.get_by_role("tab", name="Neighbours").click()
    assert page.locator(".panel h3").all_inner_texts() == ["6.0 → 6.1", "6.1 → 6.2", "6.2 → 6.3"]
    page.locator(".panel .chip").first.click()
    assert page.locator("#filter").input_value().startswith("step.2 == regression")


@BOTH
def test_drawer_and_keys(open_page: OpenPage, compare_page: Path, size: str) -> None:
    page = open_page(compare_page, size=size)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    drawer = page.locator("#drawer")
    assert drawer.locator(".side-card").count() == 2
    assert "passed before, does not pass now" in drawer.inner_text()
    page.keyboard.press("c")
    until(page, "copied.length", 1)
    assert page.evaluate("copied[0]") == (
        "rmcp run conv2d.yaml --select 'runtime == 6.2 and dtype == float32 and shape == regression'"
    )
    first = page.locator("#drawer-title").inner_text()
    page.keyboard.press("n")
    assert page.locator("#drawer-title").inner_text() != first
    page.keyboard.press("Escape")
    assert drawer.is_hidden()


def test_grouping_by_change(open_page: OpenPage, versions_page: Path) -> None:
    page = open_page(versions_page, "#g=change")
    assert page.locator(".grid-row.group").first.inner_text().split("\n")[1] == "change = regression"


def test_overview(open_page: OpenPage, versions_page: Path) -> None:
    page = open_page(versions_page, "#tab=overview")
    assert page.locator(".heat-table").is_visible()
    page.locator(".axis-value").first.click()
    assert "==" in page.locator("#filter").input_value()


def test_columns_of_two_runs_of_one_day_can_be_told_apart(open_page: OpenPage, tmp_path: Path) -> None:
    cases, _ = synthetic.pair_of_every_change()
    runs = [synthetic.run_of(cases, id=f"20261127-08293{name}") for name in ("6.622-866a", "9.867-3a65")]
    write_comparison(compare(runs), tmp_path / "compare.html")
    page = open_page(tmp_path / "compare.html", size="desktop")
    heads = page.locator(".grid-head .c-side").all_inner_texts()
    assert [head.split(" ")[0].strip() for head in heads] == ["…082936.622-866a", "…082939.867-3a65"]
