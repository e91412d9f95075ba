"""Scenes shared by several complaints; each checks its own outcome."""

import asyncio
import json
import signal
from collections import Counter
from typing import Any

from streamdesk.bus import BreakerPolicy, Bus, Message, Reject
from streamdesk.bus.topic_keys import keys_of
from tests.chaos.stage import (
    HOUR_SECONDS,
    SOON_SECONDS,
    Listener,
    Recorder,
    Stage,
    once_each,
    tasks,
    until,
    until_asked,
)
from tests.chaos.victim import GROUP, Task
from tests.proxy import Proxy


async def slow_but_alive(stage: Stage) -> None:
    """Pending entries are made to look a day old: those renewed in time are not taken over."""
    topic, proceed = stage.topic(), asyncio.Event()

    async def wait(_message: Message[Task]) -> None:
        await proceed.wait()

    slow, rival = Recorder(wait), Recorder()
    async with (
        stage.bus() as bus,
        stage.consuming(bus, topic, slow, batch=1, concurrency=1, lease_seconds=SOON_SECONDS),
    ):
        await bus.publish(topic, Task(number=0))
        await slow.has(1)
        await bus.publish(topic, Task(number=1))
        read = ("XREADGROUP", "GROUP", GROUP, "dead", "STREAMS", topic.key, ">")
        assert await stage.ask(*read)
        await stage.age(topic)

        async def is_renewed() -> bool:
            (_, (_, _, idle_ms, _)), _ = await stage.pending(topic)
            return bool(idle_ms < HOUR_SECONDS * 1000)

        await until_asked(is_renewed)
        # It checks all pending entries, oldest first: the one that it takes is not the slow one.
        async with stage.consuming(bus, topic, rival):
            await rival.has(1)
            proceed.set()
            await stage.settled(bus, topic)
    assert (slow.numbers, rival.numbers) == ([0], [1])
    assert slow.seen[0].lease_lost is False


async def frozen_beyond_its_lease(stage: Stage) -> None:
    """A process that was frozen cannot know that its lease expired: the fence's number shows it."""
    topic, rival = stage.topic("classes"), Recorder()
    victim = stage.victim("classes")
    async with stage.bus() as bus:
        await bus.publish(topic, Task(number=7))
        await until(lambda: len(victim.lines("begun")) == 1)
        victim.signal(signal.SIGSTOP)
        await stage.age(topic)
        async with stage.consuming(bus, topic, rival):
            await stage.settled(bus, topic)
        victim.open_gate()
        victim.signal(signal.SIGCONT)
        await until(lambda: len(victim.lines("done")) == 1)
        lag = await stage.settled(bus, topic)
    (late,) = victim.lines("done")
    (message,) = rival.seen
    assert late.number == message.event.number == 7
    assert late.fence < message.fence, "a store refuses the smaller one"
    assert (lag.dead, lag.added) == (0, 1)


async def publish_executed_late(stage: Stage, bus: Bus, proxy: Proxy, topic: Any) -> None:
    """The server executes a command after its caller has already retried it."""
    proxy.swallow()
    waiting = asyncio.create_task(bus.publish(topic, Task(number=5), event_id="late"))
    await until(lambda: not bus.connected)
    proxy.forward()
    entry_id = await waiting
    assert await bus.publish(topic, Task(number=5), event_id="late") == entry_id
    ids = [fields["id"] for fields in await stage.read_all(topic.key)]
    assert len(ids) == len(set(ids)) == 11


async def unreadable(stage: Stage) -> None:
    """Five invalid entries among four valid ones."""
    topic, recorder = stage.topic(), Recorder()
    good = {"id": "x", "at": "1", "t": "Task", "v": "1", "k": "a", "b": '{"number": 0}'}
    async with stage.bus() as bus:
        await bus.publish_many(topic, tasks(2))
        await stage.add_raw(topic, junk="\x00")
        await stage.add_raw(topic, **good | {"t": "Other"})
        await stage.add_raw(topic, **good | {"v": "99"})
        await stage.add_raw(topic, **good | {"b": "{"})
        await stage.add_raw(topic, **good | {"b": '{"number": "many"}'})
        await bus.publish_many(topic, tasks(2, first=2))
        async with stage.consuming(bus, topic, recorder):
            await stage.settled(bus, topic)
        dead = [stored.letter for stored in await bus.dead(topic)]
    assert recorder.times == once_each("plain", count=4)
    assert [letter.reason for letter in dead] == [
        "invalid-envelope",
        "unknown-event",
        "unknown-version",
        "invalid-body",
        "invalid-body",
    ]


async def deadly(stage: Stage) -> None:
    """A message that kills its consumer does so `max_deliveries` times."""
    topic, recorder = stage.topic("classes"), Recorder()
    async with stage.bus(max_deliveries=2) as bus:
        await bus.publish_many(topic, tasks(6))
        done = []
        for _ in range(2):
            victim = stage.victim("classes", fatal=3, holds_from=6, concurrency=1)
            await asyncio.to_thread(victim.process.wait)
            await stage.age(topic)
            done.append([line.number for line in victim.lines("done")])
        async with stage.consuming(bus, topic, recorder):
            await stage.settled(bus, topic)
        (dead,) = await bus.dead(topic)
    assert done == [[0, 1, 2], []]
    assert recorder.numbers == [4, 5]
    assert (dead.letter.reason, json.loads(dead.letter.body)["number"]) == ("deliveries", 3)


async def all_die(stage: Stage) -> None:
    """When most messages die, the fault is elsewhere: the rest waits until it is fixed."""
    topic, listener = stage.topic(key=f"{stage.prefix}:broken"), Listener()

    async def fail_until_heard(_message: Message[Task]) -> None:
        if not listener.said:
            raise Reject("no-broker")

    recorder = Recorder(fail_until_heard)
    breaker = BreakerPolicy(window=10, pause_seconds=SOON_SECONDS)
    async with stage.bus(listener) as bus:
        await bus.publish_many(topic, tasks(100))
        async with stage.consuming(bus, topic, recorder, batch=1, concurrency=1, breaker=breaker):
            await stage.settled(bus, topic)
        dead = [stored.letter for stored in await bus.dead(topic)]
    assert recorder.numbers == list(range(100))
    assert Counter(letter.reason for letter in dead) == {"no-broker": 10}
    assert [word for word, *_ in listener.said] == ["paused", "resumed"]


async def stopped(stage: Stage) -> None:
    """As in a rollout: SIGTERM while one message is handled and many are pending."""
    topic, recorder = stage.topic(), Recorder()
    async with stage.bus() as bus:
        await bus.publish_many(topic, tasks(200))
        victim = stage.victim(holds_from=5, batch=200, concurrency=1)
        await until(lambda: len(victim.lines("begun")) == 6)
        victim.signal(signal.SIGTERM)
        victim.open_gate()
        assert await asyncio.to_thread(victim.process.wait) == 0
        async with stage.consuming(bus, topic, recorder) as subscription:
            await stage.settled(bus, topic)

            async def is_alone() -> bool:
                names = [one.name for one in await bus.consumers(topic, GROUP)]
                return names == [subscription.consumer]

            await until_asked(is_alone)
        assert await bus.consumers(topic, GROUP) == []
    done = [line.number for line in victim.lines("done")]
    assert done[:6] == list(range(6))
    assert done == [line.number for line in victim.lines("begun")]
    assert done + recorder.numbers == list(range(200))
    assert {message.deliveries for message in recorder.seen} == {1}, "they were delivered before"


async def deleted(stage: Stage) -> None:
    """The name of a live consumer is deleted on the server."""
    topic, proceed = stage.topic(key=f"{stage.prefix}:deleted"), asyncio.Event()

    async def fail_once(message: Message[Task]) -> None:
        await proceed.wait()
        if message.event.number == 0 and message.attempt == 1:
            raise RuntimeError("the first attempt fails")

    async def is_taken_back() -> bool:
        return len(await stage.pending(topic)) == 20

    recorder = Recorder(fail_once)
    async with stage.bus() as bus:
        await bus.publish_many(topic, tasks(20))
        async with stage.consuming(bus, topic, recorder, batch=20, concurrency=1) as subscription:
            await recorder.has(1)
            words = ("XGROUP", "DELCONSUMER", topic.key, GROUP, subscription.consumer)
            assert await stage.ask(*words) == 20
            await until_asked(is_taken_back)
            proceed.set()
            await stage.settled(bus, topic)
    assert recorder.numbers == [*range(20), 0]


async def classes_of_a_full_backlog(stage: Stage) -> None:
    """In any order of arrival, and even if an urgent message arrives in between."""
    topic, proceed = stage.topic("classes"), asyncio.Event()

    async def work(message: Message[Task]) -> None:
        await proceed.wait()
        if message.event.number == 5:
            await bus.publish(topic, Task(number=30, urgency=100))

    recorder = Recorder(work)
    async with stage.bus() as bus:
        for at, urgency in enumerate((50, 0, 100)):
            await bus.publish_many(topic, tasks(10, first=10 * at, urgency=urgency))
        async with stage.consuming(bus, topic, recorder, concurrency=1):
            await recorder.has(1)
            (lag,) = await bus.lag(topic)
            assert (lag.pending, lag.waiting) == (1, 29), "not one of each class"
            proceed.set()
            await stage.settled(bus, topic)
    low_last = [*range(20, 30), *range(6), 30, *range(6, 10), *range(10, 20)]
    assert recorder.numbers == low_last


async def keys_of_a_dead_owner(stage: Stage) -> None:
    """The next owner resumes where the dead one stopped, key by key, with a greater fence."""
    topic, recorder, accounts = stage.topic("shards"), Recorder(), "abcdefgh"
    async with stage.bus() as bus:
        events = [Task(number=n, account=account) for n in range(20) for account in accounts]
        await bus.publish_many(topic, events)
        victim = stage.victim("shards", holds_from=10)

        async def is_halfway() -> bool:
            (lag,) = await bus.lag(topic)
            return lag.waiting + lag.pending == 10 * len(accounts)

        await until_asked(is_halfway)
        victim.end()
        async with stage.consuming(bus, topic, recorder) as heir:
            members, rounds = keys_of(topic).members(GROUP), set[str | None]()

            async def has_tried() -> bool:
                # It says that it is there, then tries to own something, and so on.
                rounds.add(await stage.ask("ZSCORE", members, heir.consumer))
                return len(rounds - {None}) == 2

            await until_asked(has_tried)
            assert recorder.seen == [], "the lease of the dead one holds"
            await stage.age(topic)
            await stage.settled(bus, topic)
    before, after = victim.lines("done"), recorder.seen
    for account in accounts:
        first = [line for line in before if line.account == account]
        second = [message for message in after if message.event.account == account]
        assert [line.number for line in first] == list(range(10))
        assert [message.event.number for message in second] == list(range(10, 20))
        assert {message.fence for message in second} == {line.fence + 1 for line in first}
