"""Says how far this executor has acted on the bars."""

import asyncio
from collections.abc import Awaitable, Callable

from streamdesk.bus import BusUnavailableError
from streamdesk.contracts.events import BarsHandled
from streamdesk.runtime import Drain


class BarsReport:
    """Publishes the newest point alone: while one report is sent, the others become one.

    Args:
        executor: name of this process.
        send: publishes a report.
    """

    def __init__(self, executor: str, send: Callable[[BarsHandled], Awaitable[object]]) -> None:
        self._executor = executor
        self._send = send
        self._entry = ""
        self._bars = 0
        self._news = asyncio.Event()

    def begin(self, entry: str) -> None:
        """Bars are read from this entry id on; what came before is not acted upon any more."""
        self._entry, self._bars = entry, 0
        self._news.set()

    def handled(self, entry: str) -> None:
        """One more bar of this entry is handled."""
        self._bars = self._bars + 1 if entry == self._entry else 1
        self._entry = entry
        self._news.set()

    async def run(self, drain: Drain) -> None:
        """Send each piece of news until the drain."""
        stopping = asyncio.create_task(drain.requested.wait())
        stopping.add_done_callback(lambda _: self._news.set())
        try:
            while True:
                await self._news.wait()
                if drain.requested.is_set():
                    return
                self._news.clear()
                report = BarsHandled(executor=self._executor, entry=self._entry, bars=self._bars)
                try:
                    await self._send(report)
                except BusUnavailableError:
                    self._news.set()
        finally:
            stopping.cancel()
