"""The servers that report to be the master, against those that Sentinels name."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from prometheus_client import REGISTRY

from streamdesk.bus.connection import parse_address
from streamdesk.operator.adapters.sentinels import SentinelClient, sentinels_of
from streamdesk.operator.application.watch_masters import MasterWatchdog
from streamdesk.operator.domain.decision import Transition
from streamdesk.operator.domain.masters import SentinelReport, ServerReport, verdict_of
from streamdesk.operator.entrypoints import schedule
from streamdesk.runtime import Drain
from tests.servers import SentinelCluster

A, B = ("a", 6379), ("b", 6379)
LONGEST_WAIT_SECONDS = 120


def master(at: tuple[str, int], run_id: str) -> ServerReport:
    return ServerReport(at, is_master=True, run_id=run_id)


def replica(at: tuple[str, int], run_id: str) -> ServerReport:
    return ServerReport(at, is_master=False, run_id=run_id)


def sentinel(name: str, master: tuple[str, int]) -> SentinelReport:
    return SentinelReport((name, 26379), master, frozenset({A, B}))


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
    assert sentinels_of("redis://localhost:6379/0") is None
    assert sentinels_of("memory://here") is None


async def holds(look: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(LONGEST_WAIT_SECONDS):
        while not await look():
            await asyncio.sleep(0.1)


async def test_a_second_master_is_reported_once_and_so_is_its_end(
    sentinel: SentinelCluster,
) -> None:
    reported: list[Transition] = []

    async def report(transition: Transition) -> None:
        reported.append(transition)

    address = parse_address(sentinel.url)
    labels = {"service": address.service}
    watchdog, drain = MasterWatchdog(SentinelClient(address), report), Drain()
    running = asyncio.create_task(schedule.watch_masters(watchdog, 0.05, drain))

    def metric(name: str) -> float | None:
        return REGISTRY.get_sample_value(name, labels)

    async def agrees() -> bool:
        return metric("streamdesk_redis_master_agrees") == 1

    await holds(agrees)
    assert metric("streamdesk_redis_masters") == 1
    real = sentinel.master()
    stray = next(node for node in sentinel.nodes if node is not real)

    async def is_reported() -> bool:
        # The Sentinels correct it after some seconds, possibly between two checks: do it again.
        if not reported:
            await asyncio.to_thread(stray.ask, "REPLICAOF", "NO", "ONE")
        return bool(reported)

    await holds(is_reported)
    assert reported[0].reason == "RedisMasterDisputed"
    assert reported[0].warning

    async def is_over() -> bool:
        return len(reported) > 1

    await holds(is_over)
    assert reported[1].reason == "RedisMasterAgreed"
    drain.request()
    await running
