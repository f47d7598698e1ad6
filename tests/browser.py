"""A headless Chromium, in which tests open reports from the disk; without one the tests are skipped."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_LOCAL = ("file:", "data:", "blob:", "about:")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the browser of the distribution; skip the test if there is none."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


class Opened:
    """A report in a page, with what the page complained about and what it asked the network for."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []

    def draw_everything(self) -> None:
        """Scroll to every chart and wait until it is drawn."""
        for place in self.page.query_selector_all("figure.chart"):
            place.scroll_into_view_if_needed()
            place.wait_for_selector(".js-plotly-plot .main-svg", state="visible")

    def colors(self, selector: str) -> Any:
        """Return the pixels of an element as rows of red, green and blue from 0 to 1."""
        import matplotlib.image as images

        found = self.page.query_selector(selector)
        assert found is not None, selector
        return images.imread(BytesIO(found.screenshot()))[..., :3]

    def overflow(self) -> int:
        """Return the pixels by which the page is wider than its window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width


@contextmanager
def opened(browser: Browser, path: Path, **settings: Any) -> Iterator[Opened]:
    """Open a file in a window of its own, without network."""
    context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **settings})
    report = Opened(context.new_page())

    def note(kind: str, text: str) -> None:
        report.complaints.append(f"{kind}: {text}")

    report.page.on("console", lambda message: note(message.type, message.text))
    report.page.on("pageerror", lambda error: note("error", str(error)))

    def stop(route: Any) -> None:
        if route.request.url.startswith(_LOCAL):
            route.continue_()
        else:
            report.requests.append(route.request.url)
            route.abort()

    context.route("**/*", stop)
    try:
        report.page.goto(path.as_uri())
        yield report
    finally:
        context.close()


def share_near(pixels: Any, color: str) -> float:
    """Return the share of pixels within a tenth of a color such as #1f66c9."""
    wanted = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    near = (abs(pixels - wanted) < 0.1).all(axis=-1)
    return float(near.mean())
