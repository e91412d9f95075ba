"""What goes wrong at the paper broker: as a test says, or as dice say that follow from a seed."""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from streamdesk.order_executor.config import Settings
from streamdesk.order_executor.errors import OutcomeUnknownError
from streamdesk.trading.orders import Intent

SIDES = 1_000_000
"""Of the dice: percentages hold to four digits behind the point."""

Hook = Callable[[str], Awaitable[None]]


async def nothing(_client_order_id: str) -> None:
    """No fault."""


def no_refusal(_intent: Intent) -> tuple[str, str] | None:
    """Nothing is refused."""
    return None


def in_time(_client_order_id: str, _step: str) -> bool:
    """Nothing is late."""
    return False


@dataclass(slots=True)
class Faults:
    """What goes wrong.

    Attributes:
        before_accept: runs before an order is written; may raise BrokerUnavailableError.
        after_accept: runs after it is written, before the answer; may raise OutcomeUnknownError.
        on_read: runs before anything is read or changed, with an id or an empty text.
        refuse: code and reason of a refusal, None to accept.
        is_late: whether what a bar does to an order is reported with the next bar; asked with the
            order's id and the bar's end.
    """

    before_accept: Hook = nothing
    after_accept: Hook = nothing
    on_read: Hook = nothing
    refuse: Callable[[Intent], tuple[str, str] | None] = no_refusal
    is_late: Callable[[str, str], bool] = in_time


@dataclass(frozen=True, slots=True)
class FaultDice:
    """How often a broker fails; the same seed, order and step always give the same answer.

    Attributes:
        seed: other seeds, other faults.
        reject_percent: of orders, refused.
        timeout_percent: of orders, taken without an answer.
        late_percent: of bars with open orders, whose fills are reported with the next bar.
    """

    seed: str
    reject_percent: Decimal
    timeout_percent: Decimal
    late_percent: Decimal

    def falls(self, percent: Decimal, client_order_id: str, step: str) -> bool:
        """Whether a fault happens."""
        text = f"{self.seed}|{client_order_id}|{step}"
        number = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") % SIDES
        return number < percent * SIDES / 100

    def faults(self) -> Faults:
        """The faults that fall."""

        def refuse(intent: Intent) -> tuple[str, str] | None:
            if self.falls(self.reject_percent, intent.client_order_id, "reject"):
                return "INJECTED", f"PAPER_REJECT_PERCENT refuses {self.reject_percent} %"
            return None

        async def after_accept(client_order_id: str) -> None:
            if self.falls(self.timeout_percent, client_order_id, "timeout"):
                raise OutcomeUnknownError("no answer, by PAPER_TIMEOUT_PERCENT")

        return Faults(
            after_accept=after_accept,
            refuse=refuse,
            is_late=lambda order_id, step: self.falls(self.late_percent, order_id, step),
        )


def dice_of(settings: Settings) -> FaultDice:
    """The dice of the settings."""
    return FaultDice(
        settings.paper_fault_seed,
        settings.paper_reject_percent,
        settings.paper_timeout_percent,
        settings.paper_late_percent,
    )
