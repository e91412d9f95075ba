"""A consumer of a topic with shards: it owns some, and events of one key stay in order.

A shard has one active owner in a group. Consumers announce themselves to each other; each knows
its fair share from that, lets go what is beyond it, and takes what is free up to it. An owner that
dies loses its shards when its lease runs out, and the next one resumes with what was pending there.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from streamdesk.bus.consuming.consumer import GroupConsumer
from streamdesk.bus.consuming.subscription import Membership, State
from streamdesk.bus.errors import BusUnavailableError
from streamdesk.bus.topic_keys import keys_of, partitions_of
from streamdesk.contracts.base import Event

E = TypeVar("E", bound=Event)

LONGEST_ROUND_SECONDS = 1.0


def fair_share(shards: int, members: list[str], consumer: str) -> int:
    """How many shards a consumer should own: all differ by one at the most.

    Args:
        shards: of the topic.
        members: all consumers that are there; this one may not be among them yet.
        consumer: whose share.
    """
    names = sorted({*members, consumer})
    share, left = divmod(shards, len(names))
    return share + (names.index(consumer) < left)


class _Shard(Generic[E]):
    """A shard that is ours."""

    def __init__(self, fence: int, lease_until: float) -> None:
        self.fence = fence
        self.lease_until = lease_until
        self.is_leaving = False
        self.stop = asyncio.Event()
        self.subscription: GroupConsumer[E] | None = None
        self.task: asyncio.Task[None] | None = None


class ShardedConsumer(Generic[E]):
    """A `Subscription` to those shards of a topic that are its share."""

    def __init__(self, membership: Membership[E]) -> None:
        """Made by `Bus.subscribe`."""
        self._member = membership
        self._topic = membership.topic
        self._group = membership.group
        self.consumer = membership.consumer
        self._lease_seconds = membership.config.lease_seconds
        self._backend = membership.tools.backend
        self._link = membership.tools.link
        self._owned: dict[int, _Shard[E]] = {}
        self._departures: set[asyncio.Task[None]] = set()
        self._state: State = "starting"

    @property
    def owned(self) -> list[int]:
        """Numbers of the shards that are ours."""
        return sorted(self._owned)

    @property
    def _staying(self) -> list[int]:
        """Those of them that we are not about to leave."""
        return [number for number in self.owned if not self._owned[number].is_leaving]

    @property
    def state(self) -> State:
        """`degraded` without a server, `paused` while a shard's circuit breaker is open."""
        if self._state == "running" and not self._link.connected:
            return "degraded"
        if self._state == "running" and self.why_paused:
            return "paused"
        return self._state

    @property
    def why_paused(self) -> str:
        """Why a circuit breaker is open; empty while all are closed."""
        whys = (s.subscription.why_paused for s in self._owned.values() if s.subscription)
        return next((why for why in whys if why), "")

    @property
    def in_flight(self) -> int:
        """Entries taken and not settled yet."""
        return sum(s.subscription.in_flight for s in self._owned.values() if s.subscription)

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what is being handled and let all shards go."""
        round_seconds = min(LONGEST_ROUND_SECONDS, self._lease_seconds / 4)
        try:
            while not stop.is_set():
                # Nothing can be renewed on an unreachable server: the leases decide.
                with contextlib.suppress(BusUnavailableError):
                    await self._link.once(self._round)
                self._state = "running"
                self._raise_failures()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(round_seconds):
                        await stop.wait()
        finally:
            self._state = "draining"
            for number in self._staying:
                self._start_to_leave(number)
            if self._departures:
                await asyncio.wait(self._departures)
            with contextlib.suppress(BusUnavailableError):
                await self._link.once(lambda: self._join(0))
            self._state = "stopped"
            self._raise_failures()

    async def _join(self, lease_ms: int) -> list[str]:
        topic_keys = keys_of(self._topic)
        return await self._backend.join(topic_keys, self._group, self.consumer, lease_ms)

    async def _round(self) -> None:
        """Renew what is ours; let go or take shards until we have our share."""
        members = await self._join(round(self._lease_seconds * 1000))
        share = fair_share(self._topic.shards, members, self.consumer)
        for number in self._staying:
            await self._renew(number)
        for number in self._staying[share:]:
            self._start_to_leave(number)
        for number in range(self._topic.shards):
            if len(self._staying) < share and number not in self._owned:
                await self._try_to_own(number)

    async def _own(self, number: int) -> int:
        topic_keys = partitions_of(self._topic)[number]
        lease_ms = round(self._lease_seconds * 1000)
        return await self._backend.own(topic_keys, self._group, self.consumer, lease_ms)

    async def _renew(self, number: int) -> None:
        if not await self._extend(number, self._owned[number]):
            # Another may be its owner: nothing more is started, nothing can be settled.
            self._start_to_leave(number)

    async def _extend(self, number: int, shard: _Shard[E]) -> bool:
        """Stay the owner; False when it was another's in between, or could have been."""
        lease_until = time.monotonic() + self._lease_seconds
        if shard.lease_until > time.monotonic():
            is_same = await self._own(number) == shard.fence
            # What ran out meanwhile has stopped the fetcher already: it is not revived.
            is_ours = is_same and shard.lease_until > time.monotonic()
            shard.lease_until = lease_until if is_ours else 0.0
        return shard.lease_until > time.monotonic()

    async def _try_to_own(self, number: int) -> None:
        lease_until = time.monotonic() + self._lease_seconds
        fence = await self._own(number)
        if not fence:
            return
        shard: _Shard[E] = _Shard(fence, lease_until)
        shard.subscription = self._open_shard(number, fence, lambda: shard.lease_until)
        shard.task = asyncio.create_task(shard.subscription.run(shard.stop))
        self._owned[number] = shard

    def _open_shard(
        self, number: int, fence: int, owned_until: Callable[[], float]
    ) -> GroupConsumer[E]:
        """The consumer of one shard, which stops taking when the shard is not ours any more."""
        member = self._member
        dispatch = replace(member.dispatch, ordered=True, owned_until=owned_until, fence=fence)
        topic_keys = partitions_of(self._topic)[number]
        return GroupConsumer(replace(member, topic_keys=topic_keys, dispatch=dispatch))

    def _start_to_leave(self, number: int) -> None:
        """Beside the rounds: the last handlers there may take longer than the others' leases."""
        shard = self._owned[number]
        shard.is_leaving = True
        self._departures.add(asyncio.create_task(self._let_go(number, shard)))

    async def _let_go(self, number: int, shard: _Shard[E]) -> None:
        """Finish what is being handled there, give back the rest, and leave the shard."""
        shard.stop.set()
        renewals = asyncio.create_task(self._keep(number, shard))
        try:
            if shard.task is not None:
                await asyncio.wait([shard.task])
        finally:
            renewals.cancel()
            await asyncio.gather(renewals, return_exceptions=True)
        with contextlib.suppress(BusUnavailableError):
            topic_keys = partitions_of(self._topic)[number]
            await self._backend.disown(topic_keys, self._group, self.consumer)
        del self._owned[number]  # not before: a round could own it again, and we would disown that
        if shard.task is not None:
            shard.task.result()

    async def _keep(self, number: int, shard: _Shard[E]) -> None:
        """Stay the owner while the last handlers run."""
        while shard.lease_until > time.monotonic():
            with contextlib.suppress(BusUnavailableError):
                await self._extend(number, shard)
            await asyncio.sleep(self._lease_seconds / 4)

    def _raise_failures(self) -> None:
        """A subscription that failed: its error is ours."""
        for shard in self._owned.values():
            if shard.task is not None and shard.task.done():
                shard.task.result()
        gone = {task for task in self._departures if task.done()}
        self._departures -= gone
        for error in [task.exception() for task in gone]:  # looks at each before it raises one
            if error is not None:
                raise error
