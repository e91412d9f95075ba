"""Values that the use cases and the ledger exchange."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from streamdesk.trading.orders import Order
from streamdesk.trading.risk import RiskVerdict
from streamdesk.trading.trading_state import TradingState


@dataclass(frozen=True, slots=True)
class Mark:
    """A price seen for a held instrument: `price` at the end of the bar, `at`."""

    price: Decimal
    at: datetime


Marks = Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class SignalDecision:
    """What was decided about a signal, now or before.

    Attributes:
        order: the order it became, None when it was refused.
        refusal: the check that refused it, None when it became an order.
        is_new: decided by this call; otherwise it had been decided before.
        is_postponed: refused for now and not written down.
    """

    order: Order | None
    refusal: RiskVerdict | None
    is_new: bool
    is_postponed: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt of trading, or its reduction to exits, that is in force.

    Attributes:
        at: since when.
        reason: as given by the person who did it.
        state: REDUCING or HALTED.
    """

    at: datetime
    reason: str
    state: TradingState = TradingState.HALTED

    @property
    def text(self) -> str:
        """What it is, and why, for people."""
        what = "halted" if self.state is TradingState.HALTED else "reduced to exits"
        return f"trading is {what}: {self.reason}"
