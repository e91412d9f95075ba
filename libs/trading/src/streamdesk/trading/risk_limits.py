"""Limits on what may be lost, and on what may be in one place; a part of the policy."""

from dataclasses import dataclass
from decimal import Decimal

from streamdesk.trading.protections import AnyProtection, StoplossGuard

DEFAULT_PROTECTIONS: tuple[AnyProtection, ...] = (
    # Four losing stops within an hour say that the market moves against the strategy: an hour's
    # rest. freqtrade's documentation has four in 24 bars; its hour is kept.
    StoplossGuard(lookback_minutes=60, stop_minutes=60, trade_limit=4),
)


@dataclass(frozen=True, slots=True)
class RiskLimits:
    """Every limit is off at 0.

    Attributes:
        max_order_notional: most that an order may cost, account's currency.
        max_symbol_percent: most of the equity in one symbol, orders in progress included.
        max_market_percent: most of the equity in one market, likewise.
        max_orders_per_minute: orders of all executors within a minute of event time.
        daily_loss_limit_percent: loss of a day, of the equity it began with, that ends its entries.
        drawdown_limit_percent: loss since the peak, of the peak, that ends entries.
        price_jump_percent: how far a bar may be from the last price, of that price, to be believed.
        protections: what locks entries after positions were closed, in this order.
    """

    # A quarter of a new account: above what concentration lets into one symbol, so that a wrong
    # price or rate meets it first.
    max_order_notional: Decimal = Decimal(250_000)
    # A name that halves costs a tenth of the account.
    max_symbol_percent: Decimal = Decimal(20)
    # A market that falls by a tenth costs 8 % of the account, less than the drawdown limit.
    max_market_percent: Decimal = Decimal(80)
    # Longbridge takes 30 requests in 30 seconds: half of that is left for exits and queries.
    max_orders_per_minute: int = 30
    # Three stop-outs of the largest position with the stop 5 % away; proprietary firms end at 5.
    daily_loss_limit_percent: Decimal = Decimal(3)
    # What proprietary firms allow in all.
    drawdown_limit_percent: Decimal = Decimal(10)
    # Beyond what a share of some size moves in a bar, and within a split of 2:1.
    price_jump_percent: Decimal = Decimal(40)
    protections: tuple[AnyProtection, ...] = DEFAULT_PROTECTIONS
