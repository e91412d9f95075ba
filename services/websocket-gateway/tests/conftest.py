"""Fixtures of the tests: gateways on real ports, clients, events, and a browser."""

import asyncio
import json
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from playwright.async_api import Page, async_playwright
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from streamdesk.bus import Bus, BusConfig, Wait
from streamdesk.contracts import topics
from streamdesk.contracts.base import Event, Topic
from streamdesk.contracts.events import (
    BarClosed,
    EntriesLocked,
    EntriesUnlocked,
    HamaChanged,
    NewsFiltered,
    OrderFilled,
    OrderSubmitted,
    PortfolioValued,
    RiskAlerted,
    SignalGenerated,
    StockIndicatorsCompleted,
    SystemEvent,
    TaskCompleted,
    TaskProgressed,
)
from streamdesk.runtime import Drain, listen
from streamdesk.websocket_gateway.config import Settings
from streamdesk.websocket_gateway.factory import bus_source, gateway_over, tasks

SECRET = "of-the-tests-with-more-than-32-bytes"  # noqa: S105 - signs nothing but test tokens
TIMEOUT_SECONDS = 30
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
BROWSER_TIMEOUT_MS = 60_000
INDICATORS = (
    *("sma_5", "sma_10", "sma_20", "sma_60", "macd", "macd_signal", "macd_histogram", "rsi"),
    *("bb_upper", "bb_middle", "bb_lower", "atr", "kdj_k", "kdj_d", "kdj_j"),
)
START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)


class Clock:
    """A clock that only moves when a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


class Client:
    """A client's socket."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def next(self, kind: str | None = None) -> dict[str, Any]:
        """The next message, or the next of this type."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while True:
                message: dict[str, Any] = json.loads(await self.socket.recv())
                if kind is None or message["type"] == kind:
                    return message

    async def subscribe(self, *channels: str) -> dict[str, Any]:
        await self.say(type="subscribe", channels=channels)
        return await self.next("subscribed")

    async def until_answered(self) -> list[dict[str, Any]]:
        """All messages in flight before the answer to a heartbeat sent now."""
        await self.say(type="heartbeat", id="mark")
        messages = []
        while (message := await self.next()).get("id") != "mark":
            messages.append(message)
        return messages

    async def closed(self) -> int | None:
        """The code the server closes with."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            try:
                while True:
                    await self.socket.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else None


class Desk:
    """A gateway on a real port, over a bus of its own."""

    def __init__(self, stack: AsyncExitStack, bus: Bus, settings: Settings) -> None:
        self._stack = stack
        self.bus = bus
        self.clock = Clock()
        self.drain = Drain()
        source = bus_source(bus, settings)
        self.gateway = gateway_over(source, settings, now=self.clock)
        listener = listen("127.0.0.1", 0, "GATEWAY_PORT")
        self.address = f"127.0.0.1:{listener.getsockname()[1]}"
        self.tasks: list[asyncio.Future[None]] = [
            asyncio.ensure_future(work.run(self.drain))
            for work in tasks(self.gateway, source, settings, listener)
        ]

    async def client(self, query: str = "", **options: Any) -> Client:
        url = f"ws://{self.address}/ws/events{query}"
        # The client's own limits are off: only the gateway's are tested.
        options = {"max_size": None, "ping_interval": None, "proxy": None} | options
        return Client(await self._stack.enter_async_context(connect(url, **options)))

    async def publish(self, *events: Event) -> None:
        for event in events:
            topic: Topic[Any] = next(t for t in topics.TOPICS if type(event) in t.models)
            await self.bus.publish(topic, event)

    async def publish_all(self, events: Sequence[Event]) -> None:
        """Publish events of one topic in one call."""
        topic: Topic[Any] = next(t for t in topics.TOPICS if type(events[0]) in t.models)
        await self.bus.publish_many(topic, events)

    async def seen(self, name: str, count: int) -> None:
        """Wait until the gateway has routed this many events of a type."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self.gateway.stats()["events"].get(name, 0) < count:
                await asyncio.sleep(0.005)

    async def http(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One HTTP request: status, headers, body."""
        host, port = self.address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.address}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        async with asyncio.timeout(TIMEOUT_SECONDS):
            answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        head, _, content = answer.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in rest)
        return int(first.split()[1]), fields, content

    async def post(self, path: str, value: Any, **headers: str) -> tuple[int, Any]:
        headers = {"Content_Type": "application/json"} | headers
        status, _, content = await self.http("POST", path, json.dumps(value).encode(), **headers)
        return status, json.loads(content)

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        status, _, content = await self.http("GET", path, b"", **headers)
        return status, json.loads(content)

    async def stop(self) -> None:
        self.drain.request()
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await asyncio.gather(*self.tasks)


StartDesk = Callable[..., Any]


@pytest.fixture
async def start_desk() -> AsyncIterator[StartDesk]:
    """Starts a gateway; keywords are settings without their prefix, and the bus's `url`, `keys`."""
    async with AsyncExitStack() as stack:

        async def start(
            url: str | None = None, *, keys: dict[str, str] | None = None, **changes: Any
        ) -> Desk:
            url = url or f"memory://{secrets.token_hex(4)}"
            values: dict[str, Any] = {f"gateway_{name}": value for name, value in changes.items()}
            values |= keys or {}
            settings = Settings(redis_url=url, grace_seconds=10, **values)
            config = BusConfig(**settings.bus_config("websocket-gateway", Wait))
            if url.startswith("memory:"):  # no slow server: reads may time out soon
                config = replace(config, socket_timeout_seconds=0.1)
            bus = await stack.enter_async_context(Bus.connect(config))
            desk = Desk(stack, bus, settings)
            stack.push_async_callback(desk.stop)
            return desk

        yield start


@pytest.fixture
async def desk(start_desk: StartDesk) -> Desk:
    """A gateway with default settings."""
    started: Desk = await start_desk()
    return started


@pytest.fixture
def secret() -> str:
    """The secret of desks that require tokens."""
    return SECRET


@pytest.fixture
def token() -> Callable[..., str]:
    """A token; claims may be changed, None leaves one out."""

    def make(*, signed_with: str = SECRET, **changes: Any) -> str:
        claims = {"sub": "ann", "exp": int(time.time()) + 600} | changes
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, signed_with, algorithm="HS256")

    return make


class Events:
    """Events of a small desk; `minute` counts from 15:30 UTC."""

    @staticmethod
    def bar(symbol: str = "AAPL.US", minute: int = 0, close: float = 101.0) -> BarClosed:
        return BarClosed(
            symbol=symbol,
            timestamp=START + timedelta(minutes=minute),
            interval_seconds=60,
            open=100,
            high=max(close, 100) + 1,
            low=min(close, 100) - 1,
            close=close,
            volume=1_000,
        )

    @staticmethod
    def signal(symbol: str = "AAPL.US", **changes: Any) -> SignalGenerated:
        example = _example(SignalGenerated)
        return SignalGenerated.model_validate(example | {"symbol": symbol} | changes)

    @staticmethod
    def order(symbol: str = "AAPL.US") -> OrderSubmitted:
        return OrderSubmitted.model_validate(_example(OrderSubmitted) | {"symbol": symbol})

    @staticmethod
    def fill(symbol: str = "AAPL.US") -> OrderFilled:
        return OrderFilled.model_validate(_example(OrderFilled) | {"symbol": symbol})

    @staticmethod
    def portfolio(equity: str, minute: int = 0, **more: Any) -> PortfolioValued:
        position = {
            "symbol": "AAPL.US",
            "quantity": 60,
            "average_price": "271.80",
            "market_price": "272.00",
            "market_value": "16320.00",
            "unrealized_pnl": "12.00",
        }
        changes = {
            "equity": equity,
            "timestamp": START + timedelta(minutes=minute),
            "positions": [position],
        }
        return PortfolioValued.model_validate(_example(PortfolioValued) | changes | more)

    @staticmethod
    def alert(code: str, minute: int, message: str) -> RiskAlerted:
        changes = {"code": code, "message": message, "timestamp": START + timedelta(minutes=minute)}
        return RiskAlerted.model_validate(_example(RiskAlerted) | changes)

    @staticmethod
    def locked(number: int) -> EntriesLocked:
        return EntriesLocked.model_validate(_example(EntriesLocked) | {"lock_id": number})

    @staticmethod
    def unlocked(number: int) -> EntriesUnlocked:
        return EntriesUnlocked.model_validate(_example(EntriesUnlocked) | {"lock_id": number})

    @staticmethod
    def task(task_id: str = "warm-up-1", done: int = 1) -> TaskProgressed:
        example = _example(TaskProgressed) | {"task_id": task_id, "done": done}
        return TaskProgressed.model_validate(example)

    @staticmethod
    def hama(symbol: str = "BTCUSDT", minute: int = 0, **changes: Any) -> HamaChanged:
        when = {"symbol": symbol, "timestamp": START + timedelta(minutes=minute)}
        return HamaChanged.model_validate(_example(HamaChanged) | when | changes)

    @staticmethod
    def daily_job(stocks: int, task_id: str = "daily-1", failed: str = "") -> list[Event]:
        """The events of a run of the daily indicators: progress by the percent, and every stock."""
        published: list[Event] = []
        run = {"task_id": task_id, "name": "daily-indicators", "total": stocks}
        for number in range(stocks):
            now = START + timedelta(seconds=number / 1_000)
            if number * 100 % stocks == 0:
                published.append(
                    TaskProgressed.model_validate({**run, "done": number, "timestamp": now})
                )
            indicators = dict.fromkeys(INDICATORS, 101.25 + number)
            published.append(
                StockIndicatorsCompleted(
                    task_id=task_id, timestamp=now, symbol=f"S{number}.US", indicators=indicators
                )
            )
        end = START + timedelta(seconds=stocks / 1_000)
        published.append(TaskProgressed.model_validate({**run, "done": stocks, "timestamp": end}))
        ended = {**run, "timestamp": end, "succeeded": not failed, "duration_seconds": 5}
        return [*published, TaskCompleted.model_validate({**ended, "message": failed})]

    @staticmethod
    def news(title: str = "Apple beats estimates", *symbols: str, **changes: Any) -> NewsFiltered:
        example = _example(NewsFiltered) | {"title": title, "symbols": symbols or ("AAPL.US",)}
        return NewsFiltered.model_validate(example | changes)

    @staticmethod
    def system(message: str = "ready") -> SystemEvent:
        return SystemEvent.model_validate(_example(SystemEvent) | {"message": message})


def _example(model: type[Event]) -> dict[str, Any]:
    extra: Any = model.model_config["json_schema_extra"]
    example: dict[str, Any] = extra["examples"][0]
    return example


@pytest.fixture
def events() -> type[Events]:
    return Events


OpenPage = Callable[..., AbstractAsyncContextManager[tuple[Page, list[str]]]]


@pytest.fixture
def open_page(chromium: str, tmp_path: Path) -> OpenPage:
    """Opens a browser: its page, and the errors that the page logs."""

    @asynccontextmanager
    async def open_one(width: int = 1280, height: int = 720) -> AsyncIterator[Any]:
        problems: list[str] = []
        async with async_playwright() as playwright:
            context = await playwright.chromium.launch_persistent_context(
                tmp_path / "profile",
                executable_path=chromium,
                headless=True,
                chromium_sandbox=False,
                args=list(FLAGS),
                viewport={"width": width, "height": height},
                timeout=BROWSER_TIMEOUT_MS,
            )
            page = await context.new_page()
            page.set_default_timeout(BROWSER_TIMEOUT_MS)
            page.on("console", lambda message: problems.append(message.text))
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.on("crash", lambda _: problems.append("the page crashed"))
            yield page, problems
            await context.close()

    return open_one


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium: CHROMIUM, or one on the PATH."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip(f"no Chromium: none of {', '.join(names)} is on the PATH, nor CHROMIUM set")
    return found
