"""What the tests share: signals and bars, and executors, on each kind of database."""

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.adapters.paper_broker import Faults
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.factory import OrderExecutor
from tests.market import QuickMarket
from tests.postgres import PostgresServer

START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
SettingsOf = Callable[..., Settings]
ExecutorOf = Callable[..., Awaitable[OrderExecutor]]
DatabasesOf = Callable[[str], dict[str, str]]


@pytest.fixture
def signal_of() -> SignalOf:
    """A signal; `minute` counts from START, anything else overrides a field."""

    def make(symbol: str = "AAPL.US", side: str = "BUY", minute: int = 0, **more: Any) -> Any:
        at = START + timedelta(minutes=minute)
        fields = {
            "symbol": symbol,
            "type": side,
            "side": side,
            "score": 65.0,
            "strength": 0.5,
            "price": 100.0,
            "reasons": (),
            "indicators": {},
            "strategy": "composite-v1",
            "timestamp": at,
            "priority": 60,
            "queued_at": at + timedelta(milliseconds=250),
        }
        return SignalGenerated.model_validate(fields | more)

    return make


@pytest.fixture
def bar_of() -> BarOf:
    """A bar of one price, unless low, high or close say otherwise."""

    def make(symbol: str = "AAPL.US", minute: int = 1, price: float = 100.0, **more: Any) -> Any:
        fields = {
            "symbol": symbol,
            "timestamp": START + timedelta(minutes=minute),
            "interval_seconds": 60,
            "open": price,
            "high": price,
            "low": price,
            "close": price,
            "volume": 1000,
        }
        return BarClosed.model_validate(fields | more)

    return make


@pytest.fixture(params=["sqlite", "postgres"])
def databases_of(request: pytest.FixtureRequest) -> DatabasesOf:
    """The URLs of an account's databases, on each kind; the same account, the same databases."""
    of_kind: DatabasesOf = request.getfixturevalue(f"{request.param}_of")
    return of_kind


@pytest.fixture
def sqlite_of(tmp_path: Path) -> DatabasesOf:
    """Two files in a folder."""

    def make(account: str) -> dict[str, str]:
        place = tmp_path / account
        place.mkdir(exist_ok=True)
        return {
            "ledger_url": f"sqlite:///{place / 'ledger.db'}",
            "paper_broker_url": f"sqlite:///{place / 'paper.db'}",
        }

    return make


@pytest.fixture
def postgres_of(postgres: PostgresServer) -> Iterator[DatabasesOf]:
    """One database for both, as in a cluster."""
    names: dict[str, str] = {}

    def make(account: str) -> dict[str, str]:
        if account not in names:
            names[account] = postgres.create_database()
        url = postgres.url(names[account])
        return {"ledger_url": url, "paper_broker_url": url}

    yield make
    for name in names.values():
        postgres.drop_database(name)


@pytest.fixture
def settings_of(databases_of: DatabasesOf) -> SettingsOf:
    """Settings of an account of the test's own."""

    def make(account: str = "account", **more: Any) -> Settings:
        defaults: dict[str, Any] = {
            **databases_of(account),
            "reconcile_interval_seconds": 0.05,
            # What a loaded machine does slowly is not lost.
            "broker_timeout_seconds": 60,
            "database_timeout_seconds": 120,
            "instance": "executor-1",
            # The tests' minutes run on through nights; exchanges' hours have tests of their own.
            "sessions": False,
            # A test's orders are filled whole; shares of a bar's volume have tests of their own.
            "paper_volume_share_percent": 0,
        }
        return Settings.model_validate(defaults | more)

    return make


@pytest.fixture
async def executor_of(settings_of: SettingsOf) -> AsyncIterator[ExecutorOf]:
    """Open executors; two of the same account are two executors."""
    async with AsyncExitStack() as stack:

        async def make(
            account: str = "account",
            faults: Faults | None = None,
            of: type[OrderExecutor] = QuickMarket,
            **more: Any,
        ) -> OrderExecutor:
            executor = of(settings_of(account, **more), faults=faults)
            return await stack.enter_async_context(executor)

        yield make


@pytest.fixture
def held_ledger(settings_of: SettingsOf) -> Callable[[], AbstractAsyncContextManager[None]]:
    """While the block lasts, another client holds the ledger for writing."""

    @asynccontextmanager
    async def hold() -> AsyncIterator[None]:
        url = settings_of().ledger_url.get_secret_value()
        if url.startswith("sqlite"):
            with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as other:
                other.execute("BEGIN IMMEDIATE")
                yield
            return
        stranger = await asyncpg.connect(url)
        async with stranger.transaction():
            await stranger.execute("SELECT 1 FROM account FOR UPDATE")
            yield
        await stranger.close()

    return hold
