"""What the bus says about a group is so, also where the server's own numbers are not."""

import asyncio
import random
from typing import Any

import pytest

from streamdesk.bus import BusConfigError, QueueFullError, StreamLag
from streamdesk.bus.topic_keys import keys_of
from streamdesk.bus.watching.lag import ACTIVE_SECONDS, ConsumerHealth

GROUP = "workers"


class Group:
    """A group on a stream whose entries are called `1-0`, `2-0` and so on."""

    def __init__(self, desk: Any, topic: Any) -> None:
        self.desk = desk
        self.topic_keys = keys_of(topic)
        self.backend = desk.bus._backend
        self.key = self.topic_keys.streams[0]
        self.next = 1

    async def add(self, count: int) -> None:
        words = [("XADD", self.key, f"{self.next + i}-0", "f", "v") for i in range(count)]
        await self.backend._many(words)
        self.next += count

    async def read(self, count: int) -> list[str]:
        await self.backend.ensure_group(self.topic_keys, GROUP)
        taken = (await self.backend.take(self.topic_keys, GROUP, "c", count)).entries
        await self.backend.settle(self.topic_keys, GROUP, "c", [entry.held for entry in taken], [])
        return [entry.id for entry in taken]

    async def waiting(self) -> int:
        state = await self.backend.group_state(self.topic_keys, GROUP)
        return int(state.streams[0].waiting)

    async def truth(self) -> int:
        """Entries after the last one that was given out, counted one by one."""
        (row,) = await self.rows() or ({b"last-delivered-id": b"0-0"},)
        after = b"(" + row[b"last-delivered-id"]
        return len(await self.desk.command("XRANGE", self.key, after, "+"))

    async def rows(self) -> list[dict[bytes, Any]]:
        """XINFO GROUPS."""
        flat = await self.desk.command("XINFO", "GROUPS", self.key)
        return [dict(zip(row[::2], row[1::2], strict=True)) for row in flat]

    async def is_right(self) -> int:
        waiting = await self.waiting()
        assert waiting == await self.truth()
        return waiting


@pytest.fixture
def group(server_desk: Any, topic: Any) -> Group:
    return Group(server_desk, topic)


async def test_lag_of_a_group_that_never_read_is_what_is_there(group: Group) -> None:
    await group.add(100)
    assert await group.waiting() == 100
    await group.desk.command("XTRIM", group.key, "MAXLEN", 40)
    assert await group.waiting() == 40
    await group.desk.command("XDEL", group.key, "80-0")
    assert await group.waiting() == 39
    await group.backend.ensure_group(group.topic_keys, GROUP)
    assert await group.is_right() == 39


async def test_lag_is_right_after_xtrim_of_what_was_read(group: Group) -> None:
    await group.add(100)
    await group.read(60)
    await group.desk.command("XTRIM", group.key, "MAXLEN", 50)
    assert await group.is_right() == 40


async def test_lag_is_right_after_xtrim_of_what_was_not_read(group: Group) -> None:
    await group.add(100)
    await group.read(10)
    await group.desk.command("XTRIM", group.key, "MAXLEN", 50)
    assert await group.is_right() == 50
    await group.read(10)
    assert await group.is_right() == 40, "Redis 7.0 says 80, and never finds out"
    await group.read(100)
    await group.add(3)
    assert await group.is_right() == 3


async def test_lag_is_right_after_xdel_of_what_was_not_read(group: Group) -> None:
    await group.add(20)
    await group.read(5)
    await group.desk.command("XDEL", group.key, "8-0", "12-0")
    assert await group.is_right() == 13
    await group.read(4)
    assert await group.is_right() == 9
    await group.read(6)
    assert await group.is_right() == 3
    await group.add(1)
    assert await group.is_right() == 4


async def test_lag_is_right_after_xdel_of_everything(group: Group) -> None:
    await group.add(5)
    await group.read(2)
    await group.desk.command("XDEL", group.key, *(f"{n}-0" for n in range(1, 6)))
    assert await group.is_right() == 0
    await group.add(2)
    assert await group.is_right() == 2


async def test_lag_is_right_after_xsetid_of_the_last_id(group: Group) -> None:
    await group.add(10)
    await group.read(4)
    await group.desk.command("XSETID", group.key, "500-0")
    assert await group.is_right() == 6
    await group.read(100)
    assert await group.is_right() == 0


@pytest.mark.parametrize("added", [10, 40, 5_000])
async def test_lag_is_right_after_xsetid_of_the_entries_added(group: Group, added: int) -> None:
    await group.add(40)
    await group.read(35)
    await group.desk.command("XTRIM", group.key, "MAXLEN", 10)
    await group.desk.command("XSETID", group.key, "500-0", "ENTRIESADDED", added)
    assert await group.is_right() == 5


async def test_lag_is_right_for_a_group_that_was_set_into_the_middle(group: Group) -> None:
    await group.add(50)
    await group.backend.ensure_group(group.topic_keys, GROUP)
    await group.desk.command("XGROUP", "SETID", group.key, GROUP, "20-0")
    assert await group.is_right() == 30


async def test_lag_is_right_for_a_group_that_was_lost(group: Group, topic: Any) -> None:
    await group.add(50)
    await group.read(20)
    await group.backend.trim(group.topic_keys, 1_000)
    await group.desk.lose_group(topic)
    assert await group.waiting() == 30


@pytest.mark.parametrize("seed", range(4))
async def test_lag_is_right_after_anything_that_can_be_done_to_a_stream(
    group: Group, seed: int
) -> None:
    dice = random.Random(seed)
    await group.backend.ensure_group(group.topic_keys, GROUP)

    async def delete() -> None:
        await group.desk.command("XDEL", group.key, f"{dice.randint(1, group.next)}-0")

    async def shorten() -> None:
        await group.desk.command("XTRIM", group.key, "MAXLEN", dice.randint(0, 60))

    async def jump() -> None:
        group.next += dice.randint(1, 5)
        await group.add(1)
        await group.desk.command("XSETID", group.key, f"{group.next + 3}-0")
        group.next += 10

    async def set_back() -> None:
        position = f"{dice.randint(0, group.next)}-0"
        await group.desk.command("XGROUP", "SETID", group.key, GROUP, position)

    async def keep_house() -> None:
        await group.backend.trim(group.topic_keys, dice.randint(0, 80))

    deeds = [delete, shorten, jump, set_back, keep_house, keep_house]
    for _ in range(150):
        await group.add(dice.randint(1, 15))
        await group.read(dice.randint(1, 12))
        await dice.choice(deeds)()
        await group.is_right()


async def test_the_servers_own_lag_is_set_right_by_housekeeping(group: Group) -> None:
    await group.add(100)
    await group.read(10)
    await group.desk.command("XTRIM", group.key, "MAXLEN", 50)
    await group.read(10)
    await group.backend.trim(group.topic_keys, 1_000)
    (row,) = await group.rows()
    assert row[b"lag"] == 40
    await group.read(40)
    await group.add(7)
    (row,) = await group.rows()
    assert (row[b"lag"], await group.is_right()) == (7, 7)


async def test_housekeeping_gives_a_lost_groups_lag_back(group: Group, topic: Any) -> None:
    await group.add(50)
    await group.read(20)
    await group.backend.trim(group.topic_keys, 1_000)
    await group.desk.lose_group(topic)
    await group.backend.ensure_group(group.topic_keys, GROUP)
    await group.backend.trim(group.topic_keys, 1_000)
    (row,) = await group.rows()
    assert row[b"lag"] == 30


async def test_far_from_both_ends_lag_is_between_what_was_counted(group: Group) -> None:
    await group.add(30_000)
    await group.backend.ensure_group(group.topic_keys, GROUP)
    await group.desk.command("XGROUP", "SETID", group.key, GROUP, "15000-0")
    await group.desk.command("XDEL", group.key, "20000-0")
    assert 5_000 <= await group.waiting() <= 25_000
    await group.desk.command("XGROUP", "SETID", group.key, GROUP, "26000-0")
    assert await group.is_right() == 4_000
    await group.desk.command("XGROUP", "SETID", group.key, GROUP, "4000-0")
    assert await group.is_right() == 25_999, "counted from the nearer end"


async def test_a_limit_counts_what_is_there_after_xtrim(
    server_desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(max_backlog=10)
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    await server_desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(10)])
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "c", 1)
    await server_desk.command("XTRIM", topic.key, "MAXLEN", 3)
    await server_desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(6)])
    with pytest.raises(QueueFullError) as refusal:
        await server_desk.bus.publish(topic, ping(text="too much"))
    assert refusal.value.backlog == 10


async def test_lag_says_where_each_class_stands(desk: Any, priority_topic: Any, ping: Any) -> None:
    topic_keys, backend = keys_of(priority_topic), desk.bus._backend
    for score in (90, 90, 20):
        await desk.bus.publish(priority_topic, ping(text="x", score=score))
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "c", 1)
    lag = await desk.lag(priority_topic)
    stands = {stream.key.rpartition(":")[2]: stream for stream in lag.streams}
    assert [stream.key for stream in lag.streams] == list(topic_keys.streams)
    assert stands["90"] == StreamLag(topic_keys.streams[1], length=2, waiting=1, pending=1)
    assert stands["20"] == StreamLag(topic_keys.streams[8], length=1, waiting=1, pending=0)
    assert (lag.waiting, lag.pending, lag.length) == (2, 1, 3)


async def test_a_consumer_that_only_waits_is_active(
    desk: Any, priority_topic: Any, recorder: Any
) -> None:
    async with desk.consuming(priority_topic, recorder()) as subscription:
        async with asyncio.timeout(30):
            while not (health := await desk.bus.consumers(priority_topic, GROUP)):
                await asyncio.sleep(0.01)
        lag = await desk.lag(priority_topic)
    assert [(row.name, row.pending, row.active) for row in health] == [
        (subscription.consumer, 0, True)
    ]
    assert (lag.consumers, lag.active_consumers) == (1, 1)
    assert await desk.bus.consumers(priority_topic, GROUP) == []


async def idle_for_a_while(desk: Any, topic: Any) -> ConsumerHealth:
    """The only consumer, once the server has not heard of it for 0.2 s."""
    health: ConsumerHealth
    async with asyncio.timeout(30):
        while True:
            (health,) = await desk.bus.consumers(topic, GROUP)
            if health.idle_seconds >= 0.2:
                return health
            await asyncio.sleep(0.02)


async def test_looking_in_vain_is_a_sign_of_life(desk: Any, topic: Any) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "idle", 1)
    before = await idle_for_a_while(desk, topic)
    await backend.take(topic_keys, GROUP, "idle", 1)
    (after,) = await desk.bus.consumers(topic, GROUP)
    assert after.idle_seconds < before.idle_seconds


async def test_renewing_is_a_sign_of_life(desk: Any, topic: Any, ping: Any) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await desk.bus.publish(topic, ping(text="slow"))
    await backend.ensure_group(topic_keys, GROUP)
    (entry,) = (await backend.take(topic_keys, GROUP, "busy", 1)).entries
    before = await idle_for_a_while(desk, topic)
    await backend.renew(topic_keys, GROUP, "busy", {entry.held: 1})
    (after,) = await desk.bus.consumers(topic, GROUP)
    assert after.idle_seconds < before.idle_seconds
    assert (after.name, after.pending) == ("busy", 1)


async def test_a_consumer_that_was_not_seen_for_long_is_not_active(
    desk: Any, topic: Any, ping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await desk.bus.publish(topic, ping(text="left"))
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "died", 1)
    monkeypatch.setattr("streamdesk.bus.watching.lag.ACTIVE_SECONDS", 0.0)
    (dead,) = await desk.bus.consumers(topic, GROUP)
    lag = await desk.lag(topic)
    assert (dead.pending, dead.active) == (1, False)
    assert (lag.consumers, lag.active_consumers) == (1, 0)
    assert ACTIVE_SECONDS == 10


async def test_what_a_group_has_not_finished_is_all_that_waits_is_pending_or_delayed(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    assert await desk.bus.unfinished(topic, "workers") == 0
    await desk.bus.publish(topic, ping(text="one"))
    await desk.bus.publish(topic, ping(text="later"), delay_seconds=3_600)
    assert await desk.bus.unfinished(topic, "workers") == 2
    held = asyncio.Event()

    async def hold(_message: Any) -> None:
        await held.wait()

    handler = recorder(hold)
    async with desk.consuming(topic, handler):
        await handler.has(1)
        assert await desk.bus.unfinished(topic, "workers") == 2, "pending ones count"
        held.set()
    assert await desk.bus.unfinished(topic, "workers") == 1


async def test_the_newest_entry_is_known_of_a_topic_with_one_stream(
    desk: Any, topic: Any, priority_topic: Any, ping: Any
) -> None:
    assert await desk.bus.newest_entry(topic) == "0-0"
    entry = await desk.bus.publish(topic, ping(text="one"))
    assert await desk.bus.newest_entry(topic) == entry
    with pytest.raises(BusConfigError, match="11 streams; expected one"):
        await desk.bus.newest_entry(priority_topic)
