"""Market data."""

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from streamdesk.contracts.base import Event
from streamdesk.contracts.fields import InstrumentSymbol, Price, Timestamp, Volume


class BarClosed(Event):
    """A price bar is complete; it does not change any more."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "AAPL.US",
                    "timestamp": "2026-11-20T15:31:00Z",
                    "interval_seconds": 60,
                    "open": 271.2,
                    "high": 271.9,
                    "low": 271.1,
                    "close": 271.75,
                    "volume": 184300,
                }
            ]
        }
    )

    symbol: InstrumentSymbol
    timestamp: Timestamp = Field(description="End of the bar.")
    interval_seconds: int = Field(gt=0, description="Length of the bar, in seconds.")
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Volume

    @model_validator(mode="after")
    def _prices_fit_together(self) -> Self:
        if not self.low <= min(self.open, self.close) <= max(self.open, self.close) <= self.high:
            raise ValueError(
                f"low {self.low} <= open {self.open}, close {self.close} <= high {self.high} "
                "does not hold"
            )
        return self


class BarsHandled(Event):
    """An executor has acted on all bars up to some point of the topic of bars."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"executor": "order-executor", "entry": "1795359060000-0", "bars": 12}]
        }
    )

    executor: str = Field(min_length=1, description="Name of the executor's process.")
    entry: str = Field(
        pattern=r"^\d+-\d+$", description="Stream entry of bars: all before it are handled."
    )
    bars: int = Field(ge=0, description="Bars of that entry that are handled.")
