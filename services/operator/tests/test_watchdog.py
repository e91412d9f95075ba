"""Who says that it is the master, against who is named, with real Sentinels."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus.connection import parse_address
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.watchdog import (
    SentinelSaid,
    ServerSaid,
    Watchdog,
    verdict_of,
    watchdog_of,
)
from streamdesk.runtime import Drain
from tests.servers import SentinelCluster

A, B = ("a", 6379), ("b", 6379)
LONGEST_WAIT_SECONDS = 120


def master(at: tuple[str, int], run_id: str) -> ServerSaid:
    return ServerSaid(at, is_master=True, run_id=run_id)


def replica(at: tuple[str, int], run_id: str) -> ServerSaid:
    return ServerSaid(at, is_master=False, run_id=run_id)


def sentinel(name: str, master: tuple[str, int]) -> SentinelSaid:
    return SentinelSaid((name, 26379), master, frozenset({A, B}))


def test_one_master_that_all_sentinels_name_is_agreement() -> None:
    said = [sentinel("1", A), sentinel("2", A)]
    verdict = verdict_of(said, [master(A, "x"), replica(B, "y")])
    assert (verdict.masters, verdict.agrees) == (1, True)


@pytest.mark.parametrize(
    ("named", "masters", "count"),
    [
        ([A, A], {"x", "y"}, 2),
        ([A, A], set[str](), 0),
        ([A, A], {"y"}, 1),
        ([A, B], {"x"}, 1),
        ([], {"x"}, 1),
        ([("gone", 1)], {"x"}, 1),
    ],
)
def test_anything_else_is_a_dispute(
    named: list[tuple[str, int]], masters: set[str], count: int
) -> None:
    said = [sentinel(str(number), at) for number, at in enumerate(named)]
    servers = [
        (master if name in masters else replica)(at, name) for at, name in ((A, "x"), (B, "y"))
    ]
    verdict = verdict_of(said, servers)
    assert (verdict.masters, verdict.agrees) == (count, False)


def test_a_server_under_two_addresses_is_one_server() -> None:
    alias = ("10.0.0.1", 6379)
    said = [sentinel("1", A), sentinel("2", alias)]
    servers = [master(A, "x"), master(alias, "x"), replica(B, "y")]
    verdict = verdict_of(said, servers)
    assert (verdict.masters, verdict.agrees) == (1, True)


def test_there_is_no_watchdog_without_sentinels() -> None:
    async def tell(_news: Transition) -> None: ...

    assert watchdog_of("redis://localhost:6379/0", tell, 1) is None
    assert watchdog_of("memory://here", tell, 1) is None


async def holds(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        while not await look():
            await asyncio.sleep(0.1)


async def test_a_second_master_is_seen_and_told_once_and_so_is_its_end(
    sentinel: SentinelCluster,
) -> None:
    told: list[Transition] = []

    async def tell(news: Transition) -> None:
        told.append(news)

    address = parse_address(sentinel.url)
    labels = {"service": address.service}
    dog, drain = Watchdog(address, tell, 0.05), Drain()
    running = asyncio.create_task(dog.run(drain))

    def metric(name: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    async def agrees() -> bool:
        return metric("streamdesk_redis_master_agrees") == 1

    await holds(agrees)
    assert metric("streamdesk_redis_masters") == 1
    real = sentinel.master()
    stray = next(node for node in sentinel.nodes if node is not real)

    async def is_told() -> bool:
        # The Sentinels put it right after some seconds: whoever wants to see it asks again.
        if not told:
            await asyncio.to_thread(stray.ask, "REPLICAOF", "NO", "ONE")
        return bool(told)

    await holds(is_told)
    assert told[0].reason == "RedisMasterDisputed"
    assert told[0].warning

    async def is_over() -> bool:
        return len(told) > 1

    await holds(is_over)
    assert told[1].reason == "RedisMasterAgreed"
    drain.request()
    await running
