"""What trades add up to: cash by currency, positions at cost, and their value.

The identities that always hold, to the cent:

    in each currency: balance + cost of its positions = opening balance + converted + its gains
    in the account's: equity = worth of all balances + worth of all positions
                      equity = initial cash + realised and open gains + currency gain

Fees are part of a position's cost when buying and lessen the proceeds when selling, so a gain is
what is left after all fees.

A trade is paid in its own currency. Its gain is what it gained there, at the rate of the sale; the
currency gain is everything else that moved the equity: rates, on cash as on positions, and what
conversions cost. So a change of a rate is never a gain of a trade, and never counts twice.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property

from streamdesk.contracts.events import ExitOptions, Side
from streamdesk.trading.errors import OversoldError
from streamdesk.trading.locks import EntryLock
from streamdesk.trading.losses import EquityTrack
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
        cost: what they cost with fees and conversion, account's currency as it was booked.
        local_cost: what they cost with fees, market's currency.
        market_price: last price seen, market's currency.
        marked_at: end of the bar of that price.
        opened_at: end of the bar behind the order that opened it.
        entry_order_id: that order.
        signal_id: the signal behind that order.
        stop_loss, take_profit: prices at which to leave; the stop may have risen since.
        exits: further ways to leave, as its signal gave them.
    """

    symbol: str
    market: MarketCode
    quantity: int
    cost: Decimal
    local_cost: Decimal
    market_price: Decimal
    marked_at: datetime
    opened_at: datetime
    entry_order_id: str
    signal_id: str
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    exits: ExitOptions | None = None

    @property
    def currency(self) -> str:
        """ISO 4217 code of its prices."""
        return CURRENCY[self.market]

    def value(self, rates: ExchangeRates) -> Decimal:
        """Worth at the last price, in cents of the account's currency."""
        return cents(self.quantity * self.market_price * rates.of(self.currency))

    @property
    def average_price(self) -> Decimal:
        """Cost of one share, fees included, in the market's currency."""
        return tidy((self.local_cost / self.quantity).quantize(PRICE_STEP))

    def unrealized_pnl(self, rates: ExchangeRates) -> Decimal:
        """Gain in the market's currency if sold at the last price, at the present rate."""
        # Rounded as a sale is booked: at a rate of 1 it is the value less the cost.
        gain = cents(self.quantity * self.market_price) - self.local_cost
        return cents(gain * rates.of(self.currency))

    def fx_gain(self, rates: ExchangeRates) -> Decimal:
        """What the rate and the conversion made of it since it was bought."""
        return self.value(rates) - self.cost - self.unrealized_pnl(rates)


@dataclass(frozen=True, slots=True)
class LiveOrder:
    """An order that is not done: its symbol is taken, and its cash.

    Attributes:
        client_order_id, symbol, market, side: which.
        reserved_cash: account's currency; what it may still cost.
        contradiction: code of what the broker says of it that cannot be true; None as a rule.
    """

    client_order_id: str
    symbol: str
    market: MarketCode
    side: Side
    reserved_cash: Decimal
    contradiction: str | None = None


@dataclass(frozen=True, slots=True)
class RiskHistory:
    """What has happened to the account, as far as checks of an entry need it.

    Attributes:
        locks: that have not ended.
        recent_orders: orders of all executors within the minute before the signal's bar closed.
        track: what losses are measured from; None before the first event.
    """

    locks: tuple[EntryLock, ...] = ()
    recent_orders: int = 0
    track: EquityTrack | None = None


@dataclass(frozen=True)
class Portfolio:
    """The account at one moment.

    Attributes:
        balances: cash by currency, reservations included; negative where it is owed.
        initial_cash: worth of what it began with, account's currency.
        realized_pnl: gains taken so far, after fees.
        holdings: by symbol.
        live_orders: orders that are not done, by symbol; at most one a symbol.
        rates: value of the currencies.
        realized_fx_gain: what rates made of positions that were sold, while they were held.
        halted_reason: why trading is halted or reduced; None while it is active.
        trading_state: which orders the kill switch lets through.
        risk: what has happened; given where an entry is decided, and to those who watch.
    """

    balances: Mapping[str, Decimal]
    initial_cash: Decimal
    realized_pnl: Decimal
    rates: ExchangeRates
    holdings: Mapping[str, Holding] = field(default_factory=dict)
    live_orders: Mapping[str, LiveOrder] = field(default_factory=dict)
    halted_reason: str | None = None
    trading_state: TradingState = TradingState.ACTIVE
    risk: RiskHistory = field(default_factory=RiskHistory)
    realized_fx_gain: Decimal = ZERO

    @property
    def fx_gain(self) -> Decimal:
        """What rates and conversions have made of the account."""
        open_gains = (holding.unrealized_pnl(self.rates) for holding in self.holdings.values())
        return self.equity - self.initial_cash - self.realized_pnl - sum(open_gains, ZERO)

    @property
    def cash(self) -> Decimal:
        """Worth of all balances, account's currency."""
        return sum((self.rates.worth(*balance) for balance in self.balances.items()), ZERO)

    @property
    def currencies(self) -> set[str]:
        """Those whose rates its equity depends on."""
        held = {item.currency for item in self.holdings.values()}
        return held | {currency for currency, amount in self.balances.items() if amount}

    @property
    def reserved_cash(self) -> Decimal:
        """Cash that orders under way may need."""
        return sum((order.reserved_cash for order in self.live_orders.values()), ZERO)

    @property
    def free_cash(self) -> Decimal:
        """Cash for new orders in any currency, with the conversions that they may need."""
        pays = (self.rates.spendable(*balance) for balance in self.balances.items())
        return sum(pays, ZERO) - self.reserved_cash

    @cached_property
    def positions_value(self) -> Decimal:
        """Worth of all holdings."""
        return sum((holding.value(self.rates) for holding in self.holdings.values()), ZERO)

    @property
    def equity(self) -> Decimal:
        """Cash plus the worth of all holdings."""
        return self.cash + self.positions_value

    def equity_at(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Equity with other prices, by symbol, market's currency."""
        marked = (
            replace(holding, market_price=prices.get(symbol, holding.market_price))
            for symbol, holding in self.holdings.items()
        )
        return self.cash + sum((holding.value(self.rates) for holding in marked), ZERO)

    def with_order(self, intent: Intent) -> "Portfolio":
        """The same account once this order is committed."""
        live = LiveOrder(
            client_order_id=intent.client_order_id,
            symbol=intent.symbol,
            market=intent.market,
            side=intent.side,
            reserved_cash=intent.reserved_cash,
        )
        return replace(self, live_orders={**self.live_orders, intent.symbol: live})

    def slots_taken(self, market: MarketCode | None = None) -> int:
        """Positions open or being opened, of one market or of all."""
        taken: dict[str, MarketCode] = {s: holding.market for s, holding in self.holdings.items()}
        taken |= {s: order.market for s, order in self.live_orders.items()}
        return sum(1 for where in taken.values() if market in {None, where})


@dataclass(frozen=True, slots=True)
class Booking:
    """What one trade changes.

    Attributes:
        cash_amount: worth of what was added to the cash, in the account's currency, at the rate;
            negative when buying.
        realized_pnl: gain taken, as it was in the market's currency at this rate.
        fx_gain: what the rate and the conversions made of it besides.
        conversion_cost: of a trade that was converted as a whole, as all were once.
        rate: of the trade's currency when it was booked.
        holding: the position afterwards, None when it is closed.
        local_amount: added to the cash, in the trade's currency.
    """

    cash_amount: Decimal
    realized_pnl: Decimal
    fx_gain: Decimal
    conversion_cost: Decimal
    rate: Decimal
    holding: Holding | None
    local_amount: Decimal


def book_trade(
    holding: Holding | None,
    intent: Intent,
    trade: Trade,
    rate: Decimal,
    conversion_cost: Decimal = ZERO,
) -> Booking:
    """Book one trade of an order.

    Args:
        holding: the position before, None when there is none.
        intent: the order.
        trade: its trade.
        rate: value of the trade's currency in the account's.
        conversion_cost: of its amount, account's currency.

    Raises:
        OversoldError: it sells what is not held.
    """
    value, fee = amounts(trade, rate)
    local_value, local_fee = amounts(trade, Decimal(1))
    if intent.side is Side.BUY:
        cost = value + fee + conversion_cost
        after = _add(holding, intent, trade, (cost, local_value + local_fee))
        paid = -local_value - local_fee
        return Booking(-cost, ZERO, ZERO, conversion_cost, rate, after, paid)
    if holding is None or holding.quantity < trade.quantity:
        held = 0 if holding is None else holding.quantity
        raise OversoldError(
            f"trade {trade.trade_id} sells {trade.quantity} {intent.symbol}, {held} are held"
        )
    rest = _without(holding, trade.quantity)
    removed = holding.cost - (ZERO if rest is None else rest.cost)
    local_removed = holding.local_cost - (ZERO if rest is None else rest.local_cost)
    proceeds = value - fee - conversion_cost
    received = local_value - local_fee
    gain = cents((received - local_removed) * rate)
    fx_gain = proceeds - removed - gain
    return Booking(proceeds, gain, fx_gain, conversion_cost, rate, rest, received)


def amounts(trade: Trade, rate: Decimal) -> tuple[Decimal, Decimal]:
    """Value and fee of a trade at a rate, each in whole cents; a fee that is due counts 0."""
    return cents(trade.quantity * trade.price * rate), cents((trade.fee or ZERO) * rate)


def moved(trade: Trade, side: Side) -> Decimal:
    """What a trade adds to the cash in its currency, in whole cents; negative for a buy."""
    value, fee = amounts(trade, Decimal(1))
    return (-value if side is Side.BUY else value) - fee


def _without(holding: Holding, quantity: int) -> Holding | None:
    """What is left of a position; its cost falls in proportion.

    The last trade removes the whole cost, so that roundings of the ones before leave no rest.
    """
    left = holding.quantity - quantity
    if left == 0:
        return None
    return replace(
        holding,
        quantity=left,
        cost=holding.cost - cents(holding.cost * quantity / holding.quantity),
        local_cost=holding.local_cost - cents(holding.local_cost * quantity / holding.quantity),
    )


def _add(
    holding: Holding | None, intent: Intent, trade: Trade, costs: tuple[Decimal, Decimal]
) -> Holding:
    cost, local_cost = costs
    if holding is not None:
        return replace(
            holding,
            quantity=holding.quantity + trade.quantity,
            cost=holding.cost + cost,
            local_cost=holding.local_cost + local_cost,
        )
    return Holding(
        symbol=intent.symbol,
        market=intent.market,
        quantity=trade.quantity,
        cost=cost,
        local_cost=local_cost,
        market_price=trade.price,
        marked_at=intent.as_of,
        opened_at=intent.as_of,
        entry_order_id=intent.client_order_id,
        signal_id=intent.signal_id,
        stop_loss=intent.stop_loss,
        take_profit=intent.take_profit,
        exits=intent.exits,
    )


def cost_of(holdings: Iterable[Holding]) -> Decimal:
    """What holdings cost, fees included."""
    return sum((holding.cost for holding in holdings), ZERO)
