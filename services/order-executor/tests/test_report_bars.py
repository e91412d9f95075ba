"""An executor says how far it has acted on the bars: a recording waits for it."""

import asyncio

from streamdesk.bus import BusUnavailableError
from streamdesk.contracts.events import BarsHandled
from streamdesk.order_executor.application.report_bars import BarsReport
from streamdesk.runtime import Drain


class Sent:
    """Takes reports one by one, each when the test lets it."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []
        self.ready = asyncio.Semaphore(0)
        self.failures = 0

    async def __call__(self, report: BarsHandled) -> None:
        await self.ready.acquire()
        if self.failures:
            self.failures -= 1
            raise BusUnavailableError("no server")
        self.seen.append((report.entry, report.bars))

    async def let(self, count: int) -> None:
        for _ in range(count):
            self.ready.release()
            for _ in range(5):
                await asyncio.sleep(0)


async def running(report: BarsReport, drain: Drain) -> "asyncio.Task[None]":
    task = asyncio.create_task(report.run(drain))
    await asyncio.sleep(0)
    return task


async def test_while_one_report_is_sent_the_others_become_one() -> None:
    sent, drain = Sent(), Drain()
    report = BarsReport("one", sent)
    task = await running(report, drain)
    report.begin("5-0")
    await asyncio.sleep(0)
    for entry in ("6-0", "6-0", "6-0", "7-1", "7-1"):
        report.handled(entry)
    await sent.let(3)
    assert sent.seen == [("5-0", 0), ("7-1", 2)]
    drain.request()
    await task


async def test_what_an_outage_swallowed_is_reported_after_it() -> None:
    sent, drain = Sent(), Drain()
    report = BarsReport("one", sent)
    task = await running(report, drain)
    sent.failures = 2
    report.handled("6-0")
    await sent.let(3)
    assert sent.seen == [("6-0", 1)]
    drain.request()
    await task


async def test_nothing_is_reported_before_there_is_news_and_a_drain_ends_it() -> None:
    sent, drain = Sent(), Drain()
    sent.ready = asyncio.Semaphore(100)
    task = await running(BarsReport("one", sent), drain)
    await sent.let(3)
    assert sent.seen == []
    drain.request()
    async with asyncio.timeout(10):
        await task
