"""Topics with shards: events of a key stay in order, whatever breaks, with any owner."""

import asyncio
import random
from typing import Any

import pytest

from streamdesk.bus import Retry, RetryPolicy
from streamdesk.bus.topic_keys import partitions_of
from tests.shard_workers import (
    GROUP,
    KEYS,
    SHORT_SECONDS,
    Floor,
    in_order_with_repeats,
    key_of,
    runs,
    until,
)


@pytest.fixture
def topic(make_topic: Any) -> Any:
    return make_topic(shards=4)


@pytest.mark.parametrize("mode", ["entry", "frame"])
async def test_the_next_of_a_key_is_begun_when_the_one_before_it_has_ended_retries_included(
    desk: Any, floor: Floor, make_topic: Any, ping: Any, mode: str
) -> None:
    topic, dice = make_topic(shards=4, mode=mode), random.Random(7)

    async def fail_some(message: Any) -> Retry | None:
        await asyncio.sleep(0)
        if dice.random() < 0.2 and message.attempt < 3:
            return Retry(0)
        if dice.random() < 0.1 and message.attempt < 3:
            raise ValueError("again")
        return None

    worker = floor.worker(fail_some, retry=RetryPolicy(base_seconds=0))
    await desk.bus.publish_many(topic, runs(ping, KEYS, 25))
    worker.start(topic, concurrency=4)
    lag = await desk.settled(topic)
    for key in KEYS:
        tries = [(number, attempt) for _, of, number, attempt in floor.log if of == key]
        assert tries == sorted(tries)
        assert in_order_with_repeats(floor.begun(key), 25)
    assert lag.dead == 0
    assert any(attempt > 1 for *_, attempt in floor.log)


async def test_what_dies_lets_the_next_of_its_key_proceed_with_all_tries_in_its_letter(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def fail_the_second(message: Any) -> None:
        if message.event.score == 1:
            raise ValueError(f"try {message.attempt}")

    worker = floor.worker(fail_the_second, retry=RetryPolicy(2, 0, 0))
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    worker.start(topic)
    await desk.settled(topic)
    assert floor.begun("k") == [0, 1, 1, 1, 2]
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.reason == "retries-exhausted"
    tries = [attempt.errors for attempt in dead.letter.attempts]
    assert tries == [(f"ValueError: try {number}",) for number in (1, 2, 3)]


async def test_an_owner_that_dies_without_a_goodbye_is_followed_in_order_with_repeats_only(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    stuck = asyncio.Event()

    async def stick_at_the_fourth(message: Any) -> None:
        if message.event.score == 3:
            stuck.set()
            await asyncio.Event().wait()

    dying = floor.worker(stick_at_the_fourth, lease_seconds=SHORT_SECONDS, drain_seconds=0.05)
    await desk.bus.publish_many(topic, runs(ping, KEYS, 10))
    dying.start(topic)
    await stuck.wait()
    dying.die()
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    heir.start(topic)
    await until(heir.owns(4))
    await desk.settled(topic)
    for key in KEYS:
        assert in_order_with_repeats(floor.begun(key), 10)
        assert floor.begun(key)[-1] == 9
        before, after = dying.fences.get(key, [0]), heir.fences[key]
        assert max(before) < min(after), "the fence grows with each owner"


async def test_an_owner_whose_lease_ran_out_begins_nothing_more(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    cut_off = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    cut_off.start(topic)
    await reached.wait()
    cut_off.network.cut = None
    heir.start(topic)
    await until(heir.owns(4))
    await until(lambda: floor.begun("k", by="B") != [])
    proceed.set()
    await desk.settled(topic)
    assert floor.begun("k", by="A") == [0]
    assert in_order_with_repeats(floor.begun("k", by="B"), 10)
    # When its network is back it takes part again, after what the other has done.
    cut_off.network.cut = set()
    await until(lambda: cut_off.owns(2)() and heir.owns(2)())
    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    await desk.settled(topic)
    assert all(in_order_with_repeats(floor.begun(key), 5) for key in KEYS)


async def test_a_shard_whose_lease_ran_out_is_left_alone_until_it_is_owned_anew(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    late = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    late.start(topic)
    await reached.wait()
    late.network.cut = {"own", "join"}  # the leases of its entries hold, it renews them
    await until(late.is_late)
    proceed.set()
    rounds = len(late.network.asked)
    await until(lambda: late.network.asked[rounds:].count(("join", "")) > 4)
    assert floor.begun("k") == [0]
    late.network.cut = set()
    await desk.settled(topic)
    assert in_order_with_repeats(floor.begun("k"), 10)


async def test_the_next_owner_resumes_with_what_was_pending_at_the_last_one(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    reached, proceed = asyncio.Event(), asyncio.Event()

    async def wait(_message: Any) -> None:
        reached.set()
        await proceed.wait()

    late = floor.worker(wait, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 10))
    late.start(topic)
    await reached.wait()
    late.network.cut = {"own", "join"}  # the leases of its entries hold, it renews them
    await until(late.is_late)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 1, 10))
    heir.start(topic)
    await desk.settled(topic)
    assert in_order_with_repeats(floor.begun("k", by="B"), 11)
    proceed.set()
    await until(lambda: late.subscription.in_flight == 0)
    assert floor.begun("k", by="A") == [0]


async def test_a_retry_in_its_place_is_not_begun_when_the_lease_has_run_out(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    async def again_and_again(message: Any) -> Retry | None:
        return Retry(0.01) if message.event.score == 0 else None

    policy = RetryPolicy(max_retries=1_000_000)
    cut_off = floor.worker(again_and_again, retry=policy, lease_seconds=SHORT_SECONDS)
    heir = floor.worker(lease_seconds=SHORT_SECONDS)
    await desk.bus.publish_many(topic, runs(ping, ["k"], 3))
    cut_off.start(topic)
    await until(lambda: len(floor.begun("k")) >= 2)
    cut_off.network.cut = None
    heir.start(topic)
    await until(lambda: len(floor.begun("k", by="B")) >= 3)
    await asyncio.sleep(0.05)  # some retries' time
    names = [name for name, *_ in floor.log]
    assert "A" not in names[names.index("B") :]


async def test_an_owner_whose_lease_ran_out_takes_nothing_from_the_next(
    desk: Any, floor: Floor, topic: Any, ping: Any
) -> None:
    released = asyncio.Event()

    async def hold(_message: Any) -> None:
        await released.wait()

    # It can take and settle, but not say that it is there.
    late = floor.worker(lease_seconds=SHORT_SECONDS)
    heir = floor.worker(hold, lease_seconds=SHORT_SECONDS)
    late.start(topic)
    await until(late.owns(4))
    late.network.cut = {"own", "join"}
    heir.start(topic)
    await until(heir.owns(4))
    before = len(late.network.asked)  # what it asked for before its lease ended is over by now
    await desk.bus.publish_many(topic, runs(ping, KEYS, 5))
    await until(lambda: len(floor.log) >= 4)
    await until(lambda: late.network.asked[before:].count(("join", "")) > 4)
    asked = {name for name, _ in late.network.asked[before:]}
    assert not asked & {"take", "take_or_wait", "reclaim"}
    released.set()
    await desk.settled(topic)
    assert {name for name, *_ in floor.log} == {"B"}
    assert all(in_order_with_repeats(floor.begun(key), 5) for key in KEYS)


async def test_what_the_server_reads_for_a_caller_that_gave_up_does_not_come_out_of_turn(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, key, proceed = make_topic(shards=2), key_of(0, 2), asyncio.Event()
    (shard,) = partitions_of(topic)[0].streams

    async def hold_the_fifth(message: Any) -> None:
        if message.event.score == 4:
            await proceed.wait()

    worker = floor.worker(hold_the_fifth)
    worker.start(topic, batch=1, concurrency=1)
    await desk.bus.publish_many(topic, runs(ping, [key], 3))
    await until(lambda: floor.begun(key) == [0, 1, 2])
    await desk.settled(topic)
    # Its reads reach the server, but late, and their answers never come.
    worker.network.delayed = {"take", "take_or_wait"}
    await until(lambda: shard in worker.network.late)
    worker.network.delayed = set()
    for number in (3, 4):  # the outage is over with the first, and forgotten with the second
        await desk.settled(topic)
        await desk.bus.publish(topic, ping(text=key, score=number))
        await until(lambda: len(floor.begun(key)) == number + 1)  # noqa: B023 - awaited at once
    await desk.bus.publish_many(topic, runs(ping, [key], 3, 5))
    for read in worker.network.late[shard]:
        await read()
    proceed.set()
    await until(lambda: len(floor.begun(key)) >= 7)
    await desk.settled(topic)
    assert floor.begun(key) == list(range(8))


async def test_only_the_last_adoption_of_a_shard_is_given_entries(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(shards=2)
    topic_keys, backend = partitions_of(topic)[0], desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    await desk.bus.publish_many(topic, runs(ping, [key_of(0, 2)], 4))
    fence = await backend.own(topic_keys, GROUP, "a", 60_000)
    assert await backend.adopt(topic_keys, GROUP, "b", fence, "adoption-0", 9) is None, (
        "not its shard"
    )
    assert await backend.adopt(topic_keys, GROUP, "a", fence - 1, "adoption-0", 9) is None, (
        "not any more"
    )
    assert await backend.adopt(topic_keys, GROUP, "a", fence, "adoption-1", 9) == []
    first = await backend.take(topic_keys, GROUP, "a", 2, adoption="adoption-1")
    assert len(first.entries) == 2
    again = await backend.adopt(topic_keys, GROUP, "a", fence, "adoption-2", 1)
    again += await backend.adopt(topic_keys, GROUP, "a", fence, "adoption-3", 9)
    assert [entry.id for entry in again[1:]] == [entry.id for entry in first.entries]
    for stale in ("adoption-1", "adoption-2"):
        taken = await backend.take(topic_keys, GROUP, "a", 2, adoption=stale)
        assert (taken.is_stale, taken.entries) == (True, [])
        assert await backend.reclaim(topic_keys, GROUP, "a", 0, 9, adoption=stale) == []
    assert len((await backend.take(topic_keys, GROUP, "a", 9, adoption="adoption-3")).entries) == 2
    assert len(await backend.reclaim(topic_keys, GROUP, "a", 0, 9, adoption="adoption-3")) == 4


async def test_an_owner_that_loses_nothing_adopts_its_shard_once(
    desk: Any, floor: Floor, make_topic: Any, ping: Any
) -> None:
    topic, key, worker = make_topic(shards=2), key_of(0, 2), floor.worker()
    worker.start(topic)
    for number in range(20):
        await desk.bus.publish(topic, ping(text=key, score=number))
        await until(lambda: len(floor.begun(key)) == number + 1)  # noqa: B023 - awaited at once
        await desk.settled(topic)
    (shard,) = partitions_of(topic)[0].streams
    assert worker.network.asked.count(("adopt", shard)) == 1
