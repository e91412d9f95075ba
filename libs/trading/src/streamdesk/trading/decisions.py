"""From a signal, or a bar that crosses a stop, to an intent or a refusal. Pure."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, Severity, Side, SignalGenerated
from streamdesk.trading.contradictions import CONSISTENCY_CHECKS, exits_fit_mark
from streamdesk.trading.exits import first_stop
from streamdesk.trading.identity import (
    fingerprint,
    is_stop_leg,
    order_id_of_exit,
    order_id_of_signal,
)
from streamdesk.trading.limits import ENTRY_LIMITS, order_budget
from streamdesk.trading.market_checks import MARKET_CHECKS
from streamdesk.trading.market_view import MarketState
from streamdesk.trading.markets import TradableInstrument
from streamdesk.trading.money import ZERO, price_from
from streamdesk.trading.orders import BrokerReport, Intent, Origin
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, Portfolio
from streamdesk.trading.risk import (
    BUY_CHECKS,
    SELL_CHECKS,
    SIGNAL_CHECKS,
    Alert,
    RiskVerdict,
    TradeRequest,
    first_refusal,
    limit_on_tick,
    whole_lots,
)
from streamdesk.trading.sizing import (
    limit_price,
    most_cost,
    quantity_for,
)


def request_from(
    signal_id: str,
    signal: SignalGenerated,
    now: datetime,
    market: MarketState | None = None,
    closed: str | None = None,
) -> TradeRequest:
    """A signal as the rules see it.

    Args:
        signal_id: event id.
        signal: the signal.
        now: the wall clock, for its time in the queue.
        market: the present of its market; None when no bar of that market is known.
        closed: why the market was closed at the signal's time; None while it was open.
    """
    return TradeRequest(
        signal_id=signal_id,
        fingerprint=fingerprint(signal),
        symbol=signal.symbol,
        side=signal.side,
        score=signal.score,
        strength=signal.strength,
        price=price_from(signal.price),
        as_of=signal.timestamp,
        stop_loss=None if signal.stop_loss is None else price_from(signal.stop_loss),
        take_profit=None if signal.take_profit is None else price_from(signal.take_profit),
        age_seconds=max(0.0, (now - signal.queued_at).total_seconds()),
        market=market,
        closed=closed,
        type=signal.type,
        exits=signal.exits,
        ahead_seconds=(signal.timestamp - now).total_seconds(),
    )


def decide(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> Intent | RiskVerdict:
    """The order that a signal becomes, or the verdict of the check that refuses it."""
    buying = request.side is Side.BUY
    own = (*BUY_CHECKS, *ENTRY_LIMITS) if buying else SELL_CHECKS
    checks = (*SIGNAL_CHECKS, *CONSISTENCY_CHECKS, *MARKET_CHECKS, exits_fit_mark, *own)
    refusal = first_refusal(checks, request, portfolio, policy)
    instrument = policy.instruments.find(request.symbol, request.as_of)
    if refusal is not None or instrument is None:
        assert refusal is not None, "an unknown instrument is refused"  # noqa: S101 - a check's duty
        return refusal
    if buying:
        return _buy(request, instrument, portfolio, policy)
    return _sell(request, instrument, portfolio.holdings[request.symbol], policy)


def _buy(
    request: TradeRequest, instrument: TradableInstrument, portfolio: Portfolio, policy: Policy
) -> Intent | RiskVerdict:
    limit = limit_price(policy, instrument, request.side, request.market_price, request.as_of)
    rate = portfolio.rates.buying(instrument.currency)
    fees = policy.fees[instrument.market].at(request.as_of)
    budget = order_budget(request, portfolio, policy)
    quantity = quantity_for(budget, limit, instrument, fees, rate)
    # The checks before this need no quantity; these two judge the order itself.
    lots = whole_lots(quantity, budget, request, policy)
    if not lots.passed:
        return lots
    on_tick = limit_on_tick(limit, request, policy)
    if not on_tick.passed:
        return on_tick
    cost = most_cost(quantity, limit, fees, rate)
    stop = first_stop(request, instrument.market, policy.ticks)
    intent = _intent(request, instrument, quantity, limit, cost)
    return replace(intent, stop_loss=stop, exits=request.exits)


def _sell(
    request: TradeRequest, instrument: TradableInstrument, holding: Holding, policy: Policy
) -> Intent | RiskVerdict:
    limit = limit_price(policy, instrument, request.side, request.market_price, request.as_of)
    on_tick = limit_on_tick(limit, request, policy)
    if not on_tick.passed:
        return on_tick
    intent = _intent(request, instrument, holding.quantity, limit, ZERO)
    return replace(intent, entry_order_id=holding.entry_order_id)


def _intent(
    request: TradeRequest,
    instrument: TradableInstrument,
    quantity: int,
    limit: Decimal,
    reserved: Decimal,
) -> Intent:
    return Intent(
        client_order_id=order_id_of_signal(request.signal_id),
        signal_id=request.signal_id,
        origin=Origin.SIGNAL,
        fingerprint=request.fingerprint,
        symbol=request.symbol,
        market=instrument.market,
        currency=instrument.currency,
        side=request.side,
        quantity=quantity,
        limit_price=limit,
        reference_price=request.market_price,
        as_of=request.as_of,
        reserved_cash=reserved,
        score=request.score,
        stop_loss=request.stop_loss,
        take_profit=request.take_profit,
    )


@dataclass(frozen=True, slots=True)
class Crossing:
    """A bar that crossed a stop of a position.

    Attributes:
        origin: which of the two.
        level: its price.
        price: close of the bar: what the market pays now.
        at: end of the bar.
    """

    origin: Origin
    level: Decimal
    price: Decimal
    at: datetime

    def seen_at(self, price: Decimal, at: datetime) -> "Crossing":
        """The same, acted upon later: at the lower of the two prices."""
        return replace(self, price=min(self.price, price), at=max(self.at, at))


def crossing(holding: Holding, bar: BarClosed) -> Crossing | None:
    """Whether a bar that came after the position was opened crosses one of its stops.

    Inside one bar the order of prices is not known: when both were crossed, it counts as the
    loss.
    """
    if bar.timestamp <= holding.opened_at:
        return None
    low, high, close = price_from(bar.low), price_from(bar.high), price_from(bar.close)
    # The stop loss comes first, so that it wins when both were crossed.
    if holding.stop_loss is not None and low <= holding.stop_loss:
        return Crossing(Origin.STOP_LOSS, holding.stop_loss, close, bar.timestamp)
    if holding.take_profit is not None and high >= holding.take_profit:
        return Crossing(Origin.TAKE_PROFIT, holding.take_profit, close, bar.timestamp)
    return None


def overdue(holding: Holding, bar: BarClosed) -> Crossing | None:
    """The exit of a position that was held for as long as its options allow; None before."""
    if holding.exits is None or holding.exits.hold_seconds is None:
        return None
    end = holding.opened_at + timedelta(seconds=holding.exits.hold_seconds)
    if bar.timestamp < end or bar.timestamp <= holding.opened_at:
        return None
    close = price_from(bar.close)
    return Crossing(Origin.TIME_EXIT, close, close, bar.timestamp)


def protective_exit(
    holding: Holding, crossed: Crossing, attempt: int, policy: Policy
) -> Intent | None:
    """The order that closes a position whose stop was crossed.

    Args:
        holding: the position.
        crossed: what happened.
        attempt: 1, and one more than the exits of this position that there were.
        policy: the numbers.

    Returns:
        The intent; None when the price is below the first tick, at which no sell is possible.
    """
    # An instrument that is no longer known can still be left: its lot size does not matter then,
    # as the whole position is sold.
    instrument = policy.instruments.find(holding.symbol, crossed.at)
    lot_size = 1 if instrument is None else instrument.lot_size
    instrument = TradableInstrument(holding.symbol, holding.market, lot_size)
    order_id = order_id_of_exit(holding.entry_order_id, attempt)
    limit = limit_price(policy, instrument, Side.SELL, crossed.price, crossed.at)
    if limit <= 0:
        return None
    return Intent(
        client_order_id=order_id,
        signal_id=holding.signal_id,
        origin=crossed.origin,
        fingerprint=f"exit:{order_id}",
        symbol=holding.symbol,
        market=holding.market,
        currency=holding.currency,
        side=Side.SELL,
        quantity=holding.quantity,
        limit_price=limit,
        reference_price=crossed.price,
        as_of=crossed.at,
        reserved_cash=ZERO,
        entry_order_id=holding.entry_order_id,
    )


def leg_of(entry: Intent, holding: Holding, report: BrokerReport) -> Intent:
    """The exit that the broker held for an entry, once it has traded.

    Args:
        entry: the order that it closes.
        holding: the position before the exit's first trade.
        report: what the broker says of the exit.
    """
    first = report.trades[0]
    is_stop = is_stop_leg(report.client_order_id)
    return Intent(
        client_order_id=report.client_order_id,
        signal_id=entry.signal_id,
        origin=Origin.STOP_LOSS if is_stop else Origin.TAKE_PROFIT,
        fingerprint=f"leg:{report.client_order_id}",
        symbol=entry.symbol,
        market=entry.market,
        currency=entry.currency,
        side=Side.SELL,
        quantity=holding.quantity if report.quantity is None else report.quantity,
        limit_price=report.price or first.price,
        reference_price=first.price,
        as_of=first.at or entry.as_of,
        reserved_cash=ZERO,
        entry_order_id=entry.client_order_id,
    )


_WHY = {
    Origin.STOP_LOSS: ("STOP_LOSS_CROSSED", "crossed its stop loss of {}"),
    Origin.TAKE_PROFIT: ("TAKE_PROFIT_CROSSED", "crossed its take profit of {}"),
    Origin.TIME_EXIT: ("TIME_EXIT_REACHED", "was held for as long as its signal allows"),
    Origin.CLOSE_ALL: ("CLOSING_POSITION", "is closed by a person"),
    Origin.EXIT: ("EXIT_PRICED_ANEW", "is below the limit of its exit, {}"),
}


def exit_alert(intent: Intent, crossed: Crossing, attempt: int, last: int) -> Alert:
    """The alert that a position is being closed: its stop was crossed, or it is tried again.

    Args:
        intent: the exit.
        crossed: what it is for.
        attempt: as in `protective_exit`.
        last: the attempt that is not priced anew.
    """
    if attempt > 1:
        is_last = attempt == last
        return Alert(
            key=f"exit:{intent.client_order_id}",
            code="EXIT_NOT_FILLED" if is_last else "EXIT_TRIED_AGAIN",
            severity=Severity.CRITICAL if is_last else Severity.INFO,
            message=f"exit {attempt} of {intent.symbol} sells the rest at {intent.limit_price} or "
            f"better{'; it is not priced anew any more' if is_last else ''}",
            value=crossed.price,
            limit=crossed.level,
            symbol=intent.symbol,
        )
    code, what = _WHY[crossed.origin]
    return Alert(
        key=f"exit:{intent.client_order_id}",
        code=code,
        severity=Severity.WARNING if crossed.origin is Origin.STOP_LOSS else Severity.INFO,
        message=f"{intent.symbol} {what.format(crossed.level)}: selling all",
        value=crossed.price,
        limit=crossed.level,
        symbol=intent.symbol,
    )
