"""What became of a message, whatever the robot."""

from dataclasses import dataclass
from enum import StrEnum


class DeliveryOutcome(StrEnum):
    """What became of a message. The values are labels of metrics."""

    DELIVERED = "told"
    TOO_FAST = "too-fast"
    """Not delivered: too many messages in a minute."""
    BLOCKED = "blocked"
    """Not delivered: the robot is cut off for a while, after too many messages."""
    MISCONFIGURED = "misconfigured"
    """Not delivered: the robot rejects our settings."""
    REFUSED = "refused"
    """Not delivered: the robot refuses the content."""
    NOT_SENT = "not-sent"
    """Certainly not delivered, and not counted by the robot."""
    UNKNOWN = "unknown"
    """Sent, and possibly delivered."""


@dataclass(frozen=True, slots=True)
class RobotReply:
    """What became of one message.

    Args:
        outcome: delivered, or why not.
        reason: the same in words, for a person.
    """

    outcome: DeliveryOutcome
    reason: str = ""
