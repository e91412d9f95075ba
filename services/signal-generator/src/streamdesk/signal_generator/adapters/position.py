"""Which replica publishes, and how far the feed is."""

from collections.abc import Sequence

from pydantic import ValidationError

from streamdesk.bus import Bus, LeasedValue
from streamdesk.contracts.base import Topic, summary
from streamdesk.contracts.events import BarClosed
from streamdesk.runtime import Drain, logger
from streamdesk.signal_generator.domain.cursor import FeedCursor

log = logger(__name__)

LEASE_SECONDS = 6.0
"""After a kill another replica takes over within this time and one look of RENEWAL_SECONDS."""

RENEWAL_SECONDS = LEASE_SECONDS / 4


class FeedPosition:
    """The lease of the topic of bars, and the cursor of its feed.

    Args:
        bus: the bus.
        topic: of the bars; one generator at most publishes on it.
    """

    def __init__(self, bus: Bus, topic: Topic[BarClosed]) -> None:
        self._bus = bus
        self._topic = topic
        # The topic's hash tag: bars and cursor are written in one step.
        self._leased = LeasedValue(bus.keys, f"{{{topic.key}}}:feed", LEASE_SECONDS)

    @property
    def leading(self) -> bool:
        """Whether this replica is the one that publishes, for sure."""
        return self._leased.leading

    async def lead(self) -> bool:
        """Become the one that publishes, or stay it; False where another is."""
        return await self._leased.lead()

    async def keep(self, drain: Drain) -> None:
        """Stay the one that publishes, once we are."""
        while not await drain.sleep(RENEWAL_SECONDS):
            if self._leased.leading:
                await self._leased.lead()

    async def leave(self) -> None:
        """Let another replica publish at once."""
        await self._leased.leave()

    @property
    def cursor(self) -> FeedCursor | None:
        """As last read or written; None for none, or one that cannot be read."""
        if self._leased.value is None:
            return None
        try:
            return FeedCursor.model_validate_json(self._leased.value)
        except ValidationError as error:
            log.warning("cursor unreadable", key=self._leased.name, error=summary(error))
            return None

    async def look(self) -> FeedCursor | None:
        """The cursor as it is now.

        Raises:
            BusUnavailableError: the server is unreachable.
        """
        await self._leased.read()
        return self.cursor

    async def publish(self, bars: Sequence[BarClosed], cursor: FeedCursor) -> list[str]:
        """Publish bars and move the cursor in one step; returns the bars' entry ids.

        Raises:
            LeaseLostError: another replica publishes; nothing was written.
            BusUnavailableError: not known; lead again, and the cursor shows it.
        """
        value = cursor.model_dump_json().encode()
        return await self._bus.publish_held(self._topic, bars, self._leased, value)
