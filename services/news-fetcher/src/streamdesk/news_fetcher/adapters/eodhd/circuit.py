"""A circuit breaker: a source that fails again and again is left alone for a while.

purgatory counts and remembers. What it leaves open is added here: after the pause one request goes
first, as a probe, and the others wait for what becomes of it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from purgatory import AsyncCircuitBreakerFactory
from purgatory.domain.model import CLOSED, OPENED, Context, OpenedState

from streamdesk.news_fetcher.errors import (
    BadRequestError,
    CircuitOpenError,
    KeyRefusedError,
    QuotaExhaustedError,
    SourceBusyError,
    SourceError,
)

T = TypeVar("T")

# The server is there, it says so itself; asking it less is not for this to decide.
_ANSWERS = [BadRequestError, KeyRefusedError, QuotaExhaustedError, SourceBusyError]


class Circuit:
    """Passes requests on as long as they do not fail all the time.

    Args:
        name: of the source, for messages.
        failures: so many in a row open it.
        pause_seconds: how long it stays open before the next probe.
    """

    def __init__(self, name: str, *, failures: int, pause_seconds: float) -> None:
        self._name = name
        self._failures = failures
        self._pause_seconds = pause_seconds
        self._factory = self._closed()
        self._context: Context | None = None
        self._probe = asyncio.Lock()
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether the source failed so often that it is left alone, or is being probed."""
        return self._context is not None and self._context.state != CLOSED

    def check(self) -> None:
        """Raise CircuitOpenError while nothing may go, not even a probe."""
        context = self._context
        if context is None or context.state != OPENED:
            return
        left_seconds = (context.opened_at or 0.0) + self._pause_seconds - time.time()
        if left_seconds > self._pause_seconds:  # the clock was set back; purgatory goes by it
            self._factory, self._context = self._closed(), None
        elif left_seconds >= 0:
            raise self._error(left_seconds)

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns or raises.

        Raises:
            CircuitOpenError: it was not called.
        """
        if self.is_open:
            async with self._probe:
                if self.is_open:
                    return await self._guarded(ask)
        return await self._guarded(ask)

    def _closed(self) -> AsyncCircuitBreakerFactory:
        return AsyncCircuitBreakerFactory(self._failures, self._pause_seconds, exclude=[*_ANSWERS])

    async def _guarded(self, ask: Callable[[], Awaitable[T]]) -> T:
        breaker = await self._factory.get_breaker(self._name)
        self._context = breaker.context
        try:
            async with breaker:
                try:
                    return await ask()
                except SourceError as error:
                    self._last = str(error)
                    raise
        except OpenedState:
            pass
        raise self._error(self._pause_seconds)

    def _error(self, left_seconds: float) -> CircuitOpenError:
        return CircuitOpenError(
            f"{self._name} failed {self._failures} times in a row and is not asked for "
            f"{left_seconds:.0f} s; the last failure: {self._last}",
            left_seconds,
        )
