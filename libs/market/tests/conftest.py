"""What the tests share: bars and files of bars."""

import csv
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streamdesk.contracts.events import BarClosed

START = datetime(2026, 11, 20, 15, 30, tzinfo=UTC)

BarOf = Callable[..., BarClosed]
CsvOf = Callable[..., Path]


@pytest.fixture
def bar_of() -> BarOf:
    """A bar at one price; `number` counts minutes, anything else overrides a field unchecked."""

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
        # Unchecked, because a feed may deliver what the contract forbids.
        return BarClosed.model_construct(None, **(fields | more))

    return make


@pytest.fixture
def csv_of(tmp_path: Path) -> CsvOf:
    """A CSV file of these rows, under this name."""

    def make(*rows: tuple[Any, ...], name: str = "AAPL.US.csv", header: str = "") -> Path:
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow((header or "date,open,high,low,close,volume").split(","))
            writer.writerows(rows)
        return path

    return make
