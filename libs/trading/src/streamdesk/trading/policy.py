"""The numbers that the rules go by; one object, made from the settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from streamdesk.trading.fees import HK_FEES, US_FEES, FeeSchedule
from streamdesk.trading.markets import Instruments, MarketCode, Ticks
from streamdesk.trading.risk_limits import RiskLimits

MAX_TRADES_AN_ORDER = 10
"""Trades whose rounding to cents a reservation covers (one cent each)."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How much risk is taken, and what it costs.

    Attributes:
        max_positions: open positions in all.
        max_positions_by_market: open positions in one market.
        size_min_percent, size_max_percent: of equity, for a signal of strength 0 and of 1.
        score_min: least score of a buy signal.
        signal_max_age_seconds: older signals are refused; 0: any age will do.
        slippage_limit_bps: how far from the signal's price an order may trade, in hundredths of
            a percent.
        limits: on loss, concentration and rate.
        instruments, ticks, fees: what the markets prescribe.
    """

    max_positions: int = 999
    max_positions_by_market: Mapping[MarketCode, int] = field(
        default_factory=lambda: {MarketCode.HK: 8, MarketCode.US: 5}
    )
    size_min_percent: Decimal = Decimal(5)
    size_max_percent: Decimal = Decimal(30)
    score_min: float = 30
    signal_max_age_seconds: float = 0
    slippage_limit_bps: Decimal = Decimal(50)
    limits: RiskLimits = field(default_factory=RiskLimits)
    instruments: Instruments = field(default_factory=Instruments)
    ticks: Ticks = field(default_factory=Ticks)
    fees: Mapping[MarketCode, FeeSchedule] = field(
        default_factory=lambda: {MarketCode.US: US_FEES, MarketCode.HK: HK_FEES}
    )
