"""The desk's five kinds of events by name: publish plain data, subscribe, watch."""

from streamdesk.event_bus.counts import EventCounts, Statistics
from streamdesk.event_bus.errors import EventBusError, InvalidEventError
from streamdesk.event_bus.event_bus import EventBus, SubscribeOptions
from streamdesk.event_bus.event_types import EventType
from streamdesk.event_bus.health import BusHealth, GroupHealth, TypeHealth

__all__ = [
    "BusHealth",
    "EventBus",
    "EventBusError",
    "EventCounts",
    "EventType",
    "GroupHealth",
    "InvalidEventError",
    "Statistics",
    "SubscribeOptions",
    "TypeHealth",
]
