"""What trades add up to: cash, positions at cost, and their value.

The identity that always holds, to the cent, in the account's currency:

    cash + sum of the positions' cost = initial cash + realised gain
    equity = cash + sum of the positions' market value

Fees are part of a position's cost when buying and lessen the proceeds when selling, so a gain is
what is left after all fees.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.errors import OversoldError
from streamdesk.trading.markets import CURRENCY, MarketCode
from streamdesk.trading.money import PRICE_STEP, ZERO, ExchangeRates, cents, tidy
from streamdesk.trading.orders import Intent, Trade
from streamdesk.trading.trading_state import TradingState


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of one instrument.

    Attributes:
        symbol, market: which.
        quantity: whole shares, more than 0.
        cost: what they cost with fees, account's currency.
        market_price: last price seen, market's currency.
        marked_at: end of the bar of that price.
        opened_at: end of the bar behind the order that opened it.
        entry_order_id: that order.
        signal_id: the signal behind that order.
        stop_loss, take_profit: prices at which to leave.
    """

    symbol: str
    market: MarketCode
    quantity: int
    cost: Decimal
    market_price: Decimal
    marked_at: datetime
    opened_at: datetime
    entry_order_id: str
    signal_id: str
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None

    @property
    def currency(self) -> str:
        """ISO 4217 code of its prices."""
        return CURRENCY[self.market]

    def value(self, rates: ExchangeRates) -> Decimal:
        """Worth at the last price, in cents of the account's currency."""
        return cents(self.quantity * self.market_price * rates.of(self.currency))

    def average_price(self, rates: ExchangeRates) -> Decimal:
        """Cost of one share, fees included, in the market's currency."""
        return tidy((self.cost / rates.of(self.currency) / self.quantity).quantize(PRICE_STEP))


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """An order that is not done: its symbol is taken, and its cash."""

    client_order_id: str
    symbol: str
    market: MarketCode
    side: Side
    reserved_cash: Decimal


@dataclass(frozen=True, slots=True)
class Portfolio:
    """The account at one moment.

    Attributes:
        cash: account's currency, reservations included.
        initial_cash: what it began with.
        realized_pnl: gains taken so far, after fees.
        holdings: by symbol.
        live_orders: orders that are not done, by symbol; at most one a symbol.
        rates: value of the currencies.
        halted_reason: why trading is halted or reduced; None while it is active.
        trading_state: which orders the kill switch lets through.
    """

    cash: Decimal
    initial_cash: Decimal
    realized_pnl: Decimal
    rates: ExchangeRates
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    live_orders: Mapping[str, LiveOrder] = field(default_factory=dict)
    halted_reason: str | None = None
    trading_state: TradingState = TradingState.ACTIVE

    @property
    def reserved_cash(self) -> Decimal:
        """Cash that orders under way may need."""
        return sum((order.reserved_cash for order in self.live_orders.values()), ZERO)

    @property
    def free_cash(self) -> Decimal:
        """Cash for new orders."""
        return self.cash - self.reserved_cash

    @property
    def positions_value(self) -> Decimal:
        """Worth of all holdings."""
        return sum((holding.value(self.rates) for holding in self.holdings.values()), ZERO)

    @property
    def equity(self) -> Decimal:
        """Cash plus the worth of all holdings."""
        return self.cash + self.positions_value

    def slots_taken(self, market: MarketCode | None = None) -> int:
        """Positions open or being opened, of one market or of all."""
        taken: dict[str, MarketCode] = {s: holding.market for s, holding in self.holdings.items()}
        taken |= {s: order.market for s, order in self.live_orders.items()}
        return sum(1 for where in taken.values() if market in {None, where})


@dataclass(frozen=True, slots=True)
class Booking:
    """What one trade changes.

    Attributes:
        cash_amount: added to the cash, in the account's currency; negative when buying.
        realized_pnl: gain taken.
        rate: of the trade's currency when it was booked.
        holding: the position afterwards, None when it is closed.
    """

    cash_amount: Decimal
    realized_pnl: Decimal
    rate: Decimal
    holding: Holding | None


def book_trade(holding: Holding | None, intent: Intent, trade: Trade, rate: Decimal) -> Booking:
    """Book one trade of an order.

    Args:
        holding: the position before, None when there is none.
        intent: the order.
        trade: its trade.
        rate: value of the trade's currency in the account's.

    Raises:
        OversoldError: it sells what is not held.
    """
    value = cents(trade.quantity * trade.price * rate)
    fee = cents(trade.fee * rate)
    if intent.side is Side.BUY:
        return Booking(-(value + fee), ZERO, rate, _add(holding, intent, trade, value + fee))
    if holding is None or holding.quantity < trade.quantity:
        held = 0 if holding is None else holding.quantity
        raise OversoldError(
            f"trade {trade.trade_id} sells {trade.quantity} {intent.symbol}, {held} are held"
        )
    # The last trade removes the whole cost, so that roundings of the ones before leave no rest.
    left = holding.quantity - trade.quantity
    removed = holding.cost if left == 0 else cents(holding.cost * trade.quantity / holding.quantity)
    rest = None if left == 0 else replace(holding, quantity=left, cost=holding.cost - removed)
    return Booking(value - fee, value - fee - removed, rate, rest)


def _add(holding: Holding | None, intent: Intent, trade: Trade, cost: Decimal) -> Holding:
    if holding is not None:
        return replace(
            holding, quantity=holding.quantity + trade.quantity, cost=holding.cost + cost
        )
    return Holding(
        symbol=intent.symbol,
        market=intent.market,
        quantity=trade.quantity,
        cost=cost,
        market_price=trade.price,
        marked_at=intent.as_of,
        opened_at=intent.as_of,
        entry_order_id=intent.client_order_id,
        signal_id=intent.signal_id,
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
    )


def cost_of(holdings: Iterable[Holding]) -> Decimal:
    """What holdings cost, fees included."""
    return sum((holding.cost for holding in holdings), ZERO)
