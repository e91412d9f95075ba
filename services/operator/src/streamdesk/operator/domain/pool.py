"""What a person wants of a pool: the `spec` of an ExecutorPool.

Names are those of the resource in snake case; `PoolSpec.model_validate(resource["spec"])` reads it.
"""

from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel


class Section(BaseModel):
    """A part of the resource: camel case outside, frozen; fields of newer versions are ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )


class TargetRef(Section):
    """What is scaled."""

    api_version: str = "apps/v1"
    kind: str = "Deployment"
    name: str = Field(min_length=1)


class SecretRef(Section):
    """Where the server's URL is, when it is not the operator's own."""

    name: str = Field(min_length=1)
    key: str = "url"


class RedisSource(Section):
    """Whose work is counted: one group on the streams of one topic."""

    secret_ref: SecretRef | None = None
    streams: tuple[str, ...] = Field(min_length=1)
    group: str = Field(min_length=1)


class ScaleToZero(Section):
    """When a pool whose `minReplicas` is 0 goes to sleep, and what wakes it.

    Attributes:
        idle_seconds: nothing unread, pending or delayed for so long before the last replica goes.
        reclaim_idle_seconds: entries left pending wake a sleeping pool when the oldest was
            published so long ago; before a lease has run out a new consumer could not take them.
    """

    idle_seconds: float = Field(300, ge=0)
    reclaim_idle_seconds: float = Field(0, ge=0)


class PolicyType(StrEnum):
    """What a policy counts in."""

    PODS = "Pods"
    PERCENT = "Percent"


class SelectPolicy(StrEnum):
    """Which of several policies holds."""

    MAX = "Max"
    """The one that allows the largest change."""
    MIN = "Min"
    """The one that allows the smallest."""
    DISABLED = "Disabled"
    """No change in this direction."""


class ScalingPolicy(Section):
    """How much may change in a period.

    Attributes:
        type: what `value` counts.
        value: pods, or percent of the replicas at the start of the period.
        period_seconds: the length of the period, looking back.
    """

    type: PolicyType
    value: int = Field(gt=0)
    period_seconds: float = Field(gt=0, le=1800)


class ScalingRules(Section):
    """How one direction behaves; the shape is that of a HorizontalPodAutoscaler.

    Attributes:
        stabilization_window_seconds: a change is made when it was wanted for so long.
        policies: limits; none means no limit.
        select_policy: which of them holds.
    """

    stabilization_window_seconds: float = Field(0, ge=0, le=3600)
    policies: tuple[ScalingPolicy, ...] = ()
    select_policy: SelectPolicy = SelectPolicy.MAX


class DownRules(ScalingRules):
    """Rules for fewer: a minute long fewer must have been enough, unless another window is given.

    For more there is neither a window nor a limit: as the rate of a replica is measured, the number
    that is needed is known.
    """

    stabilization_window_seconds: float = Field(60, ge=0, le=3600)


class Behavior(Section):
    """How fast the pool follows.

    Attributes:
        scale_up: rules for more.
        scale_down: rules for fewer.
        reversal_seconds: a pool that went down and had to go up again does not go down for so
            long. So it turns at most twice within this time, whatever the load does.
    """

    scale_up: ScalingRules = Field(default_factory=ScalingRules)
    scale_down: DownRules = Field(default_factory=DownRules)
    reversal_seconds: float = Field(300, ge=0, le=3600)


class Tolerance(Section):
    """How far the need may be from the replicas there are before anything changes, as a share."""

    up: float = Field(0.1, ge=0, lt=1)
    down: float = Field(0.1, ge=0, lt=1)


class LossMode(StrEnum):
    """What to do when the backlog is unknown."""

    HOLD = "Hold"
    FALLBACK = "Fallback"


class OnMetricLoss(Section):
    """What to do when the server does not report the backlog.

    Attributes:
        after_failures: observations in a row without an answer, before `mode` counts.
        mode: stay, or go up to `replicas`. Neither ever goes down.
        replicas: of the fallback.
    """

    after_failures: int = Field(3, ge=1)
    mode: LossMode = LossMode.HOLD
    replicas: int | None = Field(None, ge=0)


class ExternalMode(StrEnum):
    """What to do when an external actor scaled the target."""

    HOLD = "Hold"
    """Leave it so for `hold_seconds`."""
    ADOPT = "Adopt"
    """Continue from there: fewer when the windows allow it, more when more are needed."""
    REVERT = "Revert"
    """Scale by need at once."""


class OnExternalScale(Section):
    """What to do when an external actor scaled the target, as `kubectl scale deployment` does.

    Zero is different: in the modes Hold and Adopt it is kept until an external actor scales up.
    """

    mode: ExternalMode = ExternalMode.HOLD
    hold_seconds: float = Field(600, ge=0)


class PoolSpec(Section):
    """All that an ExecutorPool says.

    Attributes:
        target_ref: what is scaled.
        redis: whose work is counted.
        min_replicas: never fewer; 0 allows the pool to sleep.
        max_replicas: never more.
        manual_replicas: exactly so many, whatever the bounds; `kubectl scale executorpool` sets it.
        backlog_per_replica: entries, unread or pending, for which one replica is kept.
        drain_seconds: what waits is to be worked off within this time, beside what arrives.
        poll_seconds: time between two looks at the streams.
        scale_to_zero: when the pool sleeps.
        behavior: how fast it follows.
        tolerance: what it ignores.
        on_metric_loss: what it does when it knows nothing.
        on_external_scale: what it does when an external actor scaled the target.
        paused: nothing changes by itself; `manual_replicas` still counts.
        pause_scale_in: nothing gets less, but for `max_replicas`.
        dry_run: everything is decided and reported, and nothing is done.

    Raises:
        ValueError: bounds that exclude each other, not exactly one of the two targets, or a
            fallback without a number. The resource's own rules refuse the same.
    """

    target_ref: TargetRef
    redis: RedisSource
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(10, ge=1)
    manual_replicas: int | None = Field(None, ge=0)
    backlog_per_replica: int | None = Field(None, ge=1)
    drain_seconds: float | None = Field(None, gt=0)
    poll_seconds: float = Field(10, gt=0)
    scale_to_zero: ScaleToZero = Field(default_factory=ScaleToZero)
    behavior: Behavior = Field(default_factory=Behavior)
    tolerance: Tolerance = Field(default_factory=Tolerance)
    on_metric_loss: OnMetricLoss = Field(default_factory=OnMetricLoss)
    on_external_scale: OnExternalScale = Field(default_factory=OnExternalScale)
    paused: bool = False
    pause_scale_in: bool = False
    dry_run: bool = False

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(
                f"minReplicas {self.min_replicas} is more than maxReplicas {self.max_replicas}:"
                " lower one or raise the other"
            )
        if (self.backlog_per_replica is None) == (self.drain_seconds is None):
            raise ValueError("give exactly one of backlogPerReplica and drainSeconds")
        loss = self.on_metric_loss
        if loss.mode is LossMode.FALLBACK and loss.replicas is None:
            raise ValueError("onMetricLoss.mode Fallback needs onMetricLoss.replicas")
        return self

    def bounded(self, replicas: int) -> int:
        """The number nearest to `replicas` that the bounds allow."""
        return max(self.min_replicas, min(self.max_replicas, replicas))
