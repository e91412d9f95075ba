"""What `Bus.subscribe` returns, whether the topic has shards or not."""

import asyncio
from typing import Literal, Protocol

State = Literal["starting", "running", "degraded", "paused", "draining", "stopped"]


class Subscription(Protocol):
    """One consumer of a group. `run` it; it stops when its event is set."""

    consumer: str
    """Its name in the group."""

    @property
    def state(self) -> State:
        """`degraded` while the server is away, `paused` while a circuit breaker is open."""

    @property
    def why_paused(self) -> str:
        """Why a circuit breaker is open; empty while all are closed."""

    @property
    def in_hand(self) -> int:
        """Entries taken and not settled yet."""

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until `stop` is set; then finish what is in work and give back the rest."""
