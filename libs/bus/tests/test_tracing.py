"""A trace follows its message."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NoReturn

import pytest

from streamdesk.bus import Batch, Bus, BusConfig, Dead, Reject, Retry, RetryPolicy, Tracer

GROUP = "workers"
SOON = RetryPolicy(base_seconds=0.01, cap_seconds=0.05)


@dataclass
class Noted:
    """A span as it was asked for; `traceparent` is its own name here."""

    traceparent: str
    name: str
    kind: str
    parent: str
    links: tuple[str, ...]
    attributes: dict[str, Any]
    ended: bool = False
    error: str = ""

    def note(self, name: str, value: Any) -> None:
        self.attributes[name] = value

    def failed(self, error: BaseException) -> None:
        self.error = repr(error)


@dataclass
class Notebook:
    """A tracer that keeps every span."""

    spans: list[Noted] = field(default_factory=list)
    current: ContextVar[str] = field(default_factory=lambda: ContextVar("current", default=""))
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    is_on = True

    def inject(self) -> str:
        return self.current.get()

    @contextmanager
    def span(
        self,
        name: str,
        *,
        kind: str = "internal",
        parent: str = "",
        links: Sequence[str] = (),
        attributes: Mapping[str, Any] | None = None,
        current: bool = True,
    ) -> Iterator[Noted]:
        me, around = f"{name} {next(self.numbers)}", self.current.get()
        made = Noted(me, name, kind, parent or around, tuple(links), dict(attributes or {}))
        self.spans.append(made)
        before = self.current.set(me) if current else None
        try:
            yield made
        finally:
            made.ended = True
            if before is not None:
                self.current.reset(before)

    def named(self, name: str) -> list[Noted]:
        return [span for span in self.spans if span.name == name]


class Refuser(Tracer):
    """A tracer that is off and must not be asked."""

    def inject(self) -> NoReturn:
        raise AssertionError("asked for the current span")

    def span(self, *_: Any, **__: Any) -> NoReturn:
        raise AssertionError("asked for a span")


@pytest.fixture
def tracer() -> Notebook:
    return Notebook()


@pytest.fixture
async def bus(desk: Any, tracer: Notebook) -> AsyncIterator[Bus]:
    async with Bus.connect(
        BusConfig(url=desk.url, service="test", retry=SOON), tracer=tracer
    ) as bus:
        yield bus


@asynccontextmanager
async def taking(bus: Bus, topic: Any, handler: Any, **options: Any) -> AsyncIterator[None]:
    subscription = bus.subscribe_batches(topic, GROUP, handler, **options)
    stop = asyncio.Event()
    task = asyncio.create_task(subscription.run(stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def test_a_handler_runs_in_a_span_of_the_publishers_trace_on_every_attempt(
    desk: Any, bus: Bus, tracer: Notebook, topic: Any, ping: Any, recorder: Any
) -> None:
    async def look(message: Any) -> Retry | None:
        if message.attempt == 1:
            raise ValueError("not yet")
        return None

    handler = recorder(look)
    with tracer.span("scan") as scan:
        await bus.publish(topic, ping(text="x"), event_id="event-1")
    async with desk.consuming(topic, handler, bus=bus):
        await handler.has(2)
        await desk.settled(topic)
    (publish,) = tracer.named("publish pings")
    assert (publish.kind, publish.parent) == ("producer", scan.traceparent)
    assert publish.attributes == {
        "messaging.system": "redis",
        "messaging.destination.name": "pings",
        "messaging.operation.name": "publish",
        "messaging.operation.type": "send",
        "messaging.message.id": "event-1",
    }
    first, second = tracer.named("process pings")
    assert {first.parent, second.parent} == {publish.traceparent}
    assert first.kind == "consumer"
    consumer = first.attributes.pop("messaging.client.id")
    assert consumer.startswith("test-")
    assert first.attributes == {
        "messaging.system": "redis",
        "messaging.destination.name": "pings",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.consumer.group.name": GROUP,
        "messaging.message.id": "event-1",
        "streamdesk.message.key": "x",
        "streamdesk.message.outcome": "retry",
    }
    assert "not yet" in first.error
    assert second.attributes["streamdesk.message.attempt"] == 2
    assert second.attributes["streamdesk.message.outcome"] == "ack"
    assert handler.seen[0].trace_context == {"traceparent": publish.traceparent}
    assert all(span.ended for span in tracer.spans)


async def test_a_tail_carries_the_trace_too(
    bus: Bus, tracer: Notebook, topic: Any, ping: Any
) -> None:
    await bus.publish(topic, ping(text="x"))
    tail = bus.tail(topic, since="0")
    message = await anext(tail)
    await tail.aclose()
    assert message.trace_context == {"traceparent": tracer.spans[0].traceparent}


async def carried(bus: Bus, topic: Any, count: int) -> dict[str, str]:
    """The traceparent of each event on a topic, by its text."""
    found: dict[str, str] = {}
    async for message in bus.tail(topic, since="0"):
        found[message.event.text] = message.trace_context.get("traceparent", "")
        if len(found) == count:
            break
    return found


async def test_events_published_together_are_one_span_and_carry_it(
    bus: Bus, tracer: Notebook, topic: Any, ping: Any
) -> None:
    await bus.publish_many(topic, [ping(text=text) for text in "ab"])
    (publish,) = tracer.spans
    assert publish.attributes["messaging.batch.message_count"] == 2
    assert set((await carried(bus, topic, 2)).values()) == {publish.traceparent}


async def test_events_of_several_causes_continue_each_in_its_own_trace(
    bus: Bus, tracer: Notebook, topic: Any, ping: Any
) -> None:
    events = [ping(text=text) for text in "abc"]
    with tracer.span("flush") as flush:
        await bus.publish_many(topic, events, causes=["cause-a", "", "cause-c"])
    assert [(span.parent, span.links) for span in tracer.named("publish pings")] == [
        ("cause-a", (flush.traceparent,)),
        ("cause-c", (flush.traceparent,)),
    ]
    a, c = (span.traceparent for span in tracer.named("publish pings"))
    assert await carried(bus, topic, 3) == {"a": a, "b": "", "c": c}


async def test_a_batch_links_to_its_causes_and_what_it_publishes_continues_in_its_messages_traces(
    desk: Any, bus: Bus, tracer: Notebook, topic: Any, make_topic: Any, ping: Any
) -> None:
    passed = make_topic(name="passed")
    for text in "abc":
        await bus.publish(topic, ping(text=text), event_id=f"id-{text}")
    causes = {span.traceparent[-1]: span.traceparent for span in tracer.spans}
    causes = dict(zip("abc", causes.values(), strict=True))

    async def pass_on(batch: Batch[Any]) -> dict[int, Dead]:
        events = [batch.events[0], batch.events[2], ping(text="other")]
        await bus.publish_many(passed, events, event_ids=["id-a", "id-c", "id-other"])
        await bus.publish(passed, ping(text="told"))
        return {1: Dead("dropped")}

    async with taking(bus, topic, pass_on):
        await desk.settled(topic)
    (process,) = tracer.named("process pings")
    assert (process.parent, process.links) == ("", tuple(causes.values()))
    assert process.attributes["messaging.batch.message_count"] == 3
    a, c, other, told = tracer.named("publish passed")
    assert (a.parent, a.links) == (causes["a"], (process.traceparent,))
    assert (c.parent, c.links) == (causes["c"], (process.traceparent,))
    assert other.parent == told.parent == process.traceparent
    assert await carried(bus, passed, 4) == {
        "a": a.traceparent, "c": c.traceparent,
        "other": other.traceparent, "told": told.traceparent,
    }  # fmt: skip


async def test_a_batch_of_one_cause_continues_its_trace(
    desk: Any, bus: Bus, tracer: Notebook, topic: Any, ping: Any
) -> None:
    await bus.publish_many(topic, [ping(text=text) for text in "abc"])

    async def fail(_: Batch[Any]) -> NoReturn:
        raise Reject("nobody-home")

    async with taking(bus, topic, fail):
        await desk.settled(topic)
    publish, process = tracer.spans[:2]
    assert (process.name, process.parent, process.links) == (
        "process pings", publish.traceparent, (),
    )  # fmt: skip
    assert "nobody-home" in process.error


async def test_a_batch_of_frames_links_to_each_frames_publisher(
    desk: Any, bus: Bus, tracer: Notebook, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame")
    for texts in ("ab", "cd"):
        await bus.publish_many(topic, [ping(text=text) for text in texts])
    seen: list[int] = []

    async def look(batch: Batch[Any]) -> None:
        seen.append(len(batch))

    async with taking(bus, topic, look):
        await desk.settled(topic)
    first, second, process = tracer.spans
    assert seen == [4]
    assert process.links == (first.traceparent, second.traceparent)


async def test_a_producers_frame_links_to_the_senders_of_its_events(
    bus: Bus, tracer: Notebook, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame")
    async with bus.producer(topic, linger_ms=60_000) as producer:
        for text in "abb":
            with tracer.span(f"sends {text}"):
                await producer.send(ping(text=text))
    *senders, publish = tracer.spans
    assert publish.links == tuple(span.traceparent for span in senders)
    assert publish.parent == ""
    assert set((await carried(bus, topic, 2)).values()) == {publish.traceparent}


async def test_frames_that_leave_together_are_spans_beside_each_other(
    bus: Bus, tracer: Notebook, make_topic: Any, ping: Any
) -> None:
    topic = make_topic(mode="frame")
    async with bus.producer(topic, linger_ms=60_000, max_batch=2) as producer:
        for text in "abcd":
            with tracer.span(f"sends {text}"):
                await producer.send(ping(text=text))
    assert [(span.parent, len(span.links)) for span in tracer.named("publish pings")] == [
        ("", 2),
        ("", 2),
    ]


async def test_a_producers_entries_continue_each_in_its_senders_trace(
    bus: Bus, tracer: Notebook, topic: Any, ping: Any
) -> None:
    async with bus.producer(topic, linger_ms=60_000) as producer:
        for text in "ab":
            with tracer.span(f"sends {text}"):
                await producer.send(ping(text=text))
    found = await carried(bus, topic, 2)
    parents = {span.traceparent: span.parent for span in tracer.named("publish pings")}
    assert [parents[found[text]] for text in "ab"] == ["sends a 1", "sends b 2"]


async def test_a_bus_without_traces_asks_for_none(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    handler = recorder()
    async with Bus.connect(BusConfig(url=desk.url), tracer=Refuser()) as bus:
        await bus.publish(topic, ping(text="x"))
        await bus.publish_many(topic, [ping(text="y")], causes=["cause"])
        async with bus.producer(topic) as producer:
            await producer.send(ping(text="z"))
        async with desk.consuming(topic, handler, bus=bus):
            await handler.has(3)
        await bus.publish(topic, ping(text="w"))

        async def look(_: Batch[Any]) -> None:
            return None

        async with taking(bus, topic, look):
            await desk.settled(topic)
    assert all(message.trace_context == {} for message in handler.seen)
