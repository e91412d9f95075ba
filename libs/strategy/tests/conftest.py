"""What the tests share: bars."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed

START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)

BarOf = Callable[..., BarClosed]


@pytest.fixture
def bar_of() -> BarOf:
    """A bar at one price; `number` counts minutes, anything else overrides a field."""

    def make(symbol: str = "AAPL.US", number: int = 0, price: float = 100.0, **more: Any) -> Any:
        fields: dict[str, Any] = {
            "symbol": symbol,
            "timestamp": START + timedelta(minutes=number),
            "interval_seconds": 60,
            "open": price,
            "high": price,
            "low": price,
            "close": price,
            "volume": 1000.0,
        }
        return BarClosed(**(fields | more))

    return make
