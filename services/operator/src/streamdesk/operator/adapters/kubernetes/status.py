"""The status of a pool."""

from collections.abc import Iterable
from dataclasses import dataclass

from streamdesk.operator.adapters.kubernetes.api import JsonObject, timestamp
from streamdesk.operator.domain.decision import ConditionType, ScalingDecision, Transition
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.errors import PoolError

READY = "Ready"
CONFLICTING = "ConflictingAutoscaler"
_STATUS = {True: "True", False: "False", None: "Unknown"}


@dataclass(frozen=True, slots=True)
class StatusCondition:
    """One condition of the status.

    Args:
        type: its name.
        status: whether it is true; None for unknown.
        reason: one word in camel case.
        message: one sentence.
    """

    type: str
    status: bool | None
    reason: str
    message: str


def conditions_of(
    conditions: Iterable[StatusCondition], pool: JsonObject, at_seconds: float
) -> list[JsonObject]:
    """The conditions as JSON; an unchanged condition keeps its time of transition.

    Args:
        conditions: what is true now.
        pool: the resource as it was.
        at_seconds: now.
    """
    before = {row["type"]: row for row in (pool.get("status") or {}).get("conditions") or []}
    rows = []
    for condition in conditions:
        old = before.get(condition.type)
        status = _STATUS[condition.status]
        is_same = old is not None and old["status"] == status
        rows.append(
            {
                "type": condition.type,
                "status": status,
                "observedGeneration": pool["metadata"].get("generation", 0),
                "lastTransitionTime": old["lastTransitionTime"]
                if old is not None and is_same
                else timestamp(at_seconds),
                "reason": condition.reason,
                "message": condition.message,
            }
        )
    return rows


def status_conditions(
    decision: ScalingDecision, rival: str | None, refused: PoolError | None
) -> list[StatusCondition]:
    """All conditions of a pool after a decision; Ready comes first.

    Args:
        decision: the decision.
        rival: another autoscaler of the same workload.
        refused: why the size could not be changed.
    """
    decided = [
        StatusCondition(row.type.value, row.status, row.reason, row.message)
        for row in decision.conditions
    ]
    blind = next((row for row in decided if row.type == ConditionType.METRICS_AVAILABLE), None)
    if rival is not None:
        message = f"{rival} sizes the same workload: remove one of them; this pool changes nothing"
        return [
            StatusCondition(READY, status=False, reason=CONFLICTING, message=message),
            StatusCondition(CONFLICTING, status=True, reason="SameTarget", message=message),
            *decided,
        ]
    if refused is not None:
        ready = StatusCondition(READY, status=False, reason=refused.reason, message=str(refused))
    elif blind is not None and blind.status is False:
        ready = StatusCondition(
            READY, status=False, reason="MetricsUnavailable", message=blind.message
        )
    else:
        ready = StatusCondition(
            READY, status=True, reason="Following", message="The pool is reconciled."
        )
    alone = StatusCondition(
        CONFLICTING, status=False, reason="None", message="No other autoscaler sizes the workload."
    )
    return [ready, alone, *decided]


def status_of(
    pool: JsonObject,
    selector: str,
    observation: Observation,
    decision: ScalingDecision,
    history: LagHistory,
    conditions: Iterable[StatusCondition],
) -> JsonObject:
    """The whole status as JSON.

    Args:
        pool: the resource as it was.
        selector: of the workload's pods.
        observation: what was seen.
        decision: the decision.
        history: what the next decision needs.
        conditions: of the pool.
    """
    decided = {"reason": decision.reason.value, "message": decision.message}
    status = {
        "observedGeneration": pool["metadata"].get("generation", 0),
        "replicas": observation.replicas,
        "readyReplicas": observation.ready_replicas,
        "selector": selector,
        "rawDesired": decision.raw_desired,
        "desired": decision.desired,
        "unread": observation.unread,
        "pending": observation.pending,
        "delayed": observation.delayed,
        "oldestPendingSeconds": _rounded(observation.oldest_pending_seconds),
        "ratePerReplica": _rounded(decision.rate_per_replica),
        "arrivalsPerSecond": _rounded(decision.arrivals_per_second),
        "lagSource": _source_of(observation),
        "lastPollTime": timestamp(observation.at_seconds),
        "lastActiveTime": _moment(history.last_active_seconds),
        "lastScaleTime": _moment(history.last_scale_seconds),
        "override": _override(pool, history),
        "lastDecision": decided,
        "history": history.as_status(),
        "conditions": conditions_of(conditions, pool, observation.at_seconds),
    }
    return {name: value for name, value in status.items() if value is not None}


def _source_of(observation: Observation) -> str:
    if observation.unread is None:
        return LagSource.UNKNOWN.value
    return "LowerBound" if observation.unread_is_lower_bound else observation.source.value


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _moment(at_seconds: float | None) -> str | None:
    return None if at_seconds is None else timestamp(at_seconds)


def _override(pool: JsonObject, history: LagHistory) -> JsonObject | None:
    """A size that was set manually: on the pool, or on the workload itself."""
    pinned = (pool.get("spec") or {}).get("manualReplicas")
    if pinned is not None:
        return {"by": "manualReplicas", "replicas": pinned}
    if history.override is None:
        return None
    found: JsonObject = {"by": history.override.by, "replicas": history.override.replicas}
    if history.override.until_seconds is not None:
        found["until"] = timestamp(history.override.until_seconds)
    return found


def transitions_of(conditions: Iterable[StatusCondition], pool: JsonObject) -> list[Transition]:
    """The transition of Ready, if it changed; those of other conditions are the domain's.

    Args:
        conditions: what is true now.
        pool: the resource as it was.
    """
    before = {row["type"]: row for row in (pool.get("status") or {}).get("conditions") or []}
    transitions = []
    for condition in conditions:
        old = before.get(condition.type)
        was = (old["status"], old["reason"]) if old else ("True", "Following")
        if condition.type == READY and was != (_STATUS[condition.status], condition.reason):
            transitions.append(
                Transition(condition.reason, condition.message, warning=not condition.status)
            )
    return transitions
