"""What a pool's status and its events say."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi, timestamp
from streamdesk.operator.domain.decision import ConditionType, ScalingDecision, Transition
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.errors import KubernetesError, PoolError
from streamdesk.runtime import logger

log = logger("operator")

READY = "Ready"
CONFLICTING = "ConflictingAutoscaler"
_STATUS = {True: "True", False: "False", None: "Unknown"}


@dataclass(frozen=True, slots=True)
class StatusCondition:
    """One condition, as it is to be shown.

    Args:
        type: what.
        status: whether; None for unknown.
        reason: one word in camel case.
        message: one sentence.
    """

    type: str
    status: bool | None
    reason: str
    message: str


def conditions_of(
    facts: Iterable[StatusCondition], pool: JsonObject, at_seconds: float
) -> list[JsonObject]:
    """The conditions of the status; the time of one that stays as it was stays too.

    Args:
        facts: what is true now.
        pool: the resource as it was.
        at_seconds: now.
    """
    before = {row["type"]: row for row in (pool.get("status") or {}).get("conditions") or []}
    rows = []
    for fact in facts:
        old = before.get(fact.type)
        status = _STATUS[fact.status]
        is_same = old is not None and old["status"] == status
        rows.append(
            {
                "type": fact.type,
                "status": status,
                "observedGeneration": pool["metadata"].get("generation", 0),
                "lastTransitionTime": old["lastTransitionTime"]
                if old is not None and is_same
                else timestamp(at_seconds),
                "reason": fact.reason,
                "message": fact.message,
            }
        )
    return rows


def facts_of(
    decision: ScalingDecision, rival: str | None, refused: PoolError | None
) -> list[StatusCondition]:
    """All conditions of a pool that was decided about.

    Args:
        decision: what was decided.
        rival: another autoscaler of the same workload.
        refused: why the size cannot be changed.
    """
    told = [
        StatusCondition(row.type.value, row.status, row.reason, row.message)
        for row in decision.conditions
    ]
    blind = next((row for row in told if row.type == ConditionType.METRICS_AVAILABLE), None)
    if rival is not None:
        message = f"{rival} sizes the same workload: remove it or this pool; this pool leaves it be"
        return [
            StatusCondition(READY, status=False, reason=CONFLICTING, message=message),
            StatusCondition(CONFLICTING, status=True, reason="SameTarget", message=message),
            *told,
        ]
    if refused is not None:
        ready = StatusCondition(READY, status=False, reason=refused.reason, message=str(refused))
    elif blind is not None and blind.status is False:
        ready = StatusCondition(
            READY, status=False, reason="MetricsUnavailable", message=blind.message
        )
    else:
        ready = StatusCondition(
            READY, status=True, reason="Following", message="The pool is looked after."
        )
    alone = StatusCondition(
        CONFLICTING, status=False, reason="None", message="Nobody else sizes the workload."
    )
    return [ready, alone, *told]


def status_of(
    pool: JsonObject,
    selector: str,
    observation: Observation,
    decision: ScalingDecision,
    history: LagHistory,
    facts: Iterable[StatusCondition],
) -> JsonObject:
    """The whole status.

    Args:
        pool: the resource as it was.
        selector: of the workload's pods.
        observation: what was seen.
        decision: what was decided.
        history: what is to be remembered.
        facts: the conditions.
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
        "conditions": conditions_of(facts, pool, observation.at_seconds),
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
    """A size that was set by hand: pinned on the pool, or on the workload itself."""
    pinned = (pool.get("spec") or {}).get("manualReplicas")
    if pinned is not None:
        return {"by": "manualReplicas", "replicas": pinned}
    if history.override is None:
        return None
    found: JsonObject = {"by": history.override.by, "replicas": history.override.replicas}
    if history.override.until_seconds is not None:
        found["until"] = timestamp(history.override.until_seconds)
    return found


def news_of(facts: Iterable[StatusCondition], pool: JsonObject) -> list[Transition]:
    """What became true or untrue of what the domain does not know: Ready.

    Args:
        facts: the conditions now.
        pool: the resource as it was.
    """
    before = {row["type"]: row for row in (pool.get("status") or {}).get("conditions") or []}
    news = []
    for fact in facts:
        old = before.get(fact.type)
        was = (old["status"], old["reason"]) if old else ("True", "Following")
        if fact.type == READY and was != (_STATUS[fact.status], fact.reason):
            news.append(Transition(fact.reason, fact.message, warning=not fact.status))
    return news


class EventPoster:
    """Posts events.

    Args:
        api: the API server.
        instance: our name, for who reads them.
    """

    def __init__(self, api: KubernetesApi, instance: str) -> None:
        self._api = api
        self._instance = instance

    async def tell(self, about: JsonObject, news: Transition, at_seconds: float) -> None:
        """Post one event. It is lost if that fails: nothing depends on events.

        Args:
            about: the object that it is shown with: apiVersion, kind, metadata.
            news: what happened.
            at_seconds: when.
        """
        at, meta = timestamp(at_seconds), about["metadata"]
        say = log.warning if news.warning else log.info
        say(news.message, reason=news.reason, kind=about["kind"], name=meta["name"])
        event = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{meta['name']}.{secrets.token_hex(8)}",
                "namespace": meta["namespace"],
            },
            "involvedObject": {
                "apiVersion": about["apiVersion"],
                "kind": about["kind"],
                "name": meta["name"],
                "namespace": meta["namespace"],
                **({"uid": meta["uid"]} if "uid" in meta else {}),
            },
            "type": "Warning" if news.warning else "Normal",
            "reason": news.reason,
            "message": news.message,
            "count": 1,
            "firstTimestamp": at,
            "lastTimestamp": at,
            "source": {"component": "streamdesk-operator", "host": self._instance},
            "reportingComponent": "streamdesk.io/operator",
            "reportingInstance": self._instance,
        }
        try:
            await self._api.create(f"/api/v1/namespaces/{meta['namespace']}/events", event)
        except KubernetesError as error:
            log.warning("event not posted", reason=news.reason, error=str(error))
