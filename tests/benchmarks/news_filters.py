"""A pool of news filters on one server, and their unfinished articles."""

import asyncio
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from streamdesk.bus import Bus, BusConfig
from streamdesk.contracts.topics import NEWS_RAW
from tests.benchmarks.ours import run
from tests.benchmarks.server import clear
from tests.news_processes import NewsProcess
from tests.servers import StreamServer, wait_until

[GROUP] = NEWS_RAW.groups
FILTERS = 2
CPU = "process_cpu_seconds_total"
PENDING_WAIT_SECONDS = 1.0
LONGEST_WORK_SECONDS = 300  # only ends a run that hangs


@dataclass(slots=True)
class FilterPool:
    """A pool of news filters on one server.

    Attributes:
        server: the Redis server that they use.
        environment: their settings.
        running: the processes that run, by name.
        begun: how many were started so far.
    """

    server: StreamServer
    environment: dict[str, str]
    running: dict[str, NewsProcess] = field(default_factory=dict)
    begun: int = 0

    def add(self) -> None:
        """Start one more."""
        self.begun += 1
        name = f"filter{self.begun}"
        self.running[name] = NewsProcess(
            "news_filter", self.server.url, INSTANCE=name, **self.environment
        )

    def kill_one(self) -> int:
        """SIGKILL the oldest filter while it has pending articles; return their number.

        A filter without pending articles for a second is killed all the same.
        """
        name = next(iter(self.running))
        deadline = time.monotonic() + PENDING_WAIT_SECONDS
        while not self.pending(name) and time.monotonic() < deadline:
            time.sleep(0.001)
        self.running.pop(name).kill()
        return self.pending(name)

    def pending(self, name: str) -> int:
        """The number of pending articles of this filter, dead or alive."""
        holders = self.holders().items()
        return sum(pending for holder, pending in holders if f"-{name}-" in holder)

    def holders(self) -> dict[str, int]:
        """Pending articles by consumer, as the server names them."""
        rows = self.server.ask("XINFO", "CONSUMERS", NEWS_RAW.key, GROUP)
        found = [dict(zip(row[::2], row[1::2], strict=True)) for row in rows]
        return {row["name"]: row["pending"] for row in found}

    def signal(self, number: signal.Signals) -> None:
        """Send all of them a signal."""
        for each in self.running.values():
            each.signal(number)

    def total(self, metric: str, **labels: str) -> float:
        """The sum of one of their metrics."""
        return sum(each.metrics().total(metric, **labels) for each in self.running.values())


def finish(server: StreamServer) -> None:
    """Wait until nothing is unread, pending or delayed, and check that nothing was given up."""

    async def wait() -> None:
        async with (
            Bus.connect(BusConfig(url=server.url)) as bus,
            asyncio.timeout(LONGEST_WORK_SECONDS),
        ):
            while (lag := (await bus.lag(NEWS_RAW))[0]).waiting or lag.pending or lag.delayed:
                await asyncio.sleep(0.01)
        assert lag.dead == 0, f"{lag.dead} articles were given up"

    run(wait())


@contextmanager
def filters(server: StreamServer, **environment: str) -> Iterator[FilterPool]:
    """A new pool of filters on an empty server, ready to consume."""
    clear(server)
    pool = FilterPool(server, environment)
    try:
        for _ in range(FILTERS):
            pool.add()
        wait_until(lambda: len(pool.holders()) == FILTERS, "two consuming filters")
        yield pool
    finally:
        for each in pool.running.values():
            each.kill()
