"""The event bus: five kinds of events by name, over one `streamdesk.bus.Bus`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, Self, TypedDict, Unpack, overload

from streamdesk.bus import (
    BreakerPolicy,
    Bus,
    BusConfig,
    BusObserver,
    BusUnavailableError,
    Handler,
    RetryPolicy,
    Subscription,
    Tracer,
    Unobserved,
)
from streamdesk.contracts.base import Consumer, Topic
from streamdesk.contracts.events import (
    BarClosed,
    RiskAlerted,
    SignalGenerated,
    StrategyUpdated,
    SystemEvent,
)
from streamdesk.event_bus.counts import EventCounts, Statistics
from streamdesk.event_bus.errors import EventBusError
from streamdesk.event_bus.event_types import EventType
from streamdesk.event_bus.health import BusHealth, type_health
from streamdesk.event_bus.publishing import EventPublisher, utc_now


class SubscribeOptions(TypedDict, total=False):
    """How a subscription consumes; `Bus.subscribe` explains each.

    Attributes:
        batch: most pending entries.
        concurrency: concurrent handlers.
        retry: instead of the bus's policy.
        lease_seconds: instead of the bus's.
        breaker: when to pause because most messages are dead-lettered; instead of the bus's.
    """

    batch: int
    concurrency: int
    retry: RetryPolicy
    lease_seconds: float
    breaker: BreakerPolicy


class EventBus(EventPublisher):
    """Publishes and consumes the desk's events by their type.

    Args:
        bus: what carries them; the caller closes it.
        source: name of the publishing service and, by default, of its group.
        counts: the observer of `bus`, for `statistics`. `EventBus.connect` brings its own.
        topics: topics under other keys or limits than the default, by type.
        clock: the time of events published without one.
    """

    def __init__(
        self,
        bus: Bus,
        source: str,
        *,
        counts: EventCounts | None = None,
        topics: Mapping[EventType, Topic[Any]] | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(bus, source, topics=topics, clock=clock)
        self._counts = counts
        self._subscriptions: list[Subscription] = []

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        config: BusConfig,
        source: str,
        *,
        observer: BusObserver | None = None,
        tracer: Tracer | None = None,
        topics: Mapping[EventType, Topic[Any]] | None = None,
    ) -> AsyncIterator[Self]:
        """An event bus with a connection of its own, closed at the end, that counts.

        Args:
            config: where the server is.
            source: as for `EventBus`.
            observer: receives everything, too.
            tracer: carries the trace across the bus.
            topics: as for `EventBus`.
        """
        counts = EventCounts(observer or Unobserved())
        async with Bus.connect(config, counts, tracer) as bus:
            yield cls(bus, source, counts=counts, topics=topics)

    @overload
    def subscribe(
        self,
        event_type: Literal[EventType.MARKET_DATA],
        handler: Handler[BarClosed],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        event_type: Literal[EventType.TRADING_SIGNAL],
        handler: Handler[SignalGenerated],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        event_type: Literal[EventType.RISK_ALERT],
        handler: Handler[RiskAlerted],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        event_type: Literal[EventType.STRATEGY_UPDATE],
        handler: Handler[StrategyUpdated],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription: ...
    @overload
    def subscribe(
        self,
        event_type: Literal[EventType.SYSTEM_EVENT],
        handler: Handler[SystemEvent],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription: ...

    def subscribe(
        self,
        event_type: EventType,
        handler: Handler[Any],
        *,
        group: str | None = None,
        **options: Unpack[SubscribeOptions],
    ) -> Subscription:
        """Consume events of a type; nothing happens until `run`.

        Every event goes to one consumer of a group. Events from before the group's first
        consumer are handled, too; for a group that `topics.py` does not name these may be only
        the topic's `keep` newest entries.

        Args:
            event_type: which events.
            handler: called with one message; returns an outcome, None for done.
            group: the consumer's group; by default the name of the source.
            options: as `SubscribeOptions` says.
        """
        group = group or self._source
        self._topics[event_type] = topic = _with_group(self._topics[event_type], group)
        subscription = self._bus.subscribe(topic, group, handler, **options)
        self._subscriptions.append(subscription)
        return subscription

    async def run(self, stop: asyncio.Event) -> None:
        """Consume for all subscriptions until `stop` is set; then finish what is pending.

        One that fails ends the others in order; then its error is raised.
        """
        ending = asyncio.Event()
        failures: list[Exception] = []

        async def consume(subscription: Subscription) -> None:
            try:
                await subscription.run(ending)
            except Exception as error:  # noqa: BLE001 - raised below, when the others have ended
                failures.append(error)
                ending.set()

        async def pass_on() -> None:
            await stop.wait()
            ending.set()

        stopper = asyncio.create_task(pass_on())
        try:
            async with asyncio.TaskGroup() as group:
                for subscription in self._subscriptions:
                    group.create_task(consume(subscription))
            if not failures:
                await stopper
        finally:
            stopper.cancel()
        if failures:
            raise failures[0]

    def statistics(self) -> Mapping[EventType, Statistics]:
        """What passed in this process since it began.

        Raises:
            EventBusError: no statistics are kept.
        """
        if self._counts is None:
            raise EventBusError(
                "no statistics are kept on this bus: use EventBus.connect(...), or give one "
                "EventCounts both to Bus.connect as its observer and to EventBus as counts"
            )
        return self._counts.statistics()

    async def health(self) -> BusHealth:
        """The health of each type and of each of its groups now.

        The groups are those that the topics name, and those that this bus subscribed for.
        """
        try:
            rows = {kind: await self._bus.lag(topic) for kind, topic in self._topics.items()}
        except BusUnavailableError:
            return BusHealth(connected=False, types={})
        return BusHealth(
            connected=True, types={kind: type_health(row) for kind, row in rows.items()}
        )

    async def active_consumers(self, event_type: EventType, group: str) -> list[str]:
        """Names of the group's consumers that are alive.

        Raises:
            BusUnavailableError: the server does not answer.
        """
        rows = await self._bus.consumers(self._topics[event_type], group)
        return [row.name for row in rows if row.active]


def _with_group(topic: Topic[Any], group: str) -> Topic[Any]:
    """The topic with this group among those that must have every entry."""
    if group in topic.groups:
        return topic
    return replace(topic, consumers=(*topic.consumers, Consumer(group, group)))
