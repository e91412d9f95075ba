"""The explanation of a decision: a sentence, conditions, and events for what is new."""

from streamdesk.operator.domain.decision import (
    Condition,
    ConditionType,
    ScalingDecision,
    ScalingReason,
    Transition,
)
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.need import Need, in_fallback
from streamdesk.operator.domain.observation import Observation
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.rates import arrivals, service_rate

_HELD = {
    ScalingReason.WITHIN_TOLERANCE: "near enough to what there is",
    ScalingReason.STABILIZING: "not wanted for long enough yet",
    ScalingReason.JUST_TURNED: "the pool went down and up again just before",
    ScalingReason.POLICY_LIMITED: "a policy allows no further step yet",
    ScalingReason.MEASURING: "what a replica does is being measured",
    ScalingReason.IDLE_WAIT: "nothing to do, but not for long enough to sleep",
    ScalingReason.PENDING_KEEPS_ONE: "pending or delayed entries keep one replica",
    ScalingReason.LOWER_BOUND: "the server reports a lower bound: no replica is removed",
    ScalingReason.FALLBACK: "the server gives no answer: the fallback counts",
    ScalingReason.OUT_OF_BOUNDS: "the bounds allow nothing else",
    ScalingReason.REVERTED: "an external actor's size is put back",
    ScalingReason.SCALE_IN_PAUSED: "scaling in is paused",
}


def work(seen: Observation, history: LagHistory) -> str:
    """What waits, what arrives and what a replica does, as one phrase."""
    if not seen.is_known:
        return f"the backlog is unknown ({seen.error or 'no answer'})"
    least = "at least " if seen.unread_is_lower_bound else ""
    parts = [f"{least}{seen.unread} unread"]
    age = seen.oldest_pending_seconds
    oldest = f" (oldest {age:.0f} s)" if seen.pending and age is not None else ""
    parts.append(f"{seen.pending} pending{oldest}")
    if seen.delayed:
        parts.append(f"{seen.delayed} delayed")
    arriving, rate = arrivals(history), service_rate(history)
    if arriving is not None:
        parts.append(f"{arriving:.1f} a second arrive")
    if rate is not None:
        parts.append(f"a replica does {rate:.1f} a second")
    return ", ".join(parts)


def sentence(
    reason: ScalingReason, current: int, desired: int, seen: Observation, then: LagHistory
) -> str:
    """Why the pool gets the size it gets."""
    change = f"{current} replicas" if desired == current else f"{current} -> {desired} replicas"
    said = {
        ScalingReason.PINNED: "manualReplicas sets the size",
        ScalingReason.PAUSED: "the pool is paused",
        ScalingReason.MANUAL_ZERO: "an external actor scaled to zero; scale up to end this",
        ScalingReason.EXTERNALLY_SCALED: _held_until(seen, then),
        ScalingReason.LAG_UNKNOWN: f"{work(seen, then)}: held",
    }.get(reason)
    if said is None:
        held = _HELD.get(reason)
        said = f"{work(seen, then)}; {held}" if held else work(seen, then)
    return f"{change}: {said}"


def _held_until(seen: Observation, then: LagHistory) -> str:
    actor = "an external actor scaled the target"
    until = then.override.until_seconds if then.override else None
    if until is None:
        return actor
    return f"{actor}; back to the need in {until - seen.at_seconds:.0f} s"


def conditions(
    spec: PoolSpec, seen: Observation, needed: Need, decision: ScalingDecision, then: LagHistory
) -> tuple[Condition, ...]:
    """One condition of each type."""
    return (
        _active(seen, then),
        _metrics(seen, then),
        _limited(spec, needed, decision),
        _overridden(decision),
        _paused(spec),
        _fallback(spec, then),
    )


def _yes(kind: ConditionType, reason: str, message: str) -> Condition:
    return Condition(kind, status=True, reason=reason, message=message)


def _no(kind: ConditionType, reason: str, message: str) -> Condition:
    return Condition(kind, status=False, reason=reason, message=message)


def _active(seen: Observation, then: LagHistory) -> Condition:
    kind = ConditionType.ACTIVE
    if not seen.is_known:
        return Condition(kind, None, "Unknown", work(seen, then))
    busy = then.last_active_seconds == seen.at_seconds
    return Condition(kind, busy, "WorkWaits" if busy else "Idle", work(seen, then))


def _metrics(seen: Observation, then: LagHistory) -> Condition:
    kind = ConditionType.METRICS_AVAILABLE
    if not seen.is_known:
        error = seen.error or "the server gave no answer"
        return _no(kind, "LagUnknown", f"{error}; {then.failures} looks in a row")
    reason = "LowerBound" if seen.unread_is_lower_bound else seen.source.value
    return _yes(kind, reason, work(seen, then))


def _limited(spec: PoolSpec, needed: Need, decision: ScalingDecision) -> Condition:
    kind = ConditionType.SCALING_LIMITED
    wanted = needed.replicas
    if wanted is not None and wanted > spec.max_replicas:
        message = f"the work asks for {wanted} replicas, maxReplicas is {spec.max_replicas}"
        return _yes(kind, "TooManyReplicas", message)
    if decision.reason is ScalingReason.POLICY_LIMITED:
        return _yes(kind, "PolicyLimited", "a policy allows no further step yet")
    return _no(kind, "WithinLimits", "the number wanted is within the limits")


def _overridden(decision: ScalingDecision) -> Condition:
    kind = ConditionType.OVERRIDDEN
    if decision.reason in (
        ScalingReason.PINNED,
        ScalingReason.EXTERNALLY_SCALED,
        ScalingReason.MANUAL_ZERO,
    ):
        return _yes(kind, decision.reason.value, decision.message)
    return _no(kind, "Automatic", "the work decides")


def _paused(spec: PoolSpec) -> Condition:
    kind = ConditionType.PAUSED
    if spec.paused:
        return _yes(kind, "Paused", "nothing changes until paused is false")
    if spec.pause_scale_in:
        return _no(kind, "ScaleInPaused", "nothing gets less")
    return _no(kind, "Running", "the pool is not paused")


def _fallback(spec: PoolSpec, then: LagHistory) -> Condition:
    kind = ConditionType.FALLBACK
    if in_fallback(spec, then):
        message = (
            f"{then.failures} looks without an answer: {spec.on_metric_loss.replicas} replicas"
        )
        return _yes(kind, "MetricLoss", message)
    return _no(kind, "NotNeeded", "the fallback does not count")


def notable(spec: PoolSpec, decision: ScalingDecision, then: LagHistory) -> dict[str, Transition]:
    """All that is reported once, by a key that changes when it is news again.

    A failed look alone is none: the event comes when `afterFailures` of them were in a row.
    """
    found: dict[str, Transition] = {}
    for condition in decision.conditions:
        key = f"{condition.type}/{condition.reason}"
        news = Transition(condition.reason, condition.message, warning=True)
        match condition.type:
            case ConditionType.METRICS_AVAILABLE if condition.status is False:
                if then.failures >= spec.on_metric_loss.after_failures:
                    found[key] = news
            case ConditionType.SCALING_LIMITED if condition.reason == "TooManyReplicas":
                found[key] = news
            case ConditionType.FALLBACK if condition.status:
                found[key] = news
            case ConditionType.PAUSED if condition.reason != "Running":
                found[key] = Transition(condition.reason, condition.message)
            case ConditionType.OVERRIDDEN if condition.status:
                found[f"{key}/{decision.desired}"] = Transition(condition.reason, condition.message)
    return found


_ENDED = {
    ConditionType.METRICS_AVAILABLE: Transition("MetricsBack", "the server answers again"),
    ConditionType.SCALING_LIMITED: Transition("WithinLimits", "the need is within the bounds"),
    ConditionType.FALLBACK: Transition("FallbackEnded", "the work decides again"),
    ConditionType.PAUSED: Transition("Resumed", "the pool is not paused any more"),
    ConditionType.OVERRIDDEN: Transition("OverrideEnded", "the work decides again"),
}


def transitions(announced: tuple[str, ...], found: dict[str, Transition]) -> tuple[Transition, ...]:
    """What is new since the last announcement, and what is over."""
    begun = [news for key, news in found.items() if key not in announced]
    still = {key.partition("/")[0] for key in found}
    over = {key.partition("/")[0] for key in announced} - still
    return (*begun, *(_ENDED[kind] for kind in ConditionType if kind.value in over))
