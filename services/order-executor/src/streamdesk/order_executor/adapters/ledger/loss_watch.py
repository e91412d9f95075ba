"""What losses are measured from, and the locks that losses call for.

Every function runs inside a caller's transaction. The equity of a day's end is taken when the
first event of a later day comes, before that event's prices count: an executor hands on a day's
last prices before it notes any of the next.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, insert, select, update

from streamdesk.contracts.events import Severity
from streamdesk.order_executor.adapters.ledger import events, rows, trade_locks
from streamdesk.order_executor.adapters.ledger.schema import ACCOUNT, EQUITY_TRACK, ORDERS
from streamdesk.order_executor.domain import Marks, NumberedLock
from streamdesk.trading.locks import EntryLock
from streamdesk.trading.losses import EquityTrack, loss_locks, tracked
from streamdesk.trading.money import ExchangeRates
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio, RiskHistory
from streamdesk.trading.rates import RateBook
from streamdesk.trading.risk import Alert

A_MINUTE = timedelta(minutes=1)
_TRACK = select(EQUITY_TRACK)
_INSERT_TRACK = insert(EQUITY_TRACK).values(account=select(ACCOUNT.c.id).scalar_subquery())
_UPDATE_TRACK = update(EQUITY_TRACK)
_RECENT_ORDERS = select(func.count()).where(ORDERS.c.as_of > bindparam("since"))


@dataclass(frozen=True, slots=True)
class LossReading:
    """What was found at an event; written by `keep`.

    Attributes:
        at: event time.
        stored: the track before it.
        track: the track after it.
        open_locks: that had not ended before it.
        new_locks: that the losses call for.
    """

    at: datetime
    stored: EquityTrack | None
    track: EquityTrack
    open_locks: tuple[NumberedLock, ...]
    new_locks: tuple[EntryLock, ...]

    @property
    def locks(self) -> tuple[EntryLock, ...]:
        """Those that an entry is held against."""
        return (*(item.lock for item in self.open_locks), *self.new_locks)


def look(connection: Connection, portfolio: Portfolio, at: datetime, policy: Policy) -> LossReading:
    """Measure the losses at an event; writes nothing."""
    stored = track(connection)
    after = tracked(stored, at, portfolio.equity)
    held = tuple(trade_locks.open_locks(connection))
    locks = [item.lock for item in held]
    new = loss_locks(after, portfolio.equity, policy.limits, locks, at)
    return LossReading(at, stored, after, held, tuple(new))


def history_for_entry(connection: Connection, watch: LossReading) -> RiskHistory:
    """What the checks of an entry need."""
    recent = connection.execute(_RECENT_ORDERS, {"since": watch.at - A_MINUTE}).scalar_one()
    return RiskHistory(watch.locks, recent, watch.track)


def keep(connection: Connection, watch: LossReading, now: datetime) -> None:
    """Write what was found: the track, ends of locks, new locks with their alerts."""
    if watch.track != watch.stored:
        _put_track(connection, watch.track, is_new=watch.stored is None)
    trade_locks.expire(connection, watch.open_locks, watch.at, now)
    for lock in watch.new_locks:
        key = f"{lock.code}:{watch.track.day}"
        alert = Alert(key, lock.code, Severity.CRITICAL, lock.reason, lock.value, lock.limit)
        events.alert(connection, alert, now)
        trade_locks.make(connection, lock, now)


def look_and_keep(
    connection: Connection, at: datetime, policy: Policy, rates: ExchangeRates, now: datetime
) -> None:
    """Both, for an event that decides nothing."""
    keep(connection, look(connection, rows.portfolio(connection, rates), at, policy), now)


def note_marks(connection: Connection, marks: Marks, rates: RateBook) -> None:
    """Write prices that are newer than those of the positions; a new day begins before them."""
    if not marks:
        return
    stored, newest = track(connection), max(mark.at for mark in marks.values())
    after = tracked(stored, newest, rows.portfolio(connection, rates.at(newest)).equity)
    if stored is None or after.day > stored.day:
        _put_track(connection, after, is_new=stored is None)
    rows.mark_positions(connection, marks)


def track(connection: Connection) -> EquityTrack | None:
    """What losses are measured from; None before the first event."""
    row = connection.execute(_TRACK).mappings().one_or_none()
    return None if row is None else EquityTrack(row["day"], row["day_equity"], row["peak_equity"])


def restart(connection: Connection, portfolio: Portfolio, *, day: bool, peak: bool) -> None:
    """Measure the day's loss, or the drawdown, from the present equity on."""
    values = {"day_equity": portfolio.equity} if day else {}
    values |= {"peak_equity": portfolio.equity} if peak else {}
    if values:
        connection.execute(_UPDATE_TRACK, values)


def _put_track(connection: Connection, item: EquityTrack, *, is_new: bool) -> None:
    names = "day", "day_equity", "peak_equity"
    values = {name: getattr(item, name) for name in names}
    connection.execute(_INSERT_TRACK if is_new else _UPDATE_TRACK, values)
