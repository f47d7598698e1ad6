"""A report in Chromium: drawn, without network, on small screens, on paper, for keyboards and screen readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe

from agent.report.page import page
from agent.report.palette import DARK, LIGHT
from agent.report.view import views_of
from browser import chromium, opened, share_near
from profile_documents import example
from report_views import TRACE, hostile, two_views, view
from waiting import await_true

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from browser import Opened

pytestmark = pytest.mark.system
ATTACK = (
    "</script></style><script>window.broken=1</script><!--<script>\u2028\"'><img src=http://192.0.2.1/x "
    'onerror=window.broken=1>{{7*7}}$\\frac{a$ %{x} <a href="javascript:window.broken=1">a</a>'
)
ATTACKS = (ATTACK, ATTACK.replace("\u2028", ""))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file: Path = tmp_path_factory.mktemp("report") / "report.html"
    file.write_bytes(page([view()], "2026-01-31 08:30 UTC"))
    return file


@pytest.fixture(scope="module")
def drawn(browser: Any, report: Path) -> Iterator[Opened]:
    with opened(browser, report) as found:
        found.draw_everything()
        yield found


def test_a_report_draws_every_chart_without_an_error_and_without_network(drawn: Opened) -> None:
    charts = [each.get_attribute("data-chart") for each in drawn.page.query_selector_all("[data-chart]")]
    names = "power-0 latency throughput energy idle cost parts utilization sensitivity-0"
    assert charts == names.split()
    for chart in charts:
        assert drawn.colors(f"[data-chart={chart}]").std() > 0.02, chart
    assert share_near(drawn.colors("[data-chart=idle]"), LIGHT["blue"]) > 0.1  # bars
    assert share_near(drawn.colors("[data-chart=cost]"), LIGHT["blue"]) > 0.002  # a line
    assert share_near(drawn.colors("[data-chart=power-0]"), LIGHT["busy"]) > 0.1  # a marked window
    assert drawn.complaints == []
    assert drawn.requests == []


def test_axe_finds_no_serious_issue(drawn: Opened) -> None:
    found = Axe().run(drawn.page).response["violations"]
    assert [(each["id"], each["nodes"][0]["html"]) for each in found if each["impact"] in {"serious", "critical"}] == []


def test_the_keyboard_reaches_the_content_and_the_values_of_a_chart(drawn: Opened) -> None:
    drawn.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    drawn.page.keyboard.press("Tab")
    assert drawn.page.evaluate("document.activeElement.textContent") == "Skip to the content"
    drawn.page.keyboard.press("Enter")
    assert drawn.page.evaluate("document.activeElement.id") == "main"
    summary = drawn.page.query_selector("#chart-energy summary")
    assert summary is not None
    summary.focus()
    drawn.page.keyboard.press("Enter")
    cells = drawn.page.query_selector_all("#chart-energy details[open] td")
    assert len(cells) == 4
    assert float(cells[0].inner_text()) > 0


def test_the_colors_follow_the_theme(drawn: Opened) -> None:
    drawn.page.emulate_media(color_scheme="dark")
    try:
        await_true(lambda: share_near(drawn.colors("[data-chart=idle]"), DARK["blue"]) > 0.1)
        assert share_near(drawn.colors("[data-chart=idle]"), DARK["paper"]) > 0.1
    finally:
        drawn.page.emulate_media(color_scheme="light")


def test_a_report_prints_on_a4_with_static_charts(drawn: Opened) -> None:
    drawn.page.emulate_media(media="print")
    try:
        assert drawn.page.evaluate("getComputedStyle(document.querySelector('.live')).display") == "none"
        assert share_near(drawn.colors("#chart-idle .static svg"), LIGHT["blue"]) > 0.1
        drawn.page.set_viewport_size({"width": 688, "height": 1000})  # A4 without its margins
        assert drawn.overflow() == 0
        pdf = drawn.page.pdf(prefer_css_page_size=True)
    finally:
        drawn.page.emulate_media(media="screen")
        drawn.page.set_viewport_size({"width": 1100, "height": 800})
    assert pdf.startswith(b"%PDF")
    assert b"/MediaBox [0 0 594.95996 841.91998]" in pdf  # A4 in points


def test_a_narrow_screen_needs_no_horizontal_scrolling(browser: Any, report: Path) -> None:
    with opened(browser, report, viewport={"width": 320, "height": 640}) as found:
        found.draw_everything()
        assert found.overflow() == 0
        assert share_near(found.colors("[data-chart=idle]"), LIGHT["blue"]) > 0.1


def test_a_report_works_without_script(browser: Any, report: Path) -> None:
    with opened(browser, report, java_script_enabled=False) as found:
        assert "A million output tokens cost EUR" in found.page.inner_text(".answer")
        assert share_near(found.colors("#chart-idle .static svg"), LIGHT["blue"]) > 0.1
        assert share_near(found.colors("#chart-power-0 .static svg"), LIGHT["busy"]) > 0.1


def test_texts_of_a_hostile_profile_are_texts(browser: Any, tmp_path: Path) -> None:
    changed = {**example(), "tariff": {**example()["tariff"], "site": "x"}}
    views = views_of([hostile(changed, ATTACKS)] * 2, [TRACE, None])
    assert ATTACK in views[0].document.notes
    file = tmp_path / "hostile.html"
    file.write_bytes(page(views, "2026-01-31"))
    with opened(browser, file) as found:
        found.draw_everything()
        assert found.page.evaluate("window.broken") is None
        assert found.page.query_selector_all("img, a[href^='javascript'], main script") == []
        assert "{{7*7}}" in found.page.inner_text("#origins")
        assert found.complaints == []
        assert found.requests == []
        assert found.overflow() == 0


def test_the_page_of_several_profiles_compares_them(browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "two.html"
    file.write_bytes(page(two_views(), "2026-01-31"))
    with opened(browser, file) as found:
        found.draw_everything()
        headings = [each.inner_text() for each in found.page.query_selector_all("#comparison th[scope=col]")]
        assert headings == ["figure", "fp32", "int8"]
        pixels = found.colors("[data-chart=energy]")
        assert share_near(pixels, LIGHT["orange"]) > 0.001
        assert found.complaints == []
