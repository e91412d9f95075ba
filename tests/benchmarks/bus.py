"""Time the bus against plain redis-py on one server, in one run: `make bench`.

Each row is the best of three rounds. The ratio to plain redis-py is what compares between
machines; the absolute figures belong to this one.
"""

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from redis.asyncio import Redis

from conftest import StreamServer
from streamdesk.bus import Bus, BusConfig, Message
from streamdesk.console.redis_server import find_server
from streamdesk.contracts.base import Consumer, Event, Topic

ROUNDS = 3


class Tick(Event):
    """An event of about 200 bytes as JSON."""

    symbol: str = "AAPL.US"
    price: float = 271.75
    note: str = "x" * 130


def topic(name: str, mode: str = "entry") -> Topic[Tick]:
    """A topic of its own for each row."""
    return Topic(
        name=name,
        key=f"bench:{name}",
        models=(Tick,),
        about="Benchmark traffic.",
        dead_key=f"bench:{name}:dead",
        mode="frame" if mode == "frame" else "entry",
        consumers=(Consumer("bench", "bench"),),
    )


async def plain_xadd(url: str, count: int) -> None:
    """XADD with redis-py, pipelined by 500."""
    client = Redis.from_url(url, protocol=2)
    body = Tick().model_dump_json().encode()
    for _ in range(count // 500):
        pipe = client.pipeline(transaction=False)
        for _ in range(500):
            pipe.xadd("bench:plain", {"b": body})
        await pipe.execute()
    await client.aclose()


async def publish_one_by_one(bus: Bus, count: int) -> None:
    """A round trip an event."""
    for _ in range(count // 10):
        await bus.publish(topic("single"), Tick())


async def publish_many(bus: Bus, count: int, mode: str) -> None:
    """500 events a call."""
    target = topic(mode, mode)
    for _ in range(count // 500):
        await bus.publish_many(target, [Tick() for _ in range(500)])


async def consume(bus: Bus, count: int, mode: str) -> None:
    """Handle and acknowledge `count` of what `publish_many` wrote."""
    stop, seen = asyncio.Event(), 0

    async def handle(_message: Message[Tick]) -> None:
        nonlocal seen
        seen += 1
        if seen == count:
            stop.set()

    await bus.subscribe(topic(mode, mode), "bench", handle, batch=500, concurrency=8).run(stop)


async def best(rounds: int, count: int, work: Callable[[], Awaitable[None]]) -> float:
    """Events a second of the best round."""
    rates = []
    for _ in range(rounds):
        started = time.perf_counter()
        await work()
        rates.append(count / (time.perf_counter() - started))
    return max(rates)


async def measure(url: str, count: int) -> dict[str, float]:
    """All rows, in turn."""
    # A consumer that stops finishes what is in work: leave enough for the rounds that follow.
    share = count * 9 // 10
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        rows = {
            "plain_xadd_per_s": await best(ROUNDS, count, lambda: plain_xadd(url, count)),
            "publish_per_s": await best(
                ROUNDS, count // 10, lambda: publish_one_by_one(bus, count)
            ),
            "publish_many_per_s": await best(
                ROUNDS, count, lambda: publish_many(bus, count, "entry")
            ),
            "consume_per_s": await best(ROUNDS, share, lambda: consume(bus, share, "entry")),
            "frame_publish_per_s": await best(
                ROUNDS, count, lambda: publish_many(bus, count, "frame")
            ),
            "frame_consume_per_s": await best(ROUNDS, share, lambda: consume(bus, share, "frame")),
        }
    plain = rows["plain_xadd_per_s"]
    print(f"{'row':<22}{'events/s':>12}{'ratio to plain XADD':>22}")  # noqa: T201 - the result
    for name, rate in rows.items():
        print(f"{name:<22}{rate:>12,.0f}{rate / plain:>22.2f}")  # noqa: T201 - the result
    return rows


def main() -> None:
    """Start a server, measure, and print one JSON object last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="events a row")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = StreamServer(str(find_server(Path(folder))), Path(folder))
        try:
            rows = asyncio.run(measure(server.url, options.count))
        finally:
            server.stop()
    print(json.dumps({name: round(rate) for name, rate in rows.items()}))  # noqa: T201 - the result


if __name__ == "__main__":
    main()
