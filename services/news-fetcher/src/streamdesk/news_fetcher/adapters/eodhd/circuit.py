"""The circuit of a source: after several failures in a row it is not asked for a while.

The states are those of the bus's `Breaker`, with a window of as many requests as may fail in a row.
Added here is what a source needs besides: after the pause one request goes first, as a probe, and
the others wait for its outcome.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from streamdesk.bus import Breaker, BreakerPolicy
from streamdesk.news_fetcher.errors import (
    BadRequestError,
    CircuitOpenError,
    KeyRefusedError,
    QuotaExhaustedError,
    SourceBusyError,
    SourceError,
)

T = TypeVar("T")

# The server answers, and says itself what is wrong; asking it less often is not for this to decide.
_ANSWERS = (BadRequestError, KeyRefusedError, QuotaExhaustedError, SourceBusyError)


class SourceCircuit:
    """Passes requests on until too many have failed in a row.

    Args:
        name: of the source, for messages.
        failures: so many in a row open it.
        pause_seconds: how long it stays open before the next probe.
    """

    def __init__(self, name: str, *, failures: int, pause_seconds: float) -> None:
        self._name = name
        self._failures = failures
        policy = BreakerPolicy(window=failures, dead_share=1.0, pause_seconds=pause_seconds)
        self._breaker = Breaker(policy)
        self._probe = asyncio.Lock()
        self._last = ""

    @property
    def is_open(self) -> bool:
        """Whether requests are held back, or the source is being probed."""
        return not self._breaker.is_closed

    def check(self) -> None:
        """Refuse a request while not even a probe may go.

        Raises:
            CircuitOpenError: not before its `retry_after_seconds` are over.
        """
        left_seconds = self._breaker.pause_seconds(time.monotonic())
        if left_seconds > 0:
            raise CircuitOpenError(
                f"{self._name} failed {self._failures} times in a row and is not asked for "
                f"{left_seconds:.0f} s; the last failure: {self._last}",
                left_seconds,
            )

    async def call(self, ask: Callable[[], Awaitable[T]]) -> T:
        """What `ask` returns or raises.

        Raises:
            CircuitOpenError: it was not called.
        """
        if self.is_open:
            async with self._probe:
                # The probe before this one may have closed the circuit: then none is needed.
                if self.is_open:
                    return await self._counted(ask)
        return await self._counted(ask)

    async def _counted(self, ask: Callable[[], Awaitable[T]]) -> T:
        self.check()  # a probe that failed meanwhile has opened it again
        try:
            answer = await ask()
        except BaseException as error:
            if isinstance(error, SourceError):
                self._last = str(error)
            # Also a request that was cancelled: it brought no answer either.
            failed = "" if isinstance(error, _ANSWERS) else type(error).__name__
            self._breaker.note(failed, time.monotonic())
            raise
        self._breaker.note("", time.monotonic())
        return answer
