"""Move the master's role while one publisher publishes: how long it waits, and what is lost.

    python -m tests.benchmarks.failover --rounds 4

Every second failover is planned, the others begin with a SIGKILL. The publisher waits for one
replica with each event and publishes the next as soon as it has the answer.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from streamdesk.bus import Bus, BusConfig, NotDurableError, Wait
from streamdesk.console.adapters.redis_server import find_server
from streamdesk.contracts.base import Event, Topic
from tests.servers import SentinelCluster, StreamServer

CALM_SECONDS = 0.5  # of publishing before each failover
PAUSE_SECONDS = 0.001  # far below any gap; leaves the machine to the servers
DURABLE = Wait(replicas=1, timeout_ms=500)
PAGE = 1000
MIN_REPLICAS = 1


class Written(Event):
    """A number that must not be lost."""

    number: int


TOPIC = Topic(
    name="failover",
    key="bench:failover",
    models=(Written,),
    about="What is published while the master's role moves.",
    dead_key="bench:failover:dead",
    keep=999_999,  # all of it: what is missing at the end was lost
)


@dataclass(slots=True)
class Publisher:
    """Publishes continuously and records when each event was acknowledged."""

    bus: Bus
    acked: set[int] = field(default_factory=set)
    times: list[float] = field(default_factory=list)
    unconfirmed: int = 0

    @asynccontextmanager
    async def publishing(self) -> AsyncIterator[None]:
        """Publish until the end of the context."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._publish_until(stop))
            try:
                yield
            finally:
                stop.set()

    async def _publish_until(self, stop: asyncio.Event) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                await self.bus.publish(TOPIC, Written(number=number), durable=DURABLE)
            except NotDurableError:
                self.unconfirmed += 1
                continue
            self.acked.add(number)
            self.times.append(time.monotonic())
            await asyncio.sleep(PAUSE_SECONDS)

    def longest_gap(self, since: float) -> float:
        """The longest time without an acknowledged publish since then, in seconds."""
        times = [at for at in self.times if at >= since]
        return max(later - earlier for earlier, later in itertools.pairwise(times))


@dataclass(slots=True)
class Gaps:
    """The longest gap of each failover, in seconds."""

    killed: list[float] = field(default_factory=list)
    planned: list[float] = field(default_factory=list)


async def _fail_over(cluster: SentinelCluster, *, planned: bool) -> None:
    if planned:
        await asyncio.to_thread(cluster.planned_failover)
    else:
        dead = await asyncio.to_thread(cluster.kill_master)
        await asyncio.to_thread(cluster.wait_for_another_master, dead)
        await asyncio.to_thread(cluster.restart, dead)
    await asyncio.to_thread(cluster.wait_until_healthy)


async def _rounds(cluster: SentinelCluster, publisher: Publisher, rounds: int) -> Gaps:
    gaps = Gaps()
    async with publisher.publishing():
        for number in range(rounds):
            planned = number % 2 == 1
            await asyncio.sleep(CALM_SECONDS)
            began = time.monotonic() - CALM_SECONDS / 2
            await _fail_over(cluster, planned=planned)
            await asyncio.sleep(CALM_SECONDS)
            gap = publisher.longest_gap(began)
            (gaps.planned if planned else gaps.killed).append(gap)
    return gaps


def _stored(master: StreamServer) -> Counter[int]:
    """How often the master's stream has each number."""
    found: Counter[int] = Counter()
    start = "-"
    while rows := master.ask("XRANGE", TOPIC.key, start, "+", "COUNT", PAGE):
        for _, flat in rows:
            body = dict(zip(flat[::2], flat[1::2], strict=True))["b"]
            found[json.loads(body)["number"]] += 1
        start = f"({rows[-1][0]}"
    return found


async def _measure(cluster: SentinelCluster, rounds: int) -> dict[str, float]:
    config = BusConfig(url=cluster.url, service="bench")
    async with Bus.connect(config) as bus:
        publisher = Publisher(bus)
        gaps = await _rounds(cluster, publisher, rounds)
    stored = await asyncio.to_thread(lambda: _stored(cluster.master()))
    return {
        "failover_gap_s": max(gaps.killed),
        "failover_gap_median_s": statistics.median(gaps.killed),
        "planned_gap_s": max(gaps.planned),
        "planned_gap_median_s": statistics.median(gaps.planned),
        "acked": len(publisher.acked),
        "acked_lost": len(publisher.acked - stored.keys()),
        "doubled": sum(count > 1 for count in stored.values()),
        "unconfirmed": publisher.unconfirmed,
    }


def measure(rounds: int) -> dict[str, float]:
    """Run so many failovers, half of them planned.

    Args:
        rounds: at least two.

    Returns:
        the longest and the median time without an acknowledged publish, in seconds, for either
        kind; acknowledged events that the last master does not have; events that it has twice.
    """
    if rounds < 2:
        raise ValueError(f"{rounds} rounds: at least 2 are needed, one of either kind")
    with TemporaryDirectory() as name:
        folder = Path(name)
        cluster = SentinelCluster(str(find_server(folder)), folder, min_replicas=MIN_REPLICAS)
        try:
            cluster.start()
            return asyncio.run(_measure(cluster, rounds))
        finally:
            cluster.stop()


def main() -> None:
    """Measure, print the table, and one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=50, help="failovers, half planned (50)")
    figures = measure(parser.parse_args().rounds)
    for name, value in figures.items():
        print(f"{name:<24}{value:>10.3f}")  # noqa: T201 - the result
    print(json.dumps({name: round(value, 3) for name, value in figures.items()}))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
