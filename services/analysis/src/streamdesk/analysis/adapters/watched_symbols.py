"""The symbols that clients asked for recently, through any replica."""

import time
from collections.abc import Callable, Iterable

from streamdesk.bus import BusUnavailableError, Keys
from streamdesk.runtime import Drain, logger

log = logger(__name__)

PREFIX = "hama:watched:"
NOTE_SECONDS = 2.0
"""Time between two writes to Redis: how late other replicas know."""

RENEW_SHARE = 0.1
"""Share of the time that a symbol is remembered; within it the symbol is not written again."""

MOST_SYMBOLS = 10_000


class WatchedSymbols:
    """Remembers symbols for a time: in this process at once, in Redis shortly after.

    Args:
        keys: Redis, which replicas share.
        keep_seconds: how long a symbol counts as watched after it was asked for.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, keys: Keys, keep_seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._keep_seconds = keep_seconds
        self._clock = clock
        self._asked: dict[str, float] = {}
        self._noted: dict[str, float] = {}

    def asked_for(self, symbols: Iterable[str]) -> None:
        """Note symbols that a client asked for, and that exist. Does not wait."""
        now = self._clock()
        for symbol in symbols:
            self._asked.pop(symbol, None)  # to the end: the order is that of the last request
            self._asked[symbol] = now
        while len(self._asked) > MOST_SYMBOLS:
            self._asked.pop(next(iter(self._asked)))

    async def current(self) -> list[str]:
        """All watched symbols, sorted; without Redis those of this process."""
        self._forget()
        try:
            names = await self._keys.names(PREFIX, MOST_SYMBOLS)
        except BusUnavailableError:
            names = []
        return sorted({name.removeprefix(PREFIX) for name in names} | set(self._asked))

    async def run(self, drain: Drain) -> None:
        """Write what was asked for here to Redis, regularly, until the drain."""
        while not await drain.sleep(NOTE_SECONDS):
            await self.note()
        await self.note()

    async def note(self) -> None:
        """Write what other replicas may not know; if Redis is unavailable, the next call does."""
        self._forget()
        now, renew_seconds = self._clock(), self._keep_seconds * RENEW_SHARE
        new = {
            symbol: asked
            for symbol, asked in self._asked.items()
            if asked - self._noted.get(symbol, -self._keep_seconds) >= renew_seconds
        }
        try:
            # Counted from this write, not from the request: a symbol may live up to RENEW_SHARE
            # longer, which saves a write for each request.
            await self._keys.put({PREFIX + symbol: b"1" for symbol in new}, self._keep_seconds)
        except BusUnavailableError:
            return
        self._noted.update(dict.fromkeys(new, now))

    def _forget(self) -> None:
        oldest = self._clock() - self._keep_seconds
        self._asked = {symbol: at for symbol, at in self._asked.items() if at > oldest}
        self._noted = {symbol: at for symbol, at in self._noted.items() if symbol in self._asked}
