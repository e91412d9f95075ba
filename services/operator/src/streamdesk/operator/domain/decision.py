"""A decision about a pool: what to do, and what to report."""

from dataclasses import dataclass
from enum import StrEnum


class ScalingReason(StrEnum):
    """Why a pool has the size it has. The values are shown in status and events."""

    AS_NEEDED = "AsNeeded"
    """The replicas there are fit the need."""
    SCALED_UP = "ScaledUp"
    SCALED_DOWN = "ScaledDown"
    SCALED_TO_ZERO = "ScaledToZero"
    WOKEN = "Woken"
    """Up from zero."""
    WITHIN_TOLERANCE = "WithinTolerance"
    STABILIZING = "Stabilizing"
    """Fewer would do, but not for long enough yet."""
    JUST_TURNED = "JustTurned"
    """Fewer would do, but the pool went down and up again only just before."""
    POLICY_LIMITED = "PolicyLimited"
    """A policy allows no further step yet."""
    MEASURING = "Measuring"
    """How much a replica does is not known yet."""
    IDLE_WAIT = "IdleWait"
    """Nothing to do, but not for long enough to sleep."""
    PENDING_KEEPS_ONE = "PendingKeepsOne"
    """Nothing unread, but pending or delayed entries keep one replica."""
    LOWER_BOUND = "LowerBound"
    """Only a lower bound of the backlog is known: it never removes replicas."""
    LAG_UNKNOWN = "LagUnknown"
    FALLBACK = "Fallback"
    OUT_OF_BOUNDS = "OutOfBounds"
    """The bounds changed."""
    PINNED = "Pinned"
    """`manualReplicas` sets the size."""
    EXTERNALLY_SCALED = "ExternallyScaled"
    """An external actor scaled the target, and the size is kept."""
    REVERTED = "Reverted"
    """An external actor scaled the target, and the size is put back."""
    MANUAL_ZERO = "ManualZero"
    """An external actor scaled to zero: the size is kept until an external actor scales up."""
    PAUSED = "Paused"
    SCALE_IN_PAUSED = "ScaleInPaused"
    DRY_RUN = "DryRun"
    """The decision was not carried out."""


class ConditionType(StrEnum):
    """What can be true of a pool. The adapter adds `Ready` and `ConflictingAutoscaler`."""

    ACTIVE = "Active"
    """There is a backlog, or was until just now."""
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_LIMITED = "ScalingLimited"
    """The need is beyond the bounds, or a policy slows the way to it."""
    OVERRIDDEN = "Overridden"
    PAUSED = "Paused"
    FALLBACK = "Fallback"


@dataclass(frozen=True, slots=True)
class Condition:
    """Whether something is true of a pool, and why.

    Args:
        type: what.
        status: whether; None for unknown.
        reason: one word in camel case.
        message: one sentence.
    """

    type: ConditionType
    status: bool | None
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Transition:
    """A change, reported as one event.

    Args:
        reason: one word in camel case.
        message: one sentence.
        warning: whether a person should look at it.
    """

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """What to do about a pool.

    Args:
        scale_to: number to write into the target's scale now; None to leave it alone.
        desired: number of replicas the pool should have after this look.
        raw_desired: what the work alone asks for, before bounds, windows and policies; None when
            it is not known.
        reason: why.
        message: why, for humans.
        conditions: one of each type, always in the same order.
        transitions: what is new since the last decision, one event each.
        rate_per_replica: entries a replica does in a second, as measured; None for not yet.
        arrivals_per_second: entries that arrive in a second; None for unknown.
    """

    desired: int
    raw_desired: int | None
    reason: ScalingReason
    message: str
    conditions: tuple[Condition, ...]
    scale_to: int | None = None
    transitions: tuple[Transition, ...] = ()
    rate_per_replica: float | None = None
    arrivals_per_second: float | None = None
