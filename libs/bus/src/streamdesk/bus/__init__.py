"""How it travels: an event bus on Redis Streams."""

from streamdesk.bus.bus import Bus, GroupLag
from streamdesk.bus.config import BusConfig, RetryPolicy
from streamdesk.bus.dead_letters import Attempt, DeadLetter, StoredDeadLetter
from streamdesk.bus.errors import (
    BusConfigError,
    BusError,
    BusUnavailableError,
    QueueFullError,
    Reject,
    RetryAfter,
)
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.observer import BusObserver, Tracer
from streamdesk.bus.subscription import Handler, Subscription

__all__ = [
    "Ack",
    "Attempt",
    "Bus",
    "BusConfig",
    "BusConfigError",
    "BusError",
    "BusObserver",
    "BusUnavailableError",
    "Dead",
    "DeadLetter",
    "GroupLag",
    "Handler",
    "Message",
    "Outcome",
    "QueueFullError",
    "Reject",
    "Retry",
    "RetryAfter",
    "RetryPolicy",
    "StoredDeadLetter",
    "Subscription",
    "Tracer",
]
