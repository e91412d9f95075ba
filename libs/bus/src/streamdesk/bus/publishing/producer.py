"""A producer that waits a moment for company: many events become few entries.

`send` accepts an event and returns a ticket, which is done when the server has the event. Events
leave when `max_batch` or `max_bytes` are reached or `linger_ms` after the first of them, whichever
is first; those of one class or shard leave in the order in which they were sent.
"""

import asyncio
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from contextvars import Context
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from streamdesk.bus.envelope import FRAME_EVENTS, Fields
from streamdesk.bus.errors import BusConfigError
from streamdesk.bus.publishing.encoding import encode_bodies, encode_frame, json_of
from streamdesk.bus.publishing.publisher import Publisher
from streamdesk.bus.publishing.writer import Writer
from streamdesk.bus.tracing import Tracer, publishing
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)

WAITING_LOADS = 8
"""How many loads may wait for the server before `send` waits, too."""


class Ticket:
    """Of events that leave together: await it to know that the server has them.

    It raises what kept them from being written. Many may await it; one that is cancelled
    meanwhile cancels no other.
    """

    __slots__ = ("_written",)

    def __init__(self, written: "asyncio.Future[None]") -> None:
        """Made by `Producer.send`."""
        self._written = written

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.shield(self._written).__await__()

    def done(self) -> bool:
        """Whether awaiting it would not wait."""
        return self._written.done()


@dataclass(slots=True)
class _Load:
    """Events of one type and part that leave together."""

    part: int
    model: type[Event]
    written: "asyncio.Future[None]"
    ticket: Ticket
    bodies: list[bytes] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    """Traceparent that each event was sent in; empty while tracing is off."""

    carried: Sequence[str] | None = None
    """Traceparent that each event carries, once it is being written."""

    bytes: int = 0


class Producer(Generic[E]):
    """Made by `Bus.producer`; an async context manager that flushes at its end."""

    def __init__(
        self,
        topic: Topic[E],
        publisher: Publisher,
        writer: Writer,
        tracer: Tracer,
        *,
        linger_ms: float,
        max_batch: int,
        max_bytes: int,
    ) -> None:
        """Nothing is sent yet; raises BusConfigError for limits that cannot work."""
        if not (linger_ms >= 0 and 1 <= max_batch <= FRAME_EVENTS and max_bytes >= 1):
            raise BusConfigError(
                f"producer of {topic.name!r}: linger_ms={linger_ms}, max_batch={max_batch}, "
                f"max_bytes={max_bytes}; expected 0 or more, 1 to {FRAME_EVENTS}, 1 or more"
            )
        self._topic = topic
        self._publisher = publisher
        self._writer = writer
        self._tracer = tracer
        self._linger_seconds = linger_ms / 1000
        self._max_batch = max_batch
        self._max_bytes = max_bytes
        self._open: dict[int, _Load] = {}
        self._full: deque[_Load] = deque()
        self._shipper: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._room = asyncio.Event()
        self._last: asyncio.Future[None] | None = None
        self._unflushed: Exception | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.flush()

    async def send(self, event: E) -> Ticket:
        """Accept an event; waits only while too much waits for the server already.

        Returns:
            its ticket, shared by all that leave with it. Until that is done nothing is promised.

        Raises:
            UnknownEventError: the topic does not carry such events.
        """
        part = self._publisher.part_of(self._topic, event)
        body = json_of(event)
        load = self._open.get(part)
        if load is None or load.model is not type(event):
            load = self._new_load(part, type(event))
        load.bodies.append(body)
        load.bytes += len(body)
        if self._tracer.is_on:
            load.causes.append(self._tracer.inject())
        if self._topic.mode == "entry":
            load.keys.append(self._topic.key_of(event))
        if len(load.bodies) >= self._max_batch or load.bytes >= self._max_bytes:
            self._close_load(part)
        while len(self._full) >= WAITING_LOADS:
            self._room.clear()
            await self._room.wait()
        return load.ticket

    def _new_load(self, part: int, model: type[Event]) -> _Load:
        if part in self._open:
            self._close_load(part)
        loop = asyncio.get_running_loop()
        written: asyncio.Future[None] = loop.create_future()
        # The failure of a ticket that is not awaited is raised by `flush`.
        written.add_done_callback(lambda done: done.exception())
        load = _Load(part, model, written, Ticket(written))
        self._open[part] = load
        if self._linger is None:
            self._linger = loop.call_later(self._linger_seconds, self._close_all)
        return load

    def _close_all(self) -> None:
        self._linger = None
        for part in list(self._open):
            self._close_load(part)

    def _close_load(self, part: int) -> None:
        load = self._open.pop(part)
        self._full.append(load)
        self._last = load.written
        if self._shipper is None or self._shipper.done():
            # In no span: the call that happens to start it is not the cause of all it writes.
            self._shipper = asyncio.create_task(self._ship(), context=Context())

    async def _ship(self) -> None:
        """Write what is full, in order; loads of one part that wait together go in one trip."""
        while self._full:
            loads = [self._full.popleft()]
            while self._full and self._full[0].part == loads[0].part:
                loads.append(self._full.popleft())
            self._room.set()
            await self._write(loads)

    async def _write(self, loads: list[_Load]) -> None:
        target = self._publisher.target(self._topic, loads[0].part)
        count = sum(len(load.bodies) for load in loads)
        try:
            with ExitStack() as spans:
                for load in loads:
                    load.carried = self._carry(load, spans)
                entries = [entry for load in loads for entry in self._entries(load)]
                await self._writer.write(target, entries, count)
        except Exception as error:  # noqa: BLE001 - raised by the tickets that wait for it
            self._unflushed = error
            for load in loads:
                load.written.set_exception(error)
            return
        for load in loads:
            load.written.set_result(None)

    def _carry(self, load: _Load, spans: ExitStack) -> Sequence[str] | None:
        """The traceparent of each event of a load that is about to be written."""
        count = len(load.bodies)
        if not self._tracer.is_on or len(load.causes) != count:
            return None
        return spans.enter_context(
            publishing(
                self._tracer, self._topic, [None] * count, load.causes if any(load.causes) else None
            )
        )

    def _entries(self, load: _Load) -> list[Fields]:
        if self._topic.mode == "frame":
            above = self._topic.compress_above_bytes
            return [
                encode_frame(
                    load.model, load.bodies, load.carried[0] if load.carried else "", above
                )
            ]
        return encode_bodies(load.model, load.keys, load.bodies, load.carried)

    async def flush(self) -> None:
        """Return when the server has all that was sent before.

        Raises:
            BusError: what kept some of it from being written, the last such error since the last
                flush; the tickets say which.
        """
        if self._linger is not None:
            self._linger.cancel()
            self._close_all()
        if self._last is not None:  # loads leave in order: when it is done, all before are
            await asyncio.wait([self._last])
        error, self._unflushed = self._unflushed, None
        if error is not None:
            raise error
