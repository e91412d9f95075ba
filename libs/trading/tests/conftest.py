"""What the tests share: signals."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from streamdesk.contracts.events import SignalGenerated

START = datetime(2026, 11, 20, 15, 31, tzinfo=UTC)


@pytest.fixture
def signal_of() -> Callable[..., SignalGenerated]:
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
