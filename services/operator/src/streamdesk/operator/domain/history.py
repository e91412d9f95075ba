"""What a decision has to remember of those before it.

It is kept in the resource's status (`history.as_status()`), so that a restarted operator decides as
the one before would have (`LagHistory.from_status`). All lists are short by construction.
"""

from typing import Any, Self

from pydantic import Field, ValidationError

from streamdesk.operator.domain.pool import Section


class Recommendation(Section):
    """What a look asked for.

    Attributes:
        at_seconds: when.
        replicas: how many, within the bounds.
    """

    at_seconds: float
    replicas: int


class ScaleEvent(Section):
    """A change that was made.

    Attributes:
        at_seconds: when.
        change: replicas, negative for fewer.
    """

    at_seconds: float
    change: int


class Override(Section):
    """An external actor scaled the target.

    Attributes:
        by: the actor, as far as is known.
        replicas: the size that it set.
        until_seconds: when the pool returns to its need; None for not by itself.
    """

    by: str
    replicas: int
    until_seconds: float | None = None


class Count(Section):
    """Counters of one look, to be compared with those of the next.

    Attributes:
        at_seconds: when.
        delivered: entries ever given to the group; None for unknown.
        unread: entries not given to it yet.
        pending: entries that consumers hold.
        ready: ready replicas.
    """

    at_seconds: float
    delivered: int | None = None
    unread: int
    pending: int
    ready: int


class RateSample(Section):
    """What a replica did in one interval with enough to do.

    Attributes:
        at_seconds: when the interval ended.
        per_second: entries a second and replica.
    """

    at_seconds: float
    per_second: float = Field(gt=0)


class LagHistory(Section):
    """What is known from before.

    Attributes:
        target_replicas: what the pool last wrote to the target, or found and accepted.
        replaced_replicas: what stood there before a write that was not seen to have landed yet.
        recommendations: the newest last, for the stabilisation windows.
        scale_events: the newest last, for the policies.
        direction: sign of the last change made by need: 1, -1, or 0 for none yet.
        turned_up_seconds: when a pool that had gone down last had to go up.
        last_active_seconds: when there was last anything unread, pending or delayed.
        last_scale_seconds: when the size was last changed.
        failures: looks in a row without an answer.
        override: the size that an external actor set, while it counts.
        counts: the newest last, for the rate of arrivals.
        rates: of the last intervals with enough to do, for the rate of a replica.
        last_look_seconds: when the pool was last looked at, whatever was seen.
        announced: conditions that were true, by name, and why; a change of this is an event. In the
            stored JSON it is `told`, as older operators have it.
    """

    target_replicas: int | None = None
    replaced_replicas: int | None = None
    recommendations: tuple[Recommendation, ...] = ()
    scale_events: tuple[ScaleEvent, ...] = ()
    direction: int = Field(0, ge=-1, le=1)
    turned_up_seconds: float | None = None
    last_active_seconds: float | None = None
    last_scale_seconds: float | None = None
    failures: int = Field(0, ge=0)
    override: Override | None = None
    counts: tuple[Count, ...] = ()
    rates: tuple[RateSample, ...] = ()
    last_look_seconds: float | None = None
    announced: tuple[str, ...] = Field((), alias="told")

    def as_status(self) -> dict[str, Any]:
        """The history as JSON, in camel case; what has its default is left out."""
        dumped: dict[str, Any] = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return dumped

    @classmethod
    def from_status(cls, status: object) -> Self:
        """What `as_status` gave; anything else (nothing, another version's) is an empty history."""
        try:
            return cls.model_validate(status)
        except ValidationError:
            return cls()
