"""A trace goes on where a message goes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from streamdesk.bus import Bus, BusConfig, Retry

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Notebook:
    """A tracer that notes what it is asked."""

    def __init__(self) -> None:
        self.current: list[str] = []
        self.spans: list[tuple[str, str]] = []

    def inject(self) -> str:
        return PARENT

    @contextmanager
    def span(self, name: str, traceparent: str) -> Iterator[None]:
        self.spans.append((name, traceparent))
        self.current.append(traceparent)
        yield
        self.current.pop()


async def test_a_handler_runs_in_a_span_of_the_publishers_trace_on_every_attempt(
    desk: Any, topic: Any, ping: Any, recorder: Any
) -> None:
    tracer = Notebook()
    seen: list[list[str]] = []

    async def look(message: Any) -> Retry | None:
        seen.append(list(tracer.current))
        return Retry(0) if message.attempt == 1 else None

    handler = recorder(look)
    async with Bus.connect(BusConfig(url=desk.url), tracer=tracer) as bus:
        await bus.publish(topic, ping(text="x"))
        async with desk.consuming(topic, handler, bus=bus):
            await handler.has(2)
            await desk.settled(topic)
    assert seen == [[PARENT], [PARENT]]
    assert tracer.spans == [("pings process", PARENT)] * 2
    assert handler.seen[0].trace_context == {"traceparent": PARENT}


async def test_a_tail_carries_the_trace_too(desk: Any, topic: Any, ping: Any) -> None:
    async with Bus.connect(BusConfig(url=desk.url), tracer=Notebook()) as bus:
        await bus.publish(topic, ping(text="x"))
        tail = bus.tail(topic, since="0")
        message = await anext(tail)
        await tail.aclose()
    assert message.trace_context == {"traceparent": PARENT}
