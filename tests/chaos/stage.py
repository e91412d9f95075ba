"""Test bench of a complaint: topics of its own on a real server, consumers, and victims."""

import asyncio
import contextlib
import itertools
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from streamdesk.bus import Bus, BusConfig, GroupLag, Message, Outcome, RetryPolicy, Subscription
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import keys_of, partitions_of
from streamdesk.contracts.base import Topic
from tests.chaos.victim import GROUP, Orders, Task, Victim, topic_of
from tests.servers import StreamServer

PATIENCE_SECONDS = 60  # only ends a wait that hangs
HOUR_SECONDS = 3600
SOON_SECONDS = 0.05
DAY_MS = 24 * 3600 * 1000
Answer = Callable[[Message[Task]], Awaitable[Outcome | None]]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            await asyncio.sleep(0.01)


async def until_asked(holds: Callable[[], Awaitable[bool]]) -> None:
    """The same where a server must be asked."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await holds():
            await asyncio.sleep(0.01)


class Listener(BusObserver):
    """Records the notable reports of the bus."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []

    def connection_lost(self, error: str) -> None:
        """Record it."""
        assert error
        self.said.append(("lost",))

    def connection_restored(self, outage_seconds: float) -> None:
        """Record it."""
        assert outage_seconds >= 0
        self.said.append(("restored",))

    def paused(self, topic: str, group: str, why: str) -> None:
        """Record it."""
        assert topic
        assert group
        self.said.append(("paused", why))

    def resumed(self, topic: str, group: str) -> None:
        """Record it."""
        assert topic
        self.said.append(("resumed", group))

    def cap_reached(self, topic: str, stream: str, length: int, cap: int) -> None:
        """Record it."""
        self.said.append(("cap", topic, stream, length, cap))

    def group_recreated(self, topic: str, group: str, cursor: str) -> None:
        """Record it."""
        self.said.append(("recreated", topic, group, cursor))


class Recorder:
    """A handler that records its messages and returns the configured outcome."""

    def __init__(self, answer: Answer | None = None) -> None:
        self.seen: list[Message[Task]] = []
        self._answer = answer

    async def __call__(self, message: Message[Task]) -> Outcome | None:
        self.seen.append(message)
        return await self._answer(message) if self._answer else None

    @property
    def numbers(self) -> list[int]:
        """The received numbers, in order."""
        return [message.event.number for message in self.seen]

    @property
    def times(self) -> Counter[tuple[str, int]]:
        """How often each was received, by topic and number."""
        return Counter((message.topic, message.event.number) for message in self.seen)

    async def has(self, count: int) -> None:
        """Wait until this many were received."""
        await until(lambda: len(self.seen) >= count)


class Stage:
    """One server, or cluster, for one test, with keys of its own."""

    def __init__(self, url: str, server: Callable[[], StreamServer], folder: Path) -> None:
        """Set up.

        Args:
            url: for a bus.
            server: where that leads to, now.
            folder: for what victims write.
        """
        self.url = url
        self.server = server
        self.prefix = f"complaint:{secrets.token_hex(4)}"
        self._folder = folder
        self._victims: list[Victim] = []
        self._numbers = itertools.count()

    async def ask(self, *words: str | int) -> Any:
        """One command to the server, past the bus."""
        return await asyncio.to_thread(lambda: self.server().ask(*words))

    def topic(self, kind: str = "plain", **options: Any) -> Topic[Task]:
        """The test's topic of this kind."""
        return topic_of(kind, self.prefix, **options)

    def bus(self, listener: Listener | None = None, **changes: Any) -> Bus:
        """Another bus. By default its leases do not expire during a test."""
        settings: dict[str, Any] = {
            "url": self.url,
            "service": "test",
            "instance": secrets.token_hex(3),
            "retry": RetryPolicy(base_seconds=0.01, cap_seconds=0.05),
            "lease_seconds": HOUR_SECONDS,
        }
        return Bus.connect(BusConfig(**(settings | changes)), listener)

    def victim(self, *kinds: str, **orders: Any) -> Victim:
        """A consumer process; its handlers wait until it is let on."""
        name = str(self._folder / f"{self.prefix}-{next(self._numbers)}")
        settings = {"url": self.url, "prefix": self.prefix, "kinds": kinds or ("plain",)}
        victim = Victim(Orders(book=f"{name}.book", gate=f"{name}.gate", **(settings | orders)))
        self._victims.append(victim)
        return victim

    def end(self) -> None:
        """End all victims."""
        for victim in self._victims:
            victim.end()

    @contextlib.asynccontextmanager
    async def consuming(
        self,
        bus: Bus,
        topic: Topic[Task],
        handler: Recorder,
        *,
        group: str = GROUP,
        **options: Any,
    ) -> AsyncIterator[Subscription]:
        """A consumer that runs inside the context and is stopped in order at its end."""
        stop = asyncio.Event()
        subscription = bus.subscribe(topic, group, handler, **options)
        task = asyncio.create_task(subscription.run(stop))
        try:
            yield subscription
        finally:
            stop.set()
            await task

    async def settled(self, bus: Bus, topic: Topic[Task]) -> GroupLag:
        """Wait until the group has finished everything."""
        lags: list[GroupLag] = []

        async def is_settled() -> bool:
            lags[:] = await bus.lag(topic)
            return not (lags[0].waiting or lags[0].pending or lags[0].delayed)

        await until_asked(is_settled)
        return lags[0]

    async def all_taken(self, bus: Bus, topic: Topic[Task]) -> GroupLag:
        """Wait until every entry is pending."""
        lags: list[GroupLag] = []

        async def is_taken() -> bool:
            lags[:] = await bus.lag(topic)
            return lags[0].waiting == 0

        await until_asked(is_taken)
        return lags[0]

    async def pending(self, topic: Topic[Task]) -> list[tuple[str, list[Any]]]:
        """The pending entries: stream, id, consumer, idle time, deliveries."""
        held = []
        for key in keys_of(topic).streams:
            rows = await self.ask("XPENDING", key, GROUP, "-", "+", 1000)
            held += [(key, row) for row in rows]
        return held

    async def age(self, topic: Topic[Task]) -> None:
        """Make all pending entries, and shards, look as if their leases were a day old."""
        for key, (entry_id, owner, _, deliveries) in await self.pending(topic):
            words = ("IDLE", DAY_MS, "RETRYCOUNT", deliveries, "JUSTID")
            await self.ask("XCLAIM", key, GROUP, owner, 0, entry_id, *words)
        owners = [part.owner(GROUP) for part in partitions_of(topic)]
        await self.ask("DEL", keys_of(topic).members(GROUP), *owners)

    async def calls(self, command: str) -> int:
        """How often the server has executed a command since it was started."""
        text: str = await self.ask("INFO", "commandstats")
        for line in text.splitlines():
            if line.startswith(f"cmdstat_{command}:calls="):
                return int(line.partition("=")[2].partition(",")[0])
        return 0

    async def add_raw(self, topic: Topic[Task], **fields: str) -> str:
        """Write a raw entry, past the bus."""
        flat = itertools.chain(*fields.items())
        return str(await self.ask("XADD", topic.key, "*", *flat))

    async def read_all(self, key: str) -> list[dict[str, str]]:
        """The fields of every entry of a stream."""
        rows = await self.ask("XRANGE", key, "-", "+")
        return [dict(zip(flat[::2], flat[1::2], strict=True)) for _, flat in rows]


def tasks(count: int, *, first: int = 0, **fields: Any) -> list[Task]:
    """This many tasks, numbered."""
    return [Task(number=number, **fields) for number in range(first, first + count)]


def once_each(*kinds: str, count: int) -> dict[tuple[str, int], int]:
    """What `Recorder.times` is when each task of each topic came once."""
    return {(kind, number): 1 for kind in kinds for number in range(count)}
