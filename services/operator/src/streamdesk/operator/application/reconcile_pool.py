"""One look at one pool: see, decide, note, do."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from streamdesk.bus import BusError
from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi
from streamdesk.operator.adapters.kubernetes.pool_watch import key_of, pools_path
from streamdesk.operator.adapters.kubernetes.status import (
    READY,
    EventPoster,
    StatusCondition,
    conditions_of,
    facts_of,
    news_of,
    status_of,
)
from streamdesk.operator.adapters.kubernetes.workload import Pod, Scale, Workload, other_autoscaler
from streamdesk.operator.adapters.streams.backlog import Backlog, StreamSource
from streamdesk.operator.adapters.streams.sources import StreamSources
from streamdesk.operator.domain.decision import ScalingDecision
from streamdesk.operator.domain.history import LagHistory
from streamdesk.operator.domain.observation import LagSource, Observation
from streamdesk.operator.domain.pool import PoolSpec
from streamdesk.operator.domain.scaling import decide
from streamdesk.operator.errors import (
    ConflictError,
    ForbiddenError,
    KubernetesError,
    PoolError,
)
from streamdesk.runtime import logger, metrics

log = logger("operator")


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """All that was seen of a pool.

    Args:
        pool: the resource.
        spec: what it wants.
        workload: what it sizes.
        scale: the size that has.
        pods: its pods.
        source: its streams.
        observation: the numbers.
        rival: another autoscaler of the same workload.
    """

    pool: JsonObject
    spec: PoolSpec
    workload: Workload
    scale: Scale
    pods: list[Pod]
    source: StreamSource
    observation: Observation
    rival: str | None


def observation_of(at_seconds: float, scale: Scale, pods: list[Pod], seen: Backlog) -> Observation:
    """The numbers, as the domain wants them.

    Args:
        at_seconds: when, since the epoch.
        scale: of the workload.
        pods: of the workload.
        seen: on the streams.
    """
    is_known = seen.error is None
    return Observation(
        at_seconds=at_seconds,
        replicas=scale.replicas,
        ready_replicas=sum(pod.ready for pod in pods),
        unread=seen.unread if is_known else None,
        pending=seen.pending if is_known else None,
        oldest_pending_seconds=seen.oldest_pending_seconds,
        delayed=seen.delayed,
        delivered_total=seen.delivered if is_known else None,
        error=seen.error,
        source=LagSource.LAG if is_known else LagSource.UNKNOWN,
    )


class PoolReconciler:
    """Looks after pools, one look at a time.

    Args:
        api: the API server.
        sources: the pools' servers.
        reporter: posts events.
        may_act: whether we hold the lease; asked before each write.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        api: KubernetesApi,
        sources: StreamSources,
        reporter: EventPoster,
        may_act: Callable[[], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._sources = sources
        self._reporter = reporter
        self._may_act = may_act
        self._wall = wall
        self._histories: dict[str, LagHistory] = {}
        self._refused: dict[str, PoolError] = {}

    def forget(self) -> None:
        """Remember nothing: another operator acts, and what it notes is what counts."""
        self._histories.clear()
        self._refused.clear()

    def forget_pool(self, uid: str) -> None:
        """Remember nothing of a pool that is gone."""
        self._histories.pop(uid, None)
        self._refused.pop(uid, None)

    async def look(self, indexed: JsonObject) -> None:
        """See how a pool is, and give its workload the size that follows.

        Args:
            indexed: the resource, as the watch shows it.

        Raises:
            KubernetesError: no answer, or something that no pool's owner can mend. NotFoundError
                means that the pool is gone.
        """
        # Its status is ours: as it was when we wrote it, which the watch may not show yet.
        pool = await self._api.get(f"{pools_path(key_of(indexed)[0])}/{key_of(indexed)[1]}")
        if "deletionTimestamp" in pool["metadata"]:
            return
        try:
            await self._act(await self._see(pool))
        except PoolError as error:
            await self._say_not_ready(pool, error)

    async def _see(self, pool: JsonObject) -> PoolSnapshot:
        namespace = pool["metadata"]["namespace"]
        try:
            spec = PoolSpec.model_validate(pool["spec"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "spec"
            raise PoolError("InvalidSpec", f"{where}: {first['msg']}") from error
        workload = Workload(self._api, namespace, spec.target_ref)
        source = await self._sources.of(namespace, spec.redis)
        rival = await other_autoscaler(self._api, namespace, spec.target_ref)
        seen = await source.backlog()
        # Last, so that the size is as fresh as can be when it is changed.
        scale = await workload.scale()
        pods = await workload.pods(scale.selector)
        observation = observation_of(self._wall(), scale, pods, seen)
        return PoolSnapshot(pool, spec, workload, scale, pods, source, observation, rival)

    async def _act(self, look: PoolSnapshot) -> None:
        uid = look.pool["metadata"]["uid"]
        history = self._histories.get(uid)
        if history is None:
            history = LagHistory.from_status((look.pool.get("status") or {}).get("history"))
        decision, after = decide(look.spec, look.observation, history)
        if look.rival is not None:
            # What the other one makes of the workload is nobody's override.
            found = {"target_replicas": look.observation.replicas, "replaced_replicas": None}
            after = history.model_copy(update={**found, "told": after.told})
        wants = decision.scale_to not in (None, look.scale.replicas) and look.rival is None
        # A size that was refused is refused again, most likely: it is not news each time.
        refused = self._refused.get(uid) if wants else None
        facts = facts_of(decision, look.rival, refused)
        status = status_of(look.pool, look.scale.selector, look.observation, decision, after, facts)
        if not self._may_act():
            return
        # Noted first: who comes after us must not take our change for somebody else's.
        await self._write_status(look.pool, status)
        self._histories[uid] = after
        _measure(look, decision, facts)
        news = news_of(facts, look.pool)
        look.pool["status"] = status
        if look.rival is None:
            is_done = await self._resize(look, decision) if wants else True
            news += [
                one
                for one in decision.transitions
                if is_done or one.reason != decision.reason.value
            ]
        for one in news:
            await self._reporter.tell(look.pool, one, look.observation.at_seconds)
        if wants and uid in self._refused and refused is None:
            await self._say_not_ready(look.pool, self._refused[uid])

    async def _write_status(self, pool: JsonObject, status: JsonObject) -> None:
        path = f"{pools_path(pool['metadata']['namespace'])}/{pool['metadata']['name']}/status"
        await self._api.put_at(path, "/status", status)

    async def _resize(self, look: PoolSnapshot, decision: ScalingDecision) -> bool:
        """Carry the decision out; returns whether that was done.

        Raises:
            KubernetesError: no answer, or one that no pool's owner can mend; what was noted
                allows for both.
        """
        before, replicas = look.scale.replicas, decision.scale_to
        if replicas is None or not self._may_act():
            return False
        if replicas < before:
            await self._price(look)
        name, uid = look.spec.target_ref.name, look.pool["metadata"]["uid"]
        self._refused.pop(uid, None)
        try:
            await look.workload.resize(look.scale, replicas)
        except ConflictError:
            log.info("workload changed meanwhile: looking again", workload=name)
            return False
        except ForbiddenError as error:
            message = f"the operator's role does not allow to scale {name}: {error}"
            self._refused[uid] = PoolError("TargetForbidden", message)
            return False
        reason = decision.reason.value
        log.info("workload scaled", workload=name, before=before, replicas=replicas, reason=reason)
        return True

    async def _price(self, look: PoolSnapshot) -> None:
        """Best effort: without it the choice of the pods to go is Kubernetes' alone."""
        try:
            await look.workload.price(look.pods, await look.source.held())
        except (KubernetesError, BusError, TimeoutError) as error:
            log.warning("pods not priced", workload=look.spec.target_ref.name, error=str(error))

    async def _say_not_ready(self, pool: JsonObject, error: PoolError) -> None:
        """Change the condition Ready alone: nothing else was seen."""
        at_seconds = self._wall()
        facts = [StatusCondition(READY, status=False, reason=error.reason, message=str(error))]
        before = pool.get("status") or {}
        others = [row for row in before.get("conditions") or [] if row["type"] != READY]
        status = {
            **before,
            "observedGeneration": pool["metadata"].get("generation", 0),
            "conditions": [*conditions_of(facts, pool, at_seconds), *others],
        }
        labels = key_of(pool)
        metrics.EXECUTORPOOL_READY.labels(*labels).set(0)
        metrics.EXECUTORPOOL_DECISIONS.labels(*labels, error.reason).inc()
        if not self._may_act():
            return
        await self._write_status(pool, status)
        for news in news_of(facts, pool):
            await self._reporter.tell(pool, news, at_seconds)


def _measure(look: PoolSnapshot, decision: ScalingDecision, facts: list[StatusCondition]) -> None:
    seen, labels = look.observation, key_of(look.pool)
    for gauge, value in (
        (metrics.EXECUTORPOOL_REPLICAS, seen.replicas),
        (metrics.EXECUTORPOOL_READY_REPLICAS, seen.ready_replicas),
        (metrics.EXECUTORPOOL_DESIRED_REPLICAS, decision.desired),
        (metrics.EXECUTORPOOL_UNREAD, math.nan if seen.unread is None else seen.unread),
        (metrics.EXECUTORPOOL_PENDING, math.nan if seen.pending is None else seen.pending),
        (metrics.EXECUTORPOOL_OLDEST_PENDING, seen.oldest_pending_seconds or 0),
        (metrics.EXECUTORPOOL_READY, facts[0].status is True),
    ):
        gauge.labels(*labels).set(value)
    reason = "ConflictingAutoscaler" if look.rival else decision.reason.value
    metrics.EXECUTORPOOL_DECISIONS.labels(*labels, reason).inc()


def unmeasure(namespace: str, name: str) -> None:
    """Show nothing of a pool that we do not look after any more."""
    for gauge in (
        metrics.EXECUTORPOOL_REPLICAS,
        metrics.EXECUTORPOOL_READY_REPLICAS,
        metrics.EXECUTORPOOL_DESIRED_REPLICAS,
        metrics.EXECUTORPOOL_UNREAD,
        metrics.EXECUTORPOOL_PENDING,
        metrics.EXECUTORPOOL_OLDEST_PENDING,
        metrics.EXECUTORPOOL_READY,
    ):
        gauge.remove(namespace, name)
