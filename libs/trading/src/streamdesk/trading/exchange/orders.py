"""What can be ordered at the simulated exchange."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from streamdesk.contracts.events import Side
from streamdesk.trading.identity import stop_leg_of, target_leg_of
from streamdesk.trading.markets import TradableInstrument
from streamdesk.trading.money import PRICE_STEP


class OrderType(StrEnum):
    """At which price an order trades."""

    MARKET = "MARKET"
    """At the open of the next bar."""
    LIMIT = "LIMIT"
    """At its limit or better."""
    STOP = "STOP"
    """As a market order, once its stop price trades. With a trail it is a trailing stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeOrder:
    """An order as the exchange takes it.

    Attributes:
        order_id: unique permanently.
        instrument, side, quantity: what to trade; whole shares.
        type: how its price is found.
        as_of: market time of the decision; only later bars fill it.
        limit_price: of a LIMIT order, the worst price.
        stop_price: of a STOP order, the price that triggers it. A trailing stop may leave it out:
            it then starts at its distance from the fill of the entry that it closes, or from
            `reference_price`.
        trail_amount: distance of a trailing stop, in money a share (a multiple of the ATR, say).
        trail_percent: the same, in percent of the price.
        day: ends with the trading day of the first bar that it meets; otherwise good till canceled.
        expires_at: a bar that ends later does not fill it any more.
        closes: id of the entry that this order closes. It trades at most what that entry has
            bought and no other order has sold, and is canceled when nothing is left to sell.
        reference_price: of the market when it was decided; a stop must lie on the far side of it.
    """

    order_id: str
    instrument: TradableInstrument
    side: Side
    quantity: int
    type: OrderType
    as_of: datetime
    limit_price: Decimal | None = None
    stop_price: Decimal | None = None
    trail_amount: Decimal | None = None
    trail_percent: Decimal | None = None
    day: bool = False
    expires_at: datetime | None = None
    closes: str | None = None
    reference_price: Decimal | None = None

    @property
    def symbol(self) -> str:
        """Of its instrument."""
        return self.instrument.symbol

    @property
    def is_trailing(self) -> bool:
        """Whether its stop price follows the market."""
        return self.trail_amount is not None or self.trail_percent is not None

    def trail_from(self, price: Decimal) -> Decimal:
        """The stop price at the trail's distance from a price, to a millionth."""
        distance = self.trail_amount or price * (self.trail_percent or 0) / 100
        level = price - distance if self.side is Side.SELL else price + distance
        return level.quantize(PRICE_STEP)


def other(side: Side) -> Side:
    """The side that closes a position opened by this one."""
    return Side.SELL if side is Side.BUY else Side.BUY


def bracket(
    entry: ExchangeOrder,
    *,
    stop_price: Decimal | None = None,
    target_price: Decimal | None = None,
    trail_amount: Decimal | None = None,
    trail_percent: Decimal | None = None,
) -> tuple[ExchangeOrder, ...]:
    """An entry with its attached exits, to be submitted in one call.

    Args:
        entry: what opens the position.
        stop_price: where a loss is cut; `<order_id>/stop` is the exit's id.
        target_price: where a gain is taken; `<order_id>/target` is the exit's id.
        trail_amount: lets the stop follow the market at this distance.
        trail_percent: the same, in percent of the price.

    Returns:
        The entry first, then the stop, then the target, as far as they are given.
    """
    leg = ExchangeOrder(
        order_id=entry.order_id,
        instrument=entry.instrument,
        side=other(entry.side),
        quantity=entry.quantity,
        type=OrderType.STOP,
        as_of=entry.as_of,
        closes=entry.order_id,
        reference_price=entry.reference_price or entry.limit_price,
    )
    stop = replace(
        leg,
        order_id=stop_leg_of(entry.order_id),
        stop_price=stop_price,
        trail_amount=trail_amount,
        trail_percent=trail_percent,
    )
    target = replace(
        leg,
        order_id=target_leg_of(entry.order_id),
        type=OrderType.LIMIT,
        limit_price=target_price,
    )
    legs = (
        (stop, stop.stop_price is not None or stop.is_trailing),
        (target, target_price is not None),
    )
    return (entry, *(order for order, wanted in legs if wanted))
