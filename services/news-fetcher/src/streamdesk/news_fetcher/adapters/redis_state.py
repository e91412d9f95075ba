"""What all replicas know of a source: a lease, and one small value in Redis.

The value is written in one step with the checks that the lease is still ours and that the value
is the one we know. A replica that was frozen, or cut off, while another took over finds its
writes refused: it cannot take the cursors back, nor forget what was spent.
"""

import asyncio
from collections.abc import Callable

from pydantic import ValidationError

from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.contracts.base import summary
from streamdesk.news_fetcher.domain.fetcher_state import FetcherState
from streamdesk.news_fetcher.errors import LeaseLostError
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
        self.state = FetcherState()
        self._keys = keys
        self._lease = keys.lease(f"{self.key}:lease", lease_seconds)
        self._text: bytes | None = None
        self._tenure = 0
        self._writing = asyncio.Lock()

    @property
    def tenure(self) -> int:
        """Number of our tenure; greater with each new one, over all replicas."""
        return self._lease.fence

    @property
    def leading(self) -> bool:
        """Whether this replica certainly holds the lease, and knows the state."""
        return self._lease.held and self._tenure == self._lease.fence

    async def lead(self) -> bool:
        """Acquire the lease, or renew it; False where another replica has it, or without a server.

        With a new tenure the state is read anew: another replica may have written it.
        """
        if not await self._lease.acquire():
            return self.leading  # for what is left of the lease, while the server is unreachable
        if self._tenure != self._lease.fence:
            try:
                await self.read()
            except BusUnavailableError:
                return False
            self._tenure = self._lease.fence
        return self.leading

    async def read(self) -> FetcherState:
        """What is written now; a state that cannot be read counts as none.

        That loses nothing: articles that are asked for again are published once.

        Raises:
            BusUnavailableError: the server is unreachable.
        """
        (text,) = await self._keys.get(self.key)
        try:
            state = FetcherState() if text is None else FetcherState.model_validate_json(text)
        except ValidationError as error:
            log.warning("state unreadable, begun anew", key=self.key, error=summary(error))
            state = FetcherState()
        self._text, self.state = text, state
        return state

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
            if text != self._text:
                await self._put(text)
                self._text, self.state = text, state
            return state

    async def _put(self, text: bytes) -> None:
        tenure, self._tenure = (
            self._tenure,
            0,
        )  # should this be cancelled, what is written is not known
        try:
            written = await self._lease.put(self.key, text, expected=self._text)
        except BusUnavailableError:
            (found,) = await self._keys.get(self.key)  # raises again while it is unreachable
            if found != text:
                raise
            written = True
        if not written:
            raise LeaseLostError(self.key)
        self._tenure = tenure

    async def leave(self) -> None:
        """Release the lease, so that another replica may fetch at once."""
        self._tenure = 0
        await self._lease.release()
