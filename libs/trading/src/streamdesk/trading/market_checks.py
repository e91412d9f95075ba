"""Whether a signal fits the market's present: its time, and its price.

All of it is event time: bars tell what time it is in the market. The wall clock is asked only where
no bar of the symbol is known.
"""

from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.money import HUNDRED, MOST_PERCENT, ZERO
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio
from streamdesk.trading.risk import Check, Code, RiskVerdict, TradeRequest


def price_known(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """NO_MARKET_PRICE: no bar of the symbol is known, and a mark is required."""
    known = request.mark is not None
    reason = f"no bar of {request.symbol} is known, and MARK_REQUIRED is set"
    passed = known or not policy.mark_required
    return RiskVerdict(Code.NO_MARKET_PRICE, passed, Decimal(known), Decimal(1), reason)


def not_stale(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """STALE_SIGNAL: its bar lies too far behind the market's newest, counted in intervals."""
    market, limit = request.market, Decimal(policy.signal_max_age_bars)
    if market is None:
        return _passed(Code.STALE_SIGNAL, limit)
    behind = _seconds(market.at, request.as_of) / market.interval_seconds
    of_what = request.symbol if market.mark is not None else "its market"
    reason = (
        f"its bar ended at {_text(request.as_of)}, {behind:.1f} bars of {market.interval_seconds} "
        f"s before the newest of {of_what} ({_text(market.at)}); at most {limit} are allowed"
    )
    return RiskVerdict(Code.STALE_SIGNAL, behind <= limit, max(behind, ZERO), limit, reason)


def not_from_the_future(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """FUTURE_SIGNAL: its time lies too far beyond the market's newest bar.

    A bar can be late or missing, so as many intervals are allowed as for a stale signal, and one at
    least: that of the bar being formed. Where no bar of the symbol is known, the wall clock is the
    present.
    """
    limit = Decimal(repr(policy.future_tolerance_seconds))
    market = request.market
    if market is None or market.mark is None:
        ahead, present = Decimal(repr(request.ahead_seconds)), "the clock's time"
    else:
        limit += max(1, policy.signal_max_age_bars) * market.interval_seconds
        ahead = _seconds(request.as_of, market.at)
        present = f"the newest bar of {request.symbol} ({_text(market.at)})"
    reason = (
        f"it is dated {_text(request.as_of)}, {ahead:.1f} s after {present}; "
        f"at most {limit:.1f} s are allowed"
    )
    return RiskVerdict(Code.FUTURE_SIGNAL, ahead <= limit, ahead, limit, reason)


def not_outdated(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """OUTDATED_BY_POSITION: the symbol was traded because of a newer bar.

    What a bar gives is one decision: a sell of the very bar that opened the position does not
    close it. A buy of the bar whose exit was just made is allowed.
    """
    holding = portfolio.holdings.get(request.symbol)
    opened = None if holding is None else holding.opened_at
    newest = max((at for at in (request.traded_as_of, opened) if at is not None), default=None)
    if newest is None:
        return _passed(Code.OUTDATED_BY_POSITION, ZERO)
    behind = _seconds(newest, request.as_of)
    same_bar = request.side is Side.SELL and opened == request.as_of
    reason = (
        f"its bar ended at {_text(request.as_of)}, and {request.symbol} was traded because of "
        f"{'that very bar' if same_bar else f'a bar of {_text(newest)}'}"
    )
    passed = behind <= 0 and not same_bar
    return RiskVerdict(Code.OUTDATED_BY_POSITION, passed, max(behind, ZERO), ZERO, reason)


def in_session(request: TradeRequest, _: Portfolio, __: Policy) -> RiskVerdict:
    """SESSION_CLOSED: the exchange did not trade when its bar ended."""
    is_open = request.closed is None
    reason = request.closed or ""
    return RiskVerdict(Code.SESSION_CLOSED, is_open, Decimal(is_open), Decimal(1), reason)


def within_collar(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """PRICE_COLLAR: its price is too far from the mark, in percent of the mark."""
    mark, limit = request.mark, collar_percent(request, policy)
    if mark is None:
        return _passed(Code.PRICE_COLLAR, limit)
    distance = min(abs(request.price - mark) / mark * HUNDRED, MOST_PERCENT)
    reason = (
        f"price {request.price} of {request.symbol} is {distance:.2f} % from its mark {mark}; "
        f"at most {limit:.2f} % are allowed"
    )
    return RiskVerdict(Code.PRICE_COLLAR, distance <= limit, distance, limit, reason)


def collar_percent(request: TradeRequest, policy: Policy) -> Decimal:
    """How far a price may be from the mark, in percent of it."""
    market = request.market
    least = policy.collar_min_percent
    if market is not None and market.mark is not None and market.atr is not None:
        least = max(least, policy.collar_atrs * market.atr / market.mark * HUNDRED)
    return min(least, policy.collar_max_percent)


def _passed(code: Code, limit: Decimal) -> RiskVerdict:
    """The verdict where there is nothing to hold the signal against."""
    return RiskVerdict(code, passed=True, value=ZERO, limit=limit, reason="")


def _seconds(later: datetime, earlier: datetime) -> Decimal:
    """Seconds from one time to another, exact to the microsecond."""
    return Decimal(repr((later - earlier).total_seconds()))


def _text(at: datetime) -> str:
    return at.isoformat(timespec="seconds")


MARKET_CHECKS: tuple[Check, ...] = (
    price_known,
    not_stale,
    not_from_the_future,
    not_outdated,
    in_session,
    within_collar,
)
