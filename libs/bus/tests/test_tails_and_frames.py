"""Reading along, and many events an entry; `desk` runs each test on all three servers."""

import asyncio
from typing import Any

from streamdesk.bus import (
    Dead,
    Retry,
)
from streamdesk.bus.topic_keys import keys_of


async def test_a_tail_sees_everything_once_and_takes_nothing_from_the_group(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    async def retry_once(message: Any) -> Retry | None:
        return Retry(0) if message.attempt == 1 else None

    handler, stop = recorder(retry_once), asyncio.Event()
    tail = desk.bus.tail(priority_topic, since="0", stop=stop)
    async with desk.consuming(priority_topic, handler):
        for i in range(20):
            await desk.bus.publish(priority_topic, ping(text=str(i), score=i * 5))
        await handler.has(40)
        await desk.settled(priority_topic)
        await desk.bus.publish(priority_topic, ping(text="end"))
        seen: list[str] = []
        async for message in tail:
            seen.append(message.event.text)
            if message.event.text == "end":
                stop.set()
    assert seen == [*(str(i) for i in range(20)), "end"]


async def test_a_tail_from_now_on_sees_only_what_comes(desk: Any, topic: Any, ping: Any) -> None:
    await desk.bus.publish(topic, ping(text="before"))
    stop, seen = asyncio.Event(), []
    tail = desk.bus.tail([topic], stop=stop)
    following = asyncio.create_task(anext(tail))
    while not following.done():
        await desk.bus.publish(topic, ping(text="after"))
        await asyncio.sleep(0.02)
    seen.append((await following).event.text)
    stop.set()
    assert seen == ["after"]


async def test_a_tail_reports_what_it_cannot_read_and_continues(
    desk: Any, topic: Any, ping: Any
) -> None:
    await desk.bus._backend.append(keys_of(topic), 0, [{b"junk": b"1"}], None)
    await desk.bus.publish(topic, ping(text="good"))
    tail = desk.bus.tail(topic, since="0")
    assert (await anext(tail)).event.text == "good"
    await tail.aclose()


async def test_a_tail_of_several_topics_keeps_the_order_of_each_whatever_ids_its_events_have(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    first, second = make_topic(), make_topic()
    ids = [f"{9_999 - i:08d}-0000-5000-8000-000000000000" for i in range(300)]  # ever smaller
    pings = [ping(text=str(i)) for i in range(300)]
    await desk.bus.publish_many(first, pings, event_ids=ids)
    await desk.bus.publish(second, ping(text="other"))
    tail = desk.bus.tail([first, second], since="0")
    seen = [(await anext(tail)).event.text for _ in range(301)]
    await tail.aclose()
    assert [text for text in seen if text != "other"] == [str(i) for i in range(300)]


async def test_a_frame_carries_many_events_in_one_entry(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame", consumers=())
    ids = await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(1200)])
    assert len(ids) == 1200
    (lag,) = await desk.bus.lag(topic)
    assert lag.length == 3
    tail = desk.bus.tail(topic, since="0")
    messages = [await anext(tail) for _ in range(1200)]
    await tail.aclose()
    assert [message.event.text for message in messages] == [str(i) for i in range(1200)]
    assert len({message.id for message in messages}) == 1200


async def test_a_failed_member_of_a_frame_is_retried_alone(
    desk: Any, make_topic: Any, ping: Any, recorder: Any
) -> None:
    topic = make_topic(mode="frame")

    async def fail_some(message: Any) -> Retry | Dead | None:
        if message.event.text == "3" and message.attempt == 1:
            return Retry(0)
        return Dead("ill") if message.event.text == "5" else None

    handler = recorder(fail_some)
    async with desk.consuming(topic, handler):
        await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(8)])
        await handler.has(9)
        await desk.settled(topic)
    assert sorted(handler.texts) == ["0", "1", "2", "3", "3", "4", "5", "6", "7"]
    (dead,) = await desk.bus.dead(topic)
    assert dead.letter.body == '{"text":"5","score":0.0}'
    healed = recorder()
    assert (await desk.bus.redrive(topic)).redriven == 1
    async with desk.consuming(topic, healed):
        await healed.has(1)
    assert healed.texts == ["5"]


async def test_a_bad_member_of_a_frame_dies_alone(
    desk: Any, make_topic: Any, recorder: Any
) -> None:
    topic = make_topic(mode="frame")
    body = b'[{"text": "a"}, {"score": 1}, {"text": "c"}]'
    frame = {b"t": b"Ping", b"v": b"2", b"id": b"f", b"at": b"1", b"n": b"3", b"b": body}
    await desk.bus._backend.append(keys_of(topic), 0, [frame], None)
    handler = recorder()
    async with desk.consuming(topic, handler):
        await handler.has(2)
        await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert sorted(handler.texts) == ["a", "c"]
    assert (dead.letter.event_id, dead.letter.body) == ("f/1", '{"score": 1}')
