"""Publishes that wait for replicas: what is promised when they return, and when they do not."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, BusConfigError, NotDurableError, Wait
from streamdesk.bus.observer import BusObserver

GROUP = "workers"
LOOPBACK = "127.0.0.1"
PATIENT = Wait(replicas=1, timeout_ms=10_000)
HASTY = Wait(replicas=1, timeout_ms=50)


class Listener(BusObserver):
    """Notes what is said about the connection."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def connection_lost(self, error: str) -> None:
        self.said.append(error)


@dataclass
class Pair:
    """A master and a replica that follows it."""

    master: Any
    replica: Any

    def bus(self, **changes: Any) -> Bus:
        return Bus.connect(BusConfig(url=self.master.url, **changes))


@pytest.fixture(scope="module", params=[None, "redis-server"], ids=["valkey", "redis"])
def servers(request: pytest.FixtureRequest, start_server: Callable[..., Any]) -> Pair:
    """For all tests: a replica needs a second to begin."""
    pair = Pair(start_server(request.param), start_server(request.param))
    pair.master.ask("CONFIG", "SET", "repl-diskless-sync-delay", 0)
    pair.replica.ask("REPLICAOF", LOOPBACK, pair.master.port)
    return pair


@pytest.fixture
async def pair(servers: Pair) -> AsyncIterator[Pair]:
    """Both well."""
    await until(lambda: servers.replica.info("replication")["master_link_status"] == "up")
    await until(lambda: "state=online" in servers.master.ask("INFO", "replication"))
    yield servers
    servers.replica.thaw()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.005)


def calls(server: Any, command: str) -> int:
    """How often the server was asked this."""
    stats = server.info("commandstats").get(f"cmdstat_{command}", "calls=0,")
    return int(stats.partition("=")[2].partition(",")[0])


@pytest.mark.parametrize("values", [(0, 1), (1, 0), (-1, 100)])
def test_a_wait_for_nothing_is_refused(values: tuple[int, int]) -> None:
    with pytest.raises(BusConfigError, match="expected at least 1 replica and 1 ms"):
        Wait(*values)


@pytest.mark.parametrize(
    "changes",
    [{}, {"max_backlog": 100}, {"dedup_window_seconds": 60}, {"mode": "frame"}, {"shards": 2}],
    ids=str,
)
async def test_what_a_durable_publish_returned_for_is_on_the_replica(
    pair: Pair, make_topic: Any, ping: Any, changes: dict[str, Any]
) -> None:
    topic = make_topic(durable=True, **changes)

    def copied() -> int:
        keys = [topic.key, *(f"{{{topic.key}:{shard}}}" for shard in range(2))]
        return sum(pair.replica.ask("XLEN", key) for key in keys)

    async with pair.bus(durable=PATIENT) as bus:
        for number in range(1, 6):
            await bus.publish(topic, ping(text=str(number)))
            assert copied() == number
        before = copied()
        await bus.publish_many(topic, [ping(text=f"many {number}") for number in range(5)])
        master = [stream.length for stream in (await bus.lag(topic))[0].streams]
        assert copied() == sum(master) > before
        async with bus.producer(topic) as producer:
            await (await producer.send(ping(text="produced")))
            assert copied() == sum(master) + 1


async def test_a_frozen_replica_fails_the_publish_at_its_time_out_and_the_entry_is_there_once(
    pair: Pair, topic: Any, ping: Any
) -> None:
    listener = Listener()
    config = BusConfig(url=pair.master.url, publish_timeout_seconds=0.4)
    async with Bus.connect(config, listener) as bus:
        pair.replica.freeze()
        with pytest.raises(NotDurableError) as failure:
            await bus.publish(topic, ping(text="x"), durable=HASTY)
        assert (failure.value.wanted, failure.value.confirmed) == (1, 0)
        assert "0 of 1 replicas confirmed a write within 50 ms" in str(failure.value)
        assert bus.connected, "the server is there"
        assert (await bus.lag(topic))[0].length == 1
    assert listener.said == []


async def test_a_replica_that_comes_back_in_time_ends_the_wait_without_a_second_entry(
    pair: Pair, topic: Any, ping: Any
) -> None:
    async with pair.bus() as bus:
        pair.replica.freeze()
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x"), durable=HASTY))
        asked = calls(pair.master, "wait")
        await until(lambda: calls(pair.master, "wait") >= asked + 3)
        assert not publishing.done()
        pair.replica.thaw()
        entry_id = await publishing
        assert pair.replica.ask("XRANGE", topic.key, "-", "+")[0][0] == entry_id
        assert (await bus.lag(topic))[0].length == 1


async def test_a_new_connection_does_not_take_an_old_write_for_confirmed(
    pair: Pair, topic: Any, ping: Any
) -> None:
    async with pair.bus() as bus:
        pair.replica.freeze()
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x"), durable=HASTY))
        for _ in range(3):
            asked = calls(pair.master, "wait")
            await until(lambda: calls(pair.master, "wait") > asked)  # noqa: B023 - awaited in this round
            pair.master.ask("CLIENT", "KILL", "TYPE", "normal")
        assert not publishing.done()
        pair.replica.thaw()
        await publishing
        assert pair.replica.ask("XLEN", topic.key) == 1
        assert (await bus.lag(topic))[0].length == 1


async def test_more_replicas_than_there_are_cannot_confirm(
    pair: Pair, topic: Any, ping: Any
) -> None:
    async with pair.bus(publish_timeout_seconds=0.3) as bus:
        with pytest.raises(NotDurableError, match="of 2 replicas"):
            await bus.publish(topic, ping(text="x"), durable=Wait(2, 50))
    assert pair.replica.ask("XLEN", topic.key) == 1


async def test_a_publish_that_waits_for_replicas_holds_up_no_other(
    pair: Pair, topic: Any, ping: Any, recorder: Any
) -> None:
    handler, stop = recorder(), asyncio.Event()
    async with pair.bus() as bus:
        pair.replica.freeze()
        waiting = asyncio.create_task(bus.publish(topic, ping(text="durable"), durable=PATIENT))
        running = asyncio.create_task(bus.subscribe(topic, GROUP, handler).run(stop))
        await handler.has(1)
        for number in range(5):
            await bus.publish(topic, ping(text=str(number)))
        await handler.has(6)
        assert not waiting.done()
        pair.replica.thaw()
        await waiting
        stop.set()
        await running
    assert handler.texts == ["durable", "0", "1", "2", "3", "4"]


async def test_only_durable_topics_wait_and_only_where_the_bus_says_for_whom(
    pair: Pair, make_topic: Any, ping: Any
) -> None:
    durable, plain = make_topic(durable=True), make_topic()
    pair.replica.freeze()
    async with pair.bus(durable=HASTY, publish_timeout_seconds=0.2) as bus:
        await bus.publish(plain, ping(text="x"))
        with pytest.raises(NotDurableError):
            await bus.publish(durable, ping(text="x"))
        with pytest.raises(NotDurableError):
            await bus.publish(plain, ping(text="y"), durable=HASTY)
    async with pair.bus(publish_timeout_seconds=0.2) as bus:
        await bus.publish(durable, ping(text="x"))


async def test_a_producer_of_a_durable_topic_hears_that_replicas_did_not_confirm(
    pair: Pair, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(durable=True)
    pair.replica.freeze()
    async with pair.bus(durable=HASTY, publish_timeout_seconds=0.2) as bus:
        producer = bus.producer(topic)
        ticket = await producer.send(ping(text="x"))
        with pytest.raises(NotDurableError):
            await ticket
        with pytest.raises(NotDurableError):
            await producer.flush()


async def test_in_memory_there_is_no_replica_to_wait_for(topic: Any, ping: Any) -> None:
    async with Bus.connect(BusConfig(url="memory://durable")) as bus:
        assert await bus.publish(topic, ping(text="x"), durable=PATIENT)
