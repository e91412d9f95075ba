"""Workers that share a topic's shards, each on a network of its own that can be broken."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from streamdesk.bus import Bus, BusConfig, BusUnavailableError, Message, Outcome
from streamdesk.bus.observer import Unobserved
from streamdesk.bus.topic_keys import shard_of
from streamdesk.bus.tracing import Untraced

GROUP = "workers"
LONG_SECONDS = 60.0
SHORT_SECONDS = 0.3
"""A lease that a test waits for; on a busy machine it may also run out where none waits for it."""
KEYS = [f"key-{number}" for number in range(8)]


class Proxied:
    """A backend whose network can be cut, wholly or for single steps; notes what is asked.

    Attributes:
        cut: steps that cannot be made; None for all.
        delayed: steps that reach the server late, when their caller has long given up.
        late: those that are on their way, by their shard's stream.
        asked: steps that were asked for, each with its shard's stream.
    """

    def __init__(self, backend: Any) -> None:
        """Let everything through."""
        self._backend = backend
        self.cut: set[str] | None = set()
        self.delayed: set[str] = set()
        self.late: dict[str, list[Callable[[], Awaitable[Any]]]] = {}
        self.asked: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        """A step of the backend, with the network before it."""
        attribute = getattr(self._backend, name)
        if not inspect.iscoroutinefunction(attribute) or name in ("close", "drop_idle"):
            return attribute

        async def call(*words: Any, **options: Any) -> Any:
            # A consumer joins a topic; nearly all else it does with a shard.
            shard = words and name != "join" and words[0].streams[0]
            self.asked.append((name, shard or ""))
            if self.cut is None or name in self.cut:
                raise BusUnavailableError(f"no way to {name}")
            if name in self.delayed:
                self.late.setdefault(shard or "", []).append(lambda: attribute(*words, **options))
                raise BusUnavailableError(f"no answer to {name}")
            return await attribute(*words, **options)

        return call


Answer = Callable[[Message[Any]], Awaitable[Outcome | None]]
Log = list[tuple[str, str, int, int]]


@dataclass
class Worker:
    """One process, as far as the bus can tell: a bus and a consumer of its own."""

    name: str
    bus: Bus
    network: Proxied
    log: Log
    answer: Answer | None = None
    fences: dict[str, list[int]] = field(default_factory=dict)
    subscription: Any = None
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None

    async def handle(self, message: Message[Any]) -> Outcome | None:
        """Log it, and answer."""
        event = message.event
        self.log.append((self.name, event.text, int(event.score), message.attempt))
        self.fences.setdefault(event.text, []).append(message.fence)
        return await self.answer(message) if self.answer else None

    def start(self, topic: Any, **options: Any) -> None:
        """Begin to consume."""
        self.subscription = self.bus.subscribe(topic, GROUP, self.handle, **options)
        self.running = asyncio.create_task(self.subscription.run(self.stop))

    def die(self) -> None:
        """Without a word to the server."""
        self.network.cut = None
        assert self.running is not None
        self.running.cancel()

    async def end(self) -> None:
        """In order."""
        self.stop.set()
        if self.running is not None:
            await asyncio.gather(self.running, return_exceptions=True)

    def is_late(self) -> bool:
        """Whether the leases of its shards have run out."""
        now, shards = time.monotonic(), self.subscription._owned.values()
        return all(shard.lease_until <= now for shard in shards)

    def owns(self, count: int) -> Callable[[], bool]:
        """Tells whether it owns so many shards."""
        return lambda: len(self.subscription.owned) == count


class Floor:
    """Workers that share one log of what was begun, in its order."""

    def __init__(self, desk: Any) -> None:
        """Start without workers."""
        self.desk = desk
        self.log: Log = []
        self.workers: list[Worker] = []

    def worker(self, answer: Answer | None = None, **changes: Any) -> Worker:
        """One more worker; by default its leases do not expire during a test."""
        backend: Any = Proxied(self.desk.another_bus()._backend)
        name = "ABCDEF"[len(self.workers)]
        config = BusConfig(
            url=self.desk.url,
            service=name,
            **({"lease_seconds": LONG_SECONDS, "drain_seconds": 1.0} | changes),
        )
        bus = Bus(backend, config, Unobserved(), Untraced())
        worker = Worker(name, bus, backend, self.log, answer)
        self.workers.append(worker)
        return worker

    def begun(self, key: str, *, by: str = "ABCDEF") -> list[int]:
        """The numbers of this key's events, in the order in which they were begun."""
        return [number for name, of, number, _ in self.log if of == key and name in by]


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.002)


def key_of(shard: int, shards: int) -> str:
    """A key that belongs to this shard."""
    return next(f"k{n}" for n in range(1000) if shard_of(f"k{n}", shards) == shard)


def runs(ping: Any, keys: list[str], count: int, start: int = 0) -> list[Any]:
    """Events of each key numbered in order, the keys mixed."""
    return [ping(text=key, score=number) for number in range(start, start + count) for key in keys]


def in_order_with_repeats(numbers: list[int], count: int) -> bool:
    """Whether each number is first seen after the one before it."""
    return list(dict.fromkeys(numbers)) == list(range(count))


KEYS = [f"key-{number}" for number in range(8)]
