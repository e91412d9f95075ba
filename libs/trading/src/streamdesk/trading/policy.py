"""The numbers that the rules go by; one object, made from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from streamdesk.trading.fees import HK_COMMISSION, US_COMMISSION, Commission, MarketFees
from streamdesk.trading.market_tables import MarketTables, built_in
from streamdesk.trading.markets import Instruments, MarketCode, Ticks
from streamdesk.trading.risk_limits import RiskLimits

COMMISSIONS = {MarketCode.US: US_COMMISSION, MarketCode.HK: HK_COMMISSION}
MAX_TRADES_AN_ORDER = 10
"""Trades whose rounding to cents a reservation covers (one cent each)."""


def fees_of(
    tables: MarketTables, commissions: Mapping[MarketCode, Commission]
) -> dict[MarketCode, MarketFees]:
    """The fees of every market: the broker's commissions, and what the tables have."""
    return {
        market: MarketFees(market, commission, tables.fees.get(market, {}))
        for market, commission in commissions.items()
    }


@dataclass(frozen=True, slots=True)
class Policy:
    """How much risk is taken, and what it costs.

    Attributes:
        max_positions: open positions in all.
        max_positions_by_market: open positions in one market.
        size_min_percent, size_max_percent: of equity, for a signal of strength 0 and of 1.
        score_min: least score of a buy signal.
        signal_max_age_seconds: older signals are refused; 0: any age will do.
        signal_max_age_bars: how many intervals a signal's bar may be from its market's newest.
        future_tolerance_seconds: how far clocks may differ before a signal is from the future.
        collar_min_percent, collar_atrs, collar_max_percent: how far a signal's price may be from
            the mark: the greater of a part of the mark and a number of ATRs, never above the last.
        strength_excess_max: how far the strength of a buy may exceed a hundredth of its score.
        mark_required: refuse signals of symbols of which no bar is known.
        slippage_limit_bps: how far from the market's price an order may trade, in hundredths of
            a percent.
        limits: on loss, concentration and rate.
        instruments, ticks, fees: what the markets prescribe, by date.
    """

    max_positions: int = 999
    max_positions_by_market: Mapping[MarketCode, int] = field(
        default_factory=lambda: {MarketCode.HK: 8, MarketCode.US: 5}
    )
    size_min_percent: Decimal = Decimal(5)
    size_max_percent: Decimal = Decimal(30)
    score_min: float = 30
    signal_max_age_seconds: float = 0
    signal_max_age_bars: int = 3
    future_tolerance_seconds: float = 5
    collar_min_percent: Decimal = Decimal(2)
    collar_atrs: Decimal = Decimal(3)
    collar_max_percent: Decimal = Decimal(10)
    strength_excess_max: Decimal = Decimal("0.5")
    mark_required: bool = False
    slippage_limit_bps: Decimal = Decimal(50)
    limits: RiskLimits = field(default_factory=RiskLimits)
    instruments: Instruments = field(default_factory=Instruments)
    ticks: Ticks = field(default_factory=Ticks)
    fees: Mapping[MarketCode, MarketFees] = field(
        default_factory=lambda: fees_of(built_in(), COMMISSIONS)
    )
