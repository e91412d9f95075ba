"""The page: its files, its headers, and what a real browser shows."""

import asyncio
import re
from typing import Any

import pytest

from streamdesk.websocket_gateway.entrypoints import assets

# The notations of CSS Color 4.
COLOUR = re.compile(
    r"""["'`]#[0-9a-f]{3,8}["'`]|\b(?:rgb|hsl)a?\(\s*[\d.]|\b(?:hwb|(?:ok)?l(?:ab|ch)|color)\(\s*[\d.a-z]""",
    re.IGNORECASE,
)

HAS_MAGENTA = """[...document.querySelectorAll("#equity-chart canvas")].some((canvas) => {
  const { width, height } = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  copy.drawImage(canvas, 0, 0);
  const { data } = copy.getImageData(0, 0, width, height);
  for (let i = 0; i < data.length; i += 4)
    if (data[i] === 255 && data[i + 1] === 0 && data[i + 2] === 255) return true;
  return false;
})"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "text/html"),
        ("/static/app.js", "text/javascript"),
        ("/static/style.css", "text/css"),
        ("/vendor/lightweight-charts.js", "text/javascript"),
    ],
)
async def test_the_page_is_served_whole_and_for_its_own_origin_only(
    desk: Any, path: str, kind: str
) -> None:
    status, headers, content = await desk.http("GET", path)
    assert status == 200
    assert headers["content-type"].startswith(kind)
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert content


async def test_nothing_but_the_charting_library_is_served_from_its_wheel(desk: Any) -> None:
    assert (await desk.http("GET", "/vendor/bundle.js"))[0] == 404
    assert (await desk.http("GET", "/static/../assets.py"))[0] == 404


def test_the_page_names_no_other_host_but_those_it_links_to() -> None:
    for path in assets.PAGE.iterdir():
        text = path.read_text()
        links = text.count("https://www.tradingview.com/") + text.count("https://www.apache.org/")
        assert text.count("https://") + text.count("http://www.w3.org") == links + text.count(
            "http://www.w3.org"
        ), path.name
        for forbidden in (
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ):
            assert forbidden not in text, f"{forbidden} in {path.name}"


def test_the_scripts_take_all_colours_from_the_style_sheet() -> None:
    for path in assets.PAGE.glob("*.js"):
        assert COLOUR.findall(path.read_text()) == [], path.name
    assert COLOUR.search('color: "#2cc295"')
    assert COLOUR.search("color: rgb(44 194 149)")


def test_the_style_sheet_defines_each_colour_once_as_a_custom_property() -> None:
    properties, _, rules = (assets.PAGE / "style.css").read_text().partition("\n}\n")
    literals = re.compile(r"#[0-9a-f]{3,8}\b(?=[^{]*;)|\b(?:rgb|hsl)a?\(", re.IGNORECASE)
    assert literals.findall(properties)
    assert literals.findall(rules) == []


@pytest.mark.chromium
async def test_the_charts_follow_the_colour_scheme(desk: Any, events: Any, open_page: Any) -> None:
    await desk.publish(events.portfolio("1000000.00", 1), events.portfolio("1000012.00", 2))
    async with open_page() as (page, problems):
        await page.emulate_media(color_scheme="light")
        await page.goto(f"http://{desk.address}/")
        await page.locator("#equity", has_text="1,000,012.00").wait_for()
        await page.evaluate("document.body.style.setProperty('--accent', '#ff00ff')")
        assert not await page.evaluate(HAS_MAGENTA)
        await page.emulate_media(color_scheme="dark")
        async with asyncio.timeout(30):
            while not await page.evaluate(HAS_MAGENTA):
                await asyncio.sleep(0.05)
    assert problems == []


@pytest.mark.chromium
async def test_the_gain_of_currencies_stands_apart_where_there_is_one(
    desk: Any, events: Any, open_page: Any
) -> None:
    await desk.publish(events.portfolio("1000012.00", 1))
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await page.locator("#equity", has_text="1,000,012.00").wait_for()
        assert not await page.locator("#fx").is_visible()
        await desk.publish(events.portfolio("1000010.50", 2, fx_gain="-1.50"))
        await page.locator("#fx-gain", has_text="1.50").wait_for()
        assert await page.locator("#fx").is_visible()
    assert problems == []


@pytest.mark.chromium
async def test_the_page_says_what_may_be_sent_and_which_locks_keep_entries_out(
    desk: Any, events: Any, open_page: Any
) -> None:
    async with open_page() as (page, problems):
        await page.goto(f"http://{desk.address}/")
        await page.wait_for_selector("#connection[data-state=connected]")
        assert await page.locator("#trading").get_attribute("class") is None, "nothing is known"
        await desk.publish(events.portfolio("1000012.00", 1, trading_state="ACTIVE"))
        await page.locator("#trading", has_text="open").wait_for()
        await desk.publish(events.alert("TRADING_HALTED", 2, "trading is halted: odd prices"))
        await page.locator("#trading.down", has_text="halted").wait_for()
        assert "odd prices" in (await page.locator("#trading").get_attribute("title") or "")
        await desk.publish(events.portfolio("1000011.00", 1, trading_state="ACTIVE"))  # older
        await desk.publish(events.alert("TRADING_REDUCING", 3, "trading is reduced to exits: x"))
        await page.locator("#trading.warn", has_text="exits only").wait_for()
        assert not await page.locator("#locks-figure").is_visible()
        await desk.publish(events.locked(7), events.locked(8))
        await page.locator("#locks", has_text="2").wait_for()
        await desk.publish(events.unlocked(7), events.unlocked(8))
        await page.locator("#locks-figure").wait_for(state="hidden")
        await page.set_viewport_size({"width": 390, "height": 844})
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, "no sideways scrolling on a telephone"
    assert problems == []


@pytest.mark.chromium
async def test_a_browser_sees_rows_arrive(desk: Any, events: Any, open_page: Any) -> None:
    outside: list[str] = []
    async with open_page() as (page, problems):
        page.on(
            "request",
            lambda request: None if desk.address in request.url else outside.append(request.url),
        )
        await desk.publish(*(events.bar("AAPL.US", minute) for minute in range(40)))
        await page.goto(f"http://{desk.address}/")
        await page.wait_for_selector("#connection[data-state=connected]")
        await desk.publish(
            events.signal("AAPL.US"),
            events.order("AAPL.US"),
            events.fill("AAPL.US"),
            events.portfolio("1000000.00", 1),
            events.portfolio("1000012.00", 2),
            events.news("<img src=x onerror=alert(1)> beats estimates"),
            events.task("warm-up-1", 3),
            events.system("order-executor is ready"),
        )
        for selector, text in (
            ("#signals tbody tr", "AAPL"),
            ("#orders tbody tr", "partly filled"),
            ("#positions tbody tr", "+12.00"),
            ("#equity", "1,000,012.00 USD"),
            ("#news li", "<img src=x onerror=alert(1)> beats estimates"),
            ("#tasks li", "3 of 12"),
            ("#log li", "order-executor is ready"),
            ("#queues tbody tr", "order-executors"),
            ("#last", "101.00"),
        ):
            await page.locator(selector, has_text=text).first.wait_for()
        await page.locator("#signals .more").click()
        await page.locator("#signals .detail", has_text="RSI 27.1 is oversold").wait_for()
        await page.locator("#tab-fills").click()
        await page.locator("#fills tbody tr", has_text="271.80").wait_for()
        await desk.gateway.connections.close_all(5)
        await page.wait_for_selector("#connection[data-state=reconnecting]")
    assert [p for p in problems if "WebSocket connection" not in p] == []
    assert outside == []
