"""How it travels: an event bus on Redis Streams."""

from streamdesk.bus.backend import StreamLag
from streamdesk.bus.batch import Batch
from streamdesk.bus.breaker import Breaker, BreakerPolicy
from streamdesk.bus.bus import Bus
from streamdesk.bus.config import BusConfig, RetryPolicy, Wait
from streamdesk.bus.crew import BatchHandler, Handler
from streamdesk.bus.dead_letters import Attempt, DeadFilter, DeadLetter, StoredDeadLetter
from streamdesk.bus.errors import (
    BusConfigError,
    BusError,
    BusUnavailableError,
    NotDurableError,
    QueueFullError,
    Reject,
    RetryAfter,
    ServerFullError,
)
from streamdesk.bus.keys import Keys, Lease
from streamdesk.bus.lag import ConsumerHealth, GroupLag
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.observer import BusObserver
from streamdesk.bus.producer import Producer, Ticket
from streamdesk.bus.redrive import RedriveReport
from streamdesk.bus.subscription import Subscription
from streamdesk.bus.tracing import Span, Tracer

__all__ = [
    "Ack",
    "Attempt",
    "Batch",
    "BatchHandler",
    "Breaker",
    "BreakerPolicy",
    "Bus",
    "BusConfig",
    "BusConfigError",
    "BusError",
    "BusObserver",
    "BusUnavailableError",
    "ConsumerHealth",
    "Dead",
    "DeadFilter",
    "DeadLetter",
    "GroupLag",
    "Handler",
    "Keys",
    "Lease",
    "Message",
    "NotDurableError",
    "Outcome",
    "Producer",
    "QueueFullError",
    "RedriveReport",
    "Reject",
    "Retry",
    "RetryAfter",
    "RetryPolicy",
    "ServerFullError",
    "Span",
    "StoredDeadLetter",
    "StreamLag",
    "Subscription",
    "Ticket",
    "Tracer",
    "Wait",
]
