"""axe-core finds nothing, in light and dark, on desktop and phone, in every state of the pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import OpenPage

pytestmark = pytest.mark.browser
LOOKS = [(size, scheme) for size in ("desktop", "phone") for scheme in ("light", "dark")]


@pytest.fixture(scope="session")
def axe() -> str:
    """The source of axe-core, as a development dependency brings it."""
    package = pytest.importorskip("axe_playwright_python")
    return (Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")


def violations(page: Any, axe: str) -> list[str]:
    page.evaluate(axe)
    found = page.evaluate("async () => (await axe.run(document, { resultTypes: ['violations'] })).violations")
    return [f"{v['id']}: {n['target']} {n['failureSummary']}" for v in found for n in v["nodes"]]


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_run_page(open_page: OpenPage, run_page: Path, axe: str, size: str, scheme: str) -> None:
    page = open_page(run_page, "#g=dtype", size=size, scheme=scheme)
    assert violations(page, axe) == []
    page.locator("#filter").fill("outcome == crash and (")
    page.wait_for_timeout(150)
    assert violations(page, axe) == []
    page.goto(run_page.as_uri() + "#q=outcome in [crash, mismatch]")
    page.reload()
    page.locator(".grid-body [role=row]").first.click()
    page.locator("text=Time line").wait_for()
    page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    page.wait_for_timeout(300)
    assert violations(page, axe) == []


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.parametrize("tab", ["signatures", "overview", "machine", "explain"])
def test_tabs(open_page: OpenPage, run_page: Path, axe: str, size: str, scheme: str, tab: str) -> None:
    assert violations(open_page(run_page, f"#tab={tab}", size=size, scheme=scheme), axe) == []


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_coverage(open_page: OpenPage, coverage_page: Path, axe: str, size: str, scheme: str) -> None:
    assert violations(open_page(coverage_page, "#tab=coverage", size=size, scheme=scheme), axe) == []


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_outcomes_and_help(open_page: OpenPage, outcome_page: Path, axe: str, size: str, scheme: str) -> None:
    page = open_page(outcome_page, size=size, scheme=scheme)
    assert violations(page, axe) == []
    page.get_by_role("button", name="Help: keys and filter language").click()
    assert violations(page, axe) == []


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
@pytest.mark.parametrize("tab", ["", "drift", "steps", "overview", "groups"])
def test_compare_page(open_page: OpenPage, versions_page: Path, axe: str, size: str, scheme: str, tab: str) -> None:
    page = open_page(versions_page, f"#tab={tab}", size=size, scheme=scheme)
    assert violations(page, axe) == []
    if not tab:
        page.locator(".grid-body [role=row]").first.click()
        page.wait_for_timeout(300)
        assert violations(page, axe) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_change(open_page: OpenPage, compare_page: Path, axe: str, scheme: str) -> None:
    assert violations(open_page(compare_page, "#tab=all", scheme=scheme), axe) == []
