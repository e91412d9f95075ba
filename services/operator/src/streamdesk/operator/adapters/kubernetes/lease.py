"""The Lease that makes one of several operators the active one.

It fails closed. A holder that cannot renew stops acting before another operator may start, and an
operator without the lease never acts. Clocks of different machines are not compared: a holder is
alive while its Lease changes.
"""

import time
from collections.abc import Callable
from typing import Any

from streamdesk.operator.adapters.kubernetes.api import JsonObject, KubernetesApi, timestamp
from streamdesk.operator.errors import ConflictError, NotFoundError
from streamdesk.runtime import logger

log = logger(__name__)

RENEW_SHARE = 1 / 3
"""Share of the lease's length between two renewals."""
TRUST_SHARE = 2 / 3
"""Share of the lease's length for which a renewal counts; the rest is for requests in flight."""


class LeaderLease:
    """A coordination.k8s.io/v1 Lease.

    Args:
        api: the API server.
        namespace: where it is.
        name: which.
        identity: of this operator.
        seconds: how long it lasts without renewal.
        clock: monotonic seconds.
        wall: seconds since the epoch, for people who read the Lease.
    """

    def __init__(
        self,
        api: KubernetesApi,
        namespace: str,
        name: str,
        identity: str,
        seconds: float,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._api = api
        self._folder = f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
        self._name = name
        self._identity = identity
        self._seconds = seconds
        self._clock = clock
        self._wall = wall
        self._held_until = float("-inf")
        self._renew_at = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        self._was_held = False

    @property
    def held(self) -> bool:
        """Whether we may act now."""
        return self._clock() < self._held_until

    async def keep(self) -> bool:
        """Renew it, or take it if it is free; returns whether we may act.

        Raises:
            KubernetesError: no answer, or refused; a held lease is held until its time is up.
        """
        if not self.held or self._clock() >= self._renew_at:
            try:
                await self._renew_or_take()
            finally:
                self._say()
        return self.held

    def _say(self) -> None:
        if self.held != self._was_held:
            self._was_held = self.held
            log.info("lease taken" if self.held else "lease lost", lease=self._name)

    async def _renew_or_take(self) -> None:
        asked_at = self._clock()
        try:
            lease = await self._api.get(f"{self._folder}/{self._name}")
        except NotFoundError:
            await self._write(asked_at, None)
            return
        holder = (lease.get("spec") or {}).get("holderIdentity")
        if holder in (self._identity, None, "") or self._has_run_out(lease):
            await self._write(asked_at, lease)
        else:
            self._held_until = float("-inf")  # another operator holds it

    def _has_run_out(self, lease: JsonObject) -> bool:
        """Whether we saw that its holder did not renew it for as long as it lasts."""
        version = str(lease["metadata"]["resourceVersion"])
        if self._seen[0] != version:
            self._seen = (version, self._clock())
        lasts = float((lease.get("spec") or {}).get("leaseDurationSeconds") or self._seconds)
        return self._clock() - self._seen[1] > lasts

    async def _write(self, asked_at: float, found: JsonObject | None) -> None:
        body = self._body(found, self._identity)
        try:
            if found is None:
                await self._api.create(self._folder, body)
            else:
                await self._api.replace(f"{self._folder}/{self._name}", body)
        except ConflictError:
            self._held_until = float("-inf")  # another operator was faster
            return
        # Counted from before the request: the server may have written it at any time since then.
        self._held_until = asked_at + self._seconds * TRUST_SHARE
        self._renew_at = asked_at + self._seconds * RENEW_SHARE

    def _body(self, found: JsonObject | None, holder: str | None) -> JsonObject:
        before: dict[str, Any] = (found or {}).get("spec") or {}
        now = timestamp(self._wall(), micro=True)
        is_ours = before.get("holderIdentity") == self._identity
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": found["metadata"] if found else {"name": self._name},
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": max(1, round(self._seconds)),
                "acquireTime": before.get("acquireTime") if is_ours else now,
                "renewTime": now,
                "leaseTransitions": (before.get("leaseTransitions") or 0) + (not is_ours),
            },
        }

    async def release(self) -> None:
        """Release it at the end, so that another operator becomes active at once.

        Raises:
            KubernetesError: it was not released, and expires.
        """
        if not self.held:
            return
        self._held_until = float("-inf")
        lease = await self._api.get(f"{self._folder}/{self._name}")
        if (lease.get("spec") or {}).get("holderIdentity") == self._identity:
            await self._api.replace(f"{self._folder}/{self._name}", self._body(lease, None))
        self._was_held = False
        log.info("lease released", lease=self._name)
