"""What the broker reports becomes cash, positions and events: one transaction a report."""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, insert, update

from streamdesk.order_executor.adapters.ledger import (
    cash,
    events,
    kill_switch,
    late_fees,
    legs,
    rows,
    trips,
)
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, FILLS
from streamdesk.order_executor.domain import (
    beyond_limit_alert,
    contradiction_cleared,
    is_beyond_limit,
)
from streamdesk.order_executor.errors import BrokerContradictionError
from streamdesk.trading.errors import OversoldError
from streamdesk.trading.money import ZERO, ExchangeRates
from streamdesk.trading.orders import BrokerReport, Order, OrderState, Trade
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Booking, Holding, book_trade
from streamdesk.trading.trading_state import TradingState

_INSERT_FILL = insert(FILLS)
_BOOK = update(ACCOUNT).values(
    realized_pnl=ACCOUNT.c.realized_pnl + bindparam("gained"),
    fx_gain=ACCOUNT.c.fx_gain + bindparam("fx_gained"),
)
ENDS_EARLY = frozenset({OrderState.REJECTED, OrderState.CANCELED, OrderState.EXPIRED})


@dataclass(frozen=True, slots=True)
class Applied:
    """What a report changed.

    Attributes:
        order: afterwards.
        new_trades: those that were not booked before.
    """

    order: Order
    new_trades: tuple[Trade, ...]


def apply(
    connection: Connection,
    report: BrokerReport,
    policy: Policy,
    rates: ExchangeRates,
    now: datetime,
) -> Applied:
    """Book what is new in a report; the same report again changes nothing.

    Raises:
        BrokerContradictionError: it names an order we never made, trades more than was ordered,
            or sells what is not held. Nothing was written.
    """
    before = _order_of(connection, report, now)
    new = _unbooked_trades(connection, report)
    # A broker that reports an order knows it (again).
    order = replace(
        before,
        broker_order_id=before.broker_order_id or report.broker_order_id,
        contradiction=None,
    )
    # A report names the broker's id of a rejected order as well, so the id alone is no acceptance.
    if before.broker_order_id is None and report.state is not OrderState.REJECTED:
        events.accepted(connection, order, now)
    order, spent = _book_trades(connection, order, new, rates, now)
    order = _ending(order, report)
    has_booked = _book_late_fees(connection, order, report, rates, now) or bool(new)
    # Reports are read again and again; one that says nothing new must write nothing.
    if order == before and not has_booked:
        return Applied(order, ())
    if before.contradiction is not None:
        events.alert(connection, contradiction_cleared(order), now)
    rows.update_order(connection, order, now)
    rows.release(connection, order, spent)
    # A whole fill is announced by its trades; a rejection or a cancellation has no trade to do so.
    if _has_ended_early(before, order):
        events.ended(connection, order, now)
    for trade in new:
        if is_beyond_limit(order.intent, trade):
            events.alert(connection, beyond_limit_alert(order, trade), now)
    if has_booked:
        _stop_entries_without_cash(connection, order, rates, now)
    if new:
        _lock_after_close(connection, order, policy, now)
    if has_booked or order.state.is_done:
        _announce_portfolio(connection, policy, rates, now, has_traded=has_booked)
    return Applied(order, new)


def book_external(
    connection: Connection,
    order: Order,
    trade: Trade,
    policy: Policy,
    rates: ExchangeRates,
    now: datetime,
) -> Order:
    """Book the one trade of an order that was written for it, and end the order.

    Raises:
        BrokerContradictionError: it sells what is not held. Nothing was written.
    """
    order, _ = _book_trades(connection, order, (trade,), rates, now)
    order = replace(order, state=OrderState.FILLED)
    rows.update_order(connection, order, now)
    _stop_entries_without_cash(connection, order, rates, now)
    _lock_after_close(connection, order, policy, now)
    _announce_portfolio(connection, policy, rates, now, has_traded=True)
    return order


def _lock_after_close(connection: Connection, order: Order, policy: Policy, now: datetime) -> None:
    symbol, at = order.intent.symbol, order.intent.as_of
    if rows.holding(connection, symbol) is None:
        trips.lock_after_close(connection, symbol, at, policy, now)


def _order_of(connection: Connection, report: BrokerReport, now: datetime) -> Order:
    order = rows.order(connection, report.client_order_id)
    order = order or legs.adopt(connection, report, now)
    if order is None:
        raise BrokerContradictionError(
            f"the broker has order {report.client_order_id}, this ledger never made it; do "
            "LEDGER_URL and PAPER_BROKER_URL belong together?"
        )
    return order


def _unbooked_trades(connection: Connection, report: BrokerReport) -> tuple[Trade, ...]:
    known = rows.known_trades(connection, [trade.trade_id for trade in report.trades])
    return tuple(trade for trade in report.trades if trade.trade_id not in known)


def _book_late_fees(
    connection: Connection,
    order: Order,
    report: BrokerReport,
    rates: ExchangeRates,
    now: datetime,
) -> bool:
    """Book fees that were due and are named now; say whether there were any."""
    named = late_fees.come(connection, report.trades)
    for trade in named:
        late_fees.book(connection, order.intent, trade, rates, now)
    return bool(named)


def _has_ended_early(before: Order, after: Order) -> bool:
    is_over = after.state.is_done and not before.state.is_done
    return is_over and after.state is not OrderState.FILLED


def _stop_entries_without_cash(
    connection: Connection, order: Order, rates: ExchangeRates, now: datetime
) -> None:
    """What happened is booked; what is owed is not spent further.

    Exits are let through, as they bring cash. What a person has stopped stays as it is.
    """
    worth = sum((rates.worth(*it) for it in cash.balances(connection).items()), ZERO)
    if worth < 0 and kill_switch.state(connection) is None:
        why = f"cash is {worth} after order {order.client_order_id} of {order.intent.symbol}"
        kill_switch.stop(connection, TradingState.REDUCING, why, now)


def _announce_portfolio(
    connection: Connection,
    policy: Policy,
    rates: ExchangeRates,
    now: datetime,
    *,
    has_traded: bool,
) -> None:
    portfolio = rows.portfolio(connection, rates)
    # An order that ends without a trade gives its cash and its slot back: limits change by that.
    events.update_alerts(connection, portfolio, policy, now)
    if has_traded:
        events.valued(connection, portfolio, now)


def _ending(order: Order, report: BrokerReport) -> Order:
    # An end is final: a report that was overtaken by a newer one does not revive an order.
    if order.state.is_done:
        return order
    # The trades say whether an order is filled; what the broker calls it may run ahead of them.
    if order.filled_quantity == order.intent.quantity:
        return replace(order, state=OrderState.FILLED)
    if report.state in ENDS_EARLY:
        # What was partly filled was not rejected, whatever the broker calls it: the rest was.
        was_rejected = report.state is OrderState.REJECTED and not order.filled_quantity
        state = OrderState.EXPIRED if report.state is OrderState.EXPIRED else OrderState.CANCELED
        state = OrderState.REJECTED if was_rejected else state
        # Why we canceled it is better known here than there.
        code, reason = report.code or order.code, report.reason or order.reason
        return replace(order, state=state, code=code, reason=reason)
    working = OrderState.PARTIALLY_FILLED if order.filled_quantity else OrderState.ACCEPTED
    if report.state is OrderState.PENDING_CANCEL:
        working = OrderState.PENDING_CANCEL
    return replace(order, state=order.state.advanced_to(working))


def _book_trades(
    connection: Connection,
    order: Order,
    trades: tuple[Trade, ...],
    rates: ExchangeRates,
    now: datetime,
) -> tuple[Order, Decimal]:
    spent = ZERO
    for trade in trades:
        _must_fit(order, trade)
        cash.convert(connection, trade, order.client_order_id, now)
        before = rows.holding(connection, order.intent.symbol)
        booking = _booking(before, order, trade, rates)
        rows.put_holding(connection, before, booking.holding)
        trips.note_fill(connection, before, order.intent, booking)
        _insert_fill(connection, trade, booking, now)
        order = replace(order, filled_quantity=order.filled_quantity + trade.quantity)
        events.filled(connection, order, trade, booking, now)
        costs = (rates.worth(item.from_currency, item.cost) for item in trade.conversions)
        spent += sum(costs, -booking.cash_amount)
    return order, spent


def _booking(before: Holding | None, order: Order, trade: Trade, rates: ExchangeRates) -> Booking:
    try:
        return book_trade(before, order.intent, trade, rates.of(trade.currency))
    except OversoldError as error:
        raise BrokerContradictionError(str(error)) from error


def _must_fit(order: Order, trade: Trade) -> None:
    if trade.client_order_id != order.client_order_id:
        raise BrokerContradictionError(
            f"trade {trade.trade_id} belongs to order {trade.client_order_id}, "
            f"it was reported for {order.client_order_id}"
        )
    total = order.filled_quantity + trade.quantity
    if trade.quantity <= 0 or total > order.intent.quantity:
        raise BrokerContradictionError(
            f"trade {trade.trade_id} of {trade.quantity} brings order {order.client_order_id} to "
            f"{total} shares, {order.intent.quantity} were ordered"
        )
    if trade.currency != order.intent.currency:
        raise BrokerContradictionError(
            f"trade {trade.trade_id} is in {trade.currency}, order {order.client_order_id} in "
            f"{order.intent.currency}"
        )


def _insert_fill(connection: Connection, trade: Trade, booking: Booking, now: datetime) -> None:
    connection.execute(
        _INSERT_FILL,
        {
            "trade_id": trade.trade_id,
            "booking": rows.next_booking(connection),
            "client_order_id": trade.client_order_id,
            "quantity": trade.quantity,
            "price": trade.price,
            "fee": trade.fee or ZERO,
            "fee_due": trade.fee is None,
            "currency": trade.currency,
            "rate": booking.rate,
            "cash_amount": booking.cash_amount,
            "realized_pnl": booking.realized_pnl,
            "fx_gain": booking.fx_gain,
            "conversion_cost": booking.conversion_cost,
            "booked_at": now,
        },
    )
    cash.add(connection, trade.currency, booking.local_amount)
    connection.execute(
        _BOOK,
        {"gained": booking.realized_pnl, "fx_gained": booking.fx_gain},
    )
