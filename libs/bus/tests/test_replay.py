"""A stretch of the past, read again."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, BusConfigError, Retry
from streamdesk.bus.topic_keys import keys_of

GROUP = "workers"


async def texts(replay: Any) -> list[str]:
    return [message.event.text async for message in replay]


async def test_a_replay_reads_everything_and_ends(desk: Any, topic: Any, ping: Any) -> None:
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(1_200)])
    assert await texts(desk.bus.replay(topic, "0")) == [str(i) for i in range(1_200)]


async def test_a_replay_leaves_out_what_is_published_meanwhile(
    desk: Any, topic: Any, ping: Any
) -> None:
    await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")])
    replay = desk.bus.replay(topic, "0")
    seen = [(await anext(replay)).event.text]
    await desk.bus.publish(topic, ping(text="c"))
    assert seen + await texts(replay) == ["a", "b"]


async def test_both_ends_of_a_replay_are_included(desk: Any, topic: Any, ping: Any) -> None:
    ids = await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(10)])
    assert await texts(desk.bus.replay(topic, ids[3], ids[5])) == ["3", "4", "5"]
    assert await texts(desk.bus.replay(topic, ids[8])) == ["8", "9"]


async def test_a_replay_goes_from_one_time_to_another(desk: Any, topic: Any, ping: Any) -> None:
    marks: list[datetime] = []
    for text in ("before", "inside", "after"):
        await desk.bus.publish(topic, ping(text=text))
        await asyncio.sleep(0.005)
        now_ms = await desk.bus._backend.now_ms()
        marks.append(datetime.fromtimestamp(now_ms / 1000, UTC))
        await asyncio.sleep(0.005)
    assert await texts(desk.bus.replay(topic, marks[0], marks[1])) == ["inside"]
    assert await texts(desk.bus.replay(topic, marks[1])) == ["after"]
    day = timedelta(days=1)
    assert await texts(desk.bus.replay(topic, marks[2] + day)) == []
    assert await texts(desk.bus.replay(topic, datetime(1969, 1, 1, tzinfo=UTC), marks[0])) == [
        "before"
    ]


async def test_classes_are_replayed_in_the_order_of_time(
    desk: Any, priority_topic: Any, ping: Any
) -> None:
    for i in range(60):
        await desk.bus.publish(priority_topic, ping(text=str(i), score=(i * 37) % 100))
    replay = [message async for message in desk.bus.replay(priority_topic, "0")]
    assert [message.event.text for message in replay] == [str(i) for i in range(60)]
    assert replay[1].priority == 30


async def test_shards_are_replayed_in_the_order_of_time(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(shards=3)
    for i in range(40):
        await desk.bus.publish(topic, ping(text=str(i)))
    assert await texts(desk.bus.replay(topic, "0")) == [str(i) for i in range(40)]
    streams = (await desk.lag(topic)).streams
    assert all(stream.length for stream in streams)


async def test_a_replay_touches_no_group_and_sees_no_retries(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def once_more(message: Any) -> Retry | None:
        return Retry(0) if message.attempt == 1 else None

    handler = recorder(once_more)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")])
        await handler.has(4)
        before = await desk.settled(topic)
    assert await texts(desk.bus.replay(topic, "0")) == ["a", "b"]
    after = await desk.lag(topic)
    assert (after.waiting, after.pending, after.length) == (0, 0, before.length)


async def test_a_replay_skips_what_it_cannot_read(desk: Any, topic: Any, ping: Any) -> None:
    await desk.bus._backend.append(keys_of(topic), 0, [{b"junk": b"1"}], None)
    await desk.bus.publish(topic, ping(text="good"))
    assert await texts(desk.bus.replay(topic, "0")) == ["good"]


async def test_a_replay_of_nothing_is_empty(desk: Any, topic: Any) -> None:
    assert await texts(desk.bus.replay(topic, "0")) == []


async def test_the_members_of_a_frame_are_replayed_one_by_one(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame")
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(700)])
    assert await texts(desk.bus.replay(topic, "0")) == [str(i) for i in range(700)]


@pytest.mark.parametrize(
    ("since", "until", "message"),
    [
        ("yesterday", None, "since is 'yesterday'"),
        ("0", "5-x", "until is '5-x'"),
        (datetime(2026, 1, 1), None, "without a time zone"),  # noqa: DTZ001 - the mistake
    ],
)
async def test_a_point_in_time_that_is_none_is_refused(
    desk: Any, topic: Any, since: Any, until: Any, message: str
) -> None:
    with pytest.raises(BusConfigError, match=message):
        await anext(desk.bus.replay(topic, since, until))


@pytest.mark.parametrize("kind", ["frozen", "stopped"])
async def test_a_replay_resumes_after_an_outage(
    start_server: Callable[..., Any], topic: Any, ping: Any, kind: str
) -> None:
    server = start_server()
    config = BusConfig(url=server.url, service="test", socket_timeout_seconds=0.5)
    async with Bus.connect(config) as bus:
        await bus.publish_many(topic, [ping(text=str(i)) for i in range(1_000)])
        replay = bus.replay(topic, "0")
        seen = [(await anext(replay)).event.text for _ in range(500)]
        if kind == "frozen":
            server.freeze()
        else:
            await asyncio.to_thread(server.stop)
        following = asyncio.ensure_future(anext(replay))
        async with asyncio.timeout(30):
            while bus.connected:
                await asyncio.sleep(0.01)
        if kind == "frozen":
            server.thaw()
        else:
            await asyncio.to_thread(server.start)
        seen.append((await following).event.text)
        seen += await texts(replay)
    assert seen == [str(i) for i in range(1_000)]
