"""Scored signals."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from streamdesk.contracts.base import Event, JsonObject
from streamdesk.contracts.fields import Price, Score, Symbol, Timestamp

EXIT_CLASS = 110
"""The class of signals that leave a position: above every score, so above every entry."""


class SignalType(StrEnum):
    """How strong a signal is, and which way it points."""

    STRONG_BUY = "STRONG_BUY"
    BUY = "BUY"
    WEAK_BUY = "WEAK_BUY"
    SELL = "SELL"


class Side(StrEnum):
    """What an order does."""

    BUY = "BUY"
    SELL = "SELL"


class Reason(BaseModel):
    """What one indicator added to the score."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    indicator: str = Field(description="Name of the indicator, as in rsi.", examples=["rsi"])
    contribution: float = Field(description="Points it adds to the score.", examples=[18.5])
    text: str = Field(description="Why, for a reader.", examples=["RSI 27.1 is oversold"])


class ExitOptions(BaseModel):
    """How a position is left besides its stop loss and take profit; each part is optional.

    All is relative to the position, so that it stays right when shares are split. A stop that
    moves only ever rises.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False, extra="forbid")

    trail_percent: float | None = Field(
        default=None,
        gt=0,
        lt=100,
        description="The stop follows the highest price since the entry at this distance, in "
        "percent of that price.",
        examples=[5.0],
    )
    trail_atr: float | None = Field(
        default=None,
        gt=0,
        le=100,
        description="The stop follows each bar's high at this many average true ranges (14 bars).",
        examples=[3.0],
    )
    break_even_percent: float | None = Field(
        default=None,
        gt=0,
        le=1_000,
        description="Once a bar closes this far above the average cost, in percent, the stop is at "
        "the average cost or above.",
        examples=[2.0],
    )
    hold_seconds: int | None = Field(
        default=None,
        gt=0,
        le=10 * 366 * 86_400,
        description="The position is closed at the first bar that ends this long after the bar of "
        "its entry, by the market's clock.",
        examples=[86_400],
    )


def _reasons_from_text(body: JsonObject) -> JsonObject:
    """Version 1 had reasons as plain sentences, without the points behind them."""
    texts = body["reasons"]
    if not isinstance(texts, list):
        raise TypeError(f"reasons is {texts!r:.80}, expected a list of sentences")
    reasons = [{"indicator": "unknown", "contribution": 0.0, "text": text} for text in texts]
    return body | {"reasons": reasons}


class SignalGenerated(Event):
    """The desk should buy or sell, and how strongly."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "symbol": "AAPL.US",
                    "type": "BUY",
                    "side": "BUY",
                    "score": 65.0,
                    "strength": 0.65,
                    "price": 271.75,
                    "stop_loss": 267.4,
                    "take_profit": 280.45,
                    "reasons": [
                        {"indicator": "rsi", "contribution": 18.5, "text": "RSI 27.1 is oversold"}
                    ],
                    "indicators": {"rsi": 27.1, "atr": 2.175},
                    "strategy": "composite-v1",
                    "timestamp": "2026-11-20T15:31:00Z",
                    "priority": 60,
                    "queued_at": "2026-11-20T15:31:00.250Z",
                    "retry_count": 0,
                }
            ]
        }
    )

    version = 2
    upcasters = {1: _reasons_from_text}  # noqa: RUF012 - declared as a ClassVar by Event

    symbol: Symbol
    type: SignalType
    side: Side
    score: Score
    strength: float = Field(ge=0, le=1, description="How much of a full position it deserves.")
    price: Price = Field(description="Close of the bar that gave the signal.")
    stop_loss: Price | None = Field(default=None, description="Leave the position at this price.")
    take_profit: Price | None = Field(default=None, description="Take the gain at this price.")
    exits: ExitOptions | None = Field(
        default=None, description="Further ways out of the position that a buy opens."
    )
    reasons: tuple[Reason, ...] = Field(description="Each indicator's part in the score.")
    indicators: dict[str, float] = Field(description="The indicators' values behind the score.")
    strategy: str = Field(description="Name and version of the rules.")
    timestamp: Timestamp = Field(description="End of the bar that gave the signal.")
    priority: int = Field(
        ge=0, le=100, description="The score in steps of ten: the class of an entry in the queue."
    )
    queued_at: Timestamp = Field(description="When it was put into the queue.")
    retry_count: int = Field(default=0, ge=0, description="Retries before this publication.")

    @property
    def queue_class(self) -> int:
        """Its class in the queue: the priority; of a sell, which always leaves a position, above.

        The desk never sells short.
        """
        return EXIT_CLASS if self.side is Side.SELL else self.priority
