"""What the analysis of prices finds."""

from typing import Literal

from pydantic import ConfigDict, Field

from streamdesk.contracts.base import Event
from streamdesk.contracts.fields import InstrumentSymbol, Price, Score, Timestamp

HamaPreset = Literal["nsdt", "quantdinger"]
HamaState = Literal["bullish", "bearish", "neutral"]
HamaTrend = Literal["up", "down", "flat"]
HamaColour = Literal["green", "red"]
HamaSignal = Literal["cross-up", "cross-down", "none"]
BollingerPhase = Literal["squeeze", "expansion", "normal"]


class HamaChanged(Event):
    """The state of an instrument's HAMA (Heikin-Ashi candles on moving averages) changed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "BTCUSDT",
                    "timestamp": "2026-11-20T15:31:00Z",
                    "preset": "nsdt",
                    "interval_seconds": 60,
                    "state": "bullish",
                    "previous_state": "neutral",
                    "score": 72.5,
                    "trend": "up",
                    "colour": "green",
                    "signal": "cross-up",
                    "bollinger": "expansion",
                    "close": 91250.5,
                }
            ]
        }
    )

    symbol: InstrumentSymbol
    timestamp: Timestamp = Field(description="End of the last bar that it is computed from.")
    preset: HamaPreset = Field(description="Which of the HAMA variants.")
    interval_seconds: int = Field(gt=0, description="Length of its bars, in seconds.")
    state: HamaState = Field(description="The state now.")
    previous_state: HamaState | None = Field(
        default=None, description="The state before; none for the first known state."
    )
    score: Score = Field(
        description="From 0, as bearish as it gets, to 100, as bullish as it gets."
    )
    trend: HamaTrend = Field(description="Which way its moving average goes.")
    colour: HamaColour = Field(description="Of the last candle: green where its open rose.")
    signal: HamaSignal = Field(description="Whether the candle crossed its moving average.")
    bollinger: BollingerPhase = Field(description="Whether the Bollinger bands narrow or widen.")
    close: Price
