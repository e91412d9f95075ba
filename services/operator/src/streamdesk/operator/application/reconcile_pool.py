"""Reconcile one pool: observe, decide, record the decision, carry it out."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from streamdesk.bus import BusError
from streamdesk.operator.adapters.kubernetes.api import JsonObject
from streamdesk.operator.adapters.kubernetes.events import EventPoster
from streamdesk.operator.adapters.kubernetes.pools import PoolResources, key_of
from streamdesk.operator.adapters.kubernetes.status import (
    CONFLICTING,
    READY,
    StatusCondition,
    conditions_of,
    status_conditions,
    status_of,
    transitions_of,
)
from streamdesk.operator.adapters.kubernetes.workload import Pod, Scale, Workload, Workloads
from streamdesk.operator.adapters.metrics import show_not_ready, show_pool
from streamdesk.operator.adapters.streams.backlog import Backlog, StreamSource
from streamdesk.operator.adapters.streams.sources import StreamSources
from streamdesk.operator.domain.decision import ScalingDecision, Transition
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
from streamdesk.runtime import logger

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """All that one look at a pool shows.

    Args:
        pool: the resource.
        spec: its spec.
        workload: the workload that it sizes.
        scale: the size of that.
        pods: its pods.
        source: the pool's streams.
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
    """The numbers, in the terms of the domain.

    Args:
        at_seconds: now, since the epoch.
        scale: of the workload.
        pods: of the workload.
        seen: the backlog of the streams.
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
    """Reconciles pools, each call one of them.

    Args:
        resources: the pools on the API server.
        workloads: what they size.
        sources: their streams.
        events: posts events about them.
        may_act: whether this operator holds the lease; asked before each write.
        wall: seconds since the epoch.
    """

    def __init__(
        self,
        resources: PoolResources,
        workloads: Workloads,
        sources: StreamSources,
        events: EventPoster,
        may_act: Callable[[], bool],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._resources = resources
        self._workloads = workloads
        self._sources = sources
        self._events = events
        self._may_act = may_act
        self._wall = wall
        self._histories: dict[str, LagHistory] = {}
        self._refused: dict[str, PoolError] = {}

    def forget(self) -> None:
        """Forget all pools: another operator is active, and only the status shows its decisions."""
        self._histories.clear()
        self._refused.clear()

    def forget_pool(self, uid: str) -> None:
        """Forget a pool that was deleted."""
        self._histories.pop(uid, None)
        self._refused.pop(uid, None)

    async def reconcile(self, indexed: JsonObject) -> None:
        """Observe a pool, and give its workload the size that follows.

        Args:
            indexed: the resource, as the watch shows it.

        Raises:
            KubernetesError: no answer, or a refusal that no owner of a pool can remedy.
                NotFoundError: the pool was deleted.
        """
        # The watch may not show the status that we wrote last, and the decision depends on it.
        pool = await self._resources.get(key_of(indexed))
        if "deletionTimestamp" in pool["metadata"]:
            return
        try:
            await self._act(await self._observe(pool))
        except PoolError as error:
            await self._record_not_ready(pool, error)

    async def _observe(self, pool: JsonObject) -> PoolSnapshot:
        namespace = pool["metadata"]["namespace"]
        try:
            spec = PoolSpec.model_validate(pool["spec"])
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(step) for step in first["loc"]) or "spec"
            raise PoolError("InvalidSpec", f"{where}: {first['msg']}") from error
        workload = self._workloads.of(namespace, spec.target_ref)
        source = await self._sources.of(namespace, spec.redis)
        rival = await self._workloads.other_autoscaler(namespace, spec.target_ref)
        seen = await source.backlog()
        # Last, so that the size is as recent as possible when it is changed.
        scale = await workload.scale()
        pods = await workload.pods(scale.selector)
        observation = observation_of(self._wall(), scale, pods, seen)
        return PoolSnapshot(pool, spec, workload, scale, pods, source, observation, rival)

    async def _act(self, look: PoolSnapshot) -> None:
        uid = look.pool["metadata"]["uid"]
        decision, after = self._decide(look)
        wants = decision.scale_to not in (None, look.scale.replicas) and look.rival is None
        # A size that was refused once will most likely be refused again: that is no news.
        refused = self._refused.get(uid) if wants else None
        conditions = status_conditions(decision, look.rival, refused)
        status = status_of(
            look.pool, look.scale.selector, look.observation, decision, after, conditions
        )
        if not self._may_act():
            return
        # Recorded before it is done: the next operator must not mistake the change for an
        # external actor's.
        await self._resources.write_status(look.pool, status)
        self._histories[uid] = after
        reason = CONFLICTING if look.rival else decision.reason.value
        is_ready = conditions[0].status is True
        show_pool(key_of(look.pool), look.observation, decision.desired, reason, ready=is_ready)
        transitions = transitions_of(conditions, look.pool)
        look.pool["status"] = status
        if look.rival is None:
            transitions += await self._carry_out(look, decision, wants=wants)
        for transition in transitions:
            await self._events.post(look.pool, transition, look.observation.at_seconds)
        # Refused for the first time: the status that was just written does not say so yet.
        if wants and uid in self._refused and refused is None:
            await self._record_not_ready(look.pool, self._refused[uid])

    def _decide(self, look: PoolSnapshot) -> tuple[ScalingDecision, LagHistory]:
        """The decision, and what to remember of it."""
        history = self._histories.get(look.pool["metadata"]["uid"])
        if history is None:
            history = LagHistory.from_status((look.pool.get("status") or {}).get("history"))
        decision, after = decide(look.spec, look.observation, history)
        if look.rival is not None:
            # A size that the other autoscaler sets is no override: accept it, and remember
            # nothing but which events were posted.
            found = {"target_replicas": look.observation.replicas, "replaced_replicas": None}
            after = history.model_copy(update={**found, "announced": after.announced})
        return decision, after

    async def _carry_out(
        self, look: PoolSnapshot, decision: ScalingDecision, *, wants: bool
    ) -> list[Transition]:
        """Resize the workload if that is wanted; returns the transitions that took place."""
        is_done = await self._resize(look, decision) if wants else True
        # A change that was not made is no event; what led to it is.
        return [
            transition
            for transition in decision.transitions
            if is_done or transition.reason != decision.reason.value
        ]

    async def _resize(self, look: PoolSnapshot, decision: ScalingDecision) -> bool:
        """Carry the decision out; returns whether that was done.

        Raises:
            KubernetesError: no answer, or a refusal that no owner of a pool can remedy; what was
                recorded allows for both outcomes.
        """
        before, replicas = look.scale.replicas, decision.scale_to
        if replicas is None or not self._may_act():
            return False
        if replicas < before:
            await self._annotate_costs(look)
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

    async def _annotate_costs(self, look: PoolSnapshot) -> None:
        """Best effort: without deletion costs Kubernetes alone chooses which pods to delete."""
        try:
            await look.workload.annotate_costs(look.pods, await look.source.loads())
        except (KubernetesError, BusError, TimeoutError) as error:
            name = look.spec.target_ref.name
            log.warning("deletion costs not annotated", workload=name, error=str(error))

    async def _record_not_ready(self, pool: JsonObject, error: PoolError) -> None:
        """Change only the condition Ready: nothing else was observed."""
        at_seconds = self._wall()
        not_ready = [StatusCondition(READY, status=False, reason=error.reason, message=str(error))]
        before = pool.get("status") or {}
        others = [row for row in before.get("conditions") or [] if row["type"] != READY]
        status = {
            **before,
            "observedGeneration": pool["metadata"].get("generation", 0),
            "conditions": [*conditions_of(not_ready, pool, at_seconds), *others],
        }
        show_not_ready(key_of(pool), error.reason)
        if not self._may_act():
            return
        await self._resources.write_status(pool, status)
        for transition in transitions_of(not_ready, pool):
            await self._events.post(pool, transition, at_seconds)
