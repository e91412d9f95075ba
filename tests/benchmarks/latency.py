"""The latency of one event: until it is written, and until its handler in another process runs."""

import statistics
import time

from streamdesk.bus import Bus, BusConfig
from tests.benchmarks.events import ENTRIES, ticks
from tests.benchmarks.ours import expect, role, run
from tests.benchmarks.server import clear
from tests.servers import StreamServer

RATE_PER_S = 1_000
WARM_UP = 200


def percentiles_ms(nanoseconds: list[int]) -> tuple[float, float]:
    """Median and 99th percentile in milliseconds."""
    cuts = statistics.quantiles(nanoseconds, n=100, method="inclusive")
    return cuts[49] / 1e6, cuts[98] / 1e6


def best(rounds: list[list[int]]) -> tuple[float, float]:
    """Both percentiles of the round whose 99th is the lowest."""
    return min((percentiles_ms(each) for each in rounds), key=lambda pair: pair[1])


def end_to_end(server: StreamServer, seconds: float, rounds: int) -> dict[str, float]:
    """From the call of publish to the first line of the handler, at a steady rate."""
    count = round(RATE_PER_S * seconds)
    ages: list[list[int]] = []
    with role("handle-paced", server) as consumer, role("publish-paced", server) as publisher:
        for _ in range(rounds):
            clear(server)
            consumer.ask(count=count + WARM_UP)
            publisher.tell(count=count + WARM_UP, rate=RATE_PER_S)
            publisher.hear()
            found = consumer.hear()["ages"]
            expect("events handled", len(found), count + WARM_UP)
            ages.append(found[WARM_UP:])
    median, high = best(ages)
    return {"e2e_p50_ms": median, "e2e_p99_ms": high}


async def _publish_each(url: str, count: int) -> list[int]:
    """Nanoseconds of each awaited publish, one after the other."""
    took: list[int] = []
    async with Bus.connect(BusConfig(url=url, service="bench")) as bus:
        for event in ticks(count + WARM_UP):
            started = time.perf_counter_ns()
            await bus.publish(ENTRIES, event)
            took.append(time.perf_counter_ns() - started)
    return took[WARM_UP:]


def one_publish(server: StreamServer, count: int, rounds: int) -> dict[str, float]:
    """One awaited publish."""
    took: list[list[int]] = []
    for _ in range(rounds):
        clear(server)
        took.append(run(_publish_each(server.url, count)))
        expect("entries", server.ask("XLEN", ENTRIES.key), count + WARM_UP)
    median, high = best(took)
    return {"publish_p50_ms": median, "publish_p99_ms": high}
