"""Plain keys beside the streams: small values, claims that run out, and fenced leases.

For what a group of processes must agree on and no stream says: which one fires a schedule, what is
computed already, how far a reader of an outside source is. All of it goes over the bus's own
connections, and follows its failovers.
"""

import math
import secrets
import time
from collections.abc import Mapping, Sequence

from streamdesk.bus.backends.port import KeyValues
from streamdesk.bus.backends.records import HeldChange
from streamdesk.bus.connection.link import Link
from streamdesk.bus.errors import BusConfigError, BusUnavailableError

MARGIN = 0.25
"""Share of a lease's life that its holder does not count on: for clocks, and for a last write."""


class Keys:
    """Values by name. One try each: nothing here waits for an unreachable server.

    Every method raises BusUnavailableError when the server does not answer (what was to be
    written may be written), and ServerFullError when it has no memory for it.
    """

    def __init__(self, link: Link, quick: KeyValues, sure: KeyValues) -> None:
        """Use `Bus.keys`.

        Args:
            link: knows whether the server answers.
            quick: for what may be lost with a master.
            sure: waits for as many replicas as the bus does.
        """
        self._link = link
        self._quick = quick
        self._sure = sure

    async def get(self, *names: str) -> list[bytes | None]:
        """The values, in this order; None where there is none."""
        return await self._link.once(lambda: self._quick.get(names)) if names else []

    async def put(self, values: Mapping[str, bytes], ttl_seconds: float | None = None) -> None:
        """Set values; they vanish after `ttl_seconds`, or stay.

        Not on replicas when it returns: for what can be made again.
        """
        life = None if ttl_seconds is None else _milliseconds(ttl_seconds)
        if values:
            await self._link.once(lambda: self._quick.put(values, life))

    async def drop(self, *names: str) -> None:
        """Delete; what is absent is no error."""
        if names:
            await self._link.once(lambda: self._quick.drop(names))

    async def names(self, prefix: str, limit: int = 10_000) -> list[str]:
        """Names that begin with `prefix`, sorted; not more than `limit`.

        Looks through all keys of the server, a thousand per call: for people, not for loops.
        """
        return await self._link.once(lambda: self._quick.names(prefix, limit))

    async def claim(self, names: Sequence[str], owner: str, ttl_seconds: float) -> list[bool]:
        """Take the names that have no owner; for each, whether it is `owner`'s now.

        A claim is no lease: it is not renewed, and it is lost with a master. Enough for work that
        is only dear when done twice.
        """
        life = _milliseconds(ttl_seconds)
        return await self._link.once(lambda: self._quick.claim(names, owner, life)) if names else []

    async def give_back(self, names: Sequence[str], owner: str) -> None:
        """Let claims go, those that are still the owner's."""
        if names:
            await self._link.once(lambda: self._quick.give_back(names, owner))

    def lease(self, name: str, ttl_seconds: float) -> "Lease":
        """A lease on `name`, not acquired yet.

        Args:
            name: key that names its holder; `{name}:fence` counts its holders.
            ttl_seconds: life without a renewal.

        Raises:
            BusConfigError: a life that is not above 0.
        """
        return Lease(self._link, self._sure, name, ttl_seconds)


class Lease:
    """At most one process has it; a process that cannot be sure to have it has not.

    Each holder has a number, the fence, greater than that of all before. With replicas to wait
    for (`BusConfig.durable`), a holder outlives the loss of a master.
    """

    def __init__(self, link: Link, values: KeyValues, name: str, ttl_seconds: float) -> None:
        """Use `Keys.lease`."""
        self._link = link
        self._values = values
        self._name = name
        # Beside the lease on a cluster: with the hash tag of a name that has one.
        self._fence_name = f"{name}:fence" if "{" in name else f"{{{name}}}:fence"
        self._owner = secrets.token_hex(8)
        self._ttl_ms = _milliseconds(ttl_seconds)
        self._held_until = -math.inf
        self.fence = 0
        """Of our last tenure; 0 before the first."""

    @property
    def held(self) -> bool:
        """Whether it is ours for sure, and for some time yet: a quarter of its life is not used."""
        return time.monotonic() < self._held_until

    async def acquire(self) -> bool:
        """Become the holder, or renew; False when another is, and when the server is unreachable.

        Call it again within half of the life to stay the holder.
        """
        asked_at = time.monotonic()
        try:
            fence = await self._link.once(
                lambda: self._values.hold(self._name, self._fence_name, self._owner, self._ttl_ms)
            )
        except BusUnavailableError:
            return False  # a lease that we had is still ours for what is left of it
        if fence == 0:
            self._held_until = -math.inf
            return False
        self.fence = fence
        self._held_until = asked_at + self._ttl_ms / 1000 * (1 - MARGIN)
        return True

    async def release(self) -> None:
        """Let it go at once; on an unreachable server it ends with its life."""
        self._held_until = -math.inf
        try:
            await self._link.once(lambda: self._values.give_back([self._name], self._owner))
        except BusUnavailableError:
            return

    def change(self, name: str, value: bytes, *, expected: bytes | None) -> HeldChange:
        """A change of a value for `Bus.publish_held`, with the arguments of `put`."""
        return HeldChange(self._name, self._owner, name, value, expected)

    async def put(self, name: str, value: bytes, *, expected: bytes | None) -> bool:
        """Write a value permanently, in one step with the check that we may.

        Args:
            name: its key.
            value: what to write.
            expected: the value that is there; None for none.

        Returns:
            Whether it was written. False: the lease is not ours any more, or the value is another.

        Raises:
            BusUnavailableError: it cannot be known; `get` shows it.
            ServerFullError: not written, the server has no memory for it.
        """
        return await self._link.once(
            lambda: self._values.put_held(self._name, self._owner, name, value, expected)
        )


def _milliseconds(seconds: float) -> int:
    if not 0 < seconds < math.inf:
        raise BusConfigError(f"a life of {seconds} seconds: expected a number above 0")
    return max(1, round(seconds * 1000))
