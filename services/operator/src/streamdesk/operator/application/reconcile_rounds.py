"""Rounds over the pools: keep the lease, and reconcile the pools that are due."""

import asyncio
import time
from collections.abc import Callable

from streamdesk.operator.adapters.kubernetes.api import JsonObject
from streamdesk.operator.adapters.kubernetes.lease import LeaderLease
from streamdesk.operator.adapters.kubernetes.pool_watch import PoolWatch
from streamdesk.operator.adapters.kubernetes.pools import PoolKey, PoolResources, key_of
from streamdesk.operator.adapters.metrics import forget_pool
from streamdesk.operator.application.reconcile_pool import PoolReconciler
from streamdesk.operator.errors import (
    KubernetesError,
    NotFoundError,
    OperatorError,
    StalledError,
)
from streamdesk.runtime import logger, metrics

log = logger(__name__)

CONCURRENT_POOLS = 8
COMPARE_SECONDS = 30.0
"""Between two comparisons of the watch with the API server."""


class ReconcileRounds:
    """Rounds over all pools of a namespace.

    Args:
        resources: the pools on the API server.
        namespace: whose pools.
        watch: the pools as kopf's watch shows them.
        lease: whether this operator is the active one.
        reconciler: reconciles one pool.
        tick_seconds: between two rounds.
        liveness_seconds: without a successful round, after which the process ends.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        resources: PoolResources,
        namespace: str,
        watch: PoolWatch,
        lease: LeaderLease,
        reconciler: PoolReconciler,
        *,
        tick_seconds: float,
        liveness_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._resources = resources
        self._namespace = namespace
        self._watch = watch
        self._lease = lease
        self._reconciler = reconciler
        self._tick_seconds = tick_seconds
        self._liveness_seconds = liveness_seconds
        self._clock = clock
        self._succeeded_at = clock()
        self._matched_at = clock()
        self._compare_at = clock() + COMPARE_SECONDS
        self._due: dict[str, tuple[float, int]] = {}
        """By uid: when a pool is due, and the generation that was reconciled."""
        self._shown: dict[str, PoolKey] = {}
        self._problems: dict[str, str] = {}
        metrics.OPERATOR_TICK_AGE.set_function(lambda: self._clock() - self._succeeded_at)

    @property
    def is_fresh(self) -> bool:
        """Whether a recent round succeeded; the readiness probe asks for it."""
        return self._clock() - self._succeeded_at < max(30.0, 5 * self._tick_seconds)

    async def tick(self) -> None:
        """Make one round.

        Raises:
            StalledError: no round succeeded for too long; the process has to be restarted.
        """
        try:
            await self._round()
        except OperatorError as error:
            metrics.OPERATOR_TICKS.labels("failed").inc()
            metrics.OPERATOR_LEASE_HELD.set(self._lease.held)
            self._note_problem("", str(error))
        else:
            metrics.OPERATOR_TICKS.labels("ok").inc()
            self._note_problem("", "")
            self._succeeded_at = self._clock()
        self._refuse_standstill()

    async def _round(self) -> None:
        pools = await self._watch.pools()
        await self._compare(pools)
        is_leader = await self._lease.keep()
        metrics.OPERATOR_LEASE_HELD.set(is_leader)
        if is_leader:
            await self._reconcile_due(pools)
        else:
            self._stand_by()

    def _note_problem(self, name: str, problem: str) -> None:
        """Log a problem when it is new, and its end."""
        if self._problems.get(name, "") == problem:
            return
        self._problems[name] = problem
        if problem:
            log.warning(
                "reconciliation failed" if name else "round failed", pool=name, error=problem
            )
        else:
            log.info("reconciliation resumed" if name else "rounds resumed", pool=name)

    def _refuse_standstill(self) -> None:
        now = self._clock()
        for since, what in (
            (self._succeeded_at, "no round has succeeded"),
            (self._matched_at, "the watch has not shown what the API server has"),
        ):
            if now - since > self._liveness_seconds:
                raise StalledError(f"{what} for {now - since:.0f} s: restarting")

    async def _compare(self, pools: dict[PoolKey, JsonObject]) -> None:
        """Compare the watch with the API server: a watch that ended silently shows old pools."""
        if self._clock() < self._compare_at:
            return
        self._compare_at = self._clock() + COMPARE_SECONDS
        found = await self._resources.list(self._namespace)
        if _generations(found) == _generations(list(pools.values())):
            self._matched_at = self._clock()

    def _stand_by(self) -> None:
        self._reconciler.forget()
        self._due.clear()
        self._forget_all_but(set())

    def _forget_all_but(self, kept: set[str]) -> None:
        for uid in [uid for uid in self._shown if uid not in kept]:
            forget_pool(self._shown.pop(uid))
            self._due.pop(uid, None)
            self._reconciler.forget_pool(uid)

    async def _reconcile_due(self, pools: dict[PoolKey, JsonObject]) -> None:
        """Reconcile all pools that are due, some concurrently; a failure affects no other pool."""
        self._forget_all_but({pool["metadata"]["uid"] for pool in pools.values()})
        limit = asyncio.Semaphore(CONCURRENT_POOLS)

        async def reconcile(pool: JsonObject) -> None:
            async with limit:
                await self._reconcile(pool)

        async with asyncio.TaskGroup() as group:
            for pool in pools.values():
                if self._is_due(pool):
                    group.create_task(reconcile(pool))

    def _is_due(self, pool: JsonObject) -> bool:
        meta = pool["metadata"]
        at, generation = self._due.get(meta["uid"], (float("-inf"), -1))
        return self._clock() >= at or generation != meta.get("generation")

    async def _reconcile(self, pool: JsonObject) -> None:
        meta, name = pool["metadata"], "/".join(key_of(pool))
        poll_seconds = float(pool["spec"].get("pollSeconds", 10))
        began = self._clock()
        try:
            await self._reconciler.reconcile(pool)
        except NotFoundError:
            log.debug("pool was deleted", pool=name)
        except KubernetesError as error:
            self._note_problem(name, str(error))
            return  # it stays due: the next round tries again
        except Exception as error:  # a fault in one pool must not stop the others
            if repr(error) != self._problems.get(name):
                self._problems[name] = repr(error)
                log.exception("reconciliation failed", pool=name)
            return
        self._note_problem(name, "")
        self._shown[meta["uid"]] = key_of(pool)
        self._due[meta["uid"]] = (began + poll_seconds, meta.get("generation", 0))

    async def release(self) -> None:
        """Release the lease, so that another operator becomes active at once."""
        metrics.OPERATOR_LEASE_HELD.set(0)
        try:
            await self._lease.release()
        except KubernetesError as error:
            log.warning("lease not released: it expires", error=str(error))


def _generations(pools: list[JsonObject]) -> set[tuple[str, int]]:
    return {(pool["metadata"]["uid"], pool["metadata"].get("generation", 0)) for pool in pools}
