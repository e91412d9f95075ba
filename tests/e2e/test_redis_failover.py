"""The Redis master goes, and no acknowledged event goes with it."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.redis_failover import NAMESPACE, Fault, RedisSet, installed
from tests.e2e.redis_failover_run import BOUND_SECONDS, Round, say, trial

ROUNDS = 10


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisSet]:
    """The chart of Redis alone, in a namespace of its own."""
    with installed(NAMESPACE) as found:
        found.kube.wait_ready("redis", 3)
        if not asyncio.run(found.can_be_reached()):
            pytest.skip("the addresses of the cluster's Services cannot be reached from here")
        yield found


async def rounds_of(redis: RedisSet, faults: list[Fault]) -> list[Round]:
    """Take the master away so often; what each cost. Checks that no failover made two masters."""
    async with trial(redis) as checked:
        rounds = []
        for fault in faults:
            rounds.append(await checked.round(fault))
            say(str(rounds[-1]))
        assert not checked.watch.doubled, "two masters of one failover"
        assert len(checked.watch.masters) > len(faults), "fewer failovers than faults"
        return rounds


async def test_deleting_the_masters_pod_stops_writes_for_three_seconds_at_most(
    redis: RedisSet,
) -> None:
    rounds = await rounds_of(redis, ["deleted"] * ROUNDS)
    assert not [one for one in rounds if one.lost]
    assert not [str(one) for one in rounds if one.is_late], f"promised: {BOUND_SECONDS}"


@pytest.mark.parametrize("fault", ["forced", "crashed", "wiped"])
async def test_a_master_that_goes_without_a_word_takes_no_acknowledged_event_along(
    redis: RedisSet, fault: Fault
) -> None:
    rounds = await rounds_of(redis, [fault] * 2)
    assert not [one for one in rounds if one.lost]
    assert not [str(one) for one in rounds if one.is_late], f"promised: {BOUND_SECONDS}"


async def test_an_upgrade_that_makes_every_pod_anew_loses_nothing_and_keeps_the_passwords(
    redis: RedisSet,
) -> None:
    before = dict(redis.passwords)
    async with trial(redis) as checked:
        await asyncio.to_thread(redis.upgrade)
        await redis.wait_until_whole()
        assert not await checked.missing()
        assert not checked.watch.doubled
    redis.find()
    assert redis.passwords == before
