"""The news API of `eodhd_server.py` in a thread, for tests that wait for processes which ask it."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.eodhd_server import Answer, Asked, EodhdServer

LONGEST_START_SECONDS = 60


class EodhdThread:
    """A running API.

    Attributes:
        api: what it answers and was asked. Change it before the first request, or by `call`.
    """

    def __init__(self, api: EodhdServer) -> None:
        self.api = api
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        async with self.api.running():
            self._listening.set()
            await self._stop.wait()

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Have it done in the API's own thread, soon."""
        self._loop.call_soon_threadsafe(function, *arguments)

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._listening.wait(LONGEST_START_SECONDS), "the API does not listen"

    def stop(self) -> None:
        """Listen no more."""
        self.call(self._stop.set)
        self._thread.join()


@contextmanager
def eodhd_api(**values: Any) -> Iterator[EodhdThread]:
    """An API that listens on loopback, made with these attributes."""
    running = EodhdThread(EodhdServer(**values))
    running.start()
    try:
        yield running
    finally:
        running.stop()


def by_ticker(answers: dict[str, Answer]) -> Answer:
    """For `always`: questions about these tickers are answered so, all others properly."""

    async def answer(server: EodhdServer, writer: asyncio.StreamWriter, asked: Asked) -> None:
        bad = answers.get(asked.asked["s"])
        if bad is not None:
            return await bad(server, writer, asked)
        charged = Asked(asked.path, asked.asked, calls=server._charge(asked.asked))
        server.requests[-1] = charged
        return await server.page(writer, charged)

    return answer
