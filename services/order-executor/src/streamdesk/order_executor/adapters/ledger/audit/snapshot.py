"""The figures that the ledger keeps of itself, at the moment at which its last fill was read."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, select

from streamdesk.contracts.events import ExitOptions
from streamdesk.order_executor.adapters.ledger import rate_rows, rows
from streamdesk.order_executor.adapters.ledger.audit.findings import (
    Discrepancy,
    Findings,
    from_cents,
)
from streamdesk.order_executor.adapters.ledger.audit.replay import Recomputed
from streamdesk.order_executor.adapters.ledger.schema import (
    BALANCES,
    CONVERSIONS,
    LATE_FEES,
    ORDERS,
    RESERVATIONS,
    ROUND_TRIPS,
)
from streamdesk.trading.money import ZERO
from streamdesk.trading.portfolio import Holding, Portfolio
from streamdesk.trading.rates import RateBook

FIGURES = "quantity", "cost", "local_cost", "entry_order_id", "stop_loss", "take_profit"
Stops = tuple[Decimal | None, Decimal | None, ExitOptions | None]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the ledger keeps.

    Attributes:
        portfolio: the account with its positions.
        live: client order ids that are not done, or hold a reservation.
        stops: the stop, the target and the options of each order that opened a position.
        of_trips: what all round trips gained.
        opening: balances that the account began with.
        converted: what conversions and late fees added to each balance, or took.
        late_loss: what late fees added to the realised gain; 0 or less.
    """

    portfolio: Portfolio
    live: frozenset[str]
    stops: dict[str, Stops]
    of_trips: Decimal
    opening: dict[str, Decimal]
    converted: dict[str, Decimal]
    late_loss: Decimal


def snapshot(connection: Connection, rates: RateBook, entries: Iterable[str]) -> Snapshot:
    """The figures now.

    Args:
        connection: of the transaction that found no more fills.
        rates: value of the currencies.
        entries: orders that opened positions, as far as they are known before this transaction.
    """
    portfolio = rows.portfolio(connection, rate_rows.rates_now(connection, rates))
    unfinished = select(ORDERS.c.client_order_id).where(ORDERS.c.state.in_(rows.UNFINISHED))
    reserving = select(RESERVATIONS.c.client_order_id)
    live = [*connection.execute(unfinished).scalars(), *connection.execute(reserving).scalars()]
    wanted = {*entries, *(item.entry_order_id for item in portfolio.holdings.values())}
    found = connection.execute(
        select(
            ORDERS.c.client_order_id, ORDERS.c.stop_loss, ORDERS.c.take_profit, ORDERS.c.exits
        ).where(ORDERS.c.client_order_id.in_(wanted))
    )
    stops = {order_id: (stop, target, exits) for order_id, stop, target, exits in found}
    of_trips = connection.execute(select(func.sum(ROUND_TRIPS.c.profit))).scalar() or ZERO
    opening = {row.currency: row.opening for row in connection.execute(select(BALANCES))}
    lost = connection.execute(select(func.sum(LATE_FEES.c.realized_pnl))).scalar() or ZERO
    moved = _converted(connection)
    return Snapshot(portfolio, frozenset(live), stops, of_trips, opening, moved, lost)


def _converted(connection: Connection) -> dict[str, Decimal]:
    there, gone, fees = (
        connection.execute(select(currency, func.sum(amount)).group_by(currency)).all()
        for currency, amount in (
            (CONVERSIONS.c.to_currency, CONVERSIONS.c.to_amount),
            (CONVERSIONS.c.from_currency, CONVERSIONS.c.from_amount),
            (LATE_FEES.c.currency, LATE_FEES.c.amount),
        )
    )
    found: dict[str, Decimal] = {row[0]: row[1] for row in there}
    for currency, amount in (*gone, *fees):
        found[currency] = found.get(currency, ZERO) - amount
    return found


def check_money(replay: Recomputed, kept: Snapshot, findings: Findings) -> None:
    """Compare cash, gain, positions and equity with what follows from the fills."""
    account = kept.portfolio
    balances = _check_balances(replay, kept, findings)
    if kept.opening.keys() == {account.rates.account_currency}:
        [opening] = kept.opening.values()
        findings.compare("initial cash", opening, account.initial_cash)
    gain = from_cents(replay.gain) + kept.late_loss
    findings.compare("realised gain", gain, account.realized_pnl)
    findings.compare("gain of round trips", gain, kept.of_trips)
    findings.compare("currency gain", from_cents(replay.fx_gain), account.realized_fx_gain)
    for symbol in sorted(replay.held.keys() | account.holdings.keys()):
        _check_position(symbol, replay, kept, findings)
    cash = sum((account.rates.worth(*balance) for balance in balances.items()), ZERO)
    findings.compare("equity", cash + account.positions_value, account.equity)


def _check_balances(replay: Recomputed, kept: Snapshot, findings: Findings) -> dict[str, Decimal]:
    """Compare cash by currency with what follows; returns what follows."""
    found = kept.portfolio.balances
    follows: dict[str, Decimal] = {}
    for currency in sorted({*found, *replay.balances, *kept.converted, *kept.opening}):
        amount = kept.opening.get(currency, ZERO) + from_cents(replay.balances.get(currency, 0))
        follows[currency] = amount + kept.converted.get(currency, ZERO)
        balance = found.get(currency, ZERO)
        findings.compare(f"{currency} balance", follows[currency], balance)
        if balance < 0:
            what = f"{currency} balance is not negative"
            findings.append(Discrepancy(what, "0 or more", balance, stops_trading=False))
    return follows


def _check_position(symbol: str, replay: Recomputed, kept: Snapshot, findings: Findings) -> None:
    held, holding = replay.held.get(symbol), kept.portfolio.holdings.get(symbol)
    expected: dict[str, object] = {}
    if held is not None:
        stop, target, exits = kept.stops.get(held.entry_order_id, (None, None, None))
        if held.levels is not None:
            stop, target = held.levels
        if exits is not None and holding is not None and holding.stop_loss is not None:
            stop = max(stop or ZERO, holding.stop_loss)  # its signal lets it rise, and never fall
        expected = {
            "quantity": held.quantity,
            "cost": from_cents(held.cost),
            "local_cost": from_cents(held.local_cost),
            "entry_order_id": held.entry_order_id,
            "stop_loss": stop,
            "take_profit": target,
        }
    for figure in FIGURES:
        findings.compare(f"{symbol} {figure}", expected.get(figure), _figure(holding, figure))


def _figure(holding: Holding | None, name: str) -> object:
    return getattr(holding, name, None)
