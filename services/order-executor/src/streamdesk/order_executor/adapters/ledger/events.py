"""Events of the ledger, written to the outbox in the transaction that made it true.

An event's id follows from what happened, so that a reader who gets one twice (the process died
between publishing and noting it) can see that it is the same.
"""

from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from streamdesk.contracts.base import Event
from streamdesk.contracts.events import (
    Balance,
    OrderAccepted,
    OrderCanceled,
    OrderFilled,
    OrderRejected,
    OrderSubmitted,
    PortfolioValued,
    Position,
    RiskAlerted,
)
from streamdesk.contracts.topics import TRADING_ORDERS, TRADING_RISK
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, ALERTS, OUTBOX
from streamdesk.runtime import current_traceparent
from streamdesk.trading.identity import event_id, moment, order_id_of_signal
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Order, Trade
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Booking, Holding, Portfolio
from streamdesk.trading.risk import Alert, RiskVerdict, TradeRequest, conditions

_ENQUEUE = insert(OUTBOX)
_ACCOUNT = select(ACCOUNT.c.id, ACCOUNT.c.valuations)
_VALUED = update(ACCOUNT).values(moved=False)
_RAISED = select(ALERTS.c.key)
_RAISE = insert(ALERTS)
_FORGET = delete(ALERTS).where(ALERTS.c.key.in_(bindparam("keys", expanding=True)))


def enqueue(
    connection: Connection, topic: str, event: Event, identity: tuple[str, ...], now: datetime
) -> None:
    """Put an event into the outbox.

    Args:
        connection: of the transaction that made it happen.
        topic: name of its topic.
        event: the event.
        identity: what makes it unique among those of its type.
        now: when.
    """
    connection.execute(
        _ENQUEUE,
        {
            "event_id": event_id(event.type_name(), *identity),
            "topic": topic,
            "type": event.type_name(),
            "version": event.version,
            "body": event.model_dump_json(),
            "traceparent": current_traceparent() or None,
            "created_at": now,
        },
    )


def submitted(connection: Connection, order: Order, now: datetime) -> None:
    """OrderSubmitted."""
    intent = order.intent
    event = OrderSubmitted(
        **_shared(order, now),
        quantity=intent.quantity,
        limit_price=intent.limit_price,
        score=intent.score,
    )
    enqueue(connection, TRADING_ORDERS.name, event, (order.client_order_id,), now)


def accepted(connection: Connection, order: Order, now: datetime) -> None:
    """OrderAccepted."""
    event = OrderAccepted(**_shared(order, now), broker_order_id=order.broker_order_id or "")
    enqueue(connection, TRADING_ORDERS.name, event, (order.client_order_id,), now)


def filled(
    connection: Connection, order: Order, trade: Trade, booking: Booking, now: datetime
) -> None:
    """OrderFilled, of an order that has this trade already."""
    event = OrderFilled(
        **_shared(order, now),
        trade_id=trade.trade_id,
        quantity=trade.quantity,
        price=trade.price,
        fee=trade.fee or ZERO,
        fee_is_due=trade.fee is None,
        currency=trade.currency,
        cumulative_quantity=order.filled_quantity,
        order_quantity=order.intent.quantity,
        realized_pnl=booking.realized_pnl,
        fx_gain=booking.fx_gain,
    )
    enqueue(connection, TRADING_ORDERS.name, event, (trade.trade_id,), now)


def ended(connection: Connection, order: Order, now: datetime) -> None:
    """OrderRejected or OrderCanceled, by the broker."""
    reason = order.reason or "the broker gave no reason"
    event: Event
    if order.filled_quantity == 0 and order.state == "REJECTED":
        event = OrderRejected(
            **_shared(order, now), code=order.code or "BROKER_REJECTED", reason=reason
        )
    else:
        rest = order.intent.quantity - order.filled_quantity
        event = OrderCanceled(**_shared(order, now), remaining_quantity=rest, reason=reason)
    enqueue(connection, TRADING_ORDERS.name, event, (order.client_order_id,), now)


def refused(
    connection: Connection, request: TradeRequest, verdict: RiskVerdict, now: datetime
) -> None:
    """OrderRejected, by a check of ours."""
    order_id = order_id_of_signal(request.signal_id)
    event = OrderRejected(
        client_order_id=order_id,
        signal_id=request.signal_id,
        symbol=request.symbol,
        side=request.side,
        timestamp=now,
        code=verdict.code,
        reason=verdict.reason,
    )
    enqueue(connection, TRADING_ORDERS.name, event, (order_id,), now)


def valued(connection: Connection, portfolio: Portfolio, now: datetime) -> None:
    """PortfolioValued."""
    account, valuations = connection.execute(_ACCOUNT).one()
    number = valuations + 1
    rates = portfolio.rates
    event = PortfolioValued(
        account=account,
        currency=rates.account_currency,
        cash=portfolio.cash,
        balances=tuple(_balance(*item, portfolio) for item in portfolio.balances.items()),
        positions_value=portfolio.positions_value,
        equity=portfolio.equity,
        realized_pnl=portfolio.realized_pnl,
        fx_gain=portfolio.fx_gain,
        positions=tuple(_position(item, portfolio) for item in portfolio.holdings.values()),
        trading_state=portfolio.trading_state,
        timestamp=now,
    )
    enqueue(connection, TRADING_ORDERS.name, event, (account, str(number)), now)
    connection.execute(_VALUED, {"valuations": number, "valued_at": now})


def _balance(currency: str, amount: Decimal, portfolio: Portfolio) -> Balance:
    rates = portfolio.rates
    is_known = currency not in rates.unknown
    return Balance(
        currency=currency, amount=amount, rate=rates.of(currency), rate_is_known=is_known
    )


def _position(holding: Holding, portfolio: Portfolio) -> Position:
    return Position(
        symbol=holding.symbol,
        quantity=holding.quantity,
        average_price=holding.average_price,
        market_price=holding.market_price,
        market_value=holding.value(portfolio.rates),
        unrealized_pnl=holding.unrealized_pnl(portfolio.rates),
        stop_loss=holding.stop_loss,
        take_profit=holding.take_profit,
    )


def alert(connection: Connection, item: Alert, now: datetime) -> None:
    """RiskAlerted."""
    event = RiskAlerted(
        code=item.code,
        severity=item.severity,
        message=item.message,
        symbol=item.symbol,
        value=float(item.value),
        limit=float(item.limit),
        timestamp=now,
    )
    enqueue(connection, TRADING_RISK.name, event, (item.key, moment(now)), now)


def update_alerts(
    connection: Connection, portfolio: Portfolio, policy: Policy, now: datetime
) -> None:
    """Announce limits that are reached since the last look; forget those that are not any more."""
    reached = conditions(portfolio, policy)
    raised = set(connection.execute(_RAISED).scalars())
    for key in reached.keys() - raised:
        connection.execute(_RAISE, {"key": key, "raised_at": now})
        alert(connection, reached[key], now)
    gone = raised - reached.keys()
    if gone:
        connection.execute(_FORGET, {"keys": list(gone)})


def _shared(order: Order, now: datetime) -> dict[str, object]:
    intent = order.intent
    return {
        "client_order_id": intent.client_order_id,
        "signal_id": intent.signal_id,
        "symbol": intent.symbol,
        "side": intent.side,
        "timestamp": now,
    }
