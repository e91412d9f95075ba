"""What stays when entries, groups or whole streams are lost, and what is never dropped."""

import asyncio
from typing import Any

import pytest

from streamdesk.bus import QueueFullError
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts.base import Consumer

GROUP = "workers"


async def published(desk: Any, topic: Any, ping: Any, count: int) -> list[str]:
    ids: list[str] = await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(count)])
    return ids


async def test_a_lost_group_resumes_after_what_it_had_finished(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    ids = await published(desk, topic, ping, 10)
    assert await backend.ensure_group(topic_keys, GROUP) == []
    taken = (await backend.take(topic_keys, GROUP, "c", 6)).entries
    done = [entry.held for entry in (*taken[:4], taken[5])]
    await backend.settle(topic_keys, GROUP, "c", done, [])
    await backend.trim(topic_keys, topic.keep)
    await desk.lose_group(topic)
    again = await backend.take(topic_keys, GROUP, "c", 100)
    assert [entry.id for entry in again.entries] == ids[4:], "from the fifth, which was pending"
    (recreated,) = again.recreated
    assert recreated.stream == topic_keys.streams[0]
    assert ids[3] <= recreated.cursor < ids[4]


async def test_a_lost_group_is_made_again_by_the_next_consumer_that_starts(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    ids = await published(desk, topic, ping, 5)
    await backend.ensure_group(topic_keys, GROUP)
    taken = (await backend.take(topic_keys, GROUP, "c", 3)).entries
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    await backend.trim(topic_keys, topic.keep)
    await desk.lose_group(topic)
    assert (await desk.lag(topic)).waiting == 2
    assert [message.entry_id for message in await desk.bus.waiting(topic, GROUP)] == ids[3:]
    (recreated,) = await backend.ensure_group(topic_keys, GROUP)
    assert recreated.cursor == ids[2]
    assert await backend.ensure_group(topic_keys, GROUP) == []
    again = await backend.take(topic_keys, GROUP, "c", 100)
    assert [entry.id for entry in again.entries] == ids[3:]


async def test_a_new_group_was_not_lost(desk: Any, priority_topic: Any, ping: Any) -> None:
    topic_keys, backend = keys_of(priority_topic), desk.bus._backend
    await desk.bus.publish(priority_topic, ping(text="x", score=50))
    assert await backend.ensure_group(topic_keys, GROUP) == []
    assert (await backend.take(topic_keys, GROUP, "c", 10)).recreated == []


async def test_a_group_lost_before_anything_was_saved_starts_at_the_first_entry(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    ids = await published(desk, topic, ping, 3)
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "c", 3)
    await desk.lose_group(topic)
    again = await backend.take(topic_keys, GROUP, "c", 10)
    assert [entry.id for entry in again.entries] == ids
    assert [recreated.cursor for recreated in again.recreated] == ["0-0"]


async def test_every_class_remembers_its_own_cursor(
    desk: Any, priority_topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(priority_topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    for score in (90, 90, 20, 20):
        await desk.bus.publish(priority_topic, ping(text=str(score), score=score))
    taken = (await backend.take(topic_keys, GROUP, "c", 3)).entries
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    await backend.trim(topic_keys, priority_topic.keep)
    await desk.lose_group(priority_topic)
    again = await backend.take(topic_keys, GROUP, "c", 100)
    assert [topic_keys.classes[entry.stream] for entry in again.entries] == [20]
    assert {recreated.stream for recreated in again.recreated} == set(topic_keys.streams)


async def test_a_stream_that_was_deleted_is_read_from_its_new_beginning(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await published(desk, topic, ping, 5)
    await backend.ensure_group(topic_keys, GROUP)
    taken = (await backend.take(topic_keys, GROUP, "c", 5)).entries
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    await backend.trim(topic_keys, topic.keep)
    await desk.lose_streams(topic)
    assert (await backend.take(topic_keys, GROUP, "c", 5)).entries == []
    ids = await published(desk, topic, ping, 2)
    assert [entry.id for entry in (await backend.take(topic_keys, GROUP, "c", 5)).entries] == ids


async def test_a_cursor_ahead_of_a_younger_stream_is_not_believed(
    server_desk: Any, topic: Any
) -> None:
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    key = topic_keys.streams[0]
    await server_desk.command("XADD", key, "900-5", "f", "v")
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "c", 1)
    await backend.settle(topic_keys, GROUP, "c", [(0, "900-5")], [])
    await backend.trim(topic_keys, topic.keep)
    await server_desk.command("DEL", key)
    await server_desk.command("XADD", key, "7-0", "f", "v")
    again = await backend.take(topic_keys, GROUP, "c", 10)
    assert [entry.id for entry in again.entries] == ["7-0"]
    assert [recreated.cursor for recreated in again.recreated] == ["0-0"]
    # The old cursor must not come back when the stream has grown beyond it.
    await server_desk.command("XADD", key, "2000-0", "f", "v")
    await server_desk.command("XGROUP", "DESTROY", key, GROUP)
    again = await backend.take(topic_keys, GROUP, "c", 10)
    assert [entry.id for entry in again.entries] == ["7-0", "2000-0"]


@pytest.mark.parametrize(
    ("pending", "cursor"),
    [("5-0", "4-18446744073709551615"), ("5-7", "5-6"), ("5-18446744073709551615", "0-0")],
)
async def test_the_cursor_is_the_id_before_the_oldest_pending_entry(
    server_desk: Any, topic: Any, pending: str, cursor: str
) -> None:
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    await server_desk.command("XADD", topic_keys.streams[0], pending, "f", "v")
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "c", 1)
    await backend.trim(topic_keys, topic.keep)
    saved = await server_desk.command("HGET", topic_keys.cursors(GROUP), topic_keys.streams[0])
    assert saved.decode() == cursor


async def test_a_group_that_the_topic_does_not_name_is_remembered_too(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    ids = await published(desk, topic, ping, 4)
    await backend.ensure_group(topic_keys, "visitors")
    taken = (await backend.take(topic_keys, "visitors", "c", 2)).entries
    await backend.settle(topic_keys, "visitors", "c", [entry.held for entry in taken], [])
    await backend.trim(topic_keys, topic.keep, "visitors")
    await desk.lose_group(topic, "visitors")
    (recreated,) = await backend.ensure_group(topic_keys, "visitors")
    assert recreated.cursor == ids[1]


async def test_a_running_consumer_whose_group_vanishes_misses_nothing(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")])
        await handler.has(2)
        await desk.settled(topic)
        await desk.lose_group(topic)
        await desk.bus.publish(topic, ping(text="c"))
        async with asyncio.timeout(30):
            while "c" not in handler.texts:
                await asyncio.sleep(0.01)
        await desk.settled(topic)
    assert set(handler.texts) == {"a", "b", "c"}


async def test_nothing_is_trimmed_while_a_group_is_missing(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(
        keep=1, consumers=(Consumer("worker", GROUP), Consumer("other", "latecomers"))
    )
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await published(desk, topic, ping, 10)
    await backend.ensure_group(topic_keys, GROUP)
    taken = (await backend.take(topic_keys, GROUP, "c", 10)).entries
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    assert await backend.trim(topic_keys, 1) == 0
    await backend.ensure_group(topic_keys, "latecomers")
    assert await backend.trim(topic_keys, 1) == 0
    assert len((await backend.take(topic_keys, "latecomers", "c", 100)).entries) == 10


async def test_what_a_group_that_no_topic_names_has_not_read_is_not_trimmed(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=2)
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await published(desk, topic, ping, 10)
    for group in (GROUP, "visitors"):
        await backend.ensure_group(topic_keys, group)
    await backend.settle(topic_keys, GROUP, "c", await took(backend, topic_keys, GROUP, 10), [])
    assert await backend.trim(topic_keys, topic.keep) == 0
    await backend.settle(
        topic_keys, "visitors", "v", await took(backend, topic_keys, "visitors", 4), []
    )
    assert await backend.trim(topic_keys, topic.keep) == 3, "all before the last one it has read"


async def took(backend: Any, topic_keys: Any, group: str, count: int) -> list[Any]:
    return [entry.held for entry in (await backend.take(topic_keys, group, "c", count)).entries]


async def test_the_length_of_a_stream_is_known_from_appending(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await published(desk, topic, ping, 3)
    assert backend.length(topic_keys, 0) == 3
    await published(desk, topic, ping, 4)
    assert backend.length(topic_keys, 0) == 7
    assert await backend.measure(topic_keys, 0) == 7


async def test_the_length_is_known_from_a_publish_within_a_limit(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(max_backlog=100)
    await published(desk, topic, ping, 3)
    assert desk.bus._backend.length(keys_of(topic), 0) == 3


async def test_a_stream_at_its_cap_takes_no_more_and_loses_nothing(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=2, hard_cap=20)
    ids = await published(desk, topic, ping, 20)
    with pytest.raises(QueueFullError, match="hard cap is 20") as refusal:
        await desk.bus.publish(topic, ping(text="too much"))
    assert (refusal.value.backlog, refusal.value.stream) == (20, topic.key)
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    taken = (await backend.take(topic_keys, GROUP, "c", 100)).entries
    assert [entry.id for entry in taken] == ids
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    while await backend.trim(topic_keys, topic.keep):
        pass
    await desk.bus.publish(topic, ping(text="room again"))


async def test_a_server_that_lost_its_scripts_and_its_group_hands_out_at_once(
    server_desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), server_desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    ids = await published(server_desk, topic, ping, 3)
    await server_desk.lose_group(topic)
    await server_desk.command("SCRIPT", "FLUSH")
    taken = await backend.take(topic_keys, GROUP, "c", 10)
    assert [entry.id for entry in taken.entries] == ids
    assert [recreated.cursor for recreated in taken.recreated] == ["0-0"]
