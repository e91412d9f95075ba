"""The port of brokers.

The rules that make it safe:

1. An intent is committed in the ledger before `submit` is called.
2. `submit` is idempotent on the client order id: the same id never makes a second order.
3. An error never proves that there is no order. Only an answer does: `query` returning None.
"""

from dataclasses import dataclass
from typing import Protocol

from streamdesk.trading.orders import BrokerReport, Intent, Trade


@dataclass(frozen=True, slots=True)
class TradePage:
    """Some trades, in the order of the broker's records.

    Attributes:
        trades: ascending by sequence.
        sequence: where reading resumes.
    """

    trades: tuple[Trade, ...]
    sequence: int


class Broker(Protocol):
    """Executes orders."""

    async def submit(self, intent: Intent) -> BrokerReport:
        """Place the order, or say what has become of it if it was placed before.

        A refusal is a report in state REJECTED.

        Raises:
            BrokerUnavailableError: not reached; the broker does not have the order from this call.
            OutcomeUnknownError: no answer; it may have the order.
        """

    async def query(self, client_order_id: str) -> BrokerReport | None:
        """What has become of an order; None when the broker says that it never had it.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: no answer, which proves nothing.
        """

    async def trades_since(self, sequence: int) -> TradePage:
        """Trades after this point, the oldest first, as many as the broker returns in one page.

        Raises:
            BrokerUnavailableError, OutcomeUnknownError: no answer.
        """
