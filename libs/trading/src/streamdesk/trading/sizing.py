"""How much to buy, and at which price at worst."""

from datetime import datetime
from decimal import Decimal

from streamdesk.contracts.events import Side
from streamdesk.trading.fees import FeeSchedule
from streamdesk.trading.markets import TradableInstrument
from streamdesk.trading.money import CENT, HUNDRED, cents, cents_up
from streamdesk.trading.policy import MAX_TRADES_AN_ORDER, Policy

BPS = Decimal(10_000)


def target_percent(strength: float, policy: Policy) -> Decimal:
    """Part of the equity a signal deserves: linear from the least (strength 0) to the most (1)."""
    span = policy.size_max_percent - policy.size_min_percent
    return policy.size_min_percent + span * Decimal(repr(float(strength)))


def target_cash(equity: Decimal, strength: float, policy: Policy) -> Decimal:
    """That part in whole cents of the account's currency."""
    return cents(equity * target_percent(strength, policy) / HUNDRED)


def least_cash(equity: Decimal, policy: Policy) -> Decimal:
    """The smallest order worth making, in whole cents."""
    return cents_up(equity * policy.size_min_percent / HUNDRED)


def limit_price(
    policy: Policy, instrument: TradableInstrument, side: Side, price: Decimal, at: datetime
) -> Decimal:
    """The worst price an order may trade at: on the tick, within the policy's slippage limit.

    Where the tick is coarser than that distance, the next valid price beyond the market's is
    taken, so that the order can trade at all. May be 0 for a sell below the first tick.
    """
    market, ticks = instrument.market, policy.ticks
    part = policy.slippage_limit_bps / BPS
    if side is Side.BUY:
        return max(ticks.down(market, price * (1 + part), at), ticks.up(market, price, at))
    return min(ticks.up(market, price * (1 - part), at), ticks.down(market, price, at))


def most_cost(quantity: int, limit: Decimal, fees: FeeSchedule, rate: Decimal) -> Decimal:
    """What buying can cost at most, fees and rounding included, in the account's currency."""
    value = quantity * limit
    rounding = CENT * MAX_TRADES_AN_ORDER
    return cents_up((value + fees.of_order(Side.BUY, quantity, value)) * rate) + rounding


def quantity_for(
    budget: Decimal,
    limit: Decimal,
    instrument: TradableInstrument,
    fees: FeeSchedule,
    rate: Decimal,
) -> int:
    """The most whole lots whose cost cannot exceed the budget; 0 when not even one fits.

    Args:
        budget: account's currency.
        limit: worst price, market's currency.
        instrument: whose lots.
        fees: of its market.
        rate: value of the market's currency.
    """
    lot = instrument.lot_size
    low, high = 0, int(budget / (limit * rate * lot))
    while low < high:  # the cost grows with the quantity, so a binary search finds the most
        middle = (low + high + 1) // 2
        if most_cost(middle * lot, limit, fees, rate) <= budget:
            low = middle
        else:
            high = middle - 1
    return low * lot
