"""What is to be done about a pool, and how to tell people."""

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
    """Nothing unread, but entries in somebody's hands or on their way keep one replica."""
    LOWER_BOUND = "LowerBound"
    """At least so many wait: never fewer replicas on that."""
    LAG_UNKNOWN = "LagUnknown"
    FALLBACK = "Fallback"
    OUT_OF_BOUNDS = "OutOfBounds"
    """The bounds changed."""
    PINNED = "Pinned"
    """`manualReplicas` says so."""
    EXTERNALLY_SCALED = "ExternallyScaled"
    """Another hand scaled the target, and it is left so."""
    REVERTED = "Reverted"
    """Another hand scaled the target, and it is put back."""
    MANUAL_ZERO = "ManualZero"
    """Another hand scaled to zero: so it stays until that hand scales up."""
    PAUSED = "Paused"
    SCALE_IN_PAUSED = "ScaleInPaused"
    DRY_RUN = "DryRun"
    """The decision was not carried out."""


class ConditionType(StrEnum):
    """What can be true of a pool. `Ready` and `ConflictingAutoscaler` are the adapter's to say."""

    ACTIVE = "Active"
    """There is work, or was until just now."""
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
    """Something changed: one event for people.

    Args:
        reason: one word in camel case.
        message: one sentence.
        warning: somebody should look.
    """

    reason: str
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingDecision:
    """What is to be done.

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
