"""Settings of the limits on loss, concentration and rate; every limit is off at 0."""

from decimal import Decimal
from typing import Annotated, Self

from pydantic import Field, model_validator

from streamdesk.runtime import ServiceSettings
from streamdesk.trading.protections import AnyProtection
from streamdesk.trading.risk_limits import RiskLimits

DEFAULTS = RiskLimits()
Percent = Annotated[Decimal, Field(ge=0, le=100)]
Protection = Annotated[AnyProtection, Field(discriminator="method")]


class RiskSettings(ServiceSettings):
    """What may be lost, and what may be in one place."""

    size_min_percent: Decimal = Field(
        Decimal(5), gt=0, le=100, description="Percent of equity for a signal of strength 0."
    )
    size_max_percent: Decimal = Field(
        Decimal(30), gt=0, le=100, description="Percent of equity for a signal of strength 1."
    )
    max_order_notional: Annotated[Decimal, Field(ge=0, max_digits=15, decimal_places=2)] = Field(
        DEFAULTS.max_order_notional,
        description="USD that an order may cost; a larger one is cut to it. 0: no limit. Above "
        "what MAX_SYMBOL_PERCENT lets into one symbol of a new account, so that a wrong price or "
        "rate meets it first.",
    )
    max_symbol_percent: Percent = Field(
        DEFAULTS.max_symbol_percent,
        description="Percent of equity in one symbol; a larger order is cut to it. 0: no limit. "
        "At 20 a share that halves costs a tenth of the account.",
    )
    max_market_percent: Percent = Field(
        DEFAULTS.max_market_percent,
        description="Percent of equity in one market; a larger order is cut to what is left. 0: "
        "no limit. At 80 a market that falls by a tenth costs less than DRAWDOWN_LIMIT_PERCENT.",
    )
    max_orders_per_minute: int = Field(
        DEFAULTS.max_orders_per_minute,
        ge=0,
        description="Orders of all executors within a minute of event time, after which entries "
        "are refused. 0: no limit. Brokers take about 60; half is left for exits and queries.",
    )
    daily_loss_limit_percent: Percent = Field(
        DEFAULTS.daily_loss_limit_percent,
        description="Percent of the equity at the day's beginning; a larger loss, realised and "
        "open, ends entries until the next day (UTC). 0: no limit. At 3 these are three stop-outs "
        "of the largest position with the stop 5 percent away.",
    )
    drawdown_limit_percent: Percent = Field(
        DEFAULTS.drawdown_limit_percent,
        description="Percent of the highest equity; a larger loss since then ends entries until a "
        "person lifts the lock. 0: no limit. 10 is what proprietary firms allow.",
    )
    price_jump_percent: Annotated[Decimal, Field(ge=0, le=100_000)] = Field(
        DEFAULTS.price_jump_percent,
        description="Percent that a bar may be from the last price of its symbol. Beyond it the "
        "symbol is halted: no entry, and no stop is executed on that price, until it comes back, "
        "a corporate action explains it, or a person lifts the lock. 0: every price is believed. "
        "40 is beyond what a share of some size moves in a bar, and within a split of 2:1.",
    )
    protections: list[Protection] = Field(
        default_factory=lambda: list(DEFAULTS.protections),
        description="What locks entries after positions were closed, as JSON: a list of "
        "StoplossGuard, MaxDrawdown, LowProfitPairs and CooldownPeriod as freqtrade has them, each "
        'as often as wanted: [{"method": "CooldownPeriod", "stop_minutes": 10}]. []: none. Unset: '
        "four losing stops within an hour lock entries for an hour.",
    )

    @model_validator(mode="after")
    def _sizes_fit_together(self) -> Self:
        if self.size_min_percent > self.size_max_percent:
            raise ValueError(
                f"SIZE_MIN_PERCENT {self.size_min_percent} is above "
                f"SIZE_MAX_PERCENT {self.size_max_percent}"
            )
        for name in ("max_symbol_percent", "max_market_percent"):
            limit: Decimal = getattr(self, name)
            if 0 < limit < self.size_min_percent:
                raise ValueError(
                    f"{name.upper()} {limit} is below SIZE_MIN_PERCENT {self.size_min_percent}: "
                    "no order would fit"
                )
        return self

    def limits(self) -> RiskLimits:
        """The numbers that the limits go by."""
        return RiskLimits(
            max_order_notional=self.max_order_notional,
            max_symbol_percent=self.max_symbol_percent,
            max_market_percent=self.max_market_percent,
            max_orders_per_minute=self.max_orders_per_minute,
            daily_loss_limit_percent=self.daily_loss_limit_percent,
            drawdown_limit_percent=self.drawdown_limit_percent,
            price_jump_percent=self.price_jump_percent,
            protections=tuple(self.protections),
        )
