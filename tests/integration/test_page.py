"""A browser opens the page of a real desk and sees it trade."""

import re
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Error, sync_playwright

Start = Callable[..., Any]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROMISE_SECONDS = 60
ROUNDING = 0.006
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
    # More arrives: the page is live, and not only what was there when it was opened.
    before = page.locator(ROWS["news"]).count()
    page.wait_for_function(
        "count => document.querySelectorAll('#news li').length > count", arg=before
    )
    assert problems == []
    assert foreign == [], "the page works without any network"


@pytest.mark.chromium
def test_recorded_news_is_on_the_page_with_its_sentiment_and_the_reason(
    up: Start, browser: Browser
) -> None:
    desk = up("--news", "recorded")
    desk.wait_until_up()
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"http://localhost:{desk.port}/")
    newest = page.locator("#news > li", has_text="recorded").first
    newest.wait_for(timeout=PROMISE_SECONDS * 1000)
    # More arrive meanwhile: the rest of the test is about this one, wherever it moves.
    title = newest.locator(".title").inner_text()
    article = page.locator("#news > li", has=page.get_by_text(title, exact=True))
    sentiment = float(article.locator(".chip").inner_text())
    reason = article.locator(".why").inner_text()
    said = re.match(r"sentiment (0\.\d+|1\.00) > 0\.50: .+; about ", reason)
    assert said, reason
    assert abs(float(said[1]) - sentiment) < ROUNDING
    article.locator(".why").click()
    assert article.locator(".words li").count() > 0
    assert problems == []
    assert desk.errors_logged() == []
