"""Settings of the broker on paper: how bars fill orders, and what goes wrong."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from streamdesk.runtime import ServiceSettings
from streamdesk.trading.exchange import ExchangeRules, SessionCheck, always_open
from streamdesk.trading.money import HUNDRED
from streamdesk.trading.policy import Policy

Percent = Annotated[Decimal, Field(ge=0, le=100)]
Bps = Annotated[Decimal, Field(ge=0, le=1000)]


class PaperSettings(ServiceSettings):
    """What trading on paper costs, and how often it fails."""

    paper_volume_share_percent: Percent = Field(
        Decimal("2.5"),
        description="Percent of a bar's volume that all orders of a symbol may take together; what "
        "is left waits for the next bar. 0: no limit. More than 2.5 would move a real market.",
    )
    paper_slippage_bps: Bps = Field(
        Decimal(10),
        description="How far orders that take liquidity trade beyond the market, hundredths "
        "of a percent: half a tick to a few ticks of a liquid share.",
    )
    paper_spread_bps: Bps = Field(
        Decimal(0),
        description="Spread that a buy pays above a bar's prices, hundredths of a percent. 0: "
        "liquid shares trade a tick apart, which PAPER_SLIPPAGE_BPS covers.",
    )
    paper_reject_percent: Percent = Field(
        Decimal(0), description="Percent of orders that the broker on paper refuses, for drills."
    )
    paper_timeout_percent: Percent = Field(
        Decimal(0),
        description="Percent of orders that it takes without an answer, for drills.",
    )
    paper_late_percent: Percent = Field(
        Decimal(0),
        description="Percent of bars with open orders whose fills it reports with the next bar of "
        "the symbol, for drills.",
    )
    paper_fault_seed: str = Field(
        "1", description="Which orders and bars these three hit: the same seed hits the same."
    )

    def exchange_rules(self, policy: Policy, is_open: SessionCheck = always_open) -> ExchangeRules:
        """The numbers that fills on paper go by.

        Args:
            policy: has ticks and fees.
            is_open: hours of the exchanges.
        """
        return ExchangeRules(
            fees=lambda market, at: policy.fees[market].at(at),
            volume_share=self.paper_volume_share_percent / HUNDRED,
            spread_bps=self.paper_spread_bps,
            slippage_bps=self.paper_slippage_bps,
            ticks=policy.ticks,
            is_open=is_open,
        )
