"""From a score to a signal: type, strength, stops, priority."""

import math
from dataclasses import dataclass
from datetime import datetime

from streamdesk.contracts.events import ExitOptions, Side, SignalGenerated, SignalType
from streamdesk.indicators import IndicatorValues
from streamdesk.strategy.errors import StrategyError
from streamdesk.strategy.scoring import SideScore

STRATEGY = "composite-v1"
"""Name of the rules in `scoring` and here; change it when they change."""

PRICE_DECIMALS = 4
INDICATOR_DECIMALS = 6


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Least scores, 0 to 100.

    Args:
        minimum: below it nothing is sent, whichever side; from it on a buy is WEAK_BUY.
        buy: from it on BUY.
        strong_buy: from it on STRONG_BUY.
        sell: from it on SELL.
    """

    minimum: float = 30
    buy: float = 50
    strong_buy: float = 70
    sell: float = 50

    def __post_init__(self) -> None:
        """Refuse thresholds that leave a type without scores.

        Raises:
            StrategyError: names them.
        """
        if not 0 <= self.minimum <= self.buy <= self.strong_buy <= 100:  # noqa: PLR2004 - the top
            raise StrategyError(
                f"thresholds {self.minimum:g}, {self.buy:g}, {self.strong_buy:g} (minimum, buy, "
                "strong buy) must ascend from 0 to 100"
            )
        if not self.minimum <= self.sell <= 100:  # noqa: PLR2004 - the top of the scale
            raise StrategyError(
                f"threshold {self.sell:g} (sell) must lie from {self.minimum:g}, the minimum, "
                "to 100"
            )

    def type_of(self, side: Side, score: float) -> SignalType | None:
        """The type of a score; None where nothing is to be sent."""
        if side is Side.SELL:
            return SignalType.SELL if score >= self.sell else None
        if score >= self.strong_buy:
            return SignalType.STRONG_BUY
        if score >= self.buy:
            return SignalType.BUY
        return SignalType.WEAK_BUY if score >= self.minimum else None


@dataclass(frozen=True, slots=True)
class Exits:
    """Distance of the exits from the price, in ATRs."""

    stop_loss: float = 2.0
    take_profit: float = 4.0


@dataclass(frozen=True, slots=True)
class SignalDraft:
    """A signal before it is queued: everything but the time of queueing."""

    symbol: str
    type: SignalType
    score: SideScore
    price: float
    stop_loss: float | None
    take_profit: float | None
    indicators: dict[str, float]
    timestamp: datetime
    exits: ExitOptions | None = None

    @property
    def priority(self) -> int:
        """Priority class: the score in steps of ten."""
        return int(self.score.score // 10 * 10)

    def queued(self, at: datetime) -> SignalGenerated:
        """The event, as queued at this time."""
        return SignalGenerated(
            symbol=self.symbol,
            type=self.type,
            side=self.score.side,
            score=self.score.score,
            strength=round(self.score.score / 100, 4),
            price=self.price,
            stop_loss=self.stop_loss,
            take_profit=self.take_profit,
            exits=self.exits,
            reasons=self.score.reasons,
            indicators=self.indicators,
            strategy=STRATEGY,
            timestamp=self.timestamp,
            priority=self.priority,
            queued_at=at,
        )


def exit_prices(
    side: Side, price: float, atr: float, exits: Exits
) -> tuple[float | None, float | None]:
    """Stop loss and take profit.

    For a buy, price - `exits.stop_loss` ATRs and price + `exits.take_profit` ATRs; for a sell,
    mirrored. None where there is no ATR yet, the price does not move, or an exit would not be
    above 0.
    """
    if not atr > 0:
        return None, None
    sign = 1 if side is Side.BUY else -1
    stop = round(price - sign * exits.stop_loss * atr, PRICE_DECIMALS)
    target = round(price + sign * exits.take_profit * atr, PRICE_DECIMALS)
    return stop if stop > 0 else None, target if target > 0 else None


def known(values: IndicatorValues) -> dict[str, float]:
    """The indicators that have a value, by name."""
    named = {name: getattr(values, name) for name in values.__slots__}
    return {
        name: round(value, INDICATOR_DECIMALS)
        for name, value in named.items()
        if math.isfinite(value)
    }
