"""Our own rows: throughput, and whether every event arrives once."""

import asyncio
import base64
import sys
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, TypeVar

import uvloop

from streamdesk.bus import Batch, Bus, BusConfig
from tests.benchmarks.child import Child
from tests.benchmarks.events import CALL, ENTRIES, FRAMES, GROUP, Tick, ticks
from tests.benchmarks.roles import STOCK
from tests.benchmarks.server import c_publish_per_s, clear
from tests.servers import StreamServer

T = TypeVar("T")
CONSUMERS = 100
PROCESSES = 2


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run it on uvloop, as our services do."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


def role(name: str, server: StreamServer) -> Child:
    """One of our own processes."""
    return Child(sys.executable, "tests.benchmarks.roles", name, server.url)


def total_of(count: int) -> int:
    """The sum of the numbers of the `count` events that `produce_frames` sends."""
    whole, part = divmod(count, STOCK)
    stock = [tick.number for tick in ticks(STOCK)]
    return whole * sum(stock) + sum(stock[:part])


def expect(what: str, found: object, wanted: object) -> None:
    """Check that the events were processed: only then a figure counts.

    Raises:
        AssertionError: they were not.
    """
    assert found == wanted, f"{what}: {found} instead of {wanted}"


def frame_e2e_per_s(server: StreamServer, count: int, rounds: int) -> float:
    """Events a second from the first publish to the last acknowledgement, between processes."""
    rates: list[float] = []
    with role("produce-frames", server) as producer, role("consume-frames", server) as consumer:
        for share in [max(1, count // 10), *[count] * rounds]:  # the first warms up
            clear(server)
            consumer.ask(count=share)
            producer.tell(count=share)
            first, end = producer.hear()["first"], consumer.hear()
            expect("events handled", end["handled"], share)
            expect("sum of their numbers", end["total"], total_of(share))
            expect("entries pending", server.ask("XPENDING", FRAMES.key, GROUP)[0], 0)
            rates.append(share / (end["last"] - first))
    return max(rates[1:])


async def _publish(url: str, events: list[Tick]) -> float:
    """Seconds that publish_many takes for them, by `CALL`."""
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        await bus.publish_many(ENTRIES, events[:CALL])
        started = time.perf_counter()
        for start in range(CALL, len(events), CALL):
            await bus.publish_many(ENTRIES, events[start : start + CALL])
        return time.perf_counter() - started


async def _consume(url: str, events: list[Tick]) -> float:
    """Seconds until all of them were taken, validated and acknowledged."""
    handled = total = 0
    stop = asyncio.Event()

    async def handle(batch: Batch[Tick]) -> None:
        nonlocal handled, total
        handled += len(batch)
        total += sum([event.number for event in batch.events])
        if handled >= len(events):
            stop.set()

    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        await bus.ping()
        started = time.perf_counter()
        await bus.subscribe_batches(ENTRIES, GROUP, handle, batch=CALL).run(stop)
        seconds = time.perf_counter() - started
    expect("events handled", handled, len(events))
    expect("sum of their numbers", total, sum(event.number for event in events))
    return seconds


def entry_rates(server: StreamServer, count: int, rounds: int) -> dict[str, float]:
    """Events a second written, and read again, one entry an event, in one process."""
    published: list[float] = []
    consumed: list[float] = []
    events = ticks(count)
    for _ in range(rounds):
        clear(server)
        published.append((count - CALL) / run(_publish(server.url, events)))
        expect("entries", server.ask("XLEN", ENTRIES.key), count)
        consumed.append(count / run(_consume(server.url, events)))
        expect("entries pending", server.ask("XPENDING", ENTRIES.key, GROUP)[0], 0)
    return {"entry_publish_per_s": max(published), "entry_consume_per_s": max(consumed)}


async def one_entry(url: str) -> None:
    """Publish a single event."""
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        await bus.publish(ENTRIES, ticks(1)[0])


def c_rate(server: StreamServer, count: int, rounds: int) -> float:
    """Entries a second that a client in C writes; they have our entries' fields."""
    clear(server)
    run(one_entry(server.url))
    [[_, flat]] = server.ask("XRANGE", ENTRIES.key, "-", "+")
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    rates: list[float] = []
    for _ in range(rounds):
        clear(server)
        rates.append(c_publish_per_s(server, fields, count))
    return max(rates)


async def _publish_and_wait(url: str, count: int) -> None:
    """Publish, and return when the group has finished everything."""
    events = ticks(count)
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        for start in range(0, count, CALL):
            await bus.publish_many(ENTRIES, events[start : start + CALL])
        while True:
            [lag] = await bus.lag(ENTRIES)
            if not lag.waiting and not lag.pending and not lag.delayed:
                break
            await asyncio.sleep(0.02)


def consumers_100(server: StreamServer, count: int) -> dict[str, float]:
    """Lost and duplicate events of a hundred consumers of one group, in two processes."""
    clear(server)
    with ExitStack() as stack:
        members = [stack.enter_context(role("join-group", server)) for _ in range(PROCESSES)]
        for member in members:
            member.tell(count=count, consumers=CONSUMERS // PROCESSES)
        for member in members:
            member.hear()
        run(_publish_and_wait(server.url, count))
        for member in members:
            member.tell()
        tallies = [base64.b64decode(member.hear()["times"]) for member in members]
    times = [sum(each) for each in zip(*tallies, strict=True)]
    expect("events counted", len(times), count)
    return {
        "consumers_100_lost": times.count(0),
        "consumers_100_doubled": sum(1 for each in times if each > 1),
    }
