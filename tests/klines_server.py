"""A server on loopback with Binance's klines API, which can be scripted to misbehave."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from email.utils import formatdate
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

STEPS_MS = {"1m": 60_000, "5m": 300_000, "1h": 3_600_000, "1d": 86_400_000}
WEIGHT = 2
NOW_MS = 1_795_000_000_000 + 30_000  # half a minute into a bar of a minute

Answer = Callable[["KlinesServer", asyncio.StreamWriter, dict[str, str]], Awaitable[None]]


def kline(open_time_ms: int, step_ms: int, price: float = 100.0) -> list[Any]:
    """One kline as Binance sends it: prices are strings."""
    price += open_time_ms // step_ms % 50
    return [
        open_time_ms, f"{price:.8f}", f"{price + 2:.8f}", f"{price - 2:.8f}", f"{price + 1:.8f}",
        "12.50000000", open_time_ms + step_ms - 1, "1250.00000000", 42, "6.0", "600.0", "0",
    ]  # fmt: skip


class KlinesServer:
    """Answers `GET /api/v3/klines` with made-up bars of BTCUSDT and whatever is in `symbols`.

    Attributes:
        symbols: pairs that exist; any other is answered with 400, code -1121.
        now_ms: the server's time: its Date, and which kline is still open.
        date: what its Date says instead, if set.
        first_ms: there are no klines that opened before.
        used_weight: what it says was used in this minute; grows with each request.
        requests: the parameters of all requests, in order.
        answers: what it does about the next requests instead, one after another.
        always: what it does about all requests, if set.
        most_at_once: the largest number of concurrent requests.
    """

    def __init__(self) -> None:
        self.symbols = {"BTCUSDT", "ETHUSDT", "SOLUSDT"}
        self.now_ms = NOW_MS
        self.date = ""
        self.first_ms = 0
        self.used_weight = 0
        self.requests: list[dict[str, str]] = []
        self.answers: list[Answer] = []
        self.always: Answer | None = None
        self.most_at_once = 0
        self._at_once = 0
        self.url = ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator["KlinesServer"]:
        """Listen on a free port of loopback."""
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        handlers: set[asyncio.Task[None]] = set()
        self._handlers = handlers
        try:
            yield self
        finally:
            server.close()
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await self._request(head.split(b" ", 2)[1].decode(), writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the client left, or the test is over
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _request(self, target: str, writer: asyncio.StreamWriter) -> None:
        parts = urlsplit(target)
        assert parts.path == "/api/v3/klines"
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append(asked)
        self.used_weight += WEIGHT
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            answer = self.answers.pop(0) if self.answers else self.always or KlinesServer.klines
            await answer(self, writer, asked)
        finally:
            self._at_once -= 1

    async def klines(self, writer: asyncio.StreamWriter, asked: dict[str, str]) -> None:
        """The answer that Binance would give; the newest kline is still open."""
        await self.send(writer, *self.content(asked))

    def content(self, asked: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of that answer."""
        if asked["symbol"] not in self.symbols:
            return 400, b'{"code":-1121,"msg":"Invalid symbol."}'
        if asked["interval"] not in STEPS_MS:
            return 400, b'{"code":-1120,"msg":"Invalid interval."}'
        step = STEPS_MS[asked["interval"]]
        newest = min(self.now_ms, int(asked.get("endTime", self.now_ms))) // step * step
        times = range(newest, max(newest - int(asked["limit"]) * step, self.first_ms - 1), -step)
        return 200, json.dumps([kline(time, step) for time in reversed(times)]).encode()

    async def send(
        self, writer: asyncio.StreamWriter, status: int, body: bytes, **headers: str
    ) -> None:
        """An answer with the headers that Binance sends."""
        writer.write(self.head(status, len(body), **headers) + body)
        await writer.drain()

    def head(self, status: int, length: int, **headers: str) -> bytes:
        """The head of an answer."""
        fields = {
            "Date": self.date or formatdate(self.now_ms / 1_000, usegmt=True),
            "Content-Type": "application/json;charset=UTF-8",
            "Content-Length": str(length),
            "x-mbx-used-weight": str(self.used_weight),
            "x-mbx-used-weight-1m": str(self.used_weight),
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        phrase = HTTPStatus(status).phrase
        return f"HTTP/1.1 {status} {phrase}\r\n{lines}\r\n".encode()


def status(code: int, body: bytes = b"{}", **headers: str) -> Answer:
    """An answer with this status, body and headers."""

    async def answer(server: KlinesServer, writer: asyncio.StreamWriter, _: dict[str, str]) -> None:
        await server.send(writer, code, body, **headers)

    return answer


def cut(sent: int) -> Answer:
    """The connection is cut after so many bytes of the whole answer's body; -1: before its head."""

    async def answer(server: KlinesServer, writer: asyncio.StreamWriter, asked: Any) -> None:
        code, body = server.content(asked)
        if sent >= 0:
            writer.write(server.head(code, len(body)) + body[:sent])
            await writer.drain()
        writer.close()

    return answer


def drip() -> Answer:
    """One byte after another, each well within a read time-out, and no end."""

    async def answer(server: KlinesServer, writer: asyncio.StreamWriter, _: dict[str, str]) -> None:
        writer.write(server.head(200, 10_000_000) + b"[")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.01)

    return answer


def flood() -> Answer:
    """More and more, as fast as it is taken."""

    async def answer(server: KlinesServer, writer: asyncio.StreamWriter, _: dict[str, str]) -> None:
        writer.write(server.head(200, 10**12) + b"[")
        while True:
            writer.write(b"[1,2]," * 10_000)
            await writer.drain()

    return answer


def silence() -> Answer:
    """Nothing at all; the connection stays."""

    async def answer(*_: Any) -> None:
        await asyncio.Event().wait()

    return answer
