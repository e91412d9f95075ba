"""The bus while its server is frozen, stopped, killed or full."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from streamdesk.bus import Bus, BusConfig, BusUnavailableError, ServerFullError
from streamdesk.bus.observer import BusObserver

GROUP = "workers"


class Listener(BusObserver):
    """Notes what is said about the connection."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def connection_lost(self, error: str) -> None:
        assert error
        self.said.append("lost")

    def connection_restored(self, outage_seconds: float) -> None:
        assert outage_seconds >= 0
        self.said.append("restored")


@pytest.fixture
def server(start_server: Callable[..., Any]) -> Iterator[Any]:
    server = start_server()
    yield server
    server.thaw()


@pytest.fixture
def listener() -> Listener:
    return Listener()


@pytest.fixture
def bus(server: Any, listener: Listener) -> Bus:
    config = BusConfig(
        url=server.url, service="test", socket_timeout_seconds=0.5, publish_timeout_seconds=60
    )
    return Bus.connect(config, listener)


async def has(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def consuming(bus: Bus, topic: Any, handler: Any, **options: Any) -> Any:
    stop = asyncio.Event()
    subscription = bus.subscribe(topic, GROUP, handler, **options)
    task = asyncio.create_task(subscription.run(stop))
    try:
        yield subscription
    finally:
        stop.set()
        await task


async def outage(server: Any, kind: str, until: Callable[[], bool]) -> None:
    """Stop the server, wait until that was noticed, and bring it back with its data."""
    if kind == "frozen":
        server.freeze()
    else:
        await asyncio.to_thread(server.stop)
    await has(until)
    if kind == "frozen":
        server.thaw()
    else:
        await asyncio.to_thread(server.start)


@pytest.mark.parametrize("kind", ["frozen", "stopped"])
async def test_a_consumer_outlives_an_outage_says_so_once_and_loses_nothing(
    server: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any, kind: str
) -> None:
    handler = recorder()
    async with bus, consuming(bus, topic, handler) as subscription:
        await bus.publish(topic, ping(text="before"))
        await handler.has(1)
        await outage(server, kind, lambda: not bus.connected)
        await bus.publish(topic, ping(text="after"))
        await handler.has(2)
        await has(lambda: subscription.state == "running")
    assert set(handler.texts) == {"before", "after"}
    assert listener.said == ["lost", "restored"]


@pytest.mark.parametrize("kind", ["frozen", "stopped"])
async def test_a_publish_waits_through_an_outage_and_writes_one_entry(
    server: Any, bus: Bus, topic: Any, ping: Any, kind: str
) -> None:
    async with bus:
        await bus.publish(topic, ping(text="first"))
        waiting: asyncio.Task[str] | None = None
        if kind == "frozen":
            server.freeze()
        else:
            await asyncio.to_thread(server.stop)
        waiting = asyncio.create_task(bus.publish(topic, ping(text="second")))
        await has(lambda: not bus.connected)
        assert not waiting.done()
        if kind == "frozen":
            server.thaw()
        else:
            await asyncio.to_thread(server.start)
        await waiting
        assert [m.event.text for m in await bus.waiting(topic, GROUP)] == ["first", "second"]


async def test_a_publish_whose_answer_was_lost_is_found_and_not_repeated(
    bus: Bus, topic: Any, ping: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bus:
        append, calls = bus._backend.append, 0

        async def lose_the_first_answer(*words: Any) -> list[str]:
            nonlocal calls
            calls += 1
            ids = await append(*words)
            if calls == 1:
                raise BusUnavailableError("the answer was lost")
            return ids

        monkeypatch.setattr(bus._backend, "append", lose_the_first_answer)
        ids = await bus.publish_many(topic, [ping(text="a"), ping(text="b")])
        (lag,) = await bus.lag(topic)
        assert calls == 1
        assert (lag.length, len(set(ids))) == (2, 2)


async def test_a_server_that_was_killed_and_is_back_at_once_is_one_outage(
    server: Any, bus: Bus, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with bus, consuming(bus, topic, handler) as subscription:
        for round_number in range(1, 6):
            texts = [ping(text=str(i)) for i in range(20)]
            await asyncio.gather(*(bus.publish(topic, text) for text in texts))
            await handler.has(20 * round_number)
            # A kill that no call noticed is no outage: a frozen server has all of these in flight.
            server.freeze()
            pings = [asyncio.create_task(bus.ping()) for _ in range(20)]
            await asyncio.sleep(0)
            server.kill()
            await asyncio.to_thread(server.start)
            assert not any(await asyncio.gather(*pings))
            await has(lambda: subscription.state == "running")
            assert bus._link.outages == round_number
    assert listener.said == ["lost", "restored"] * 5


async def test_a_publish_gives_up_after_its_time_out_with_a_typed_error(
    server: Any, topic: Any, ping: Any
) -> None:
    config = BusConfig(url=server.url, socket_timeout_seconds=0.2, publish_timeout_seconds=0.5)
    async with Bus.connect(config) as bus:
        server.freeze()
        with pytest.raises(BusUnavailableError):
            await bus.publish(topic, ping(text="x"))


async def test_entries_whose_answer_was_lost_are_handled_without_waiting_for_the_lease(
    bus: Bus, topic: Any, ping: Any, recorder: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = recorder()
    async with bus:
        await bus.publish_many(topic, [ping(text=str(i)) for i in range(5)])
        take, calls = bus._backend.take, 0

        async def lose_the_first_answer(*words: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            taken = await take(*words, **options)
            if calls == 1:
                assert len(taken.entries) == 5
                raise BusUnavailableError("the answer was lost")
            return taken

        monkeypatch.setattr(bus._backend, "take", lose_the_first_answer)
        async with consuming(bus, topic, handler, lease_seconds=3600):
            await handler.has(5)
    assert sorted(handler.texts) == ["0", "1", "2", "3", "4"]


async def test_a_handler_that_ends_during_an_outage_is_acknowledged_afterwards(
    server: Any, bus: Bus, topic: Any, ping: Any, recorder: Any
) -> None:
    async def wait_for_the_outage(_message: Any) -> None:
        server.freeze()
        await has(lambda: not bus.connected)

    handler = recorder(wait_for_the_outage)
    async with bus, consuming(bus, topic, handler):
        await bus.publish(topic, ping(text="x"))
        await handler.has(1)
        await has(lambda: not bus.connected)
        server.thaw()
        await has(lambda: bus.connected)
        async with asyncio.timeout(30):
            while (await bus.lag(topic))[0].pending:
                await asyncio.sleep(0.01)
    assert len(handler.seen) == 1


@pytest.mark.parametrize("kind", ["frozen", "stopped"])
async def test_a_tail_resumes_where_it_was(
    server: Any, bus: Bus, topic: Any, ping: Any, kind: str
) -> None:
    async with bus:
        tail = bus.tail(topic, since="0")
        await bus.publish(topic, ping(text="1"))
        seen = [(await anext(tail)).event.text]
        following = asyncio.ensure_future(anext(tail))
        await outage(server, kind, lambda: not bus.connected)
        await bus.publish_many(topic, [ping(text="2"), ping(text="3")])
        seen += [(await following).event.text, (await anext(tail)).event.text]
        await tail.aclose()
    assert seen == ["1", "2", "3"]


async def test_a_stop_during_an_outage_ends_the_consumer(
    server: Any, topic: Any, recorder: Any
) -> None:
    config = BusConfig(url=server.url, socket_timeout_seconds=0.2, drain_seconds=0.2)
    async with Bus.connect(config) as bus:
        async with asyncio.timeout(30), consuming(bus, topic, recorder()) as subscription:
            await has(lambda: subscription.state == "running")
            server.freeze()
            await has(lambda: not bus.connected)
        assert subscription.state == "stopped"


async def test_a_full_server_refuses_at_once_with_a_typed_error_and_is_no_outage(
    bus: Bus, listener: Listener, topic: Any, ping: Any
) -> None:
    async with bus:
        await bus.ping()
        execute = bus._backend._command  # type: ignore[attr-defined] # the Redis backend
        await execute("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(ServerFullError, match="maxmemory"):
            await bus.publish(topic, ping(text="x"))
        await execute("CONFIG", "SET", "maxmemory", "0")
        await bus.publish(topic, ping(text="y"))
        assert [m.event.text for m in await bus.waiting(topic, GROUP)] == ["y"]
    assert listener.said == []


async def test_a_flushed_server_gets_its_group_again(
    bus: Bus, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with bus, consuming(bus, topic, handler) as subscription:
        await bus.publish(topic, ping(text="1"))
        await handler.has(1)
        await bus._backend._command("FLUSHALL")  # type: ignore[attr-defined] # the Redis backend
        await bus.publish(topic, ping(text="2"))
        await handler.has(2)
        assert subscription.state == "running"
    assert handler.texts == ["1", "2"]


async def test_a_server_that_forgot_its_scripts_is_taught_them_again(
    bus: Bus, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with bus, consuming(bus, topic, handler):
        await bus.publish(topic, ping(text="1"))
        await handler.has(1)
        await bus._backend._command("SCRIPT", "FLUSH")  # type: ignore[attr-defined] # the Redis backend
        await bus.publish(topic, ping(text="2"))
        await handler.has(2)


async def test_an_idle_consumer_does_not_take_silence_for_an_answer(
    server: Any, bus: Bus, listener: Listener, topic: Any, recorder: Any
) -> None:
    async with bus, consuming(bus, topic, recorder(), lease_seconds=0.04) as subscription:
        await has(lambda: subscription.state == "running")
        await asyncio.to_thread(server.stop)
        await has(lambda: not bus.connected)
        # Long enough for its lease keeper to come round many times with nothing to renew.
        await asyncio.sleep(0.5)
        assert listener.said == ["lost"]
        await asyncio.to_thread(server.start)
        await has(lambda: bus.connected)


async def test_a_bus_whose_server_is_not_there_yet_waits_for_it(
    server: Any, listener: Listener, topic: Any, ping: Any, recorder: Any
) -> None:
    await asyncio.to_thread(server.stop)
    handler = recorder()
    config = BusConfig(url=server.url, socket_timeout_seconds=0.5)
    async with Bus.connect(config, listener) as bus, consuming(bus, topic, handler):
        assert await bus.ping() is False
        publishing = asyncio.create_task(bus.publish(topic, ping(text="x")))
        await asyncio.to_thread(server.start)
        await publishing
        await handler.has(1)
    assert listener.said == ["lost", "restored"]
