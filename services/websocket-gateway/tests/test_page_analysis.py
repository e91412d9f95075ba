"""The page in a real browser: HAMA states as they change, and thousands of stocks at once."""

import asyncio
from typing import Any

import pytest
from playwright.async_api import expect

from streamdesk.contracts.events import TaskProgressed
from streamdesk.websocket_gateway.domain.closing import CloseCode

pytestmark = pytest.mark.chromium

STOCKS = 5_000
TIMEOUT_MS = 60_000
SYMBOLS = [*(f"S{number}.US" for number in range(48)), *(f"C{number}USDT" for number in range(30))]
ROW = "#hama tbody tr"
SIZES = [(1600, 1000), (1280, 720), (390, 844)]


def states(events: Any) -> list[Any]:
    """78 instruments: 26 of each state, with scores from 0 to 77 in the order of SYMBOLS."""
    kinds = ("bearish", "neutral", "bullish")
    return [
        events.hama(symbol, score=number, state=kinds[number // 26], previous_state=None,
                    signal="none", bollinger="squeeze" if number % 26 == 0 else "normal")
        for number, symbol in enumerate(SYMBOLS)
    ]  # fmt: skip


async def names(page: Any) -> list[str]:
    """The instruments of the panel, from above."""
    rows: list[str] = await page.eval_on_selector_all(ROW, "rows => rows.map(r => r.dataset.hama)")
    return rows


async def shows(page: Any, count: int) -> None:
    await expect(page.locator(ROW)).to_have_count(count, timeout=TIMEOUT_MS)


async def test_a_page_that_opens_late_shows_the_state_of_all_78_instruments(
    desk: Any, events: Any, open_page: Any
) -> None:
    await desk.publish_all(states(events))
    await desk.seen("HamaChanged", 78)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await shows(page, 78)
        counts = await page.locator("#hama-states button b").all_inner_texts()
        assert counts == ["78", "26", "26", "26"]
        assert await page.locator("#hama-note").inner_text() == "nsdt, bars of 1 min"
        # A pair has no chart here, so its name is no button; only new rows flash.
        assert await page.locator(f"{ROW} button").count() == 0
        assert await page.locator("#hama .fresh").count() == 0
    assert problems == []


async def test_states_are_sorted_and_filtered_as_the_reader_chooses(
    desk: Any, events: Any, open_page: Any
) -> None:
    await desk.publish_all(states(events))
    await desk.seen("HamaChanged", 78)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await shows(page, 78)
        score = page.locator("#hama th button", has_text="Score")
        await score.click()
        assert await names(page) == SYMBOLS[::-1]
        await score.click()
        assert await names(page) == SYMBOLS
        assert "Score" in await page.locator("#hama th[aria-sort=ascending]").inner_text()
        await page.locator("#hama th button", has_text="Symbol").click()
        assert (await names(page))[:3] == ["C0USDT", "C1USDT", "C2USDT"]
        await page.locator("#hama-states [data-state=bullish]").click()
        await shows(page, 26)
        await page.locator("#hama-narrow").select_option("squeeze")
        assert await names(page) == [SYMBOLS[52]]
        await page.locator("#hama-narrow").select_option("")
        await page.locator("#hama-search").fill("c2")
        assert set(await names(page)) == {"C2USDT", *(f"C2{n}USDT" for n in range(10))} & set(
            SYMBOLS[52:]
        )
        await page.locator("#hama-search").fill("nothing")
        await page.locator("#hama-empty", has_text="No instrument matches.").wait_for()
    assert problems == []


async def test_a_state_that_turns_is_redrawn_above_the_others_and_flashes(
    desk: Any, events: Any, open_page: Any
) -> None:
    await desk.publish_all(states(events))
    await desk.seen("HamaChanged", 78)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await shows(page, 78)
        await page.evaluate(
            """() => { window.lit = [];
            new MutationObserver(() => {
              for (const row of document.querySelectorAll("#hama [class^=turned]")) {
                window.lit.push(`${row.dataset.hama} ${row.className}`);
              }
            }).observe(document.querySelector("#hama tbody"), { childList: true }); }"""
        )
        turned = events.hama(
            SYMBOLS[60], 1, state="bearish", previous_state="bullish", score=12.4, trend="down",
            colour="red", signal="cross-down", bollinger="expansion", close=0.00002413,
        )  # fmt: skip
        await desk.publish(turned)
        row = page.locator(f'{ROW}[data-hama="{SYMBOLS[60]}"]', has_text="bearish")
        await row.wait_for()
        assert (await names(page))[0] == SYMBOLS[60]
        cells = [text.strip() for text in await row.locator("td").all_inner_texts()]
        assert cells[1:6] == ["bearish", "12", "↘", "▼ down", "expansion"]
        async with asyncio.timeout(TIMEOUT_MS / 1_000):
            # The page's policy forbids waiting inside it: that would need eval().
            while f"{SYMBOLS[60]} turned-bearish" not in await page.evaluate("window.lit"):
                await asyncio.sleep(0.02)
    assert problems == []


async def test_what_a_reconnection_replays_changes_nothing(
    desk: Any, events: Any, open_page: Any
) -> None:
    await desk.publish_all(states(events))
    await desk.publish(events.hama(SYMBOLS[60], 1))
    await desk.seen("HamaChanged", 79)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await shows(page, 78)
        before = await names(page)
        for connection in desk.gateway.connections:
            connection.close(CloseCode.SLOW_CONSUMER, "a test")
        await page.wait_for_selector("#connection[data-state=reconnecting]")
        await page.wait_for_selector("#connection[data-state=connected]")
        await desk.publish(events.hama(SYMBOLS[3], 2))
        first = page.locator(ROW).first
        await expect(first).to_have_attribute("data-hama", SYMBOLS[3], timeout=TIMEOUT_MS)
        assert await names(page) == [SYMBOLS[3], *(name for name in before if name != SYMBOLS[3])]
    assert problems == []


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_the_panel_fits_the_page_at_every_width(
    desk: Any, events: Any, open_page: Any, width: int, height: int
) -> None:
    await desk.publish_all(states(events))
    await desk.publish(
        events.hama("ALGOUSDT", 1, state="neutral", signal="cross-down", bollinger="expansion")
    )
    await desk.seen("HamaChanged", 79)
    async with open_page(width, height) as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await shows(page, 79)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        body = "document.querySelector('#hama').closest('.body')"
        assert await page.evaluate(f"{body}.scrollWidth <= {body}.clientWidth")
    assert problems == []


async def test_the_daily_job_of_5000_stocks_is_drawn_to_its_end_over_one_socket(
    start_desk: Any, start_server: Any, events: Any, open_page: Any
) -> None:
    desk = await start_desk(start_server().url)
    failed = "4,997 stocks computed, 3 failed: A.US, B.US, C.US"
    published = events.daily_job(STOCKS, failed=failed)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await page.wait_for_selector("#connection[data-state=connected]")
        await page.evaluate(
            """() => { window.values = new Set(); window.states = new Set();
            new MutationObserver(() => {
              const bar = document.querySelector("#tasks progress");
              if (bar) window.values.add(bar.value);
              window.states.add(document.querySelector("#connection").dataset.state);
            }).observe(document.body, { childList: true, subtree: true, attributes: true }); }"""
        )
        half = len(published) // 2
        await desk.publish_all(published[:half])
        # Halfway it shows the rate by the run's own clock: 1,000 stocks a second.
        await page.locator("#tasks li", has_text="1,000 a second").wait_for()
        await page.locator("#tasks li", has_text="2,500 of 5,000 · 50%").wait_for()
        await desk.publish_all(published[half:])
        await page.locator("#tasks li", has_text="failed after 5.0 s").wait_for()
        task = page.locator("#tasks li")
        assert await task.count() == 1
        assert failed in await task.inner_text()
        assert "5,000 of 5,000" in await task.inner_text()
        assert await page.evaluate("[...window.states]") == ["connected"]
        values = await page.evaluate("[...window.values]")
        assert values == sorted(values)
        assert values[-1] == STOCKS
    assert problems == []
    stats = desk.gateway.stats()
    assert stats["accepted"] == 1
    assert stats["events"]["StockIndicatorsCompleted"] == STOCKS


async def test_progress_never_runs_backwards_on_the_page(
    desk: Any, events: Any, open_page: Any
) -> None:
    published = [event for event in events.daily_job(200) if isinstance(event, TaskProgressed)]
    await desk.publish_all(published[:60][::-1])
    await desk.seen("TaskProgressed", 60)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        # They arrived together and the last one first: 59 percent of 200 are 118.
        await page.locator("#tasks li", has_text="118 of 200 · 59%").wait_for()
        assert problems == []


async def test_of_a_task_that_repeats_the_last_run_is_shown(
    desk: Any, events: Any, open_page: Any
) -> None:
    for run in range(5):
        await desk.publish_all(events.daily_job(4, task_id=f"refresh-{run}"))
    await desk.publish(events.task("warm-up-1", 3))
    await desk.seen("TaskCompleted", 5)
    await desk.seen("TaskProgressed", 5 * 5 + 1)
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await page.locator("#tasks li", has_text="3 of 12").wait_for()
        await page.locator("#tasks li", has_text="done in 5.0 s").wait_for()
        assert await page.locator("#tasks li").count() == 2
    assert problems == []
