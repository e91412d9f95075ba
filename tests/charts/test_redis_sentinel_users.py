"""Each service's user may do what its service does, and nothing else, on a real server."""

import asyncio
import contextlib
import itertools
import json
from typing import Any

import hiredis
import pytest

from streamdesk.bus import Message, QueueFullError
from streamdesk.bus.backends.records import Failure, Step
from streamdesk.bus.backends.redis.backend import RedisBackend
from streamdesk.bus.topic_keys import keys_of
from streamdesk.contracts import topics
from streamdesk.contracts.base import Event, Topic
from tests.charts.redis_sentinel_clients import (
    PRODUCED,
    READ,
    SERVICES,
    ask_as,
    bus_of,
    config_of,
)
from tests.servers import StreamServer

AnyTopic = Topic[Any]
CONSUMED = [
    (consumer.service, topic, consumer.group)
    for topic in topics.TOPICS
    for consumer in topic.consumers
    if consumer.group
]
# The gateway and the operator see how far groups are.
WATCHED = [("operator", topics.TRADING_SIGNALS)]
WATCHED += [("websocket-gateway", topic) for topic in topics.TOPICS if topic.groups]
FOREIGN = [
    pair
    for pair in itertools.product(SERVICES, topics.TOPICS)
    if pair not in PRODUCED + READ + WATCHED
]
CONSUMED_TOPICS = [(service, topic) for service, topic, _ in CONSUMED]
ONLY_READ = [pair for pair in READ + WATCHED if pair not in PRODUCED + CONSUMED_TOPICS]
ADMINISTRATION = [
    ("FLUSHALL",), ("FLUSHDB",), ("KEYS", "*"), ("CONFIG", "GET", "masterauth"),
    ("CONFIG", "SET", "appendonly", "no"), ("ACL", "LIST"), ("SHUTDOWN", "NOSAVE"),
    ("REPLICAOF", "NO", "ONE"), ("CLIENT", "KILL", "TYPE", "normal"),
    ("CLIENT", "PAUSE", "1"), ("MONITOR",), ("SUBSCRIBE", "any"), ("PUBLISH", "any", "x"),
    ("FUNCTION", "LIST"), ("SCRIPT", "FLUSH"), ("PSYNC", "?", "-1"), ("DBSIZE",),
]  # fmt: skip
THEIRS = "another:service"


def named(value: Any) -> str:
    return value.name if isinstance(value, Topic) else str(value)


def example(topic: AnyTopic) -> Event:
    model = topic.models[0]
    body = model.model_json_schema()["examples"][0]
    event: Event = model.decode(model.version, json.dumps(body).encode())
    return event


async def fill(server: StreamServer, topic: AnyTopic, count: int = 1) -> None:
    async with bus_of(server, topic.producers[0]) as bus:
        for _ in range(count):  # one by one: together they would be one frame
            await bus.publish_many(topic, [example(topic)])


@pytest.mark.parametrize(("service", "topic"), PRODUCED, ids=named)
async def test_a_service_publishes_what_the_topics_say_it_produces(
    server: StreamServer, service: str, topic: AnyTopic
) -> None:
    event = example(topic)
    async with bus_of(server, service) as bus:
        if topic.mode == "entry":
            once = [await bus.publish(topic, event, event_id="same") for _ in range(2)]
            assert len(once) == 2
        await bus.publish_many(topic, [event, event])
        if topic.groups:
            await bus.publish(topic, event, delay_seconds=0.01)
    topic_keys = keys_of(topic)
    backend = RedisBackend(config_of(server, service))
    try:
        await backend.measure(topic_keys, 0)
        await backend.find(topic_keys, 0, 0, ["same"])
    finally:
        await backend.close()
    assert ask_as(server, service, "SET", "streamdesk:durable", 1, "PX", 100) == "OK"
    assert ask_as(server, service, "WAIT", 0, 1) == 0


async def test_a_publisher_may_give_up_what_is_weaker_in_a_full_queue(
    server: StreamServer,
) -> None:
    topic = topics.TRADING_SIGNALS.configured(max_backlog=1)
    weak = example(topic).model_copy(update={"priority": 0})
    strong = weak.model_copy(update={"priority": 90})
    async with bus_of(server, "signal-generator") as bus:
        with contextlib.suppress(QueueFullError):  # what other tests left fills it as well
            await bus.publish(topic, weak)
        await bus.publish(topic, strong)
    assert "queue-full" in {stored.letter.reason for stored in await letters(server, topic)}


@pytest.mark.parametrize(("service", "topic", "group"), CONSUMED, ids=named)
async def test_a_group_is_served_by_its_service_to_the_dead_letter(
    server: StreamServer, service: str, topic: AnyTopic, group: str
) -> None:
    await fill(server, topic, 3)
    stop, seen = asyncio.Event(), list[int]()

    async def handle(message: Message[Event]) -> None:
        seen.append(message.attempt)
        raise RuntimeError(f"refused on purpose, attempt {message.attempt}")

    async with bus_of(server, service) as bus:
        before = len(await letters(server, topic))
        run = asyncio.create_task(bus.subscribe(topic, group, handle).run(stop))
        async with asyncio.timeout(60):
            while len(await letters(server, topic)) < before + 3:
                assert not run.done(), run.exception()
                await asyncio.sleep(0.02)
        stop.set()
        await run
        assert (await bus.group_lag(topic, group)).group == group
    assert len(seen) >= 6


async def letters(server: StreamServer, topic: AnyTopic) -> list[Any]:
    async with bus_of(server, "admin") as bus:
        return list(await bus.dead(topic, limit=1000))


@pytest.mark.parametrize(("service", "topic", "group"), CONSUMED, ids=named)
async def test_every_script_of_a_consumer_runs_as_its_service(
    server: StreamServer, service: str, topic: AnyTopic, group: str
) -> None:
    await fill(server, topic, 2)
    topic_keys, backend = keys_of(topic), RedisBackend(config_of(server, service))
    try:
        await backend.ensure_group(topic_keys, group)
        await backend.peek(topic_keys, group, 1)
        taken = await backend.take(topic_keys, group, "one", 2)
        assert len(taken.entries) == 2
        first, second = (entry.held for entry in taken.entries)
        assert not await backend.renew(topic_keys, group, "one", {first: 1, second: 1})
        steps = (
            Step("delay", first[0], taken.entries[0].fields, 10),
            Step("add", first[0], taken.entries[0].fields, 0),
            Step("dead", first[0], taken.entries[0].fields, 0),
        )
        settled = await backend.settle(topic_keys, group, "one", [], [Failure(first, steps)])
        assert settled == ["written"]
        assert await backend.release(topic_keys, group, "one", [second]) == 1
        assert await backend.reclaim(topic_keys, group, "two", 0, 10)
        assert not await backend.settle(topic_keys, group, "two", [second], [])
        assert await backend.join(topic_keys, group, "two", 1000)
        assert await backend.own(topic_keys, group, "two", 1000) > 0
        await backend.disown(topic_keys, group, "two")
        await backend.group_state(topic_keys, group)
        await backend.trim(topic_keys, 0, group)
        await backend.forget(topic_keys, group, "one")
    finally:
        await backend.close()


@pytest.mark.parametrize("service", ["analysis", "order-executor", "websocket-gateway"])
async def test_a_service_follows_all_its_topics_in_one_read(
    server: StreamServer, service: str
) -> None:
    mine = [pair for pair in READ if pair[0] == service and pair not in CONSUMED_TOPICS]
    chosen = [topic for _, topic in mine]
    for topic in chosen:
        await fill(server, topic)
    seen = set[str]()
    async with bus_of(server, service) as bus, asyncio.timeout(60):
        async with contextlib.aclosing(bus.tail(chosen, since="0")) as messages:
            async for message in messages:
                seen.add(message.topic)
                if seen == {topic.name for topic in chosen}:
                    break
        for topic in chosen:
            async with contextlib.aclosing(bus.replay(topic, since="0")) as past:
                assert await anext(past)


@pytest.mark.parametrize(("service", "topic"), WATCHED, ids=named)
async def test_a_user_that_monitors_a_group_sees_its_lag(
    server: StreamServer, service: str, topic: AnyTopic
) -> None:
    await fill(server, topic)
    async with bus_of(server, service) as bus:
        assert [row.group for row in await bus.lag(topic)] == list(topic.groups)
        await bus.consumers(topic, topic.groups[0])


@pytest.mark.parametrize(("service", "topic"), FOREIGN, ids=named)
def test_a_topic_that_is_not_its_own_is_closed_to_a_service(
    server: StreamServer, service: str, topic: AnyTopic
) -> None:
    topic_keys = keys_of(topic)
    shared = {other.dead_key for user, other in PRODUCED + READ + WATCHED if user == service}
    for key in {
        *topic_keys.streams,
        topic_keys.trimmed,
        topic_keys.once("x"),
        topic_keys.dead,
    } - shared:
        for words in (("XADD", key, "*", "a", "b"), ("XRANGE", key, "-", "+")):
            with pytest.raises(hiredis.ReplyError, match="NOPERM"):
                ask_as(server, service, *words)


@pytest.mark.parametrize(("service", "topic"), ONLY_READ, ids=named)
def test_a_user_that_only_reads_a_topic_cannot_change_it(
    server: StreamServer, service: str, topic: AnyTopic
) -> None:
    for key in keys_of(topic).streams:
        for words in (("DEL", key), ("XTRIM", key, "MAXLEN", 0), ("XADD", key, "*", "a", "b")):
            with pytest.raises(hiredis.ReplyError, match="NOPERM"):
                ask_as(server, service, *words)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_administers_the_server(server: StreamServer, service: str) -> None:
    for words in ADMINISTRATION:
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, *words)
    for words in (("SET", THEIRS, "1"), ("GET", THEIRS), ("XADD", THEIRS, "*", "a", "b")):
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, service, *words)


@pytest.mark.parametrize("service", SERVICES)
def test_a_script_may_do_no_more_than_its_user(server: StreamServer, service: str) -> None:
    for code in ("return redis.call('FLUSHALL')", f"return redis.call('GET', '{THEIRS}')"):
        sha = ask_as(server, service, "SCRIPT", "LOAD", code)
        with pytest.raises(hiredis.ReplyError, match=r"NOPERM|ACL|permissions|can't (run|access)"):
            ask_as(server, service, "EVALSHA", sha, 0)


def test_the_exporter_sees_streams_and_cannot_read_what_is_in_them(server: StreamServer) -> None:
    ask_as(server, "admin", "XADD", "tasks", "*", "a", "b")
    assert ask_as(server, "exporter", "XINFO", "STREAM", "tasks")
    assert ask_as(server, "exporter", "INFO", "all")
    for words in (("XRANGE", "tasks", "-", "+"), ("DEL", "tasks"), ("CONFIG", "GET", "*")):
        with pytest.raises(hiredis.ReplyError, match="NOPERM"):
            ask_as(server, "exporter", *words)


def test_replication_and_sentinel_touch_no_data(server: StreamServer) -> None:
    for user in ("replication", "sentinel"):
        for words in (("GET", THEIRS), ("XADD", "tasks", "*", "a", "b"), ("FLUSHALL",)):
            with pytest.raises(hiredis.ReplyError, match="NOPERM"):
                ask_as(server, user, *words)
    assert ask_as(server, "sentinel", "ROLE")[0] == "master"
    assert ask_as(server, "sentinel", "PUBLISH", "__sentinel__:hello", "x") == 0
