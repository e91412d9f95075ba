"""Checks of an entry against the limits on loss, concentration and rate; see risk.py.

An order that is too large for its place is cut to what is left there; it is refused only when not
even the smallest order fits.
"""

from decimal import ROUND_FLOOR, Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.locks import longest
from streamdesk.trading.markets import MarketCode
from streamdesk.trading.money import CENT, HUNDRED, ZERO
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio
from streamdesk.trading.risk import Check, Code, RiskVerdict, TradeRequest
from streamdesk.trading.sizing import least_cash, target_cash


def entry_not_locked(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """The code of a lock: entries in the symbol, or in all, are locked when the bar closed."""
    locks = portfolio.risk.locks
    lock = longest(item for item in locks if item.covers(request.symbol, request.as_of))
    if lock is None:
        return RiskVerdict(Code.DAILY_LOSS, True, ZERO, ZERO, "")  # noqa: FBT003 - passed
    end = f"until {lock.until.isoformat()}" if lock.until else "until a person lifts the lock"
    reason = f"entries are locked {end}: {lock.reason}"
    return RiskVerdict(Code(lock.code), False, lock.value, lock.limit, reason)  # noqa: FBT003 - not passed


def order_rate(_: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """ORDER_RATE: all executors made as many orders within a minute as are allowed."""
    made, limit = portfolio.risk.recent_orders, policy.limits.max_orders_per_minute
    passed = limit == 0 or made < limit
    reason = f"{made} orders were made within a minute, at most {limit} are allowed"
    return RiskVerdict(Code.ORDER_RATE, passed, Decimal(made), Decimal(limit), reason)


def order_notional(_: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """ORDER_NOTIONAL: the smallest order costs more than any order may."""
    least, limit = least_cash(portfolio.equity, policy), policy.limits.max_order_notional
    passed = limit == 0 or least <= limit
    reason = f"the smallest order takes {least}, at most {limit} are allowed (MAX_ORDER_NOTIONAL)"
    return RiskVerdict(Code.ORDER_NOTIONAL, passed, least, limit, reason)


def room_in_symbol(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """CONCENTRATION: the smallest order would bring the symbol above its part of the equity."""
    held = _in_symbol(request.symbol, portfolio)
    limit = policy.limits.max_symbol_percent
    return _concentration(request.symbol, held, limit, portfolio, policy)


def room_in_market(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """CONCENTRATION: the smallest order would bring the market above its part of the equity."""
    market = _market(request, policy)
    limit = policy.limits.max_market_percent
    return _concentration(
        f"market {market}", _in_market(market, portfolio), limit, portfolio, policy
    )


def _concentration(
    where: str, held: Decimal, limit: Decimal, portfolio: Portfolio, policy: Policy
) -> RiskVerdict:
    least = least_cash(portfolio.equity, policy)
    passed = limit == 0 or least <= _part(portfolio.equity, limit) - held
    would_be = ZERO if portfolio.equity <= 0 else (held + least) / portfolio.equity * HUNDRED
    value = would_be.quantize(CENT)
    reason = (
        f"with the smallest order of {least}, {value} % of the equity would be in {where}, at "
        f"most {limit} % are allowed"
    )
    return RiskVerdict(Code.CONCENTRATION, passed, value, limit, reason)


def order_budget(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> Decimal:
    """What an entry may cost: what its strength deserves, cut to every limit and the free cash."""
    limits, equity = policy.limits, portfolio.equity
    caps = [target_cash(equity, request.strength, policy), portfolio.free_cash]
    if limits.max_order_notional:
        caps.append(limits.max_order_notional)
    if limits.max_symbol_percent:
        held = _in_symbol(request.symbol, portfolio)
        caps.append(_part(equity, limits.max_symbol_percent) - held)
    if limits.max_market_percent:
        held = _in_market(_market(request, policy), portfolio)
        caps.append(_part(equity, limits.max_market_percent) - held)
    return min(caps)


def _part(equity: Decimal, percent: Decimal) -> Decimal:
    return (equity * percent / HUNDRED).quantize(CENT, rounding=ROUND_FLOOR)


def _in_symbol(symbol: str, portfolio: Portfolio) -> Decimal:
    holding, order = portfolio.holdings.get(symbol), portfolio.live_orders.get(symbol)
    held = ZERO if holding is None else holding.value(portfolio.rates)
    return held + (order.reserved_cash if order and order.side is Side.BUY else ZERO)


def _in_market(market: MarketCode, portfolio: Portfolio) -> Decimal:
    there = {s for s, holding in portfolio.holdings.items() if holding.market is market}
    there |= {s for s, order in portfolio.live_orders.items() if order.market is market}
    return sum((_in_symbol(symbol, portfolio) for symbol in there), ZERO)


def _market(request: TradeRequest, policy: Policy) -> MarketCode:
    instrument = policy.instruments.find(request.symbol, request.as_of)
    assert instrument is not None, "known_symbol is checked first"  # noqa: S101 - order of checks
    return instrument.market


ENTRY_LIMITS: tuple[Check, ...] = (
    entry_not_locked,
    order_rate,
    order_notional,
    room_in_symbol,
    room_in_market,
)
"""They follow the checks of a buy, on which they rely."""
