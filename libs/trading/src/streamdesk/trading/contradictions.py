"""Whether the parts of a signal fit each other, and its exits the market.

A contract refuses what is no number at all; what is a number and makes no sense is refused here, so
that it is in the ledger and a trader sees it.
"""

from collections.abc import Iterator
from decimal import Decimal

from streamdesk.contracts.events import Side, SignalType
from streamdesk.trading.money import HUNDRED, MAX_PRICE, ZERO
from streamdesk.trading.policy import Policy
from streamdesk.trading.portfolio import Portfolio
from streamdesk.trading.risk import Check, Code, RiskVerdict, TradeRequest


def type_fits_side(request: TradeRequest, _: Portfolio, __: Policy) -> RiskVerdict:
    """CONTRADICTORY_SIGNAL: its type points the other way than its side."""
    kind = request.type
    passed = kind is None or (kind is SignalType.SELL) == (request.side is Side.SELL)
    reason = f"its type is {kind}, and its side {request.side}"
    return RiskVerdict(Code.CONTRADICTORY_SIGNAL, passed, Decimal(not passed), ZERO, reason)


def strength_fits_score(request: TradeRequest, _: Portfolio, policy: Policy) -> RiskVerdict:
    """CONTRADICTORY_SIGNAL: a buy that asks for far more than its score supports.

    Asking for less is a choice: it makes a smaller position. A sell sells all, whatever it asks.
    """
    most, strength = policy.strength_excess_max, Decimal(repr(float(request.strength)))
    excess = strength - Decimal(repr(float(request.score))) / HUNDRED
    passed = request.side is Side.SELL or excess <= most
    reason = (
        f"strength {strength} with score {request.score:g}: it may exceed a hundredth of the score "
        f"by {most} at most"
    )
    return RiskVerdict(Code.CONTRADICTORY_SIGNAL, passed, excess, most, reason)


def exits_fit_price(request: TradeRequest, _: Portfolio, __: Policy) -> RiskVerdict:
    """CONTRADICTORY_SIGNAL: the exits of a buy are on the wrong side of its own price."""
    return _exits_around(request.price, "its price", request)


def exits_fit_mark(request: TradeRequest, _: Portfolio, __: Policy) -> RiskVerdict:
    """CONTRADICTORY_SIGNAL: the market has passed an exit of a buy before it is bought."""
    return _exits_around(request.market_price, "the mark", request)


def _exits_around(price: Decimal, name: str, request: TradeRequest) -> RiskVerdict:
    wrong = next(_wrong_exits(price, request), None)
    if wrong is None or request.side is Side.SELL:  # after a sell there is nothing to leave
        return RiskVerdict(
            Code.CONTRADICTORY_SIGNAL, passed=True, value=ZERO, limit=ZERO, reason=""
        )
    what, level = wrong
    reason = f"{what} {level} of a buy of {request.symbol}, and {name} is {price}"
    value, limit = min(level, MAX_PRICE), min(price, MAX_PRICE)
    code = Code.CONTRADICTORY_SIGNAL
    return RiskVerdict(code, passed=False, value=value, limit=limit, reason=reason)


def _wrong_exits(price: Decimal, request: TradeRequest) -> Iterator[tuple[str, Decimal]]:
    if request.stop_loss is not None and request.stop_loss >= price:
        yield "stop loss", request.stop_loss
    if request.take_profit is not None and request.take_profit <= price:
        yield "take profit", request.take_profit


CONSISTENCY_CHECKS: tuple[Check, ...] = (
    type_fits_side,
    strength_fits_score,
    exits_fit_price,
)
