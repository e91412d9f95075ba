"""The audit as it is plainest: every order against every fill, all in memory. Far too slow for a
ledger of any size, and what the audit in use is held against."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, func, select

from streamdesk.contracts.events import Side
from streamdesk.order_executor.adapters.ledger import cash, rows
from streamdesk.order_executor.adapters.ledger.audit import Discrepancy, Findings
from streamdesk.order_executor.adapters.ledger.ledger import Ledger
from streamdesk.order_executor.adapters.ledger.schema import (
    ACCOUNT,
    BALANCES,
    CONVERSIONS,
    FILLS,
    LATE_FEES,
    ORDERS,
    RESERVATIONS,
    ROUND_TRIPS,
    SIGNALS,
)
from streamdesk.trading.errors import OversoldError
from streamdesk.trading.identity import entry_of_leg, is_ours, is_stop_leg
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import BrokerReport, Order, OrderState, Origin, Trade
from streamdesk.trading.portfolio import Booking, Holding, book_trade


async def plain_verify(
    ledger: Ledger, broker_reports: Sequence[BrokerReport] | None = None
) -> Findings:
    """Recompute the ledger from its unique fills, and compare it with the broker's records.

    Args:
        ledger: the ledger.
        broker_reports: all that the broker has; orders that are not done here yet may be ahead
            there. None: the ledger is only compared with itself.
    """

    def work(connection: Connection) -> Findings:
        findings = Findings()
        orders = _orders(connection)
        fills = list(connection.execute(select(FILLS).order_by(FILLS.c.booking)).mappings())
        _check_money(connection, ledger, orders, fills, findings)
        _check_orders(connection, orders, fills, findings)
        if broker_reports is not None:
            # Orders that no desk made are settled by a person: they are no difference.
            known = [each for each in broker_reports if is_ours(each.client_order_id)]
            adopted = {o.client_order_id for o in orders.values() if _is_external(o)}
            ours = {name: order for name, order in orders.items() if name not in adopted}
            booked = [fill for fill in fills if fill["client_order_id"] not in adopted]
            _check_broker(known, ours, booked, findings)
        return findings

    return await ledger.database.read(work)


def _is_external(order: Order) -> bool:
    """Whether an order was written for an external trade: the broker has it under another id."""
    return order.intent.origin is Origin.EXTERNAL


def _orders(connection: Connection) -> dict[str, Order]:
    found = [rows.order_from(row) for row in connection.execute(select(ORDERS)).mappings()]
    return {order.client_order_id: order for order in found}


def _trade(fill: RowMapping) -> Trade:
    names = "trade_id", "client_order_id", "quantity", "price", "fee", "currency"
    return Trade(**{name: fill[name] for name in names})


def _check_money(
    connection: Connection,
    ledger: Ledger,
    orders: dict[str, Order],
    fills: list[RowMapping],
    findings: Findings,
) -> None:
    account = connection.execute(select(ACCOUNT)).mappings().one()
    gain, held, balances = ZERO, dict[str, Holding](), _opening_and_converted(connection)
    fx_gain = ZERO
    for fill in fills:
        try:
            booking = _replay(held, orders[fill["client_order_id"]], fill)
        except OversoldError as error:
            findings.append(Discrepancy(f"fill {fill['trade_id']}", "bookable", str(error)))
            continue
        gain, currency = gain + booking.realized_pnl, fill["currency"]
        balances[currency] = balances.get(currency, ZERO) + booking.local_amount
        fx_gain += booking.fx_gain
        name = f"fill {fill['trade_id']}"
        findings.compare(f"{name} cash", booking.cash_amount, fill["cash_amount"])
        findings.compare(f"{name} gain", booking.realized_pnl, fill["realized_pnl"])
        findings.compare(f"{name} currency gain", booking.fx_gain, fill["fx_gain"])
    rates = ledger.rates.at(None)
    opening = {row.currency: row.opening for row in connection.execute(select(BALANCES))}
    if len(opening) == 1:
        findings.compare("initial cash", opening.get("USD"), account["initial_cash"])
    found = cash.balances(connection)
    for currency in sorted({*found, *balances}):
        balance = found.get(currency, ZERO)
        findings.compare(f"{currency} balance", balances.get(currency, ZERO), balance)
        findings.compare(f"{currency} balance is not negative", True, balance >= 0)  # noqa: FBT003 - the expected value
    lost = connection.execute(select(func.sum(LATE_FEES.c.realized_pnl))).scalar() or ZERO
    gain += lost
    findings.compare("realised gain", gain, account["realized_pnl"])
    of_trips = connection.execute(select(func.sum(ROUND_TRIPS.c.profit))).scalar() or ZERO
    findings.compare("gain of round trips", gain, of_trips)
    findings.compare("currency gain", fx_gain, account["fx_gain"])
    kept = {holding.symbol: holding for holding in rows.holdings(connection)}
    for symbol in sorted(held.keys() | kept.keys()):
        for figure in (
            "quantity",
            "cost",
            "local_cost",
            "entry_order_id",
            "stop_loss",
            "take_profit",
        ):
            expected = getattr(held.get(symbol), figure, None)
            findings.compare(
                f"{symbol} {figure}", expected, getattr(kept.get(symbol), figure, None)
            )
    portfolio = rows.portfolio(connection, rates)
    worth = sum((holding.value(rates) for holding in kept.values()), ZERO)
    worth = sum((rates.worth(*balance) for balance in balances.items()), worth)
    findings.compare("equity", worth, portfolio.equity)


def _opening_and_converted(connection: Connection) -> dict[str, Decimal]:
    found = {row.currency: row.opening for row in connection.execute(select(BALANCES))}
    for row in connection.execute(select(CONVERSIONS)):
        found[row.from_currency] = found.get(row.from_currency, ZERO) - row.from_amount
        found[row.to_currency] = found.get(row.to_currency, ZERO) + row.to_amount
    for row in connection.execute(select(LATE_FEES)):
        found[row.currency] = found.get(row.currency, ZERO) - row.amount
    return found


def _replay(held: dict[str, Holding], order: Order, fill: RowMapping) -> Booking:
    symbol = order.intent.symbol
    converted = fill["rate"], fill["conversion_cost"]
    booking = book_trade(held.get(symbol), order.intent, _trade(fill), *converted)
    held.pop(symbol, None)
    if booking.holding is not None:
        held[symbol] = booking.holding
    return booking


def _check_orders(
    connection: Connection, orders: dict[str, Order], fills: list[RowMapping], findings: Findings
) -> None:
    filled: dict[str, int] = {}
    for fill in fills:
        owner = fill["client_order_id"]
        filled[owner] = filled.get(owner, 0) + fill["quantity"]
    reserved = {
        row["client_order_id"]: row for row in connection.execute(select(RESERVATIONS)).mappings()
    }
    for order_id, order in orders.items():
        findings.compare(f"{order_id} filled", filled.get(order_id, 0), order.filled_quantity)
        findings.compare(
            f"{order_id} holds a reservation",
            not order.state.is_done and entry_of_leg(order_id) is None,
            order_id in reserved,
        )
        if order.state is OrderState.FILLED:
            findings.compare(f"{order_id} whole", order.intent.quantity, order.filled_quantity)
        _check_price(order, fills, findings)
    ordered = select(SIGNALS.c.signal_id).where(SIGNALS.c.refusal_code.is_(None))
    from_signals = select(ORDERS.c.signal_id).where(ORDERS.c.signal_id.is_not(None))
    findings.compare(
        "signals that became orders",
        sorted(connection.execute(ordered).scalars()),
        sorted(connection.execute(from_signals).scalars()),
    )


def _check_price(order: Order, fills: list[RowMapping], findings: Findings) -> None:
    limit, buying = order.intent.limit_price, order.intent.side is Side.BUY
    for fill in fills:
        if fill["client_order_id"] == order.client_order_id and not is_stop_leg(
            order.client_order_id
        ):
            within = fill["price"] <= limit if buying else fill["price"] >= limit
            findings.compare(f"fill {fill['trade_id']} within its limit", True, within)  # noqa: FBT003 - the expected value


def _check_broker(
    broker_reports: Sequence[BrokerReport],
    orders: dict[str, Order],
    fills: list[RowMapping],
    findings: Findings,
) -> None:
    booked = {fill["trade_id"]: fill for fill in fills}
    traded: set[str] = set()
    for report in broker_reports:
        order = orders.get(report.client_order_id)
        if order is None and entry_of_leg(report.client_order_id) and not report.trades:
            continue
        if order is None:
            name = f"broker's order {report.client_order_id}"
            findings.append(Discrepancy(name, "none", "at the broker"))
            continue
        traded |= {trade.trade_id for trade in report.trades}
        # The broker may be ahead in an order that is not done here: the next report brings it.
        if order.state.is_done:
            _compare_done(report, order, booked, findings)
    for trade_id in sorted(booked.keys() - traded):
        findings.append(Discrepancy(f"fill {trade_id}", "none at the broker", "booked"))
    at_broker = {report.client_order_id for report in broker_reports}
    for order in orders.values():
        # Without a broker's id the order may never have got there, and none is missing.
        if order.broker_order_id is not None and order.client_order_id not in at_broker:
            findings.append(Discrepancy(order.client_order_id, "none at the broker", order.state))


def _compare_done(
    report: BrokerReport, order: Order, booked: dict[str, RowMapping], findings: Findings
) -> None:
    findings.compare(f"broker's order {report.client_order_id} state", report.state, order.state)
    for trade in report.trades:
        _compare_trade(trade, booked.get(trade.trade_id), findings)


def _compare_trade(trade: Trade, fill: RowMapping | None, findings: Findings) -> None:
    found = None if fill is None else _trade(fill)
    findings.compare(f"trade {trade.trade_id}", trade, found)
