"""A line to PostgreSQL that can be cut at the worst moment: while a transaction commits."""

import asyncio
import contextlib
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

COMMIT = b"COMMIT;"
Moment = Literal["before", "after"]


class FlakyLine:
    """Forwards everything, until it is configured to cut.

    Args:
        url: of the server.
    """

    def __init__(self, url: str) -> None:
        self._target = urlsplit(url)
        self._cut: Moment | None = None
        self._skip = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._target._replace(
            netloc=f"{self._target.username}@127.0.0.1:{port}"
        ).geturl()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut_at_next_commit(self, moment: Moment, skip: int = 0) -> None:
        """Lose the next COMMIT but so many (`before`), or only the answer to it (`after`)."""
        self._cut, self._skip = moment, skip

    async def _pass_on(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        self._keep(asyncio.current_task())
        host, port = self._target.hostname, self._target.port
        far, to_far = await asyncio.open_connection(host, port)
        back = asyncio.create_task(self._copy(far, to_near))
        self._keep(back)
        try:
            while data := await near.read(65536):
                if not self._is_due(data):
                    to_far.write(data)
                    continue
                assert self._cut is not None
                moment, self._cut = self._cut, None
                self.cuts += 1
                back.cancel()
                await asyncio.wait({back})
                if moment == "after":
                    to_far.write(data)
                    await far.read(65536)  # it has committed
                break
        finally:
            to_near.close()
            to_far.close()

    def _is_due(self, data: bytes) -> bool:
        if self._cut is None or COMMIT not in data:
            return False
        self._skip -= 1
        return self._skip < 0

    def _keep(self, task: "asyncio.Task[None] | None") -> None:
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @staticmethod
    async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
        target.close()
