"""The other processes of our own rows: `python -m tests.benchmarks.roles ROLE URL …`.

Each input line is one round, with its settings; each output line says that the role is ready, or
gives the result of the round. Times are of the monotonic clock, which all processes of a
machine share.
"""

import asyncio
import base64
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import uvloop

from streamdesk.bus import Batch, Bus, BusConfig, Message, Subscription
from tests.benchmarks.events import CALL, ENTRIES, FIRST_NUMBER, FRAMES, GROUP, Tick, ticks

FRAMES_A_CALL = 10
STOCK = 20_000
"""Events that a producer has ready and sends again and again."""


async def hear() -> dict[str, Any] | None:
    """The next line, None when there will be none."""
    line = await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    return json.loads(line) if line else None


def tell(**values: Any) -> None:
    """One line out."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


async def until_running(subscription: Subscription) -> None:
    """Wait until its group exists and it consumes."""
    while subscription.state == "starting":
        await asyncio.sleep(0.002)


async def produce_frames(bus: Bus, count: int) -> None:
    """Publish `count` events in frames."""
    stock = ticks(min(STOCK, count))
    a_call = CALL * FRAMES_A_CALL
    first = time.monotonic()
    done = 0
    while done < count:
        start = done % STOCK
        part = stock[start : start + min(a_call, count - done)]
        await bus.publish_many(FRAMES, part)
        done += len(part)
    tell(first=first)


async def consume_frames(bus: Bus, count: int) -> None:
    """Handle `count` events in batches, and print when the last was acknowledged."""
    handled = total = 0
    stop = asyncio.Event()

    async def handle(batch: Batch[Tick]) -> None:
        nonlocal handled, total
        events = batch.events
        handled += len(events)
        total += sum([event.number for event in events])
        if handled >= count:
            stop.set()

    subscription = bus.subscribe_batches(FRAMES, GROUP, handle, batch=CALL)
    running = asyncio.create_task(subscription.run(stop))
    await until_running(subscription)
    tell(ready=True)
    await running
    tell(last=time.monotonic(), handled=handled, total=total)


async def publish_paced(bus: Bus, count: int, rate: int) -> None:
    """Publish `count` events at `rate` a second, each with its own time in it."""
    started = time.monotonic()
    for place in range(count):
        early = started + place / rate - time.monotonic()
        if early > 0:
            await asyncio.sleep(early)
        await bus.publish(ENTRIES, Tick(number=time.monotonic_ns()))
    tell(seconds=time.monotonic() - started)


async def handle_paced(bus: Bus, count: int) -> None:
    """Print how old each of `count` events was, in nanoseconds, when its handler began."""
    ages: list[int] = []
    stop = asyncio.Event()

    async def handle(message: Message[Tick]) -> None:
        ages.append(time.monotonic_ns() - message.event.number)
        if len(ages) >= count:
            stop.set()

    subscription = bus.subscribe(ENTRIES, GROUP, handle)
    running = asyncio.create_task(subscription.run(stop))
    await until_running(subscription)
    tell(ready=True)
    await running
    tell(ages=ages)


async def join_group(bus: Bus, count: int, consumers: int) -> None:
    """Run consumers of a group until the next line; print how often each event was handled."""
    times = bytearray(count)
    stop = asyncio.Event()

    async def handle(message: Message[Tick]) -> None:
        times[message.event.number - FIRST_NUMBER] += 1

    members = [bus.subscribe(ENTRIES, GROUP, handle) for _ in range(consumers)]
    running = [asyncio.create_task(member.run(stop)) for member in members]
    for member in members:
        await until_running(member)
    tell(ready=True)
    await hear()
    stop.set()
    await asyncio.gather(*running)
    tell(times=base64.b64encode(times).decode())


ROLES: dict[str, Callable[..., Awaitable[None]]] = {
    "produce-frames": produce_frames,
    "consume-frames": consume_frames,
    "publish-paced": publish_paced,
    "handle-paced": handle_paced,
    "join-group": join_group,
}


async def play(role: str, url: str) -> None:
    """Play `role` once for each line, until stdin ends."""
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        while (settings := await hear()) is not None:
            await ROLES[role](bus, **settings)


if __name__ == "__main__":
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(play(*sys.argv[1:]))
