"""Events of the daily job on the bus: each once."""

from collections.abc import Sequence

from streamdesk.bus import Bus
from streamdesk.contracts.base import Event, Topic


class TaskEvents:
    """The topic of tasks. It remembers event ids for a day, so that no event is there twice.

    Args:
        bus: the bus.
        topic: the topic of tasks.
    """

    def __init__(self, bus: Bus, topic: Topic[Event]) -> None:
        self._bus = bus
        self._topic = topic

    async def write(self, events: Sequence[Event], ids: Sequence[str]) -> None:
        """Publish, in order.

        Raises:
            BusError: the server did not confirm the write.
        """
        await self._bus.publish_many(self._topic, events, event_ids=ids)

    async def answers(self) -> bool:
        """Whether the server answers now."""
        return await self._bus.ping()
