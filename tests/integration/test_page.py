"""A browser opens the page of a real desk and sees it trade."""

import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

Start = Callable[..., Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROMISE_SECONDS = 60
ROWS = {
    "signals": "#signals tbody tr",
    "orders": "#orders tbody tr",
    "fills": "#fills tbody tr",
    "news": "#news li",
    "queues": "#queues tbody tr",
}


@pytest.fixture
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no Chromium on the PATH (looked for {', '.join(BROWSERS)})")
    with sync_playwright() as playwright:
        try:
            # Inside a container there is no user namespace for the sandbox.
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            pytest.skip(f"{path} does not start: {error.message.splitlines()[0]}")
        yield browser
        browser.close()


@pytest.mark.chromium
def test_signals_orders_fills_and_news_arrive_on_the_page_within_a_minute(
    up: Start, browser: Browser
) -> None:
    desk = up()
    desk.wait_until_up()
    page = browser.new_page()
    problems: list[str] = []
    foreign: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    page.on(
        "request",
        lambda request: None if f":{desk.port}/" in request.url else foreign.append(request.url),
    )
    page.goto(f"http://localhost:{desk.port}/")
    for rows in ROWS.values():
        page.locator(rows).first.wait_for(state="attached", timeout=PROMISE_SECONDS * 1000)
    assert page.locator("#connection").get_attribute("data-state") == "connected"
    assert any(digit in page.locator("#equity").inner_text() for digit in "123456789")
    assert page.locator("#equity-chart canvas").count() > 0
    # More comes: what is on the page is alive, not what was there when it was opened.
    before = page.locator(ROWS["news"]).count()
    page.wait_for_function(
        "count => document.querySelectorAll('#news li').length > count", arg=before
    )
    assert problems == []
    assert foreign == [], "the page works without any network"
