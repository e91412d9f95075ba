"""A subscription: what its user sees, and what its consumer needs to run."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, Protocol, TypeVar

from streamdesk.bus.backends.port import Backend
from streamdesk.bus.config import BusConfig
from streamdesk.bus.connection.link import Link
from streamdesk.bus.consuming.workers import BatchHandler, Handler
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.topic_keys import TopicKeys
from streamdesk.bus.tracing import Tracer
from streamdesk.contracts.base import Event, Topic

E = TypeVar("E", bound=Event)
State = Literal["starting", "running", "degraded", "paused", "draining", "stopped"]


class Subscription(Protocol):
    """One consumer of a group. `run` it; it stops when its event is set."""

    consumer: str
    """Its name in the group."""

    @property
    def state(self) -> State:
        """`degraded` while the server is unreachable, `paused` while a circuit breaker is open."""

    @property
    def why_paused(self) -> str:
        """Why a circuit breaker is open; empty while all are closed."""

    @property
    def in_flight(self) -> int:
        """Entries taken and not settled yet."""

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what is being handled and give back the rest."""


@dataclass(frozen=True, slots=True)
class DispatchOptions(Generic[E]):
    """How a subscription fetches messages and dispatches them to handlers.

    Args:
        handle: for single messages; None with `handle_batch`.
        handle_batch: for batches; None with `handle`.
        prefetch: most entries (of frames: events) in flight, waiting ones included.
        concurrency: handlers that run concurrently.
        batch: most entries taken at once: what one call of a batch handler gets.
        ordered: events of one key stay in order: handled one by one, failed ones tried in place.
        owned_until: monotonic time until which the shard is ours; never, without shards.
        fence: of the shard's owner; 0 without shards.
    """

    handle: Handler[E] | None
    handle_batch: BatchHandler[E] | None
    prefetch: int
    concurrency: int
    batch: int | None = None
    ordered: bool = False
    owned_until: Callable[[], float] = field(default=lambda: math.inf)
    fence: int = 0


@dataclass(frozen=True, slots=True)
class Tools:
    """What a subscription works with; all of a bus's subscriptions share it."""

    backend: Backend
    link: Link
    observer: BusObserver
    tracer: Tracer
    report_lag: Callable[[Topic[Any], str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Membership(Generic[E]):
    """One consumer's place in a group.

    Args:
        topic: what it consumes.
        topic_keys: the keys of the topic, or of the shard that is meant.
        group: name of the group.
        consumer: its own name there.
        dispatch: how it fetches messages and dispatches them.
        config: leases, retries, time-outs.
        tools: the bus's.
    """

    topic: Topic[E]
    topic_keys: TopicKeys
    group: str
    consumer: str
    dispatch: DispatchOptions[E]
    config: BusConfig
    tools: Tools

    def lease_from_now(self) -> float:
        """When a lease that is asked for now runs out, at the earliest (monotonic)."""
        return time.monotonic() + self.config.lease_seconds

    def owner_until(self) -> float:
        """Until when to ask for what only the owner of the shard may have (monotonic).

        Before its lease ends, so that nothing that is under way by then takes from the next one.
        A lease is renewed when a quarter of it is over: this stops no consumer that can renew.
        """
        return self.dispatch.owned_until() - self.config.lease_seconds / 4
