"""Protections: after a position was closed, what came of the latest ones may lock entries. Pure.

The four are freqtrade's (https://www.freqtrade.io/en/stable/plugins/#protections), with its
semantics: they are looked at whenever a position closes, at the time it closed; a window holds
what closed after (not at) its beginning; a lock lasts from the latest of the positions that caused
it; a lock that ends no later than one in force is not made. freqtrade rounds a lock's end up to
the end of a candle because its positions close inside one. Ours close at the end of a bar, and
signals come at the ends of bars, so nothing is left to round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import ClassVar, Literal

from streamdesk.trading.locks import EVERY_SYMBOL, EntryLock, LockCode
from streamdesk.trading.money import ZERO

RATIO_STEP = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A position from its first share to its last.

    Attributes:
        symbol: of what.
        closed_at: end of the bar behind the order that closed it.
        profit: account's currency, after all fees.
        cost: what it cost, fees included.
        by_stop: whether a stop loss closed it.
    """

    symbol: str
    closed_at: datetime
    profit: Decimal
    cost: Decimal
    by_stop: bool

    @property
    def profit_ratio(self) -> Decimal:
        """Profit as a part of the cost."""
        return self.profit / self.cost if self.cost > 0 else ZERO


@dataclass(frozen=True, slots=True)
class TripHistory:
    """The positions that were closed, as seen when one more closes.

    Attributes:
        now: when it closed.
        trips: every one that closed within the longest window, itself included, oldest first.
        starting_balance: what the account began with.
        total_profit: of all closed positions ever, account's currency.
    """

    now: datetime
    trips: Sequence[RoundTrip]
    starting_balance: Decimal
    total_profit: Decimal

    def within(self, minutes: int, symbol: str | None = None) -> list[RoundTrip]:
        """Those that closed less than so many minutes ago, of one symbol or of all."""
        since = self.now - timedelta(minutes=minutes)
        return [
            trip for trip in self.trips if trip.closed_at > since and symbol in {None, trip.symbol}
        ]


@dataclass(frozen=True, slots=True)
class _Windowed:
    """What the four have in common.

    Attributes:
        lookback_minutes: how far back closed positions count.
        stop_minutes: how long a lock lasts, from the latest position that caused it.
    """

    # For pydantic, where these are read from a setting: a misspelt name is an error.
    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}
    code: ClassVar[LockCode]

    lookback_minutes: int = 60
    stop_minutes: int = 60

    def __post_init__(self) -> None:
        if self.lookback_minutes < 1 or self.stop_minutes < 1:
            raise ValueError("lookback_minutes and stop_minutes are whole minutes, 1 or more")
        if getattr(self, "trade_limit", 1) < 1:
            raise ValueError("trade_limit is 1 or more")

    def of_symbol(self, symbol: str, history: TripHistory) -> EntryLock | None:  # noqa: ARG002 - a protection of all symbols has none
        """The lock of the symbol that just closed."""
        return None

    def of_all(self, history: TripHistory) -> EntryLock | None:  # noqa: ARG002 - a protection of single symbols has none
        """The lock of every symbol."""
        return None

    def _lock(
        self,
        symbol: str | None,
        trips: Sequence[RoundTrip],
        history: TripHistory,
        reason: str,
        value: Decimal,
        limit: Decimal,
    ) -> EntryLock:
        until = max(trip.closed_at for trip in trips) + timedelta(minutes=self.stop_minutes)
        text = f"{reason}: no entries for {self.stop_minutes} minutes"
        where = symbol or EVERY_SYMBOL
        return EntryLock(where, self.code, until, text, history.now, value, limit)


@dataclass(frozen=True, slots=True)
class StoplossGuard(_Windowed):
    """Locks after `trade_limit` losing stops: all symbols, and a symbol that had so many itself.

    Attributes:
        trade_limit: so many, or more.
        required_profit: a stop counts when its profit, as a part of its cost, is below this and
            not 0.
        only_per_pair: lock single symbols alone.
    """

    code: ClassVar[LockCode] = LockCode.STOPLOSS_GUARD

    method: Literal["StoplossGuard"] = "StoplossGuard"
    trade_limit: int = 10
    required_profit: Decimal = ZERO
    only_per_pair: bool = False

    def of_symbol(self, symbol: str, history: TripHistory) -> EntryLock | None:
        """After so many losing stops of this symbol."""
        return self._guard(symbol, history)

    def of_all(self, history: TripHistory) -> EntryLock | None:
        """After so many losing stops of any symbol."""
        return None if self.only_per_pair else self._guard(None, history)

    def _guard(self, symbol: str | None, history: TripHistory) -> EntryLock | None:
        stops = [
            trip
            for trip in history.within(self.lookback_minutes, symbol)
            if trip.by_stop and trip.profit_ratio != 0 and trip.profit_ratio < self.required_profit
        ]
        if len(stops) < self.trade_limit:
            return None
        where = f" in {symbol}" if symbol else ""
        reason = f"{len(stops)} stop losses{where} within {self.lookback_minutes} minutes"
        count, limit = Decimal(len(stops)), Decimal(self.trade_limit)
        return self._lock(symbol, stops, history, reason, count, limit)


@dataclass(frozen=True, slots=True)
class MaxDrawdown(_Windowed):
    """Locks all symbols when closed positions of the window lost more than allowed, peak to trough.

    Attributes:
        trade_limit: with fewer closed positions nothing is locked.
        max_allowed_drawdown: a part, 0.1 is 10 %; more locks.
        calculation_mode: `ratios` adds up profit ratios, whatever the positions' sizes; `equity`
            takes the loss in money as a part of the account's highest balance in the window.
    """

    code: ClassVar[LockCode] = LockCode.MAX_DRAWDOWN

    method: Literal["MaxDrawdown"] = "MaxDrawdown"
    trade_limit: int = 1
    max_allowed_drawdown: Decimal = ZERO
    calculation_mode: Literal["ratios", "equity"] = "ratios"

    def of_all(self, history: TripHistory) -> EntryLock | None:
        """When the drawdown is above what is allowed."""
        trips = sorted(history.within(self.lookback_minutes), key=lambda trip: trip.closed_at)
        if len(trips) < self.trade_limit:
            return None
        drawdown = self._drawdown(trips, history)
        if drawdown <= self.max_allowed_drawdown:
            return None
        value = drawdown.quantize(RATIO_STEP)
        reason = f"drawdown of {value} within {self.lookback_minutes} minutes"
        return self._lock(None, trips, history, reason, value, self.max_allowed_drawdown)

    def _drawdown(self, trips: Sequence[RoundTrip], history: TripHistory) -> Decimal:
        if self.calculation_mode == "ratios":
            steps = ((high, high - low) for high, low in _curve(t.profit_ratio for t in trips))
            return max(lost for _, lost in steps)
        before = history.starting_balance + history.total_profit - sum(t.profit for t in trips)
        parts = [
            (high - low) / (before + high)
            for high, low in _curve(trip.profit for trip in trips)
            if before + high > 0
        ]
        return max(parts, default=ZERO)


@dataclass(frozen=True, slots=True)
class LowProfitPairs(_Windowed):
    """Locks a symbol whose closed positions in the window did not earn what is required.

    Attributes:
        trade_limit: with fewer closed positions nothing is locked.
        required_profit: least sum of their profits as parts of their costs.
    """

    code: ClassVar[LockCode] = LockCode.LOW_PROFIT_PAIRS

    method: Literal["LowProfitPairs"] = "LowProfitPairs"
    trade_limit: int = 1
    required_profit: Decimal = ZERO

    def of_symbol(self, symbol: str, history: TripHistory) -> EntryLock | None:
        """When the sum is below what is required."""
        trips = history.within(self.lookback_minutes, symbol)
        if len(trips) < self.trade_limit:
            return None
        profit = sum((trip.profit_ratio for trip in trips), ZERO)
        if profit >= self.required_profit:
            return None
        value = profit.quantize(RATIO_STEP)
        reason = f"profit of {value} in {symbol} within {self.lookback_minutes} minutes"
        return self._lock(symbol, trips, history, reason, value, self.required_profit)


@dataclass(frozen=True, slots=True)
class CooldownPeriod(_Windowed):
    """Locks a symbol after each position in it."""

    code: ClassVar[LockCode] = LockCode.COOLDOWN_PERIOD

    method: Literal["CooldownPeriod"] = "CooldownPeriod"

    def of_symbol(self, symbol: str, history: TripHistory) -> EntryLock | None:
        """From the latest close on."""
        trips = history.within(self.lookback_minutes, symbol)
        if not trips:
            return None
        latest = max(trips, key=lambda trip: trip.closed_at)
        reason = f"a position in {symbol} was closed"
        return self._lock(symbol, [latest], history, reason, Decimal(1), ZERO)


AnyProtection = StoplossGuard | MaxDrawdown | LowProfitPairs | CooldownPeriod


def locks_after_close(
    symbol: str,
    history: TripHistory,
    protections: Iterable[AnyProtection],
    locks: Iterable[EntryLock],
) -> list[EntryLock]:
    """The locks that the close of a position calls for and that none in force outlasts.

    Args:
        symbol: of the position.
        history: what was closed so far, this position included.
        protections: which may lock, in their order: first the symbol, then all.
        locks: those in force.
    """
    rules, held, made = list(protections), list(locks), list[EntryLock]()
    wanted = [rule.of_symbol(symbol, history) for rule in rules]
    wanted += [rule.of_all(history) for rule in rules]
    for lock in wanted:
        if lock is None or lock.until is None:
            continue
        where = {lock.symbol, EVERY_SYMBOL}
        end = lock.until
        if any(other.symbol in where and _outlasts(other, end) for other in (*held, *made)):
            continue
        made.append(lock)
    return made


def _outlasts(lock: EntryLock, end: datetime) -> bool:
    return lock.until is None or lock.until >= end


def longest_lookback(protections: Iterable[AnyProtection]) -> timedelta:
    """How far back closed positions matter at all; 0 without protections."""
    return timedelta(minutes=max((rule.lookback_minutes for rule in protections), default=0))


def _curve(steps: Iterable[Decimal]) -> Iterable[tuple[Decimal, Decimal]]:
    """The highest sum so far (at least 0, where the window begins) and the sum, step by step."""
    total = high = ZERO
    for step in steps:
        total += step
        high = max(high, total)
        yield high, total
