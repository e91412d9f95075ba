"""Events published for later, and events published twice."""

import asyncio
from typing import Any

import pytest

from streamdesk.bus import (
    Bus,
    BusConfig,
    BusConfigError,
    BusUnavailableError,
    QueueFullError,
    Retry,
)
from streamdesk.bus.backends.records import SCHEDULED
from streamdesk.bus.publishing.encoding import encode_all
from streamdesk.bus.topic_keys import keys_of, shard_keys, shard_of
from streamdesk.contracts.base import Consumer

GROUP = "workers"
HOUR_MS = 3_600_000


def fields_of(topic: Any, ping: Any, text: str, event_id: str | None = None) -> Any:
    (fields,) = encode_all(topic, [ping(text=text)], None, [event_id])
    return fields


async def test_a_delayed_event_waits_is_counted_and_comes(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    assert await desk.bus.publish(topic, ping(text="later"), delay_seconds=0.3) == ""
    lag = await desk.lag(topic)
    assert (lag.delayed, lag.waiting, lag.length) == (1, 0, 0)
    async with desk.consuming(topic, handler):
        await desk.bus.publish(topic, ping(text="now"))
        await handler.has(2)
        await desk.settled(topic)
    assert handler.texts == ["now", "later"]
    assert handler.seen[1].attempt == 1


async def test_a_delayed_event_comes_to_every_group(
    desk: Any, make_topic: Any, ping: Any, recorder: Any
) -> None:
    topic = make_topic(consumers=(Consumer("worker", GROUP), Consumer("other", "others")))
    first, second, stop = recorder(), recorder(), asyncio.Event()
    other = asyncio.create_task(desk.bus.subscribe(topic, "others", second).run(stop))
    async with desk.consuming(topic, first):
        await desk.bus.publish(topic, ping(text="for both"), delay_seconds=0.01)
        await asyncio.gather(first.has(1), second.has(1))
        await desk.settled(topic)
    stop.set()
    await other
    assert (first.texts, second.texts) == (["for both"], ["for both"])


async def test_what_is_due_comes_in_the_order_of_its_time(desk: Any, topic: Any, ping: Any) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    for text, delay_ms in (("third", -1_000), ("first", -3_000), ("second", -2_000)):
        await backend.schedule(topic_keys, 0, fields_of(topic, ping, text), delay_ms)
    await backend.take(topic_keys, GROUP, "c", 1)
    waiting = [message.event.text for message in await desk.bus.waiting(topic, GROUP)]
    assert waiting == ["second", "third"]


async def test_a_delayed_event_goes_into_its_class(
    desk: Any, priority_topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with desk.consuming(priority_topic, handler):
        await desk.bus.publish(priority_topic, ping(text="x", score=70), delay_seconds=0.01)
        await handler.has(1)
    assert handler.seen[0].priority == 70


async def test_a_delayed_event_that_is_sent_again_is_there_once(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    fields = fields_of(topic, ping, "x", "derived-1")
    assert await backend.schedule(topic_keys, 0, fields, HOUR_MS) is True
    assert await backend.schedule(topic_keys, 0, fields, HOUR_MS) is False
    assert (await desk.lag(topic)).delayed == 1


async def test_a_delayed_event_is_found_while_it_waits_and_when_it_has_come(
    desk: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    since_ms = await backend.now_ms() - 1_000
    await backend.schedule(topic_keys, 0, fields_of(topic, ping, "x", "late"), HOUR_MS)
    await backend.schedule(topic_keys, 0, fields_of(topic, ping, "y", "soon"), 0)
    (entry,) = (await backend.take(topic_keys, GROUP, "c", 10)).entries
    found = await backend.find(topic_keys, 0, since_ms, ["late", "soon", "never"])
    assert found == [SCHEDULED, entry.id, ""]


async def test_delayed_events_and_retries_share_one_clock(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def once_more(message: Any) -> Retry | None:
        return Retry(0.2) if message.event.text == "retry" and message.attempt == 1 else None

    handler = recorder(once_more)
    async with desk.consuming(topic, handler, concurrency=1):
        await desk.bus.publish(topic, ping(text="retry"))
        await handler.has(1)
        await desk.bus.publish(topic, ping(text="planned"), delay_seconds=0.01)
        await handler.has(3)
        await desk.settled(topic)
    assert handler.texts == ["retry", "planned", "retry"]


async def test_a_delay_without_a_group_is_refused(desk: Any, make_topic: Any, ping: Any) -> None:
    topic = make_topic(consumers=())
    with pytest.raises(BusConfigError, match="no consumer group"):
        await desk.bus.publish(topic, ping(text="x"), delay_seconds=0.5)
    await desk.bus.publish(topic, ping(text="x"), delay_seconds=0.0)


async def test_delayed_events_count_towards_the_limit(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(max_backlog=2)
    await desk.bus.publish(topic, ping(text="1"), delay_seconds=60)
    await desk.bus.publish(topic, ping(text="2"))
    for delay_seconds in (0.0, 60.0):
        with pytest.raises(QueueFullError):
            await desk.bus.publish(topic, ping(text="3"), delay_seconds=delay_seconds)
    lag = await desk.lag(topic)
    assert (lag.delayed, lag.waiting) == (1, 1)


async def test_a_delayed_event_stays_in_its_shard(desk: Any, make_topic: Any, ping: Any) -> None:
    topic = make_topic(shards=4)
    await desk.bus.publish(topic, ping(text="AAPL.US"), delay_seconds=60)
    topic_keys = shard_keys(topic, shard_of("AAPL.US", 4))
    state = await desk.bus._backend.group_state(topic_keys, GROUP)
    assert state.delayed == 1
    assert (await desk.lag(topic)).delayed == 1


async def test_an_event_id_that_comes_twice_within_the_window_is_written_once(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60)
    first = await desk.bus.publish(topic, ping(text="x"), event_id="one")
    again = await desk.bus.publish(topic, ping(text="x"), event_id="one")
    other = await desk.bus.publish(topic, ping(text="x"), event_id="two")
    assert again == first != other
    assert (await desk.lag(topic)).length == 2


async def test_an_event_id_twice_in_one_batch_is_written_once(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60)
    events = [ping(text=text) for text in "abcd"]
    ids = await desk.bus.publish_many(topic, events, event_ids=["1", "2", "1", None])
    assert ids[0] == ids[2]
    assert len(set(ids)) == (await desk.lag(topic)).length == 3


async def test_after_the_window_an_event_id_is_written_again(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=0.05)
    first = await desk.bus.publish(topic, ping(text="x"), event_id="one")
    async with asyncio.timeout(30):
        while await desk.bus.publish(topic, ping(text="x"), event_id="one") == first:
            await asyncio.sleep(0.01)
    assert (await desk.lag(topic)).length == 2


async def test_without_a_window_an_event_id_may_be_written_twice(
    desk: Any, topic: Any, ping: Any
) -> None:
    first = await desk.bus.publish(topic, ping(text="x"), event_id="one")
    assert await desk.bus.publish(topic, ping(text="x"), event_id="one") != first


async def test_a_repeated_event_id_is_not_refused_by_a_full_queue(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60, max_backlog=2)
    ids = await desk.bus.publish_many(topic, [ping(text="a"), ping(text="b")], event_ids=["a", "b"])
    assert await desk.bus.publish(topic, ping(text="a"), event_id="a") == ids[0]
    with pytest.raises(QueueFullError):
        await desk.bus.publish_many(topic, [ping(text="a"), ping(text="c")], event_ids=["a", "c"])
    assert (await desk.lag(topic)).length == 2


async def test_many_publishers_of_one_event_id_write_one_entry(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60)
    ids = await asyncio.gather(
        *(desk.bus.publish(topic, ping(text="x"), event_id="one") for _ in range(50))
    )
    assert len(set(ids)) == 1
    assert (await desk.lag(topic)).length == 1


async def test_an_event_that_waits_for_its_time_is_not_published_before_it(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60)
    await desk.bus.publish(topic, ping(text="x"), event_id="one", delay_seconds=60)
    assert await desk.bus.publish(topic, ping(text="x"), event_id="one") == ""
    lag = await desk.lag(topic)
    assert (lag.delayed, lag.length) == (1, 0)


async def test_a_window_on_a_topic_without_groups_keeps_a_bounded_length(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60, keep=100, consumers=())
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(2_000)])
    (lag,) = await desk.bus.lag(topic)
    assert 100 <= lag.length < 400


@pytest.mark.parametrize("binary", [None, "redis-server"], ids=["valkey", "redis"])
async def test_a_delayed_event_survives_a_restart_of_the_server(
    start_server: Any, topic: Any, ping: Any, recorder: Any, binary: str | None
) -> None:
    server = start_server(binary)
    handler, stop = recorder(), asyncio.Event()
    config = BusConfig(url=server.url, service="test", socket_timeout_seconds=0.5)
    async with Bus.connect(config) as bus:
        await bus.publish(topic, ping(text="later"), delay_seconds=0.5)
        await asyncio.to_thread(server.stop)
        await asyncio.to_thread(server.start)
        consumer = asyncio.create_task(bus.subscribe(topic, GROUP, handler).run(stop))
        await handler.has(1)
        stop.set()
        await consumer
    assert handler.texts == ["later"]


@pytest.mark.parametrize("comes_meanwhile", [False, True])
async def test_a_delayed_publish_whose_answer_was_lost_is_there_once(
    desk: Any, topic: Any, ping: Any, monkeypatch: pytest.MonkeyPatch, *, comes_meanwhile: bool
) -> None:
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    schedule, calls = backend.schedule, 0

    async def lose_the_first_answer(*words: Any, **options: Any) -> bool:
        nonlocal calls
        calls += 1
        done: bool = await schedule(*words, **options)
        if calls == 1:
            if comes_meanwhile:
                await asyncio.sleep(0.01)
                await backend.take(topic_keys, GROUP, "c", 1)
            raise BusUnavailableError("the answer was lost")
        return done

    monkeypatch.setattr(backend, "schedule", lose_the_first_answer)
    await desk.bus.publish(topic, ping(text="x"), delay_seconds=0.001 if comes_meanwhile else 60)
    lag = await desk.lag(topic)
    assert calls == 1
    assert (lag.delayed, lag.length) == ((0, 1) if comes_meanwhile else (1, 0))
