"""From a signal, or a bar that crosses a stop, to an intent or a refusal. Pure."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import BarClosed, Severity, Side, SignalGenerated
from streamdesk.trading.identity import (
    fingerprint,
    order_id_of_exit,
    order_id_of_signal,
)
from streamdesk.trading.markets import TradableInstrument
from streamdesk.trading.money import ZERO, price_from
from streamdesk.trading.orders import Intent, Origin
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Holding, Portfolio
from streamdesk.trading.risk import (
    BUY_CHECKS,
    SELL_CHECKS,
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
    target_cash,
)


def request_from(signal_id: str, signal: SignalGenerated, now: datetime) -> TradeRequest:
    """A signal as the rules see it; its age is taken at `now`."""
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
    )


def decide(request: TradeRequest, portfolio: Portfolio, policy: Policy) -> Intent | RiskVerdict:
    """The order that a signal becomes, or the verdict of the check that refuses it."""
    buying = request.side is Side.BUY
    refusal = first_refusal(BUY_CHECKS if buying else SELL_CHECKS, request, portfolio, policy)
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
    limit = limit_price(policy, instrument, request.side, request.price, request.as_of)
    rate = portfolio.rates.buying(instrument.currency)
    fees = policy.fees[instrument.market].at(request.as_of)
    budget = min(target_cash(portfolio.equity, request.strength, policy), portfolio.free_cash)
    quantity = quantity_for(budget, limit, instrument, fees, rate)
    # The checks before this need no quantity; these two judge the order itself.
    lots = whole_lots(quantity, budget, request, policy)
    if not lots.passed:
        return lots
    on_tick = limit_on_tick(limit, request, policy)
    if not on_tick.passed:
        return on_tick
    return _intent(request, instrument, quantity, limit, most_cost(quantity, limit, fees, rate))


def _sell(
    request: TradeRequest, instrument: TradableInstrument, holding: Holding, policy: Policy
) -> Intent | RiskVerdict:
    limit = limit_price(policy, instrument, request.side, request.price, request.as_of)
    on_tick = limit_on_tick(limit, request, policy)
    return (
        _intent(request, instrument, holding.quantity, limit, ZERO) if on_tick.passed else on_tick
    )


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
        reference_price=request.price,
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


def protective_exit(
    holding: Holding, crossed: Crossing, attempt: int, policy: Policy
) -> Intent | None:
    """The order that closes a position whose stop was crossed.

    Args:
        holding: the position.
        crossed: what happened.
        attempt: 1, and one more after the broker refused an exit of this position.
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


def exit_alert(intent: Intent, crossed: Crossing) -> Alert:
    """The alert that a stop was crossed and the position is being closed."""
    name = "stop loss" if crossed.origin is Origin.STOP_LOSS else "take profit"
    return Alert(
        key=f"exit:{intent.client_order_id}",
        code=f"{crossed.origin}_CROSSED",
        severity=Severity.WARNING if crossed.origin is Origin.STOP_LOSS else Severity.INFO,
        message=f"{intent.symbol} crossed its {name} of {crossed.level}: selling all",
        value=crossed.price,
        limit=crossed.level,
        symbol=intent.symbol,
    )
