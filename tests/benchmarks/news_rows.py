"""The rows of the news benchmark: filters run as processes, a publisher feeds them."""

import signal
import statistics
import sys
import time
from collections.abc import Sequence

from streamdesk.contracts.topics import NEWS_FILTERED
from tests.benchmarks.child import Child
from tests.benchmarks.news_articles import hash_of
from tests.benchmarks.news_filters import CPU, FilterPool, filters, finish
from tests.benchmarks.ours import expect
from tests.servers import StreamServer

RATE_PER_S = 1_000
WARM_UP = 1_000
KILL_SECONDS = 5
SHORT_LEASE = {"BUS_LEASE_SECONDS": "5"}
ANYTHING_LOUD = {"SENTIMENT_MODE": "absolute", "SENTIMENT_THRESHOLD": "0"}
PROCESSED = "news_filter_processed_total"


def role(name: str, server: StreamServer) -> Child:
    """One of the benchmark's own processes."""
    return Child(sys.executable, "tests.benchmarks.news_roles", name, server.url)


def last_id(server: StreamServer) -> str:
    """Of the newest filtered article; empty when there is none."""
    newest = server.ask("XREVRANGE", NEWS_FILTERED.key, "+", "-", "COUNT", 1)
    return str(newest[0][0]) if newest else ""


def server_cpu_seconds(server: StreamServer) -> float:
    """What the server has used so far."""
    used = server.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def full_speed(
    server: StreamServer, count: int, rounds: int, warm_up: int = WARM_UP
) -> dict[str, float]:
    """Two filters, with all articles in the stream before timing starts."""
    with filters(server) as pool, role("fill", server) as publisher:
        publisher.ask(first=0, count=warm_up)
        finish(server)
        starts = range(warm_up, warm_up + count * rounds, count)
        found = [_full_speed(pool, publisher, first, count) for first in starts]
        passed = _expect_scored(pool, warm_up + count * rounds)
    return {
        "filter_per_s": max(each["filter_per_s"] for each in found),
        "filter_cpu_us": min(each["filter_cpu_us"] for each in found),
        "server_cpu_us": min(each["server_cpu_us"] for each in found),
        "passed_share": passed / (warm_up + count * rounds),
    }


def _full_speed(pool: FilterPool, publisher: Child, first: int, count: int) -> dict[str, float]:
    used = pool.total(CPU)
    # Stopped, they cannot begin while the stream is still being filled.
    pool.signal(signal.SIGSTOP)
    publisher.ask(first=first, count=count)
    server_used = server_cpu_seconds(pool.server)
    began = time.monotonic()
    pool.signal(signal.SIGCONT)
    finish(pool.server)
    seconds = time.monotonic() - began
    return {
        "filter_per_s": count / seconds,
        "filter_cpu_us": 1e6 * (pool.total(CPU) - used) / count,
        "server_cpu_us": 1e6 * (server_cpu_seconds(pool.server) - server_used) / count,
    }


def _expect_scored(pool: FilterPool, count: int) -> float:
    """How many passed. Checks that every article was scored, and none from the cache.

    On a slow machine some are not acknowledged in time and are judged again.
    """
    passed = pool.total(PROCESSED, outcome="passed")
    scored = passed + pool.total(PROCESSED, outcome="sentiment-weak")
    known = pool.total("news_sentiment_cache_total", outcome="hit")
    expect("articles judged otherwise", pool.total(PROCESSED), scored)
    expect("articles scored now", scored - known, count)
    return passed


def end_to_end(
    server: StreamServer, seconds: float, rounds: int, warm_up: int = WARM_UP
) -> dict[str, float]:
    """From the fetch of an article to its publication as filtered news, at a steady rate."""
    count = round(RATE_PER_S * seconds)
    starts = range(warm_up, warm_up + count * rounds, count)
    with (
        filters(server),
        role("read", server) as reader,
        role("pace", server) as publisher,
    ):
        reader.ask()
        publisher.ask(first=0, count=warm_up, rate=RATE_PER_S, is_loud=False)
        for first in starts:
            publisher.ask(first=first, count=count, rate=RATE_PER_S, is_loud=False)
        finish(server)
        read = reader.ask(until=last_id(server))
    ages = dict(zip(read["hashes"], read["seconds"], strict=True))
    found = [
        percentiles(
            [ages[name] for name in map(hash_of, range(first, first + count)) if name in ages]
        )
        for first in starts
    ]
    return min(found, key=lambda each: each["e2e_p95_s"])


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    """Median, 95th and 99th percentile."""
    cuts = statistics.quantiles(seconds, n=100, method="inclusive")
    return {"e2e_p50_s": cuts[49], "e2e_p95_s": cuts[94], "e2e_p99_s": cuts[98]}


def killed(server: StreamServer, seconds: float, rate_per_s: int = RATE_PER_S) -> dict[str, float]:
    """One of two filters is killed repeatedly, and replaced."""
    count = round(rate_per_s * seconds)
    with (
        filters(server, **SHORT_LEASE, **ANYTHING_LOUD) as pool,
        role("read", server) as reader,
        role("pace", server) as publisher,
    ):
        reader.ask()
        began = time.monotonic()
        publisher.tell(first=0, count=count, rate=rate_per_s, is_loud=True)
        left: list[int] = []
        while (due := began + KILL_SECONDS * (len(left) + 0.5)) < began + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            left.append(pool.kill_one())
            pool.add()
        publisher.hear()
        finish(server)
        hashes = reader.ask(until=last_id(server))["hashes"]
    wanted = {hash_of(number) for number in range(count)}
    expect("filtered articles that were not fetched", set(hashes) - wanted, set())
    return {
        "lost": len(wanted - set(hashes)),
        "doubled": len(hashes) - len(set(hashes)),
        "kills": len(left),
        "left_in_hand": sum(left),
    }
