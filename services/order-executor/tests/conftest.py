"""What the tests share: signals and bars, and desks on databases in a temporary folder."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed, SignalGenerated
from streamdesk.order_executor.broker_paper import Faults
from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.desk import Desk

START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)

SignalOf = Callable[..., SignalGenerated]
BarOf = Callable[..., BarClosed]
SettingsOf = Callable[..., Settings]
DeskOf = Callable[..., Awaitable[Desk]]


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


@pytest.fixture
def settings_of(tmp_path: Path) -> SettingsOf:
    """Settings on databases in `folder` of the test's own place."""

    def make(folder: str = "desk", **more: Any) -> Settings:
        place = tmp_path / folder
        place.mkdir(exist_ok=True)
        defaults: dict[str, Any] = {
            "ledger_url": f"sqlite:///{place / 'ledger.db'}",
            "paper_broker_url": f"sqlite:///{place / 'paper.db'}",
            "reconcile_interval_seconds": 0.05,
            "instance": "executor-1",
        }
        return Settings.model_validate(defaults | more)

    return make


@pytest.fixture
async def desk_of(settings_of: SettingsOf) -> AsyncIterator[DeskOf]:
    """Open desks; two with the same folder are two executors of one account."""
    async with AsyncExitStack() as stack:

        async def make(folder: str = "desk", faults: Faults | None = None, **more: Any) -> Desk:
            desk = Desk(settings_of(folder, **more), faults=faults)
            return await stack.enter_async_context(desk)

        yield make
