"""How it travels: an event bus on Redis Streams."""

from streamdesk.bus.backends.records import StreamLag
from streamdesk.bus.bus import Bus
from streamdesk.bus.config import BusConfig, RetryPolicy, Wait
from streamdesk.bus.consuming.breaker import Breaker, BreakerPolicy
from streamdesk.bus.consuming.deliveries import Batch
from streamdesk.bus.consuming.subscription import Subscription
from streamdesk.bus.consuming.workers import BatchHandler, Handler
from streamdesk.bus.dead_letters.letters import (
    Attempt,
    DeadFilter,
    DeadLetter,
    StoredDeadLetter,
)
from streamdesk.bus.dead_letters.redrive import RedriveReport
from streamdesk.bus.errors import (
    BusConfigError,
    BusError,
    BusUnavailableError,
    LeaseLostError,
    NotDurableError,
    QueueFullError,
    Reject,
    RetryAfter,
    ServerFullError,
)
from streamdesk.bus.keys import Keys, Lease
from streamdesk.bus.leased_value import LeasedValue
from streamdesk.bus.message import Ack, Dead, Message, Outcome, Retry
from streamdesk.bus.observer import BusObserver, Unobserved
from streamdesk.bus.publishing.producer import Producer, Ticket
from streamdesk.bus.tracing import MessageSpan, Tracer
from streamdesk.bus.watching.lag import ConsumerHealth, GroupLag

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
    "LeaseLostError",
    "LeasedValue",
    "Message",
    "MessageSpan",
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
    "StoredDeadLetter",
    "StreamLag",
    "Subscription",
    "Ticket",
    "Tracer",
    "Unobserved",
    "Wait",
]
