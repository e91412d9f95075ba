"""The Redis master fails, and no acknowledged event is lost."""

import asyncio
import statistics
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.redis_failover import NAMESPACE, Fault, RedisSet, installed
from tests.e2e.redis_failover_run import BOUND_SECONDS, Round, trial

ROUNDS = 10
Tell = Callable[[str], None]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisSet]:
    """The chart of Redis alone, in a namespace of its own."""
    with installed(NAMESPACE) as found:
        found.kube.wait_ready("redis", 3)
        if not asyncio.run(found.can_be_reached()):
            pytest.skip("the addresses of the cluster's Services cannot be reached from here")
        yield found


async def rounds_of(redis: RedisSet, faults: list[Fault], tell: Tell) -> list[Round]:
    """Take the master away so often; what each cost. Checks that no failover made two masters."""
    async with trial(redis) as checked:
        rounds = [await checked.round(fault) for fault in faults]
        for one in rounds:
            tell(str(one))
        assert not checked.watch.doubled, "two masters of one failover"
        assert len(checked.watch.masters) > len(faults), "fewer failovers than faults"
        return rounds


def is_prompt(rounds: list[Round]) -> bool:
    """Whether the promised gap is kept, without this machine's own part in it.

    In the median: a neighbour that takes a busy machine's processors for some seconds makes one
    round late. All are printed; the longest of many is what `make chaos-k8s` is for.
    """
    gaps = [one.gap_seconds - one.stalled_seconds for one in rounds]
    return statistics.median(gaps) <= BOUND_SECONDS[rounds[0].fault]


async def test_deleting_the_masters_pod_stops_writes_for_three_seconds_and_loses_none(
    redis: RedisSet, tell: Tell
) -> None:
    rounds = await rounds_of(redis, ["deleted"] * ROUNDS, tell)
    assert not [one for one in rounds if one.lost]
    assert is_prompt(rounds)


@pytest.mark.parametrize("fault", ["forced", "crashed", "wiped"])
async def test_a_master_that_fails_without_warning_loses_no_acknowledged_event(
    redis: RedisSet, fault: Fault, tell: Tell
) -> None:
    rounds = await rounds_of(redis, [fault] * 3, tell)
    assert not [one for one in rounds if one.lost]
    assert is_prompt(rounds)


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
