"""What an order is, from intent to its last trade."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from streamdesk.contracts.events import ExitOptions, Side
from streamdesk.trading.cash import Conversion
from streamdesk.trading.markets import MarketCode


class OrderState(StrEnum):
    """How far an order is. An order moves down this list and never up; an end is final."""

    INTENDED = "INTENDED"
    """Committed here; whether the broker has it is not known."""
    UNKNOWN = "UNKNOWN"
    """The broker was asked and did not answer in time: it may have the order."""
    ACCEPTED = "ACCEPTED"
    """The broker has it, nothing is filled."""
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    """The broker has it, a part is filled and the rest is working."""
    PENDING_CANCEL = "PENDING_CANCEL"
    """The rest is to be canceled; until the broker says that it is, trades may still come."""
    FILLED = "FILLED"
    REJECTED = "REJECTED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    """The broker ended it at the end of its time in force."""

    @property
    def is_done(self) -> bool:
        """It is not working any more; a trade from before may still be reported."""
        return self in _DONE

    @property
    def is_working(self) -> bool:
        """The broker has said that it has the order, and not that it is done."""
        return self in _WORKING

    def advanced_to(self, reported: "OrderState") -> "OrderState":
        """The later of the two: a report that was overtaken by another one changes nothing."""
        if self.is_done:
            return self
        return max(self, reported, key=_RANK.__getitem__)


_RANK = {state: min(rank, 5) for rank, state in enumerate(OrderState)}
"""The ends share the last rank."""
_DONE = frozenset({OrderState.FILLED, OrderState.REJECTED, OrderState.CANCELED, OrderState.EXPIRED})
_WORKING = frozenset({OrderState.ACCEPTED, OrderState.PARTIALLY_FILLED, OrderState.PENDING_CANCEL})


class Origin(StrEnum):
    """Why an order was made."""

    EXTERNAL = "EXTERNAL"
    """Not by the desk: a trade at the broker that a person has adopted into the books."""

    SIGNAL = "SIGNAL"
    STOP_LOSS = "STOP_LOSS"
    TAKE_PROFIT = "TAKE_PROFIT"
    TIME_EXIT = "TIME_EXIT"
    """The position was held for as long as its signal allows."""
    CLOSE_ALL = "CLOSE_ALL"
    """A person closes every position."""
    EXIT = "EXIT"
    """What a sell signal's order left when the market moved away from its limit."""


@dataclass(frozen=True, slots=True)
class Intent:
    """An order we want, complete; committed before the broker is asked.

    Attributes:
        client_order_id: ours, unique permanently.
        signal_id: event id of the signal behind it (of the entry's signal, for an exit).
        origin: a signal, or which stop was crossed.
        fingerprint: what was asked for, unique too: the same bar cannot order twice.
        symbol, market, currency, side: what and where.
        quantity: whole shares, a multiple of the lot.
        limit_price: worst price allowed, on the tick; of a stop that the broker holds, the price
            that triggers it.
        reference_price: price of the market when it was decided.
        as_of: end of the bar behind it.
        reserved_cash: account's currency; what a buy can cost at most, fees included.
        score: of the signal, 0 to 100.
        stop_loss, take_profit: prices at which to leave the position.
        exits: further ways to leave it.
        entry_order_id: of an exit, the order that opened the position.
    """

    client_order_id: str
    signal_id: str
    origin: Origin
    fingerprint: str
    symbol: str
    market: MarketCode
    currency: str
    side: Side
    quantity: int
    limit_price: Decimal
    reference_price: Decimal
    as_of: datetime
    reserved_cash: Decimal
    score: float = 0.0
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    exits: ExitOptions | None = None
    entry_order_id: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An intent and what has become of it.

    Attributes:
        sent_at: from when on the broker may have it; the broker's idempotency runs from here.
        contradiction: code of what cannot be true about it, a person must look; None as a rule.
        traceparent: the trace in which it was made, for people; no rule reads it.
    """

    intent: Intent
    state: OrderState = OrderState.INTENDED
    filled_quantity: int = 0
    broker_order_id: str | None = None
    code: str | None = None
    reason: str | None = None
    sent_at: datetime | None = None
    contradiction: str | None = None
    traceparent: str | None = None

    @property
    def client_order_id(self) -> str:
        """Ours, unique permanently."""
        return self.intent.client_order_id


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution, as the broker reports it.

    Attributes:
        trade_id: the broker's, unique and stable.
        client_order_id: the order it belongs to.
        quantity: shares.
        price: in `currency`.
        fee: likewise; None as long as the broker has not named it.
        currency: ISO 4217 code.
        symbol, side: of its order; needed where the order is not one of ours.
        conversions: that the broker made to pay for it.
        at: market time; None where the broker does not say.
    """

    trade_id: str
    client_order_id: str
    quantity: int
    price: Decimal
    fee: Decimal | None
    currency: str
    symbol: str | None = field(default=None, compare=False)
    side: Side | None = field(default=None, compare=False)
    conversions: tuple[Conversion, ...] = field(default=(), compare=False)
    at: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class BrokerReport:
    """What the broker says about one order.

    Attributes:
        client_order_id: ours.
        broker_order_id: the broker's.
        state: any but INTENDED and UNKNOWN.
        trades: every trade so far.
        code, reason: why it was rejected or canceled.
        quantity, price: shares ordered, and the limit or the stop, as the broker has them; needed
            of a leg that the broker holds.
    """

    client_order_id: str
    broker_order_id: str
    state: OrderState
    trades: tuple[Trade, ...] = ()
    code: str | None = None
    reason: str | None = None
    quantity: int | None = None
    price: Decimal | None = None
