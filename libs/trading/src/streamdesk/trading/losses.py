"""Loss of the account: since the start of the day, and since its highest equity. Pure.

The account's day is the UTC date of the event. Both markets' sessions (Hong Kong 01:30 to 08:00,
New York 13:30 to 21:00) lie inside it, so it is the market's own date for each, and the sessions
of one date belong to one day.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from streamdesk.trading.locks import EVERY_SYMBOL, EntryLock, LockCode
from streamdesk.trading.money import HUNDRED, ZERO
from streamdesk.trading.risk_limits import RiskLimits

HUNDREDTH = Decimal("0.01")


def account_day(at: datetime) -> date:
    """The account's day of an event."""
    return at.astimezone(UTC).date()


def day_after(day: date) -> datetime:
    """When the next day begins."""
    return datetime.combine(day + timedelta(days=1), time(), UTC)


@dataclass(frozen=True, slots=True)
class EquityTrack:
    """What losses are measured from.

    Attributes:
        day: of the newest event.
        day_equity: equity at the end of the day before; on an account's first day, when it began.
        peak_equity: highest equity at the end of a day, or when something was decided.
    """

    day: date
    day_equity: Decimal
    peak_equity: Decimal

    def advanced(self, day: date, equity: Decimal) -> "EquityTrack":
        """After an event of a day; `equity` is the account's before the event.

        An event that comes late does not bring an old day back.
        """
        peak = max(self.peak_equity, equity)
        if day > self.day:
            return EquityTrack(day, equity, peak)
        return replace(self, peak_equity=peak)

    def day_loss_percent(self, equity: Decimal) -> Decimal:
        """Realised and open loss of the day, percent of the equity it began with; 0 for a gain."""
        return loss_percent(self.day_equity, equity)

    def drawdown_percent(self, equity: Decimal) -> Decimal:
        """Loss since the peak, percent of the peak."""
        return loss_percent(self.peak_equity, equity)


def tracked(track: EquityTrack | None, at: datetime, equity: Decimal) -> EquityTrack:
    """The track after an event, which may be the account's first."""
    day = account_day(at)
    return EquityTrack(day, equity, equity) if track is None else track.advanced(day, equity)


def loss_percent(before: Decimal, now: Decimal) -> Decimal:
    """How much was lost, in percent of what was there before; 0 for a gain, or without a base."""
    if before <= 0:
        return ZERO
    return max((before - now) / before * HUNDRED, ZERO)


def loss_locks(
    track: EquityTrack,
    equity: Decimal,
    limits: RiskLimits,
    locks: Iterable[EntryLock],
    at: datetime,
) -> list[EntryLock]:
    """The locks that the account's losses call for and that are not in force yet.

    Args:
        track: what losses are measured from.
        equity: cash plus the worth of all positions.
        limits: how much may be lost.
        locks: those in force.
        at: event time.
    """
    held = {lock.code for lock in locks if lock.lasts_beyond(at)}
    day_loss, drawdown = track.day_loss_percent(equity), track.drawdown_percent(equity)
    made = []
    daily = limits.daily_loss_limit_percent
    if 0 < daily <= day_loss and LockCode.DAILY_LOSS not in held:
        text = (
            f"{_rounded(day_loss)} % of {track.day_equity} are lost on {track.day}, the limit is "
            f"{daily} %: no entries until the next day"
        )
        until = day_after(max(track.day, account_day(at)))
        made.append(_lock(LockCode.DAILY_LOSS, until, text, at, day_loss, daily))
    most = limits.drawdown_limit_percent
    if 0 < most <= drawdown and LockCode.DRAWDOWN not in held:
        text = (
            f"equity of {equity} is {_rounded(drawdown)} % below its peak of {track.peak_equity}, "
            f"the limit is {most} %: no entries until a person lifts the lock"
        )
        made.append(_lock(LockCode.DRAWDOWN, None, text, at, drawdown, most))
    return made


def _lock(
    code: LockCode,
    until: datetime | None,
    reason: str,
    at: datetime,
    value: Decimal,
    limit: Decimal,
) -> EntryLock:
    return EntryLock(EVERY_SYMBOL, code, until, reason, at, _rounded(value), limit)


def _rounded(percent: Decimal) -> Decimal:
    return percent.quantize(HUNDREDTH)
