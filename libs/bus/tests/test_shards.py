"""Topics with shards: one owner each, and a fair share for all."""

import asyncio
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdesk.bus import BreakerPolicy, BusConfigError, Dead
from streamdesk.bus.backends.records import Entry
from streamdesk.bus.consuming.deliveries import Delivery, InFlight, Job
from streamdesk.bus.consuming.sharded import fair_share
from streamdesk.bus.topic_keys import partitions_of, shard_of
from tests.shard_workers import GROUP, KEYS, Floor, key_of, runs, until

NAMES = st.sets(st.text("abcdef", min_size=1, max_size=3), min_size=1, max_size=12)


@pytest.fixture
def topic(make_topic: Any) -> Any:
    return make_topic(shards=4)


@given(shards=st.integers(1, 64), names=NAMES)
def test_the_shares_of_all_members_are_fair_and_make_up_the_whole(
    shards: int, names: set[str]
) -> None:
    shares = [fair_share(shards, sorted(names), name) for name in names]
    assert sum(shares) == shards
    assert max(shares) - min(shares) <= 1


@given(shards=st.integers(1, 64), names=NAMES, me=st.text("abcdef", min_size=1, max_size=3))
def test_a_share_is_the_same_whichever_is_named_first_or_not_yet(
    shards: int, names: set[str], me: str
) -> None:
    assert fair_share(shards, sorted(names), me) == fair_share(shards, [*names, me, me], me)


@settings(deadline=None)
@given(key=st.text(max_size=20), shards=st.integers(1, 64))
def test_a_key_belongs_to_one_shard_permanently(key: str, shards: int) -> None:
    assert shard_of(key, shards) == zlib.crc32(key.encode()) % shards


async def test_consumers_that_come_and_go_share_the_shards_fairly(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    at_work: dict[int, str] = {}

    async def alone(message: Any) -> None:
        shard, me = shard_of(message.key, 4), asyncio.current_task()
        assert shard not in at_work
        at_work[shard] = repr(me)
        await asyncio.sleep(0)
        del at_work[shard]

    one, two, three = (floor.worker(alone) for _ in range(3))
    one.start(topic, concurrency=1)
    await until(one.owns(4))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20))
    two.start(topic, concurrency=1)
    await until(lambda: one.owns(2)() and two.owns(2)())
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20, 20))
    three.start(topic, concurrency=1)
    await until(lambda: sorted(len(w.subscription.owned) for w in floor.workers) == [1, 1, 2])
    await desk.bus.publish_many(topic, runs(ping, KEYS, 20, 40))
    owned = [number for worker in floor.workers for number in worker.subscription.owned]
    assert sorted(owned) == [0, 1, 2, 3]
    await two.end()
    await until(lambda: one.owns(2)() and three.owns(2)())
    lag = await desk.settled(topic)
    assert lag.dead == 0
    for key in KEYS:
        assert floor.begun(key) == list(range(60)), "each once: they all said goodbye"


async def test_a_slow_farewell_from_one_shard_keeps_the_others(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, proceed = make_topic(shards=2), asyncio.Event()
    kept, given = key_of(0, 2), key_of(1, 2)

    async def stick(message: Any) -> None:
        if message.key == given:
            await proceed.wait()

    giver, receiver = floor.worker(stick, drain_seconds=60), floor.worker()
    await desk.bus.publish(topic, ping(text=given))
    giver.start(topic)
    await until(lambda: floor.begun(given) == [0])
    receiver.start(topic)
    await until(lambda: giver.subscription._staying == [0])
    asked = len(giver.network.asked)
    renewal = ("own", partitions_of(topic)[0].streams[0])
    await until(lambda: giver.network.asked[asked:].count(renewal) >= 5)
    assert giver.subscription.owned == [0, 1], "it stays the owner while its handler runs"
    assert receiver.subscription.owned == []
    proceed.set()
    await until(lambda: giver.subscription.owned == [0] and receiver.subscription.owned == [1])
    await desk.bus.publish_many(topic, [ping(text=key, score=1) for key in (kept, given)])
    await desk.settled(topic)
    assert [name for name, of, *_ in floor.log if of == kept] == ["A"]
    assert [name for name, of, *_ in floor.log if of == given] == ["A", "B"]


async def test_an_owner_that_lost_its_shard_for_a_moment_starts_anew(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, worker = make_topic(shards=2), floor.worker()
    key, topic_keys, backend = key_of(1, 2), partitions_of(topic)[1], desk.bus._backend
    worker.start(topic)
    await until(worker.owns(2))
    await desk.bus.publish(topic, ping(text=key, score=0))
    await until(lambda: floor.begun(key) == [0])
    await desk.settled(topic)
    first = worker.subscription._owned[1]
    # As when the server lost the owner's name, and another was quicker for an instant.
    worker.network.cut = {"own"}
    quick = 0
    while not quick:
        await backend.disown(topic_keys, GROUP, worker.subscription.consumer)
        quick = await backend.own(topic_keys, GROUP, "quick", 60_000)
    await backend.disown(topic_keys, GROUP, "quick")
    worker.network.cut = set()
    await until(lambda: worker.subscription._owned.get(1, first) is not first)
    await desk.bus.publish(topic, ping(text=key, score=1))
    await desk.settled(topic)
    assert floor.begun(key) == [0, 1]
    before, after = worker.fences[key]
    assert before < quick < after


async def test_a_stop_gives_the_shards_back_at_once(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    first, second = floor.worker(), floor.worker()
    first.start(topic)
    await until(first.owns(4))
    await first.end()
    assert first.subscription.state == "stopped"
    second.start(topic)
    await until(second.owns(4))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 2))
    await desk.settled(topic)
    assert {name for name, *_ in floor.log} == {"B"}
    (lag,) = await desk.bus.lag(topic)
    assert (lag.consumers, len(lag.streams)) == (1, 4)


async def test_the_lag_of_a_topic_is_the_sum_of_its_shards(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    stuck, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        stuck.set()
        await proceed.wait()

    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    by_shard = [5 * sum(shard_of(key, 4) == shard for key in KEYS) for shard in range(4)]
    lag = await desk.lag(topic)
    assert [stream.waiting for stream in lag.streams] == by_shard
    assert [stream.length for stream in lag.streams] == by_shard
    assert (lag.waiting, lag.pending, lag.length, lag.added) == (40, 0, 40, 40)
    worker = floor.worker(wait)
    worker.start(topic)
    await stuck.wait()
    await until(lambda: worker.subscription.in_flight == 40)
    lag = await desk.lag(topic)
    assert [stream.pending for stream in lag.streams] == by_shard
    (health,) = await desk.bus.consumers(topic, GROUP)
    assert (health.name, health.pending) == (worker.subscription.consumer, 40)
    assert (lag.waiting, lag.pending) == (0, 40)
    proceed.set()
    await desk.settled(topic)


async def test_a_paused_shard_shows_in_its_consumer(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def die(_message: Any) -> Dead:
        return Dead("ill")

    worker = floor.worker(die, breaker=BreakerPolicy(3, 1.0, 3600))
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    worker.start(topic)
    await until(lambda: worker.subscription.state == "paused")
    assert worker.subscription.why_paused.startswith("3 of the last 3 died: 3 ill")


async def test_a_shard_that_fails_for_good_ends_its_consumer_with_the_reason(
    floor: Floor, topic: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = floor.worker()

    async def broken(*_words: Any, **_options: Any) -> None:
        raise BusConfigError("no such group")

    monkeypatch.setattr(worker.network, "take", broken, raising=False)
    worker.start(topic)
    assert worker.running is not None
    async with asyncio.timeout(30):
        with pytest.raises(BusConfigError, match="no such group"):
            await worker.running
    assert worker.subscription.state == "stopped"
    assert worker.subscription.owned == []


async def test_batches_of_a_topic_with_shards_are_refused(desk: Any, topic: Any) -> None:
    async def handle(_batch: Any) -> None:
        pass

    with pytest.raises(BusConfigError, match="shards to keep events of a key in order"):
        desk.bus.subscribe_batches(topic, GROUP, handle)


def test_taking_what_is_not_begun_leaves_the_rest_and_the_ends_in_order() -> None:
    in_flight: InFlight[Any] = InFlight(2)

    def job(name: str, *, started: bool) -> Job[Any]:
        delivery: Delivery[Any] = Delivery(Entry(0, name, {}))
        delivery.started = started
        in_flight.held[delivery.entry.held] = delivery
        return Job((delivery,))

    first, second, third, fourth = (job(name, started=name in "ac") for name in "abcd")
    for queue, jobs in ((0, [first, second, None]), (1, [third, None, fourth])):
        for item in jobs:
            in_flight.queues[queue].put_nowait(item)
    in_flight.drop_waiting()
    assert [in_flight.queues[0].get_nowait() for _ in range(2)] == [first, None]
    assert [in_flight.queues[1].get_nowait() for _ in range(2)] == [third, None]
    assert sorted(entry_id for _, entry_id in in_flight.held) == ["a", "c"]
    assert in_flight.dropped
