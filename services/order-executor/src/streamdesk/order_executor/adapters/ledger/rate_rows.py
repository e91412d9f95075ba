"""Which rates the account was valued by, and by which they are now.

The rates themselves come from a setting or a file; the table records each one once, for people and
for an audit. What is booked has its own rate beside it.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from streamdesk.order_executor.adapters.ledger.schema import ORDERS, POSITIONS, RATES
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.rates import DatedRate, RateBook


def rates_now(connection: Connection, book: RateBook) -> ExchangeRates:
    """The rates at the newest time of the market that the ledger knows."""
    return book.at(_market_time(connection) if book.is_dated else None)


def _market_time(connection: Connection) -> datetime | None:
    newest = (select(func.max(column)) for column in (POSITIONS.c.marked_at, ORDERS.c.as_of))
    times = [connection.execute(query).scalar() for query in newest]
    return max((time for time in times if time is not None), default=None)


def record(connection: Connection, rates: Iterable[DatedRate]) -> int:
    """Write down those that are not there yet, or that were corrected; returns how many."""
    known = {(row.currency, row.at): row.rate for row in connection.execute(select(RATES))}
    written = 0
    for item in rates:
        before = known.get((item.currency, item.at))
        if before == item.rate:
            continue
        values = {"rate": item.rate, "source": item.source}
        there = (RATES.c.currency == item.currency) & (RATES.c.at == item.at)
        if before is None:
            connection.execute(insert(RATES), {"currency": item.currency, "at": item.at, **values})
        else:
            connection.execute(update(RATES).where(there).values(**values))
        written += 1
    return written


def record_fixed(connection: Connection, rates: ExchangeRates, source: str, now: datetime) -> None:
    """Write down the rates of a setting, if they are not those of the last time."""
    for currency, rate in rates.others.items():
        mine = (RATES.c.currency == currency) & (RATES.c.source == source)
        newest = select(RATES.c.rate).where(mine).order_by(RATES.c.at.desc()).limit(1)
        if connection.execute(newest).scalar() != rate:
            record(connection, [DatedRate(currency, now, rate, source)])
