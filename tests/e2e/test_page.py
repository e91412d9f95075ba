import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.e2e.desk import Desk

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ROWS = ("#signals tbody tr", "#orders tbody tr", "#fills tbody tr", "#news li")
LONGEST_WAIT_MS = 300_000


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        # Inside a container there is no user namespace for the sandbox.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.mark.chromium
def test_the_page_shows_a_trading_desk_through_a_forwarded_port(
    whole: Desk, browser: Browser
) -> None:
    problems: list[str] = []
    page = browser.new_page()
    page.on("pageerror", lambda error: problems.append(str(error)))
    with whole.gateway() as port, whole.load(rate=4):
        page.goto(f"http://localhost:{port}/#token={whole.token()}")
        for rows in ROWS:
            page.locator(rows).first.wait_for(state="attached", timeout=LONGEST_WAIT_MS)
        assert page.locator("#connection").get_attribute("data-state") == "connected"
        page.close()
    assert problems == []
