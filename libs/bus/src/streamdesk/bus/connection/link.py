"""The one place that knows whether the server answers.

Calls that may be repeated go through `Link.call`: while the server is unreachable they wait,
report the outage once for all, and resume when it is back.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamdesk.bus.errors import BusUnavailableError, NotDurableError, ServerFullError
from streamdesk.bus.observer import BusObserver

T = TypeVar("T")

FIRST_WAIT_SECONDS = 0.05
LONGEST_WAIT_SECONDS = 0.25


class Link:
    """The state of the connection, shared by all that use it."""

    def __init__(self, observer: BusObserver, drop_idle: Callable[[], Awaitable[None]]) -> None:
        """Assume that the server is there until a call shows otherwise.

        Args:
            observer: called once when the server is lost and once when it is back.
            drop_idle: closes connections that no call uses: after an outage they are dead, and
                each would look like a new one.
        """
        self._observer = observer
        self._drop_idle = drop_idle
        self._lost_at: float | None = None
        self._restored_at = 0.0
        self._woken = asyncio.Event()
        self.outages = 0

    @property
    def connected(self) -> bool:
        """Whether the last call that ended was answered."""
        return self._lost_at is None

    def _lost(self, error: BusUnavailableError, began: float) -> None:
        """Note that a call was not answered; one from before the last recovery is no news."""
        if self._lost_at is None and began >= self._restored_at:
            self._lost_at = time.monotonic()
            self.outages += 1
            self._observer.connection_lost(str(error))

    def _answered(self, began: float) -> None:
        """Note that a call was answered; an answer from before the loss is no news either."""
        if self._lost_at is not None and began >= self._lost_at:
            self._restored_at = time.monotonic()
            outage = self._restored_at - self._lost_at
            self._lost_at = None
            self._observer.connection_restored(outage)

    async def once(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call one time and note how it went."""
        began = time.monotonic()
        try:
            result = await call()
        except (ServerFullError, NotDurableError):
            self._answered(began)  # it refuses, but it is there
            raise
        except BusUnavailableError as error:
            self._lost(error, began)
            await self._drop_idle()
            raise
        self._answered(began)
        return result

    async def call(
        self,
        call: Callable[[], Awaitable[T]],
        *,
        timeout_seconds: float | None = None,
        stop: asyncio.Event | None = None,
    ) -> T:
        """Make a call that may be repeated, until it is answered.

        Raises:
            BusUnavailableError: not answered within `timeout_seconds`, or `stop` was set first.
        """
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        wait = FIRST_WAIT_SECONDS
        while True:
            try:
                return await self.once(call)
            except BusUnavailableError:
                if stop is not None and stop.is_set():
                    raise
                if deadline is not None and time.monotonic() + wait > deadline:
                    raise
            await self._pause(wait * random.uniform(0.5, 1), stop)  # noqa: S311 - jitter
            wait = min(LONGEST_WAIT_SECONDS, wait * 2)

    def wake(self) -> None:
        """Try again now: there is news of the server."""
        self._woken.set()
        self._woken = asyncio.Event()

    async def _pause(self, seconds: float, stop: asyncio.Event | None) -> None:
        """Sleep, but no longer than until `stop`, or until there is news."""
        events = [self._woken] if stop is None else [self._woken, stop]
        waits = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
