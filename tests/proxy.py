"""A TCP proxy on loopback: slow, cut, silent, or closed in the middle of a response."""

import asyncio
from types import TracebackType
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 65_536
Outbox = asyncio.Queue[tuple[float, bytes | None]]


class Proxy:
    """A proxy in front of one server. Use it as an async context manager.

    Attributes:
        port: where it listens.
        delay_seconds: how long everything takes, in each direction.
        cuts: connections that were broken off on purpose.
    """

    def __init__(self, target_port: int) -> None:
        self.port = 0
        self.delay_seconds = 0.0
        self.cuts = 0
        self._target_port = target_port
        self._answer_bytes_left: int | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._lines: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._lines:
            task.cancel()
        await asyncio.gather(*self._lines, return_exceptions=True)

    @property
    def url(self) -> str:
        """The server's URL by way of the proxy."""
        return f"redis://{LOOPBACK}:{self.port}/0"

    @property
    def connections(self) -> int:
        """Connections that stand now."""
        return len(self._lines)

    def cut(self) -> None:
        """Close every connection."""
        for ends in self._lines.values():
            self._break(ends)

    def cut_answer_after(self, count: int) -> None:
        """Close the connection whose response exceeds this many bytes, counted from now on."""
        self._answer_bytes_left = count

    def swallow(self) -> None:
        """Keep accepting connections, but forward nothing until `forward`."""
        self._open.clear()

    def forward(self) -> None:
        """Forward again, withheld bytes first: a network loses no byte of a connection."""
        self._open.set()

    def heal(self) -> None:
        """Remove all faults."""
        self.delay_seconds = 0.0
        self._answer_bytes_left = None
        self.forward()

    def _break(self, ends: list[asyncio.StreamWriter]) -> None:
        self.cuts += 1
        for end in ends:
            end.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._lines[task] = [writer]
        task.add_done_callback(self._lines.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pumps: list[asyncio.Task[None]] = []
        ends = [writer]
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._target_port)
            ends.append(far_writer)
            task = asyncio.current_task()
            assert task is not None
            self._lines[task] = ends
            asked, answered = Outbox(), Outbox()
            pumps += [
                asyncio.create_task(self._collect(reader, asked)),
                asyncio.create_task(self._collect(far_reader, answered)),
                asyncio.create_task(self._ask(asked, far_writer)),
                asyncio.create_task(self._answer(answered, ends)),
            ]
            await asyncio.wait(pumps[2:], return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            pass  # no server: the client sees its connection end
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            for end in ends:
                end.transport.abort()

    async def _collect(self, source: asyncio.StreamReader, outbox: Outbox) -> None:
        """Read one direction and say when each part is to arrive; None ends it."""
        clock = asyncio.get_running_loop().time
        try:
            while data := await source.read(CHUNK_BYTES):
                outbox.put_nowait((clock() + self.delay_seconds, data))
        finally:
            outbox.put_nowait((clock() + self.delay_seconds, None))

    async def _next(self, outbox: Outbox) -> bytes | None:
        due, data = await outbox.get()
        await asyncio.sleep(due - asyncio.get_running_loop().time())
        await self._open.wait()
        return data

    async def _ask(self, outbox: Outbox, server: asyncio.StreamWriter) -> None:
        while data := await self._next(outbox):
            server.write(data)

    async def _answer(self, outbox: Outbox, ends: list[asyncio.StreamWriter]) -> None:
        while data := await self._next(outbox):
            left = self._answer_bytes_left
            if left is not None and len(data) > left:
                ends[0].write(data[:left])
                self._answer_bytes_left = None
                self._break(ends)
                return
            if left is not None:
                self._answer_bytes_left = left - len(data)
            ends[0].write(data)
