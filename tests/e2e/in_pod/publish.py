"""Runs in a pod: signals at a steady pace until standard input ends; one line for each.

Arguments: prefix of the signals' ids, signals a second (0: as fast as they are taken), how many,
and the letter that their symbols begin with.
"""

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta

from streamdesk.bus import Bus, BusConfig, BusError, Wait
from streamdesk.contracts.events import Side, SignalGenerated, SignalType
from streamdesk.contracts.topics import TRADING_SIGNALS

SYMBOLS = 4  # fewer than positions may be open, so that most signals become orders
AT_A_TIME = 16
TOPIC = TRADING_SIGNALS.configured(max_backlog=1_000_000)


def signal(letter: str, number: int, began: datetime) -> SignalGenerated:
    """Each symbol is bought, then sold; no feed has these symbols."""
    buys = number // SYMBOLS % 2 == 0
    score = 30 + number * 7 % 70
    return SignalGenerated(
        symbol=f"{letter}{number % SYMBOLS}.US",
        type=SignalType.BUY if buys else SignalType.SELL,
        side=Side.BUY if buys else Side.SELL,
        score=score,
        strength=0.1,
        price=100,
        reasons=(),
        indicators={},
        strategy="e2e",
        timestamp=began + timedelta(milliseconds=number),
        priority=score // 10 * 10,
        queued_at=datetime.now(UTC),
    )


async def publish(bus: Bus, event: SignalGenerated, signal_id: str) -> None:
    """One signal; say what became of it."""
    try:
        await bus.publish(TOPIC, event, event_id=signal_id)
        word = "acked"
    except BusError as error:
        word = f"unknown:{type(error).__name__}"
    sys.stdout.write(f"{word} {signal_id} {time.time():.3f}\n")
    sys.stdout.flush()


async def main(prefix: str, rate: float, count: int, letter: str) -> None:
    """Publish until standard input ends."""
    config = BusConfig(url=os.environ["REDIS_URL"], service="e2e", durable=Wait(1, 100))
    ended = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    began, places = datetime.now(UTC), asyncio.Semaphore(AT_A_TIME)
    tasks: set[asyncio.Task[None]] = set()
    start = time.monotonic()
    async with Bus.connect(config) as bus:
        for number in range(count):
            if ended.done():
                break
            await places.acquire()
            event = signal(letter, number, began)
            task = asyncio.create_task(publish(bus, event, f"{prefix}-{number}"))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: places.release())
            if rate:
                await asyncio.sleep(max(0.0, start + number / rate - time.monotonic()))
        await asyncio.gather(*tasks)
    sys.stdout.write("done\n")
    sys.stdout.flush()
    os._exit(0)  # the thread that waits for the end of standard input would hold us


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4]))
