"""What travels: events, topics and channels."""

from streamdesk.contracts.base import Consumer, Event, Topic
from streamdesk.contracts.errors import (
    ContractError,
    InvalidBodyError,
    UnknownEventError,
    UnknownVersionError,
)

__all__ = [
    "Consumer",
    "ContractError",
    "Event",
    "InvalidBodyError",
    "Topic",
    "UnknownEventError",
    "UnknownVersionError",
]
