"""A producer that collects events: when they leave, in which order, and what a failure does."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticSerializationError

from streamdesk.bus import (
    Bus,
    BusConfig,
    BusConfigError,
    Producer,
    QueueFullError,
)
from streamdesk.bus.publishing.producer import WAITING_LOADS
from streamdesk.bus.topic_keys import keys_of, partitions_of
from streamdesk.contracts import UnknownEventError
from streamdesk.contracts.base import Consumer, Event, Topic

GROUP = "workers"
NEVER_MS = 3_600_000.0


class Tick(Event):
    text: str
    score: float = 0


class Tock(Event):
    text: str
    score: float = 0


def topic_of(**changes: Any) -> Topic[Any]:
    key = f"test:{secrets.token_hex(4)}"
    values: dict[str, Any] = {
        "name": "ticks",
        "key": key,
        "models": (Tick, Tock),
        "about": "Test traffic.",
        "dead_key": f"{key}:dead",
        "key_field": "text",
        "consumers": (Consumer("worker", GROUP),),
    }
    return Topic(**(values | changes))


@pytest.fixture(params=["entry", "frame"])
def ticks(request: pytest.FixtureRequest) -> Topic[Any]:
    return topic_of(mode=request.param)


class Gate:
    """Holds a backend's appends until it lets them through, and counts them."""

    def __init__(self, bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls = 0
        self._permits = asyncio.Semaphore(0)
        self._append = bus._backend.append
        monkeypatch.setattr(bus._backend, "append", self)

    async def __call__(self, *words: Any) -> Any:
        self.calls += 1
        await self._permits.acquire()
        return await self._append(*words)

    def let(self, calls: int) -> None:
        for _ in range(calls):
            self._permits.release()

    async def reached(self, calls: int) -> None:
        async with asyncio.timeout(30):
            while self.calls < calls:
                await asyncio.sleep(0)


def never(desk: Any, topic: Topic[Any], **limits: Any) -> Producer[Any]:
    """A producer whose loads leave when they are full, or flushed."""
    producer: Producer[Any] = desk.bus.producer(topic, **({"linger_ms": NEVER_MS} | limits))
    return producer


async def texts(desk: Any, topic: Topic[Any]) -> list[str]:
    messages = await desk.bus.waiting(topic, GROUP, 1_000_000)
    return [message.event.text for message in messages]


async def length(desk: Any, topic: Topic[Any]) -> int:
    (lag,) = await desk.bus.lag(topic)
    return int(lag.length)


async def test_a_lone_event_leaves_when_its_time_is_over(desk: Any, ticks: Any) -> None:
    async with asyncio.timeout(30), desk.bus.producer(ticks, linger_ms=5) as producer:
        await (await producer.send(Tick(text="a")))
        assert await texts(desk, ticks) == ["a"]


async def test_nothing_leaves_before_its_time_unless_a_limit_is_reached(
    desk: Any, ticks: Any
) -> None:
    async with never(desk, ticks, max_batch=3) as producer:
        waiting = [await producer.send(Tick(text=text)) for text in "ab"]
        for _ in range(20):
            await asyncio.sleep(0)
        assert not any(ticket.done() for ticket in waiting)
        assert await texts(desk, ticks) == []
        await (await producer.send(Tick(text="c")))
        assert await texts(desk, ticks) == ["a", "b", "c"]
        assert all(ticket.done() for ticket in waiting)


async def test_a_load_leaves_when_it_is_large_enough(desk: Any, ticks: Any) -> None:
    async with never(desk, ticks, max_bytes=1000) as producer:
        small = await producer.send(Tick(text="small"))
        assert not small.done()
        await (await producer.send(Tick(text="x" * 1000)))
        assert small.done()
        assert len(await texts(desk, ticks)) == 2


async def test_what_leaves_together_is_one_frame_with_one_ticket(desk: Any) -> None:
    topic = topic_of(mode="frame")
    async with never(desk, topic, max_batch=5) as producer:
        tickets = [await producer.send(Tick(text=str(i))) for i in range(10)]
        await asyncio.gather(*tickets)
    assert await length(desk, topic) == 2
    assert len({id(ticket) for ticket in tickets}) == 2
    messages = await desk.bus.waiting(topic, GROUP)
    assert len({message.id for message in messages}) == 10


async def test_the_order_is_that_of_sending_whatever_the_types(desk: Any, ticks: Any) -> None:
    async with desk.bus.producer(ticks, linger_ms=0, max_batch=7) as producer:
        for number in range(500):
            await producer.send((Tick if number % 5 else Tock)(text=str(number)))
            if number % 50 == 0:
                await asyncio.sleep(0)
    assert await texts(desk, ticks) == [str(number) for number in range(500)]


async def test_each_class_keeps_its_order(desk: Any) -> None:
    topic = topic_of(classes=(0, 50), class_field="score")
    async with desk.bus.producer(topic, linger_ms=0, max_batch=3) as producer:
        for number in range(100):
            await producer.send(Tick(text=str(number), score=number % 3 * 40))
    expected = [n for n in range(100) if n % 3 == 2] + [n for n in range(100) if n % 3 < 2]
    assert await texts(desk, topic) == [str(number) for number in expected]


async def test_each_key_goes_to_its_shard_in_order(desk: Any) -> None:
    topic = topic_of(shards=4, key_field="text")
    async with desk.bus.producer(topic, linger_ms=0, max_batch=3) as producer:
        for number in range(60):
            await producer.send(Tick(text=f"key-{number % 6}", score=number))
    seen: dict[str, list[float]] = {}
    for message in await desk.bus.waiting(topic, GROUP, 100):
        seen.setdefault(message.event.text, []).append(message.event.score)
    assert seen == {f"key-{n}": [float(s) for s in range(n, 60, 6)] for n in range(6)}
    lengths = [s.length for s in (await desk.lag(topic)).streams]
    assert sum(lengths) == 60
    assert len(lengths) == len(partitions_of(topic))


async def test_a_producer_that_ends_leaves_nothing_behind(desk: Any, ticks: Any) -> None:
    async with never(desk, ticks) as producer:
        tickets = [await producer.send(Tick(text=str(number))) for number in range(5)]
    assert all(ticket.done() for ticket in tickets)
    assert await texts(desk, ticks) == ["0", "1", "2", "3", "4"]


async def test_a_flush_of_nothing_returns_and_a_second_one_too(desk: Any, ticks: Any) -> None:
    producer = never(desk, ticks)
    await producer.flush()
    await producer.send(Tick(text="a"))
    await producer.flush()
    await producer.flush()
    assert await texts(desk, ticks) == ["a"]


async def test_a_flush_waits_for_what_was_sent_before_it_only(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of()
    gate = Gate(desk.bus, monkeypatch)
    producer = never(desk, topic, max_batch=1)
    async with asyncio.timeout(30):
        before = await producer.send(Tick(text="before"))
        flushing = asyncio.create_task(producer.flush())
        await gate.reached(1)
        after = await producer.send(Tick(text="after"))
        assert not flushing.done()
        gate.let(1)
        await before
        await flushing
        await gate.reached(2)
        assert not after.done()
        gate.let(1)
        await producer.flush()
    assert await texts(desk, topic) == ["before", "after"]


async def test_a_full_queue_reaches_tickets_and_flush_and_the_producer_continues(
    desk: Any, ticks: Any
) -> None:
    topic = topic_of(mode=ticks.mode, max_backlog=2)
    producer = never(desk, topic, max_batch=1)
    written = [await producer.send(Tick(text=text)) for text in "ab"]
    await producer.flush()
    refused = await producer.send(Tick(text="c"))
    with pytest.raises(QueueFullError):
        await refused
    with pytest.raises(QueueFullError):
        await producer.flush()
    await producer.flush()  # said once
    await asyncio.gather(*written)
    assert await texts(desk, topic) == ["a", "b"]


async def test_who_never_looks_at_a_ticket_hears_of_its_failure_at_the_end(
    desk: Any, ticks: Any
) -> None:
    topic = topic_of(mode=ticks.mode, max_backlog=0)
    with pytest.raises(QueueFullError):
        async with never(desk, topic) as producer:
            await producer.send(Tick(text="lost"))
    assert await texts(desk, topic) == []


async def test_what_cannot_be_written_at_all_reaches_its_ticket_and_stops_nothing(
    desk: Any, ticks: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with never(desk, ticks) as producer:
        lost = await producer.send(Tick(text="lost"))
        with monkeypatch.context() as patch:
            patch.setattr(producer, "_entries", lambda _load: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                await producer.flush()
        with pytest.raises(ZeroDivisionError):
            await lost
        await producer.send(Tick(text="kept"))
    assert await texts(desk, ticks) == ["kept"]


async def test_send_waits_while_too_much_waits_for_the_server(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of()
    gate = Gate(desk.bus, monkeypatch)
    producer, sent = never(desk, topic, max_batch=1), 0

    async def send_all() -> None:
        nonlocal sent
        for number in range(40):
            await producer.send(Tick(text=str(number)))
            sent += 1

    sending = asyncio.create_task(send_all())
    await gate.reached(1)
    for _ in range(100):
        await asyncio.sleep(0)
    # So many wait, and as many were written together before.
    assert WAITING_LOADS <= sent < 2 * WAITING_LOADS
    gate.let(100)
    async with asyncio.timeout(30):
        await sending
        await producer.flush()
    assert await texts(desk, topic) == [str(number) for number in range(40)]


async def test_send_waits_for_the_server_also_when_time_alone_closes_the_loads(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of()
    gate = Gate(desk.bus, monkeypatch)
    producer, sent = desk.bus.producer(topic, linger_ms=0), 0

    async def send_slowly() -> None:
        nonlocal sent
        for number in range(40):
            await producer.send(Tick(text=str(number)))
            sent += 1
            await asyncio.sleep(0.001)  # its load leaves meanwhile

    sending = asyncio.create_task(send_slowly())
    async with asyncio.timeout(30):
        while len(producer._full) < WAITING_LOADS:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert len(producer._full) <= WAITING_LOADS + 1
        assert sent < 40
        gate.let(100)
        await sending
        await producer.flush()
    assert await texts(desk, topic) == [str(number) for number in range(40)]


async def test_a_caller_that_is_cancelled_while_awaiting_a_ticket_cancels_no_other(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = topic_of()
    gate = Gate(desk.bus, monkeypatch)
    producer = never(desk, topic, max_batch=2)
    one, two = await producer.send(Tick(text="a")), await producer.send(Tick(text="b"))
    await gate.reached(1)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await one
    gate.let(100)
    async with asyncio.timeout(30):
        await two
        await one
        await (await never(desk, topic, max_batch=1).send(Tick(text="c")))
    assert await texts(desk, topic) == ["a", "b", "c"]


async def test_an_event_that_is_refused_takes_nothing_with_it(desk: Any, ticks: Any) -> None:
    class Stranger(Event):
        text: str

    async with never(desk, ticks) as producer:
        with pytest.raises(UnknownEventError, match="Stranger"):
            await producer.send(Stranger(text="x"))
        with pytest.raises(PydanticSerializationError):
            await producer.send(Tick.model_construct(text="\ud800"))
        await producer.flush()
        assert await length(desk, ticks) == 0
        await producer.send(Tick(text="good"))
    assert await texts(desk, ticks) == ["good"]


@pytest.mark.parametrize(
    "limits",
    [{"linger_ms": -1}, {"max_batch": 0}, {"max_batch": 501}, {"max_bytes": 0}],
)
async def test_limits_that_cannot_work_are_refused_with_their_values(
    limits: dict[str, int],
) -> None:
    ((name, value),) = limits.items()
    async with Bus.connect(BusConfig(url="memory://limits")) as bus:
        with pytest.raises(BusConfigError, match=f"{name}={value}"):
            bus.producer(topic_of(), **limits)


@pytest.mark.parametrize("kind", ["frozen", "stopped"])
async def test_a_producer_outlives_an_outage_and_writes_everything_once_in_order(
    start_server: Callable[..., Any], kind: str
) -> None:
    server, topic = start_server(), topic_of()
    config = BusConfig(url=server.url, socket_timeout_seconds=0.3)
    async with asyncio.timeout(30), Bus.connect(config) as bus:
        async with bus.producer(topic, linger_ms=1, max_batch=10) as producer:
            for number in range(200):
                await producer.send(Tick(text=str(number)))
                if number == 99:
                    await producer.flush()
                    server.freeze() if kind == "frozen" else await asyncio.to_thread(server.stop)
                if number == 130:
                    while bus.connected:
                        await asyncio.sleep(0.01)
                    server.thaw() if kind == "frozen" else await asyncio.to_thread(server.start)
        messages = await bus.waiting(topic, GROUP, 1000)
        found = [message.event.text for message in messages]
    server.stop()
    if kind == "stopped":
        assert found == [str(number) for number in range(200)]
    # A frozen server may execute what it had received after the same was written again.
    assert list(dict.fromkeys(found)) == [str(number) for number in range(200)]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["send", "send", "send", "turn", "flush", "fail", "heal"]),
        st.sampled_from([Tick, Tock]),
        st.integers(0, 2),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=60)
@given(steps=STEPS, mode=st.sampled_from(["entry", "frame"]), max_batch=st.integers(1, 5))
def test_no_event_is_lost_repeated_or_reordered_whatever_happens(
    steps: list[tuple[str, type[Tick | Tock], int]], mode: str, max_batch: int
) -> None:
    topic = topic_of(
        mode=mode, classes=(0, 1, 2), class_field="score", key_field=None, max_backlog=1_000_000
    )

    async def play() -> None:
        bus = Bus.connect(BusConfig(url=f"memory://{topic.key}"))
        backend, failing = bus._backend, False
        once = backend.append_once

        async def append_once(*words: Any) -> Any:
            await asyncio.sleep(0)
            if failing:
                raise QueueFullError(topic.name, 0, 0)
            return await once(*words)

        backend.append_once = append_once  # type: ignore[method-assign,assignment] # fails on demand
        producer = bus.producer(topic, linger_ms=NEVER_MS, max_batch=max_batch)
        sent: list[tuple[int, str, Any]] = []
        for what, model, part in steps:
            if what == "send":
                text = str(len(sent))
                sent.append((part, text, await producer.send(model(text=text, score=part))))
            elif what == "flush":
                await asyncio.gather(producer.flush(), return_exceptions=True)
            elif what == "turn":
                await asyncio.sleep(0)
            else:
                failing = what == "fail"
        await asyncio.gather(producer.flush(), return_exceptions=True)
        tickets = [ticket for _, _, ticket in sent]
        became = await asyncio.gather(*tickets, return_exceptions=True)
        for part in range(3):
            expected = [
                text
                for (of, text, _), error in zip(sent, became, strict=True)
                if of == part and error is None
            ]
            messages = await bus.waiting(topic, GROUP, 1000)
            assert [m.event.text for m in messages if m.priority == part] == expected

    asyncio.run(play())


async def test_entries_of_a_producer_look_like_those_of_publish(desk: Any, ticks: Any) -> None:
    await desk.bus.publish(ticks, Tick(text="published"))
    async with never(desk, ticks) as producer:
        await producer.send(Tick(text="produced"))
    key = keys_of(ticks).streams[0]
    (_, published), (_, produced) = await desk.bus._backend.read_range(key, "0", "9" * 15, 10)
    assert published.keys() == produced.keys()
