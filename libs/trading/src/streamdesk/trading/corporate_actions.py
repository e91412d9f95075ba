"""Splits and cash dividends: from rows of a file to what they make of a position.

An action counts from the first bar of its ex-date on: the market quotes without the dividend, or in
new shares, from that session's first trade.
"""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from fractions import Fraction
from typing import TypeVar

from streamdesk.contracts.events import Side
from streamdesk.contracts.symbols import canonical_symbol, is_share
from streamdesk.trading.dated import trading_day
from streamdesk.trading.errors import ActionFileError
from streamdesk.trading.markets import CURRENCY, MarketCode, Ticks
from streamdesk.trading.money import PRICE_STEP, ZERO, ExchangeRates, cents, tidy
from streamdesk.trading.portfolio import Holding

COLUMNS = "symbol", "ex_date", "kind", "ratio", "amount", "currency", "source"
MOST_RATIO = 10_000
"""Larger ratios are errors of their source: the largest that were made are 1:2000 or so."""

Read = TypeVar("Read")


class ActionKind(StrEnum):
    """What a company does to its shares; of one day in this order."""

    SPLIT = "SPLIT"
    DIVIDEND = "DIVIDEND"


ActionKey = tuple[str, date, ActionKind]
"""Symbol, ex-date and kind: what there is one of."""


@dataclass(frozen=True, slots=True)
class CorporateAction:
    """One row.

    Attributes:
        symbol: of the shares.
        ex_date: first day, at the exchange, without the dividend or in new shares.
        kind: split or dividend.
        ratio: of a split, new shares for one old; below 1 for a reverse split.
        amount: of a dividend, gross, for one share, in `currency`.
        currency: of the amount, ISO 4217; the market's for a split.
        source: who says so.
    """

    symbol: str
    ex_date: date
    kind: ActionKind
    ratio: Fraction
    amount: Decimal
    currency: str
    source: str

    @property
    def key(self) -> ActionKey:
        """What there is one of."""
        return self.symbol, self.ex_date, self.kind

    @property
    def market(self) -> MarketCode:
        """Where the shares trade."""
        return MarketCode(self.symbol.rpartition(".")[2])

    @property
    def text(self) -> str:
        """What it is, for people."""
        if self.kind is ActionKind.SPLIT:
            return f"split {self.ratio.numerator}:{self.ratio.denominator}"
        return f"dividend of {self.amount} {self.currency}"

    def has_begun(self, at: datetime) -> bool:
        """Whether a bar that ends at this time is one of the ex-date, or later."""
        return trading_day(self.market, at) >= self.ex_date


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What an action changes, in the figures that a trade changes.

    Attributes:
        holding: the position afterwards; None: nothing is held.
        local_amount, cash_amount, realized_pnl, fx_gain, rate: as of a booking.
    """

    holding: Holding | None
    local_amount: Decimal = ZERO
    cash_amount: Decimal = ZERO
    realized_pnl: Decimal = ZERO
    fx_gain: Decimal = ZERO
    rate: Decimal = Decimal(1)


def read_actions(text: str, path: str) -> tuple[CorporateAction, ...]:
    """Actions from the text of a CSV file with the columns of `COLUMNS`, by ex-date.

    Raises:
        ActionFileError: it names the line, the value and what was expected.
    """
    reader = csv.reader(text.splitlines(), strict=True)
    found: dict[ActionKey, CorporateAction] = {}
    try:
        for values in reader:
            place = f"{path} line {reader.line_num}"
            if reader.line_num == 1:
                if tuple(values) != COLUMNS:
                    raise ActionFileError(place, "header", ",".join(values), ",".join(COLUMNS))
            elif values:
                action = _action(place, values)
                if action.key in found:
                    expected = f"one {action.kind} of {action.symbol} for an ex-date"
                    raise ActionFileError(place, "ex_date", f"{action.ex_date}", expected)
                found[action.key] = action
    except csv.Error as error:
        place = f"{path} line {reader.line_num}"
        raise ActionFileError(place, "row", str(error), "comma-separated values") from None
    if reader.line_num == 0:
        raise ActionFileError(f"{path} line 1", "header", "", ",".join(COLUMNS))
    kinds = list(ActionKind)
    return tuple(sorted(found.values(), key=lambda item: (item.ex_date, kinds.index(item.kind))))


def _action(place: str, values: list[str]) -> CorporateAction:
    if len(values) != len(COLUMNS):
        expected = f"{len(COLUMNS)} values: {','.join(COLUMNS)}"
        raise ActionFileError(place, "row", ",".join(values), expected)
    row = {name: value.strip() for name, value in zip(COLUMNS, values, strict=True)}

    def read(column: str, kind: Callable[[str], Read], expected: str) -> Read:
        try:
            return kind(row[column])
        except (ValueError, KeyError, InvalidOperation, ZeroDivisionError):
            raise ActionFileError(place, column, row[column], expected) from None

    symbol = read("symbol", _share, "a share, as in AAPL.US or 700.HK")
    day = read("ex_date", date.fromisoformat, "a day, as in 2026-08-31")
    kind = read("kind", ActionKind, f"one of {', '.join(ActionKind)}")
    of_market = CURRENCY[MarketCode(symbol.rpartition(".")[2])]
    source = read("source", _some_text, "where the row is from")
    if kind is ActionKind.SPLIT:
        ratio = read("ratio", _ratio, "new shares for old, as in 10:1; a reverse split is 1:10")
        read("amount", _nothing, "nothing: a split has no amount")
        return CorporateAction(symbol, day, kind, ratio, ZERO, of_market, source)
    read("ratio", _nothing, "nothing: a dividend has no ratio")
    amount = read("amount", _amount, "more than 0 for one share, up to six digits behind the point")
    currencies = set(CURRENCY.values())
    expected = f"one of {', '.join(sorted(currencies))}: convert others at the rate paid"
    currency = read("currency", lambda text: _one_of(text, currencies), expected)
    return CorporateAction(symbol, day, kind, Fraction(1), amount, currency, source)


def _share(text: str) -> str:
    symbol = canonical_symbol(text)
    if not is_share(symbol) or symbol.rpartition(".")[2] not in MarketCode.__members__:
        raise ValueError(text)
    return symbol


def _ratio(text: str) -> Fraction:
    new, _, old = text.partition(":")
    ratio = Fraction(new) / Fraction(old)
    if not Fraction(1, MOST_RATIO) <= ratio <= MOST_RATIO or ratio == 1:
        raise ValueError(text)
    return ratio


def _amount(text: str) -> Decimal:
    amount = Decimal(text)
    if not amount.is_finite() or amount <= 0 or amount != amount.quantize(PRICE_STEP):
        raise ValueError(text)
    return amount


def _one_of(text: str, allowed: set[str]) -> str:
    if text not in allowed:
        raise ValueError(text)
    return text


def _some_text(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


def _nothing(text: str) -> None:
    if text:
        raise ValueError(text)


def shares_at_ex_date(
    trades: Iterable[tuple[datetime, Side, int]],
    splits: Iterable[CorporateAction],
    action: CorporateAction,
) -> int:
    """Shares held at the close before an ex-date, as they are counted on it.

    Args:
        trades: end of the bar behind the order, side and quantity, in the order of booking.
        splits: of the symbol; those up to the ex-date count.
        action: whose ex-date it is.
    """
    # A split counts before what is traded on its day.
    events: list[tuple[date, int, Fraction | int]] = [
        (split.ex_date, 0, split.ratio)
        for split in splits
        if split.kind is ActionKind.SPLIT and split.ex_date <= action.ex_date
    ]
    for at, side, quantity in trades:
        day = trading_day(action.market, at)
        if day < action.ex_date:
            events.append((day, 1, quantity if side is Side.BUY else -quantity))
    shares = 0
    for _, kind, value in sorted(events, key=lambda event: event[:2]):
        shares = int(shares * value) if kind == 0 else shares + int(value)
    return max(shares, 0)


def split_holding(
    holding: Holding, action: CorporateAction, ticks: Ticks, rates: ExchangeRates, at: datetime
) -> Adjustment:
    """A position in new shares: its whole cost stays, and its stops keep their distance.

    A fraction of a share is paid out at the last price, with its part of the cost; what is left may
    be nothing. Stop and target are rounded up to the tick: a stop is never reached later than
    before.

    Args:
        holding: with its last price, in old shares.
        action: the split.
        ticks: of the markets.
        rates: value of the currencies.
        at: end of the first bar in new shares.
    """
    exact = holding.quantity * action.ratio
    whole = int(exact)
    part = (exact - whole) / exact
    left = _in_new_shares(holding, action, ticks, at)
    if not part:
        return Adjustment(left)
    rate = rates.of(holding.currency)
    local = rounded(price_in_new_shares(holding, action), exact - whole)
    cash = cents(local * rate)
    cost, local_cost = rounded(holding.cost, part), rounded(holding.local_cost, part)
    if left is not None:
        left = replace(left, cost=holding.cost - cost, local_cost=holding.local_cost - local_cost)
    gain = cents((local - local_cost) * rate)
    return Adjustment(left, local, cash, gain, cash - cost - gain, rate)


def _in_new_shares(
    holding: Holding, action: CorporateAction, ticks: Ticks, at: datetime
) -> Holding | None:
    whole = int(holding.quantity * action.ratio)
    if whole == 0:
        return None

    def level(price: Decimal | None) -> Decimal | None:
        if price is None:
            return None
        return ticks.up(holding.market, tidy(in_new_shares(price, action.ratio)), at)

    return replace(
        holding,
        quantity=whole,
        market_price=price_in_new_shares(holding, action),
        marked_at=max(holding.marked_at, _just_before(at)),
        stop_loss=level(holding.stop_loss),
        take_profit=level(holding.take_profit),
    )


def in_new_shares(price: Decimal, ratio: Fraction) -> Decimal:
    """A price of old shares as one of new ones, to the millionth."""
    new = (price * ratio.denominator / ratio.numerator).quantize(PRICE_STEP)
    return max(tidy(new), PRICE_STEP)


def price_in_new_shares(holding: Holding, action: CorporateAction) -> Decimal:
    """The last price of a position, which may be one of new shares already."""
    if action.has_begun(holding.marked_at):
        return holding.market_price
    return in_new_shares(holding.market_price, action.ratio)


def rounded(amount: Decimal, part: Fraction) -> Decimal:
    """A part of an amount in whole cents, half to even."""
    return tidy(Decimal(round(Fraction(amount) * part * 100)).scaleb(-2))


def pay_dividend(
    holding: Holding | None,
    shares: int,
    action: CorporateAction,
    ticks: Ticks,
    rates: ExchangeRates,
    at: datetime,
) -> Adjustment:
    """The cash of a dividend, gross, and what it makes of a position that was entitled to it.

    The stop is lowered by the amount, as exchanges lower the sell stops that rest with them; the
    target is not.

    Args:
        holding: as it is now; None: it was sold on the ex-date, or since.
        shares: that were held at the close before the ex-date.
        action: the dividend.
        ticks: of the markets.
        rates: value of the currencies.
        at: end of the first bar without the dividend.
    """
    rate = rates.of(action.currency)
    local = cents(shares * action.amount)
    cash = cents(local * rate)
    if holding is not None and not action.has_begun(holding.opened_at):
        holding = _without_dividend(holding, action, ticks, rates, at)
    return Adjustment(holding, local, cash, cash, ZERO, rate)


def _without_dividend(
    holding: Holding, action: CorporateAction, ticks: Ticks, rates: ExchangeRates, at: datetime
) -> Holding:
    amount = action.amount
    if action.currency != holding.currency:
        amount = amount * rates.of(action.currency) / rates.of(holding.currency)
    stop, price = holding.stop_loss, holding.market_price
    if stop is not None:
        lowered = ticks.down(holding.market, max(stop - amount, ZERO), at)
        stop = max(tidy(lowered), ticks.tick(holding.market, ZERO, at))
    if not action.has_begun(holding.marked_at):
        price = max(tidy((price - amount).quantize(PRICE_STEP)), PRICE_STEP)
    marked_at = max(holding.marked_at, _just_before(at))
    return replace(holding, stop_loss=stop, market_price=price, marked_at=marked_at)


def _just_before(at: datetime) -> datetime:
    """A time that only bars from `at` on are newer than."""
    return at - timedelta(microseconds=1)
