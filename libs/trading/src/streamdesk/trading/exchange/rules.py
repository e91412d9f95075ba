"""How bars fill orders: prices, costs and volume. Pure functions of one bar.

What a bar does not prove in our favour does not count. Sources of the rules: zipline (at most 2.5 %
of a bar's volume, nothing in a bar without volume), backtesting.py (market orders at the next open,
stop before target), LEAN (stop at the open when the bar opens beyond it; strict limits).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Self

from streamdesk.contracts.events import BarClosed, Side
from streamdesk.trading.dated import trading_day
from streamdesk.trading.exchange.orders import ExchangeOrder, OrderType
from streamdesk.trading.fees import FeeSchedule
from streamdesk.trading.markets import MarketCode, Ticks
from streamdesk.trading.money import price_from
from streamdesk.trading.sizing import BPS

SessionCheck = Callable[[MarketCode, datetime], bool]
"""Whether a market trades continuously at a moment."""

FeesAt = Callable[[MarketCode, datetime], FeeSchedule]
"""The fees of a market for an order, by the time of its decision."""

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


def always_open(_market: MarketCode, _moment: datetime) -> bool:
    """No closing time."""
    return True


def no_fees(_market: MarketCode, _moment: datetime) -> FeeSchedule:
    """Nothing is charged."""
    return FeeSchedule()


@dataclass(frozen=True, slots=True)
class ExchangeRules:
    """The numbers that fills go by.

    Attributes:
        fees: what an order is charged; `no_fees` charges nothing.
        volume_share: part of a bar's volume that all orders of a symbol may take together; 0: any
            amount, as soon as the bar has volume. One lot is always allowed when the bar traded
            that much: a position in a thin instrument could never be left otherwise.
        spread_bps: of the price, in hundredths of a percent. A bar's prices are taken for the bid;
            who buys pays this much more. A round trip thus pays the spread once.
        slippage_bps: how far orders that take liquidity (market orders, triggered stops, limit
            orders on the first bar that they meet) trade beyond the price, on either side.
        strict: a limit fills only when the market trades through it; otherwise a touch is enough.
        ticks: prices are rounded to them, against us; None: not at all.
        is_open: bars of less than a day fill nothing when the market was closed at their end.
    """

    fees: FeesAt
    volume_share: Decimal = Decimal("0.025")
    spread_bps: Decimal = Decimal(0)
    slippage_bps: Decimal = Decimal(10)
    strict: bool = False
    ticks: Ticks | None = field(default_factory=Ticks)
    is_open: SessionCheck = always_open

    def fills_on(self, bar: BarClosed, market: MarketCode) -> bool:
        """Whether anything trades in this bar."""
        if bar.volume <= 0:
            return False
        # A bar of a day or longer holds a whole session, wherever its stamp lies.
        return bar.interval_seconds >= DAY.total_seconds() or self.is_open(market, last_moment(bar))

    def shares_of(self, bar: BarClosed, lot_size: int) -> int | None:
        """Most shares that all orders may trade in this bar; None: any amount."""
        if self.volume_share == 0:
            return None
        traded = Decimal(repr(bar.volume))
        share = int(traded * self.volume_share) // lot_size * lot_size
        return max(share, lot_size if traded >= lot_size else 0)

    def price_of(
        self, order: ExchangeOrder, price: Decimal, at: datetime, *, takes_liquidity: bool
    ) -> Decimal:
        """What an order pays where the market is at `price`: never beyond its limit.

        Args:
            order: the order.
            price: of the market.
            at: end of the bar.
            takes_liquidity: whether slippage is added.
        """
        part = self.slippage_bps / BPS if takes_liquidity else Decimal(0)
        market = order.instrument.market
        if order.side is Side.BUY:
            paid = price * (1 + part)
            paid = paid if self.ticks is None else self.ticks.up(market, paid, at)
            return paid if order.limit_price is None else min(paid, order.limit_price)
        got = price * (1 - part)
        if self.ticks is not None:
            # Below the first tick nothing can be sold cheaper.
            got = self.ticks.down(market, got, at) or self.ticks.tick(market, got, at)
        return got if order.limit_price is None else max(got, order.limit_price)


def last_moment(bar: BarClosed) -> datetime:
    """The last instant that belongs to the bar: a bar that ends with the session is inside it."""
    return bar.timestamp - INSTANT


def day_of_bar(bar: BarClosed, market: MarketCode) -> date:
    """The date at the exchange."""
    return trading_day(market, last_moment(bar))


def began_before(bar: BarClosed, as_of: datetime) -> bool:
    """Whether the bar's open is older than a decision, so that it must not fill at it.

    This is so for bars that do not line up: a bar of five minutes that was half over. Bars of a day
    or longer are exempt, since half days and daylight saving time move their ends.
    """
    length = timedelta(seconds=bar.interval_seconds)
    return bar.timestamp <= as_of or (length < DAY and bar.timestamp - length < as_of)


@dataclass(frozen=True, slots=True)
class Quotes:
    """A bar as one side of the market sees it; prices as exact decimals."""

    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal

    @classmethod
    def of(cls, bar: BarClosed, side: Side, spread_bps: Decimal) -> Self:
        """The bar's prices for who sells; with the spread for who buys."""
        part = 1 + spread_bps / BPS if side is Side.BUY else Decimal(1)
        prices = (bar.open, bar.high, bar.low, bar.close)
        return cls(*(price_from(price) * part for price in prices))


def price_at_open(
    order: ExchangeOrder, stop: Decimal | None, quotes: Quotes, *, strict: bool
) -> Decimal | None:
    """The open if it fills the order: at once, at the limit or better, or beyond the stop."""
    price, buys = quotes.open, order.side is Side.BUY
    if order.type is OrderType.MARKET:
        return price
    if order.type is OrderType.LIMIT:
        return price if _reaches(order.limit_price, price, down=buys, strict=strict) else None
    return price if _reaches(stop, price, down=not buys, strict=False) else None


def price_inside(
    order: ExchangeOrder, stop: Decimal | None, quotes: Quotes, *, strict: bool
) -> Decimal | None:
    """The limit or the stop if the bar's range reaches it; None if not."""
    buys = order.side is Side.BUY
    if order.type is OrderType.LIMIT:
        extreme = quotes.low if buys else quotes.high
        reached = _reaches(order.limit_price, extreme, down=buys, strict=strict)
        return order.limit_price if reached else None
    if order.type is OrderType.STOP:
        extreme = quotes.high if buys else quotes.low
        return stop if _reaches(stop, extreme, down=not buys, strict=False) else None
    return None


def _reaches(level: Decimal | None, price: Decimal, *, down: bool, strict: bool) -> bool:
    """Whether a price is at a level or beyond it, downwards or upwards."""
    if level is None:
        return False
    if price == level:
        return not strict
    return (price < level) is down
