"""What was seen of a pool in one look."""

from dataclasses import dataclass
from enum import StrEnum


class LagSource(StrEnum):
    """Where the number of unread entries comes from."""

    LAG = "Lag"
    """The group's lag, where it can be believed."""
    LENGTH = "Length"
    """The stream's length: the group is not there yet."""
    COUNTED = "Counted"
    """Entries after the group's last one, counted up to a limit: LowerBound when it was reached."""
    UNKNOWN = "Unknown"
    """The server gave no answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The backlog and the replicas, at one time.

    Args:
        at_seconds: when, since the epoch.
        unread: entries the group was not given yet, over all streams; None for unknown.
        unread_is_lower_bound: there are at least `unread`, perhaps more.
        pending: entries that consumers hold, dead ones included; None for unknown.
        oldest_pending_seconds: age of the oldest of them since it was published.
        delayed: messages that are due later; only a running consumer requeues them.
        delivered_total: entries ever given to the group (the sum of `entries-read`); None for
            unknown.
        replicas: what the target's `spec.replicas` says.
        ready_replicas: how many of them are ready.
        error: why something is unknown, for humans.
        source: where `unread` comes from.
    """

    at_seconds: float
    replicas: int
    ready_replicas: int
    unread: int | None
    pending: int | None
    unread_is_lower_bound: bool = False
    oldest_pending_seconds: float | None = None
    delayed: int = 0
    delivered_total: int | None = None
    error: str | None = None
    source: LagSource = LagSource.LAG

    @property
    def is_known(self) -> bool:
        """Whether unread and pending entries are both known; half an answer is none."""
        return self.unread is not None and self.pending is not None
