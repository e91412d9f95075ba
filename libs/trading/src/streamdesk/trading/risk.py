"""Risk checks of an order: each gives a verdict with what it measured and its limit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from streamdesk.contracts.events import ExitOptions, Severity, Side, SignalType
from streamdesk.trading.market_view import MarketState
from streamdesk.trading.markets import MarketCode, TradableInstrument
from streamdesk.trading.money import MAX_PRICE, ZERO
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio
from streamdesk.trading.sizing import least_cash
from streamdesk.trading.trading_state import TradingState


class Code(StrEnum):
    """Why an order is refused; stable, for programs."""

    UNKNOWN_SYMBOL = "UNKNOWN_SYMBOL"
    STALE_SIGNAL = "STALE_SIGNAL"
    DUPLICATE_SIGNAL = "DUPLICATE_SIGNAL"
    SCORE_TOO_LOW = "SCORE_TOO_LOW"
    SYMBOL_LOCKED = "SYMBOL_LOCKED"
    ORDER_IN_PROGRESS = "ORDER_IN_PROGRESS"
    POSITION_ALREADY_OPEN = "POSITION_ALREADY_OPEN"
    POSITION_LIMIT_EXCEEDED = "POSITION_LIMIT_EXCEEDED"
    NO_POSITION_TO_SELL = "NO_POSITION_TO_SELL"
    RATE_UNKNOWN = "RATE_UNKNOWN"
    INSUFFICIENT_FUNDS = "INSUFFICIENT_FUNDS"
    LOT_SIZE = "LOT_SIZE"
    PRICE_TICK = "PRICE_TICK"
    TRADING_REDUCING = "TRADING_REDUCING"
    TRADING_HALTED = "TRADING_HALTED"
    FUTURE_SIGNAL = "FUTURE_SIGNAL"
    OUTDATED_BY_POSITION = "OUTDATED_BY_POSITION"
    NO_MARKET_PRICE = "NO_MARKET_PRICE"
    PRICE_COLLAR = "PRICE_COLLAR"
    CONTRADICTORY_SIGNAL = "CONTRADICTORY_SIGNAL"
    SESSION_CLOSED = "SESSION_CLOSED"
    ORDER_NOTIONAL = "ORDER_NOTIONAL"
    CONCENTRATION = "CONCENTRATION"
    ORDER_RATE = "ORDER_RATE"
    # Entries are locked (LockCode); the lock's reason says for how long.
    DAILY_LOSS = "DAILY_LOSS"
    DRAWDOWN = "DRAWDOWN"
    STOPLOSS_GUARD = "STOPLOSS_GUARD"
    MAX_DRAWDOWN = "MAX_DRAWDOWN"
    LOW_PROFIT_PAIRS = "LOW_PROFIT_PAIRS"
    COOLDOWN_PERIOD = "COOLDOWN_PERIOD"
    PRICE_JUMP = "PRICE_JUMP"


@dataclass(frozen=True, slots=True)
class RiskVerdict:
    """What a check found.

    Attributes:
        code: of the refusal, if it is one.
        passed: whether the order may be made.
        value: what was measured.
        limit: what it was held against, in the same unit.
        reason: both in words, for a person.
    """

    code: Code
    passed: bool
    value: Decimal
    limit: Decimal
    reason: str


@dataclass(frozen=True, slots=True)
class TradeRequest:
    """A signal as the rules see it: exact numbers, and what is known about it.

    Attributes:
        signal_id: event id.
        fingerprint: what it says, whatever its event id.
        symbol, side, score, strength: as in the signal.
        price, stop_loss, take_profit: exact decimals of the signal's prices.
        as_of: end of the bar that gave it.
        age_seconds: since it was queued.
        duplicate_of: the order that the same fingerprint has made already.
        market: the present of its market; None when no bar of that market is known.
        ahead_seconds: how far `as_of` is beyond the wall clock; negative for the past.
        traded_as_of: end of the bar behind the newest order in the symbol that has a fill.
        type: as in the signal.
        closed: why the market was closed at the time of its bar; None: open, or not asked.
        exits: as in the signal.
    """

    signal_id: str
    fingerprint: str
    symbol: str
    side: Side
    score: float
    strength: float
    price: Decimal
    as_of: datetime
    stop_loss: Decimal | None = None
    take_profit: Decimal | None = None
    age_seconds: float = 0.0
    duplicate_of: str | None = None
    market: MarketState | None = None
    ahead_seconds: float = 0.0
    traded_as_of: datetime | None = None
    type: SignalType | None = None
    closed: str | None = None
    exits: ExitOptions | None = None

    @property
    def mark(self) -> Decimal | None:
        """Close of the symbol's newest bar; None when no bar of it is known."""
        return None if self.market is None else self.market.mark

    @property
    def market_price(self) -> Decimal:
        """What an order is priced from: the mark, or the signal's price where there is none."""
        return self.price if self.mark is None else self.mark


Check = Callable[[TradeRequest, Portfolio, Policy], RiskVerdict]


def _number(value: float) -> Decimal:
    return Decimal(repr(float(value)))


def known_symbol(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """UNKNOWN_SYMBOL: no market, no such code, or no lot size is configured."""
    known = policy.instruments.find(request.symbol, request.as_of) is not None
    reason = (
        f"{request.symbol} is not known: give its lot size in LOT_SIZES or in a lots.csv in "
        "MARKET_TABLES_FOLDER, or set HK_DEFAULT_LOT for Hong Kong symbols without one"
    )
    return RiskVerdict(Code.UNKNOWN_SYMBOL, known, Decimal(known), Decimal(1), reason)


def not_halted(_: TradeRequest, portfolio: Portfolio, __: Policy) -> RiskVerdict:
    """TRADING_HALTED: the kill switch lets nothing through."""
    halted = portfolio.trading_state is TradingState.HALTED
    reason = f"trading is halted: {portfolio.halted_reason}"
    return RiskVerdict(Code.TRADING_HALTED, not halted, Decimal(halted), ZERO, reason)


def not_reducing(_: TradeRequest, portfolio: Portfolio, __: Policy) -> RiskVerdict:
    """TRADING_REDUCING: the kill switch lets exits through alone."""
    reducing = portfolio.trading_state is TradingState.REDUCING
    reason = f"trading is reduced to exits: {portfolio.halted_reason}"
    return RiskVerdict(Code.TRADING_REDUCING, not reducing, Decimal(reducing), ZERO, reason)


def fresh(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """STALE_SIGNAL: it waited too long in the queue, by the wall clock; off when the limit is 0."""
    limit = policy.signal_max_age_seconds
    passed = limit <= 0 or request.age_seconds <= limit
    reason = f"queued {request.age_seconds:.1f} s ago, at most {limit:g} s are allowed"
    value = _number(round(request.age_seconds, 3))
    return RiskVerdict(Code.STALE_SIGNAL, passed, value, _number(limit), reason)


def not_a_duplicate(request: TradeRequest, _: Portfolio, __: Policy) -> RiskVerdict:
    """DUPLICATE_SIGNAL: the same strategy said the same of the same bar, and it was ordered."""
    found = request.duplicate_of is not None
    reason = f"the same signal was ordered as {request.duplicate_of}"
    return RiskVerdict(Code.DUPLICATE_SIGNAL, not found, Decimal(found), ZERO, reason)


def score_high_enough(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """SCORE_TOO_LOW: below the least score of a buy."""
    passed = request.score >= policy.score_min
    reason = f"score {request.score:g} is below {policy.score_min:g}"
    value, limit = _number(request.score), _number(policy.score_min)
    return RiskVerdict(Code.SCORE_TOO_LOW, passed, value, limit, reason)


def symbol_not_locked(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """SYMBOL_LOCKED: the broker contradicts the ledger about an order for this symbol."""
    live = portfolio.live_orders.get(request.symbol)
    code = None if live is None else live.contradiction
    reason = f"order {live.client_order_id} is contradicted ({code}): resolve it" if live else ""
    return RiskVerdict(Code.SYMBOL_LOCKED, code is None, Decimal(code is not None), ZERO, reason)


def no_order_in_progress(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """ORDER_IN_PROGRESS: a symbol has one live order at most."""
    live = portfolio.live_orders.get(request.symbol)
    reason = f"order {live.client_order_id} for {request.symbol} is in progress" if live else ""
    return RiskVerdict(
        Code.ORDER_IN_PROGRESS, live is None, Decimal(live is not None), ZERO, reason
    )


def position_not_open(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """POSITION_ALREADY_OPEN: a position is bought once, not added to."""
    holding = portfolio.holdings.get(request.symbol)
    held = Decimal(0 if holding is None else holding.quantity)
    reason = f"{held} {request.symbol} are held already"
    return RiskVerdict(Code.POSITION_ALREADY_OPEN, holding is None, held, ZERO, reason)


def position_slot_free(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """POSITION_LIMIT_EXCEEDED: as many positions as are allowed, in all or in this market."""
    market = _instrument(request, policy).market
    scopes = [(None, policy.max_positions), (market, policy.max_positions_by_market[market])]
    full = [scope for scope in scopes if portfolio.slots_taken(scope[0]) >= scope[1]]
    where, limit = full[0] if full else scopes[1]
    taken = portfolio.slots_taken(where)
    reason = f"{taken} of {limit}{f' {where}' if where else ''} positions are open"
    return RiskVerdict(
        Code.POSITION_LIMIT_EXCEEDED, not full, Decimal(taken), Decimal(limit), reason
    )


def position_to_sell(request: TradeRequest, portfolio: Portfolio, _: Policy) -> RiskVerdict:
    """NO_POSITION_TO_SELL: nothing is sold short."""
    holding = portfolio.holdings.get(request.symbol)
    held = Decimal(0 if holding is None else holding.quantity)
    reason = f"no {request.symbol} is held"
    return RiskVerdict(Code.NO_POSITION_TO_SELL, holding is not None, held, Decimal(1), reason)


def rates_known(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """RATE_UNKNOWN: without the present rate of a currency nobody knows what the account has."""
    currencies = portfolio.currencies | {_instrument(request, policy).currency}
    reasons = [why for name, why in portfolio.rates.unknown.items() if name in currencies]
    reason = f"{'; '.join(reasons)}: the equity is unknown"
    return RiskVerdict(Code.RATE_UNKNOWN, not reasons, Decimal(len(reasons)), ZERO, reason)


def funds_for_a_position(_: TradeRequest, portfolio: Portfolio, policy: Policy) -> RiskVerdict:
    """INSUFFICIENT_FUNDS: not enough free cash for the smallest position."""
    least, free = least_cash(portfolio.equity, policy), portfolio.free_cash
    reason = (
        f"{free} {portfolio.rates.account_currency} are free, the smallest position takes "
        f"{least} ({policy.size_min_percent} % of {portfolio.equity})"
    )
    return RiskVerdict(Code.INSUFFICIENT_FUNDS, 0 < least <= free, free, least, reason)


def price_tradable(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """PRICE_TICK: below the market's first tick, or beyond what any market quotes."""
    market = _instrument(request, policy).market
    tick = policy.ticks.tick(market, min(request.price, MAX_PRICE), request.as_of)
    levels = request.price, request.stop_loss or ZERO, request.take_profit or ZERO
    passed = request.price >= tick and max(levels) <= MAX_PRICE
    limit = tick if request.price < tick else MAX_PRICE
    reason = f"price {request.price} of {request.symbol} is not between {tick} and {MAX_PRICE}"
    value = request.price if request.price < tick else min(max(levels), MAX_PRICE)
    return RiskVerdict(Code.PRICE_TICK, passed, value, limit, reason)


def whole_lots(
    quantity: int, budget: Decimal, request: TradeRequest, policy: Policy
) -> RiskVerdict:
    """LOT_SIZE: the money does not buy one lot (or, for a guard, the order is no multiple)."""
    lot = _instrument(request, policy).lot_size
    passed = quantity > 0 and quantity % lot == 0
    price = request.market_price
    reason = f"{budget} do not buy one lot of {lot} {request.symbol} at {price}"
    return RiskVerdict(Code.LOT_SIZE, passed, Decimal(quantity), Decimal(lot), reason)


def limit_on_tick(limit: Decimal, request: TradeRequest, policy: Policy) -> RiskVerdict:
    """PRICE_TICK: the order's limit price must be one that the exchange takes."""
    market = _instrument(request, policy).market
    passed = policy.ticks.is_on_tick(market, limit, request.as_of)
    tick = policy.ticks.tick(market, limit, request.as_of)
    reason = f"limit price {limit} of {request.symbol} is not on the tick of {tick}"
    return RiskVerdict(Code.PRICE_TICK, passed, limit, tick, reason)


def _instrument(request: TradeRequest, policy: Policy) -> TradableInstrument:
    instrument = policy.instruments.find(request.symbol, request.as_of)
    assert instrument is not None, "known_symbol is checked first"  # noqa: S101 - order of checks
    return instrument


# What a signal is comes first; then, in `market_checks`, whether it fits the market's present; then
# what it asks for.
SIGNAL_CHECKS: tuple[Check, ...] = (
    known_symbol,
    fresh,
    not_a_duplicate,
)
BUY_CHECKS: tuple[Check, ...] = (
    not_halted,
    not_reducing,
    price_tradable,
    score_high_enough,
    symbol_not_locked,
    no_order_in_progress,
    position_not_open,
    position_slot_free,
    rates_known,
    funds_for_a_position,
)
# What closes a position is not refused for its score, nor while trading is reduced to exits.
SELL_CHECKS: tuple[Check, ...] = (
    not_halted,
    price_tradable,
    symbol_not_locked,
    no_order_in_progress,
    position_to_sell,
)


def first_refusal(
    checks: Iterable[Check], request: TradeRequest, portfolio: Portfolio, policy: Policy
) -> RiskVerdict | None:
    """The verdict of the first check that does not pass; later ones may rely on earlier ones."""
    verdicts = (check(request, portfolio, policy) for check in checks)
    return next((verdict for verdict in verdicts if not verdict.passed), None)


@dataclass(frozen=True, slots=True)
class Alert:
    """A limit that is reached; it is announced when it becomes so, not while it lasts.

    Attributes:
        key: one condition; while it lasts there is one alert.
        code, severity, message, value, limit, symbol: as in RiskAlerted.
    """

    key: str
    code: str
    severity: Severity
    message: str
    value: Decimal
    limit: Decimal
    symbol: str | None = None


def conditions(portfolio: Portfolio, policy: Policy) -> dict[str, Alert]:
    """The limits that are reached now, by key."""
    scopes: list[tuple[MarketCode | None, int]] = [(None, policy.max_positions)]
    scopes += policy.max_positions_by_market.items()
    alerts = []
    for market, limit in scopes:
        taken, name = portfolio.slots_taken(market), market.value if market else "all"
        if taken >= limit:
            text = f"{taken} of {limit} {name} positions are open"
            alerts.append(_limit_alert(f"POSITION_LIMIT_REACHED:{name}", text, taken, limit))
    for currency in portfolio.currencies & portfolio.rates.unknown.keys():
        text = f"{portfolio.rates.unknown[currency]}: the equity is unknown, entries are refused"
        alerts.append(_limit_alert(f"RATE_UNKNOWN:{currency}", text, 1, 0))
    least, free = least_cash(portfolio.equity, policy), portfolio.free_cash
    if free < least:
        text = f"{free} {portfolio.rates.account_currency} are free, a position takes {least}"
        alerts.append(_limit_alert("CASH_EXHAUSTED", text, free, least))
    return {alert.key: alert for alert in alerts}


def _limit_alert(key: str, text: str, value: Decimal | int, limit: Decimal | int) -> Alert:
    code = key.partition(":")[0]
    return Alert(key, code, Severity.WARNING, text, Decimal(value), Decimal(limit))
