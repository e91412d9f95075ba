"""The other processes of the news benchmark: `python -m tests.benchmarks.news_roles ROLE URL`.

As in `roles.py`, each input line is one round, with its settings. The publisher replaces the
fetcher: it writes raw articles in batches, under ids that follow from their links. The reader
replaces the consumers of filtered news.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import uvloop

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import NEWS_FILTERED, NEWS_RAW
from tests.benchmarks.news_articles import article
from tests.benchmarks.roles import hear, tell

CALL = 500
TICK_SECONDS = 0.02


async def _publish(
    bus: Bus, first: int, count: int, fetched_at: datetime, *, is_loud: bool
) -> None:
    numbers = range(first, first + count)
    events = [article(number, fetched_at, is_loud=is_loud) for number in numbers]
    ids = [event.link_hash for event in events]
    await bus.publish_many(NEWS_RAW, events, event_ids=ids)


async def fill(bus: Bus, first: int, count: int) -> None:
    """Write `count` articles as fast as it goes."""
    for start in range(first, first + count, CALL):
        size = min(CALL, first + count - start)
        await _publish(bus, start, size, datetime.now(UTC), is_loud=False)
    tell(published=count)


async def pace(bus: Bus, first: int, count: int, rate: int, *, is_loud: bool) -> None:
    """Write `count` articles at `rate` a second, without waiting for the filters.

    Each counts as fetched when it is due, so a delay of this process adds to its age.
    """
    started = time.time()
    size = max(1, round(rate * TICK_SECONDS))
    for start in range(0, count, size):
        due = started + start / rate
        early = due - time.time()
        if early > 0:
            await asyncio.sleep(early)
        part = min(size, count - start)
        await _publish(bus, first + start, part, datetime.fromtimestamp(due, UTC), is_loud=is_loud)
    tell(published=count, seconds=time.time() - started)


async def read(bus: Bus) -> None:
    """Read filtered news up to the entry that the next line names.

    Prints the hash of each article, and the seconds from its fetch to its publication.
    """
    hashes: list[str] = []
    seconds: list[float] = []
    last_id = ""
    stop = asyncio.Event()

    async def follow() -> None:
        nonlocal last_id
        async for message in bus.tail(NEWS_FILTERED, since="0", stop=stop):
            last_id = message.entry_id
            written = int(last_id.partition("-")[0]) / 1_000
            hashes.append(message.event.link_hash)
            seconds.append(written - message.event.fetched_at.timestamp())

    following = asyncio.create_task(follow())
    tell(ready=True)
    order = await hear()
    assert order is not None
    while last_id != order["until"]:
        await asyncio.sleep(0.01)
    stop.set()
    await following
    tell(hashes=hashes, seconds=seconds)


ROLES: dict[str, Callable[..., Awaitable[None]]] = {"fill": fill, "pace": pace, "read": read}


async def play(role: str, url: str) -> None:
    """Play `role` once for each line, until stdin ends."""
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        while (settings := await hear()) is not None:
            await ROLES[role](bus, **settings)


if __name__ == "__main__":
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(*sys.argv[1:]))
