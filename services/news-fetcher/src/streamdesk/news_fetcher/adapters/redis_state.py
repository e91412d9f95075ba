"""What all replicas know of a source: a lease, and one small value in Redis."""

import asyncio
from collections.abc import Callable

from pydantic import ValidationError

from streamdesk.bus import Keys, LeasedValue, LeaseLostError
from streamdesk.contracts.base import summary
from streamdesk.news_fetcher.domain.fetcher_state import FetcherState
from streamdesk.runtime import logger

log = logger(__name__)

KEY_PREFIX = "news:fetcher:"

Change = Callable[[FetcherState], FetcherState]


class StateKeeper:
    """Reads and writes the state of one source, and holds its lease.

    Args:
        keys: where it is.
        source: name of the source; the keys are `news:fetcher:<source>` and `…:lease`.
        lease_seconds: life of the lease without a renewal.
    """

    def __init__(self, keys: Keys, source: str, lease_seconds: float) -> None:
        self.key = f"{KEY_PREFIX}{source}"
        self._leased = LeasedValue(keys, self.key, lease_seconds)
        self._parsed: tuple[bytes | None, FetcherState] = (None, FetcherState())
        self._writing = asyncio.Lock()

    @property
    def state(self) -> FetcherState:
        """As last read or written; a state that cannot be read counts as none.

        That loses nothing: articles that are asked for again are published once.
        """
        text, state = self._parsed
        if text != self._leased.value:
            text = self._leased.value
            state = self._parse(text)
            self._parsed = text, state
        return state

    def _parse(self, text: bytes | None) -> FetcherState:
        if text is None:
            return FetcherState()
        try:
            return FetcherState.model_validate_json(text)
        except ValidationError as error:
            log.warning("state unreadable, begun anew", key=self.key, error=summary(error))
            return FetcherState()

    @property
    def tenure(self) -> int:
        """Number of our tenure; greater with each new one, over all replicas."""
        return self._leased.tenure

    @property
    def leading(self) -> bool:
        """Whether this replica certainly holds the lease, and knows the state."""
        return self._leased.leading

    async def lead(self) -> bool:
        """Acquire the lease, or renew it; False where another replica has it, or without a server.

        With a new tenure the state is read anew: another replica may have written it.
        """
        return await self._leased.lead()

    async def read(self) -> FetcherState:
        """What is written now.

        Raises:
            BusUnavailableError: the server is unreachable.
        """
        await self._leased.read()
        return self.state

    async def write(self, change: Change) -> FetcherState:
        """Change the state.

        Raises:
            LeaseLostError: another replica fetches now; nothing was written.
            BusUnavailableError: the server is unreachable; whether it was written is not known.
        """
        async with self._writing:
            if not self.leading:
                raise LeaseLostError(self.key)
            state = change(self.state)
            text = state.model_dump_json(exclude_none=True).encode()
            if text != self._leased.value:
                await self._leased.write(text)
                self._parsed = text, state
            return state

    async def leave(self) -> None:
        """Release the lease, so that another replica may fetch at once."""
        await self._leased.leave()
