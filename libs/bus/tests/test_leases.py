"""Leases, takeovers and orderly ends; `desk` runs each test on memory, Valkey and Redis."""

import asyncio
from typing import Any

import pytest

from streamdesk.bus.topic_keys import keys_of

GROUP = "workers"
HOUR_MS = 3_600_000


async def test_what_a_dead_consumer_left_goes_to_another_after_the_lease(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    await desk.bus.publish(topic, ping(text="left"))
    topic_keys = keys_of(topic)
    await desk.bus._backend.ensure_group(topic_keys, GROUP)
    taken = await desk.bus._backend.take(topic_keys, GROUP, "died", 1)
    assert len(taken.entries) == 1
    handler = recorder()
    async with desk.consuming(topic, handler, lease_seconds=0.05):
        await handler.has(1)
        await desk.settled(topic)
    (message,) = handler.seen
    assert (message.event.text, message.attempt) == ("left", 1)
    assert message.deliveries > 1


async def test_a_message_that_kills_every_consumer_is_dead_in_the_end(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    await desk.bus.publish(topic, ping(text="killer"))
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    await backend.take(topic_keys, GROUP, "died", 1)
    for number in range(9):
        assert await backend.reclaim(topic_keys, GROUP, f"died-{number}", 0, 1)
    handler = recorder()
    async with desk.consuming(topic, handler, lease_seconds=0.01):
        await desk.settled(topic)
    (dead,) = await desk.bus.dead(topic)
    assert handler.seen == []
    assert dead.letter.reason == "deliveries"


async def test_a_renewed_entry_is_not_taken_over_however_long_it_was_held(
    desk: Any, topic: Any, ping: Any
) -> None:
    await desk.bus.publish(topic, ping(text="held"))
    topic_keys, backend = keys_of(topic), desk.bus._backend
    await backend.ensure_group(topic_keys, GROUP)
    (entry,) = (await backend.take(topic_keys, GROUP, "owner", 1)).entries
    await backend.release(topic_keys, GROUP, "owner", [entry.held])  # as if idle for a day
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 1}) == []
    assert await backend.reclaim(topic_keys, GROUP, "other", HOUR_MS, 1) == []
    await backend.release(topic_keys, GROUP, "owner", [entry.held])
    assert len(await backend.reclaim(topic_keys, GROUP, "other", HOUR_MS, 1)) == 1
    assert await backend.renew(topic_keys, GROUP, "owner", {entry.held: 1}) == [entry.held]


async def test_a_slow_handler_keeps_its_message_by_renewing_the_lease(
    desk: Any, topic: Any, ping: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proceed, renewals = asyncio.Event(), 0
    topic_keys, backend = keys_of(topic), desk.bus._backend
    renew = backend.renew

    async def count(*words: Any) -> Any:
        nonlocal renewals
        lost = await renew(*words)
        renewals += 1
        return lost

    async def slowly(_message: Any) -> None:
        await proceed.wait()

    monkeypatch.setattr(backend, "renew", count)
    handler = recorder(slowly)
    async with desk.consuming(topic, handler, lease_seconds=0.4) as subscription:
        await desk.bus.publish(topic, ping(text="slow"))
        await handler.has(1)
        held = list(subscription._in_flight.held)
        await backend.release(
            topic_keys, GROUP, subscription.consumer, held
        )  # as if idle for a day
        seen = renewals
        async with asyncio.timeout(30):
            while renewals < seen + 2:  # the first may have been under way already
                await asyncio.sleep(0.01)
        assert await backend.reclaim(topic_keys, GROUP, "greedy", HOUR_MS, 1) == []
        proceed.set()
        await desk.settled(topic)
    assert len(handler.seen) == 1
    assert handler.seen[0].lease_lost is False


async def test_what_is_acknowledged_while_its_lease_is_renewed_does_not_come_again(
    desk: Any, topic: Any, ping: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    proceed = asyncio.Event()
    backend = desk.bus._backend
    renew = backend.renew

    async def renew_late(*words: Any) -> Any:
        proceed.set()
        await asyncio.sleep(0.2)  # an acknowledgement that does not wait overtakes it
        return await renew(*words)

    async def slowly(_message: Any) -> None:
        await proceed.wait()

    monkeypatch.setattr(backend, "renew", renew_late)
    handler = recorder(slowly)
    async with desk.consuming(topic, handler, lease_seconds=3600) as subscription:
        await desk.bus.publish(topic, ping(text="done"))
        await handler.has(1)
        await subscription._renew()
        async with asyncio.timeout(60):
            while subscription.in_flight:
                await asyncio.sleep(0.01)
        assert (await desk.lag(topic)).pending == 0
    assert handler.seen[0].lease_lost is False


async def test_a_handler_whose_lease_was_lost_sees_it_and_its_failure_is_not_written(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    proceed = asyncio.Event()

    async def fail_late(_message: Any) -> None:
        await proceed.wait()
        raise ValueError("too late")

    handler = recorder(fail_late)
    topic_keys, backend = keys_of(topic), desk.bus._backend
    async with desk.consuming(topic, handler, lease_seconds=3600) as subscription:
        await desk.bus.publish(topic, ping(text="stolen"))
        await handler.has(1)
        assert len(await backend.reclaim(topic_keys, GROUP, "thief", 0, 1)) == 1
        await subscription._renew()
        assert handler.seen[0].lease_lost is True
        proceed.set()
    lag = await desk.lag(topic)
    assert (lag.delayed, lag.dead, lag.waiting) == (0, 0, 0)
    assert lag.pending == 1, "the thief still holds it"


async def test_draining_finishes_what_is_in_work_and_gives_back_the_rest_at_once(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    started, proceed = asyncio.Event(), asyncio.Event()

    async def first_is_slow(message: Any) -> None:
        if message.event.text == "0":
            started.set()
            await proceed.wait()

    handler, successor = recorder(first_is_slow), recorder()
    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(10)])
    subscription = desk.bus.subscribe(topic, GROUP, handler, concurrency=1)
    stop = asyncio.Event()
    task = asyncio.create_task(subscription.run(stop))
    await started.wait()
    stop.set()
    while subscription.state != "draining":
        await asyncio.sleep(0)
    proceed.set()
    await task
    assert handler.texts == ["0"]
    assert subscription.state == "stopped"
    async with desk.consuming(topic, successor, concurrency=1):
        await successor.has(9)
        await desk.settled(topic)
    assert sorted(successor.texts, key=int) == [str(i) for i in range(1, 10)]
    assert {message.deliveries for message in successor.seen} == {1}


async def test_a_handler_that_does_not_end_in_time_is_given_back(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    async def never(_message: Any) -> None:
        await asyncio.Event().wait()

    stuck, successor = recorder(never), recorder()
    hasty = desk.another_bus(drain_seconds=0.05)
    await desk.bus.publish(topic, ping(text="stuck"))
    async with hasty, desk.consuming(topic, stuck, bus=hasty):
        await stuck.has(1)
    async with desk.consuming(topic, successor):
        await successor.has(1)
        await desk.settled(topic)
    assert successor.texts == ["stuck"]


async def test_a_consumer_that_left_in_order_leaves_no_name_behind(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    await desk.bus.publish(topic, ping(text="x"))
    async with desk.consuming(topic, handler):
        await handler.has(1)
        await desk.settled(topic)
    assert (await desk.lag(topic)).consumers == 0


async def test_a_handler_that_never_waits_lets_the_loop_turn(
    desk: Any, make_topic: Any, ping: Any
) -> None:
    topic, stop, handled = make_topic(mode="frame"), asyncio.Event(), 0

    async def stop_at_ten(_message: Any) -> None:
        nonlocal handled
        handled += 1
        if handled == 10:
            stop.set()

    await desk.bus.publish_many(topic, [ping(text=str(i)) for i in range(5000)])
    await desk.bus.subscribe(topic, GROUP, stop_at_ten, batch=5000, concurrency=1).run(stop)
    assert handled < 1000
    assert (await desk.lag(topic)).waiting + (await desk.lag(topic)).pending >= 8
