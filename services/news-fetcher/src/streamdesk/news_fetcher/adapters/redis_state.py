"""What all replicas know of a source: a lease, and one small value in Redis.

The value is written in one step with the checks that the lease is still ours and that the value
is the one we know. A replica that was frozen, or cut off, while another took over finds its
writes refused: it cannot take the cursors back, nor forget what was spent.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, ValidationError

from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.contracts.base import summary
from streamdesk.news_fetcher.errors import LeaseLostError
from streamdesk.runtime import logger

log = logger("news-fetcher")

KEY_PREFIX = "news:fetcher:"
EVERYTHING = "*"
"""Name of the cursor of a source that is not asked by ticker."""


class Play(BaseModel):
    """How far a recording is: it goes on after a restart, and with another replica."""

    model_config = ConfigDict(frozen=True)

    recording: str = Field(description="Hash of its content.")
    position_seconds: float = Field(ge=0, description="From its first article, as recorded.")


class FetcherState(BaseModel):
    """Where a source stands."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    cursors: dict[str, AwareDatetime] = Field(
        default_factory=dict, description="Publication time of the newest article, by ticker."
    )
    quota: dict[str, JsonValue] | None = Field(default=None, description="See `Quota.as_json`.")
    told_exhausted: AwareDatetime | None = Field(
        default=None, description="Until when the quota was said to be used up."
    )
    refused_key: str | None = Field(
        default=None, description="Fingerprint of the key that the source refused."
    )
    begun_at: AwareDatetime | None = Field(default=None, description="Begin of the last round.")
    ended: bool = Field(default=False, description="Whether that round came to its end.")
    last_entry: str = Field(default="", description="Newest entry of the topic that is ours.")
    play: Play | None = None

    def since(
        self, ticker: str, now: datetime, lookback: timedelta, overlap: timedelta
    ) -> datetime:
        """Which articles to ask for: those published since then."""
        oldest = now - lookback
        cursor = self.cursors.get(ticker)
        return oldest if cursor is None else max(cursor - overlap, oldest)

    def advanced(
        self, ticker: str, newest: datetime | None, last_entry: str, oldest: datetime
    ) -> "FetcherState":
        """The same, with a ticker's articles published. A cursor never goes back.

        Args:
            ticker: whose.
            newest: publication time of the newest of them; None when there was none.
            last_entry: newest entry that they became; empty for none.
            oldest: cursors from before this are of tickers that nobody asks about any more.
        """
        cursors = {name: at for name, at in self.cursors.items() if at >= oldest}
        known = cursors.get(ticker)
        if newest is not None:
            cursors[ticker] = newest if known is None else max(known, newest)
        latest = max(self.last_entry, last_entry, key=entry_order)
        return self.model_copy(update={"cursors": cursors, "last_entry": latest})

    def with_quota(self, quota: Mapping[str, object]) -> "FetcherState":
        """The same, with the calls of the day as `Quota.as_json` gives them."""
        return self.model_copy(update={"quota": dict(quota)})

    def with_refused_key(self, fingerprint: str | None) -> "FetcherState":
        """The same, with the key that the source refused, or none."""
        return self.model_copy(update={"refused_key": fingerprint})

    def with_told_exhausted(self, until: datetime) -> "FetcherState":
        """The same, once people know until when the quota is used up."""
        return self.model_copy(update={"told_exhausted": until})

    def with_play(self, play: Play) -> "FetcherState":
        """The same, with the recording further on."""
        return self.model_copy(update={"play": play})

    def due_at(self, interval_seconds: float) -> datetime | None:
        """When the next round is due; None for at once: there was none, or it was broken off."""
        if self.begun_at is None or not self.ended:
            return None
        return self.begun_at + timedelta(seconds=interval_seconds)


def entry_order(entry_id: str) -> tuple[int, int]:
    """Entry ids in the order in which the server gave them; an empty one before all."""
    if not entry_id:
        return (-1, -1)
    milliseconds, _, number = entry_id.partition("-")
    return (int(milliseconds), int(number or 0))


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
        """Whether we are the one that fetches, for sure, and know the state."""
        return self._lease.held and self._tenure == self._lease.fence

    async def lead(self) -> bool:
        """Become the one that fetches, or stay it; False for another, or without a server.

        With a new tenure the state is read anew: somebody else may have written it.
        """
        if not await self._lease.acquire():
            return self.leading  # for what is left of the lease, while the server is away
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
            BusUnavailableError: the server is away.
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
            BusUnavailableError: the server is away; whether it was written is not known.
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
        tenure, self._tenure = self._tenure, 0  # broken off here, what is written is not known
        try:
            written = await self._lease.put(self.key, text, expected=self._text)
        except BusUnavailableError:
            (found,) = await self._keys.get(self.key)  # raises the same again while it is away
            if found != text:
                raise
            written = True
        if not written:
            raise LeaseLostError(self.key)
        self._tenure = tenure

    async def leave(self) -> None:
        """Let another replica fetch, at once."""
        self._tenure = 0
        await self._lease.release()
