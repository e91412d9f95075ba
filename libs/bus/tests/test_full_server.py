"""A server at its memory limit: readers continue, writers get an error, nothing is lost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, RetryPolicy, ServerFullError
from streamdesk.bus.backends.records import Entry, Failure, Step
from streamdesk.bus.topic_keys import keys_of

GROUP = "workers"


@pytest.fixture(params=[None, "redis-server"], ids=["valkey", "redis"])
async def bus(
    request: pytest.FixtureRequest, start_server: Callable[..., Any]
) -> AsyncIterator[Bus]:
    server = start_server(request.param)
    config = BusConfig(
        url=server.url, service="test", retry=RetryPolicy(base_seconds=0.01, cap_seconds=0.05)
    )
    async with Bus.connect(config) as bus:
        yield bus


async def set_full(bus: Bus, *, full: bool) -> None:
    await bus._backend._command("CONFIG", "SET", "maxmemory", int(full))  # type: ignore[attr-defined] # the Redis backend


async def test_what_is_due_stays_delayed_while_there_is_no_memory(
    bus: Any, topic: Any, ping: Any
) -> None:
    topic_keys, backend = keys_of(topic), bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    await bus.publish(topic, ping(text="retry"))
    (entry,) = (await backend.take(topic_keys, GROUP, "c", 1)).entries
    delay = Failure(entry.held, (Step("delay", 0, entry.fields, 1),))
    assert await backend.settle(topic_keys, GROUP, "c", [], [delay]) == ["written"]
    await bus.publish(topic, ping(text="planned"), delay_seconds=0.001)
    await bus.publish(topic, ping(text="waits"))
    await asyncio.sleep(0.02)
    await set_full(bus, full=True)
    taken = await backend.take(topic_keys, GROUP, "c", 10)
    assert len(taken.entries) == 1, "what is there already is handed out"
    assert taken.next_due_ms >= 1_000, "and the server is not asked at once again"
    (lag,) = await bus.lag(topic)
    assert (lag.delayed, lag.waiting) == (2, 0)
    await set_full(bus, full=False)
    assert len((await backend.take(topic_keys, GROUP, "c", 10)).entries) == 2


async def test_acks_continue_and_failures_stay_pending(bus: Any, topic: Any, ping: Any) -> None:
    topic_keys, backend = keys_of(topic), bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    await bus.publish_many(topic, [ping(text=text) for text in "abc"])
    good, bad, stolen = (await backend.take(topic_keys, GROUP, "c", 3)).entries
    await backend.forget(topic_keys, GROUP, "thief")
    failures = [
        Failure(entry.held, (Step("add", 0, entry.fields), Step("dead", 0, entry.fields)))
        for entry in (bad, stolen)
    ]
    await set_full(bus, full=True)
    refused = await backend.settle(topic_keys, GROUP, "c", [good.held], failures)
    assert refused == ["refused", "refused"]
    (lag,) = await bus.lag(topic)
    assert (lag.pending, lag.dead, lag.length) == (2, 0, 3)
    await set_full(bus, full=False)
    assert len(await backend.reclaim(topic_keys, GROUP, "thief", 0, 1)) == 1
    assert await backend.settle(topic_keys, GROUP, "c", [], failures) == ["lost", "written"]
    (lag,) = await bus.lag(topic)
    assert (lag.pending, lag.dead, lag.length) == (1, 1, 4)


async def test_a_publish_is_refused_and_has_written_nothing(
    bus: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(dedup_window_seconds=60, max_backlog=10)
    await set_full(bus, full=True)
    for delay_seconds in (0.0, 1.0):
        with pytest.raises(ServerFullError):
            await bus.publish(topic, ping(text="x"), event_id="x", delay_seconds=delay_seconds)
    await set_full(bus, full=False)
    (lag,) = await bus.lag(topic)
    assert (lag.length, lag.delayed) == (0, 0)
    assert await bus.publish(topic, ping(text="x"), event_id="x"), "the id is not remembered"


async def test_housekeeping_makes_room_on_a_full_server(
    bus: Any, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(keep=5)
    topic_keys, backend = keys_of(topic), bus._backend
    ids = await bus.publish_many(topic, [ping(text=str(i)) for i in range(50)])
    await backend.ensure_group(topic_keys, GROUP)
    taken = (await backend.take(topic_keys, GROUP, "c", 50)).entries
    await backend.settle(topic_keys, GROUP, "c", [entry.held for entry in taken], [])
    await set_full(bus, full=True)
    assert await backend.trim(topic_keys, 5) == 45
    await set_full(bus, full=False)
    await bus._backend._command("XGROUP", "DESTROY", topic.key, GROUP)
    await backend.trim(topic_keys, 5)
    (recreated,) = await backend.ensure_group(topic_keys, GROUP)
    assert recreated.cursor == ids[-1], "a trim has written already when the cursor is saved"


@pytest.mark.parametrize("classes", [(), (0, 50)])
async def test_a_group_that_is_lost_on_a_full_server_is_made_again_or_nothing_would_make_room(
    bus: Any, make_topic: Any, ping: Any, classes: tuple[int, ...]
) -> None:
    topic = make_topic(classes=classes, class_field="score")
    topic_keys, backend = keys_of(topic), bus._backend
    await bus.publish(topic, ping(text="x"))
    await backend.ensure_group(topic_keys, GROUP)
    await set_full(bus, full=True)
    for key in topic_keys.streams:
        await backend._command("XGROUP", "DESTROY", key, GROUP)
    assert len(await backend.ensure_group(topic_keys, GROUP)) == len(topic_keys.streams)
    for key in topic_keys.streams:
        await backend._command("XGROUP", "DESTROY", key, GROUP)
    entries: list[Entry] = []
    while not entries:
        entries = (await backend.take(topic_keys, GROUP, "c", 1)).entries
    await set_full(bus, full=False)


async def test_a_dead_letter_goes_back_on_a_full_server(bus: Any, topic: Any) -> None:
    topic_keys, backend = keys_of(topic), bus._backend
    dead_id = await backend._command("XADD", topic_keys.dead, "*", "f", "v")
    await set_full(bus, full=True)
    fields = {b"id": b"x", b"t": b"Ping"}
    entry_id = await backend.redrive(topic_keys, dead_id.decode(), 0, fields)
    await set_full(bus, full=False)
    assert entry_id, "it makes as much room as it takes"
    assert await backend.dead_count(topic_keys) == 0


async def test_a_running_consumer_outlives_a_full_server(
    bus: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def fail_once(message: Any) -> None:
        if message.attempt == 1:
            raise ValueError("once")

    handler, stop = recorder(fail_once), asyncio.Event()
    await bus.publish_many(topic, [ping(text=str(i)) for i in range(5)])
    await set_full(bus, full=True)
    # First the retries of what was taken cannot be written, then what is due cannot be moved.
    task = asyncio.create_task(bus.subscribe(topic, GROUP, handler).run(stop))
    await handler.has(5)
    await asyncio.sleep(0.1)
    assert len(handler.seen) == 5
    await set_full(bus, full=False)
    await handler.has(6)
    await set_full(bus, full=True)
    await asyncio.sleep(0.2)
    assert not task.done()
    await set_full(bus, full=False)
    await handler.has(10)
    stop.set()
    await task
    (lag,) = await bus.lag(topic)
    assert (lag.waiting, lag.pending, lag.delayed, lag.dead) == (0, 0, 0, 0)
