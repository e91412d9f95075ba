"""The page in a real browser: the news that passed the filter, and the reason."""

from typing import Any

import pytest
from playwright.async_api import expect

pytestmark = pytest.mark.chromium

SIZES = [(1600, 1000), (1280, 720), (390, 844)]
TIMEOUT_MS = 60_000
ARTICLE = "#news > li"
BAD = {
    "link_hash": "b" * 32,
    "sentiment": -0.81,
    "reason": "sentiment -0.81 < -0.50: plunges, misses estimates; about 700.HK",
    "words": ("plunges -3.1", "misses estimates -2.4"),
}


async def all_shown(page: Any, count: int) -> None:
    """Wait for all articles: a later one would move the others away from the mouse."""
    await expect(page.locator(ARTICLE)).to_have_count(count, timeout=TIMEOUT_MS)


async def test_an_article_shows_its_sentiment_and_why_it_passed(
    desk: Any, events: Any, open_page: Any
) -> None:
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await page.wait_for_selector("#connection[data-state=connected]")
        reason = "sentiment 0.74 > 0.50: beats estimates, raises"
        words = ("beats estimates +2.9", "raises +1.5")
        await desk.publish(events.news(reason=reason, words=words, sentiment=0.74))
        article = page.locator(ARTICLE, has_text="Apple beats estimates")
        await article.wait_for()
        assert await article.locator(".chip.buy").inner_text() == "+0.74"
        why = article.locator(".why")
        assert (await why.inner_text()).strip() == reason
        assert (await why.get_attribute("title")) == "\n".join([reason, *words])
        assert await article.locator(".words").count() == 0
    assert problems == []


async def test_the_reason_opens_to_the_words_and_their_weights_and_closes_again(
    desk: Any, events: Any, open_page: Any
) -> None:
    async with open_page() as (page, problems):
        await desk.publish(
            events.news(reason="sentiment 0.41 > 0.30", words=("beats +2.9", "risk -1.5", "odd"))
        )
        await page.goto(f"http://{desk.address}/")
        why = page.locator(f"{ARTICLE} .why")
        await why.focus()
        await page.keyboard.press("Enter")
        words = page.locator(f"{ARTICLE} .words li")
        await expect(words).to_have_text(
            ["beats +2.9", "risk \N{MINUS SIGN}1.5", "odd"], timeout=TIMEOUT_MS
        )
        assert await words.evaluate_all("all => all.map(one => one.className)") == [
            "up",
            "down",
            "",
        ]
        assert await page.locator(".why:focus").get_attribute("aria-expanded") == "true"
        await page.keyboard.press("Enter")
        await expect(words).to_have_count(0, timeout=TIMEOUT_MS)
    assert problems == []


async def test_bad_news_is_distinguished_from_good_news_and_counted(
    desk: Any, events: Any, open_page: Any
) -> None:
    async with open_page() as (page, problems):
        await desk.publish(events.news(), events.news("Tencent plunges", "700.HK", **BAD))
        await page.goto(f"http://{desk.address}/")
        bad = page.locator(ARTICLE, has_text="Tencent plunges")
        await bad.wait_for()
        assert await bad.locator(".chip.sell").inner_text() == "\N{MINUS SIGN}0.81"
        await expect(page.locator("#news-note")).to_have_text("1 good, 1 bad", timeout=TIMEOUT_MS)
    assert problems == []


async def test_the_text_of_an_article_is_never_parsed_as_html_and_an_old_one_needs_no_reason(
    desk: Any, events: Any, open_page: Any
) -> None:
    trap = "<img src=x onerror=alert(1)>"
    async with open_page() as (page, problems):
        await desk.publish(
            events.news("From before", reason="", words=(), link_hash="c" * 32),
            events.news(trap, reason=f"{trap} > 0.50", words=(f"{trap} +1.0",), link="ftp://x"),
        )
        await page.goto(f"http://{desk.address}/")
        await all_shown(page, 2)
        await page.locator(ARTICLE, has_text=trap).locator(".why", has_text=trap).click()
        await expect(page.locator(".words li")).to_have_text([f"{trap} +1.0"], timeout=TIMEOUT_MS)
        assert await page.locator(f"{ARTICLE} img").count() == 0
        assert await page.locator(f"{ARTICLE} a").count() == 1  # only the link to the web
        assert await page.locator(ARTICLE, has_text="From before").locator(".why").count() == 0
    assert problems == []


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_news_is_whole_at_every_width(
    desk: Any, events: Any, open_page: Any, width: int, height: int
) -> None:
    long = "Northwind Semiconductor Holdings beats estimates and raises its outlook"
    words = tuple(f"a rather long phrase {number} +{number}.5" for number in range(8))
    reason = "sentiment 0.74 > 0.50: " + ", ".join(word.rpartition(" ")[0] for word in words)
    async with open_page(width, height) as (page, problems):
        await desk.publish(events.news(long, reason=reason, words=words), events.news(**BAD))
        await page.goto(f"http://{desk.address}/")
        await all_shown(page, 2)
        await page.locator(f"{ARTICLE} .why", has_text="a rather long phrase").click()
        await page.locator(f"{ARTICLE} .words").wait_for()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        body = "document.querySelector('#news').closest('.body')"
        assert await page.evaluate(f"{body}.scrollWidth <= {body}.clientWidth")
        why = page.locator(f"{ARTICLE} .why[aria-expanded=true]")
        assert await why.evaluate("node => node.scrollWidth <= node.clientWidth")
    assert problems == []
