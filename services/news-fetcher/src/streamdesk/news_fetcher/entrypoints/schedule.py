"""Fetching on a schedule, until the process drains."""

import asyncio
import contextlib

from streamdesk.news_fetcher.application.fetch_as_leader import NewsFetcher
from streamdesk.runtime import Drain

TICKS_A_LEASE = 4
"""So that a lease is renewed several times within its life, even when one renewal is late."""


async def fetch_on_schedule(fetcher: NewsFetcher, lease_seconds: float, drain: Drain) -> None:
    """Tick whenever the fetcher has something to do, and four times within a lease's life.

    Args:
        fetcher: started here, and stopped at the end.
        lease_seconds: life of the lease without a renewal.
        drain: ends it.
    """
    woken = asyncio.Event()
    fetcher.start(woken.set)
    stopping = asyncio.create_task(drain.requested.wait())
    stopping.add_done_callback(lambda _: woken.set())
    try:
        while not drain.requested.is_set():
            woken.clear()
            await fetcher.tick(drain)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(lease_seconds / TICKS_A_LEASE):
                    await woken.wait()
    finally:
        stopping.cancel()
        await fetcher.stop()
