"""The one loop of the operator: keep the lease, and look at the pools whose turn it is."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi
from streamdesk.operator.adapters.kubernetes.pool_watch import PoolKey, key_of, pools_path
from streamdesk.operator.application.reconcile_pool import PoolReconciler, unmeasure
from streamdesk.operator.errors import (
    KubernetesError,
    NotFoundError,
    OperatorError,
    StalledError,
)
from streamdesk.runtime import Drain, logger, metrics

log = logger("operator")

LOOKS_AT_A_TIME = 8
COMPARE_SECONDS = 30.0
"""Between two comparisons of what the watch shows with what is there."""


class LeaseLike(Protocol):
    """Who acts."""

    @property
    def held(self) -> bool:
        """Whether we may act now."""

    async def keep(self) -> bool:
        """Renew or take it."""

    async def release(self) -> None:
        """Give it back."""


class WatchLike(Protocol):
    """Which pools there are."""

    async def pools(self) -> dict[PoolKey, JsonObject]:
        """All of them."""


class ReconcileRounds:
    """Rounds over all pools.

    Args:
        api: the API server.
        namespace: whose pools.
        watch: shows them.
        lease: says whether we act.
        keeper: looks at one.
        tick_seconds: between two rounds.
        liveness_seconds: without a round that worked, after which the process ends.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        watch: WatchLike,
        lease: LeaseLike,
        keeper: PoolReconciler,
        *,
        tick_seconds: float,
        liveness_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._namespace = namespace
        self._watch = watch
        self._lease = lease
        self._keeper = keeper
        self._tick_seconds = tick_seconds
        self._liveness_seconds = liveness_seconds
        self._clock = clock
        self._worked_at = clock()
        self._fits_at = clock()
        self._compare_at = clock() + COMPARE_SECONDS
        self._due: dict[str, tuple[float, int]] = {}
        """By uid: when a pool has its turn, and the generation that was looked at."""
        self._shown: dict[str, PoolKey] = {}
        self._complaints: dict[str, str] = {}
        metrics.OPERATOR_TICK_AGE.set_function(lambda: self._clock() - self._worked_at)

    @property
    def is_fresh(self) -> bool:
        """Whether the last rounds worked: what readiness asks."""
        return self._clock() - self._worked_at < max(30.0, 5 * self._tick_seconds)

    async def run(self, drain: Drain) -> None:
        """Make rounds until the drain, then give the lease back.

        Raises:
            StalledError: nothing worked for too long; the process has to start anew.
        """
        try:
            while True:
                await self._tick()
                self._refuse_standstill()
                if await drain.sleep(self._tick_seconds):
                    break
        finally:
            await self._let_go()

    async def _tick(self) -> None:
        try:
            pools = await self._watch.pools()
            await self._compare(pools)
            is_leader = await self._lease.keep()
            metrics.OPERATOR_LEASE_HELD.set(is_leader)
            if is_leader:
                await self._look_at(pools)
            else:
                self._stand_by()
        except OperatorError as error:
            metrics.OPERATOR_TICKS.labels("failed").inc()
            metrics.OPERATOR_LEASE_HELD.set(self._lease.held)
            self._complain("", str(error))
            return
        metrics.OPERATOR_TICKS.labels("ok").inc()
        self._complain("", "")
        self._worked_at = self._clock()

    def _complain(self, about: str, problem: str) -> None:
        """Say what is new, once."""
        if self._complaints.get(about, "") == problem:
            return
        self._complaints[about] = problem
        if problem:
            log.warning("round failed" if not about else "look failed", pool=about, error=problem)
        else:
            log.info("round works again" if not about else "look works again", pool=about)

    def _refuse_standstill(self) -> None:
        now = self._clock()
        for since, what in (
            (self._worked_at, "no round has worked"),
            (self._fits_at, "the watch has not shown what the API server has"),
        ):
            if now - since > self._liveness_seconds:
                raise StalledError(f"{what} for {now - since:.0f} s: starting anew")

    async def _compare(self, pools: dict[PoolKey, JsonObject]) -> None:
        """Whether the watch is alive: one that died silently shows what was."""
        if self._clock() < self._compare_at:
            return
        self._compare_at = self._clock() + COMPARE_SECONDS
        found = await self._api.items(pools_path(self._namespace))
        if _generations(found) == _generations(list(pools.values())):
            self._fits_at = self._clock()

    def _stand_by(self) -> None:
        self._keeper.forget()
        self._due.clear()
        self._forget_shown(set())

    def _forget_shown(self, kept: set[str]) -> None:
        for uid in [uid for uid in self._shown if uid not in kept]:
            unmeasure(*self._shown.pop(uid))
            self._due.pop(uid, None)
            self._keeper.forget_pool(uid)

    async def _look_at(self, pools: dict[PoolKey, JsonObject]) -> None:
        """Reconcile all pools that are due, some concurrently; a failure affects no other pool."""
        self._forget_shown({pool["metadata"]["uid"] for pool in pools.values()})
        room = asyncio.Semaphore(LOOKS_AT_A_TIME)

        async def look(pool: JsonObject) -> None:
            async with room:
                await self._look(pool)

        async with asyncio.TaskGroup() as group:
            for pool in pools.values():
                if self._is_due(pool):
                    group.create_task(look(pool))

    def _is_due(self, pool: JsonObject) -> bool:
        meta = pool["metadata"]
        at, generation = self._due.get(meta["uid"], (float("-inf"), -1))
        return self._clock() >= at or generation != meta.get("generation")

    async def _look(self, pool: JsonObject) -> None:
        meta, name = pool["metadata"], "/".join(key_of(pool))
        poll_seconds = float(pool["spec"].get("pollSeconds", 10))
        began = self._clock()
        try:
            await self._keeper.look(pool)
        except NotFoundError:
            log.debug("pool is gone", pool=name)
        except KubernetesError as error:
            self._complain(name, str(error))
            return  # again in the next round
        except Exception as error:  # one pool's trouble is not to end the others'
            if repr(error) != self._complaints.get(name):
                self._complaints[name] = repr(error)
                log.exception("look failed", pool=name)
            return
        self._complain(name, "")
        self._shown[meta["uid"]] = key_of(pool)
        self._due[meta["uid"]] = (began + poll_seconds, meta.get("generation", 0))

    async def _let_go(self) -> None:
        metrics.OPERATOR_LEASE_HELD.set(0)
        try:
            await self._lease.release()
        except KubernetesError as error:
            log.warning("lease not given back: it runs out", error=str(error))


def _generations(pools: list[JsonObject]) -> set[tuple[str, int]]:
    return {(pool["metadata"]["uid"], pool["metadata"].get("generation", 0)) for pool in pools}
