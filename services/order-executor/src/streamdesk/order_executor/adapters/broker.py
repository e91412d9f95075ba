"""The port of brokers.

The rules that make it safe:

1. An intent is committed in the ledger before `submit` is called, and the wish to cancel before
   `cancel` is.
2. `submit` is idempotent on the client order id for as long as `Capabilities` says: within that
   time the same id never makes a second order.
3. An error never proves that there is no order. Only an answer does: `query` returning None. Even
   that proves nothing about an order that the broker has acknowledged before: it is a
   contradiction, and the order is never sent again.
4. A trade that is reported again is the same, but for a fee that was None and is named now. What
   the broker converted to pay for a trade is reported with it.

Every method may raise `BrokerUnavailableError` (not reached: nothing was asked of the broker) and
`OutcomeUnknownError` (no answer: it may have done it). `tests/broker_conformance.py` is what
every implementation must pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from streamdesk.trading.orders import BrokerReport, Intent, Trade


class TimeInForce(StrEnum):
    """How long an order works."""

    DAY = "DAY"
    """To the end of the session; then it is EXPIRED."""
    GTC = "GTC"
    """Until it is filled or canceled."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a broker can do.

    Attributes:
        holds_brackets: keeps an entry's stop and target itself.
        replaces: changes the price of an order that is working.
        idempotency_seconds: for how long after the first `submit` the same client order id makes
            no second order; None without end.
        times_in_force: those that it takes.
    """

    holds_brackets: bool
    replaces: bool
    idempotency_seconds: float | None
    times_in_force: frozenset[TimeInForce]


@dataclass(frozen=True, slots=True)
class TradePage:
    """Some trades, in the order of the broker's records.

    Attributes:
        trades: the oldest first.
        cursor: where reading resumes; only this broker can read it.
    """

    trades: tuple[Trade, ...]
    cursor: str


class Broker(Protocol):
    """Executes orders."""

    @property
    def capabilities(self) -> Capabilities:
        """What this broker can do; never changes."""

    async def submit(self, intent: Intent) -> BrokerReport:
        """Place the order, or say what has become of it if it was placed before.

        A refusal is a report in state REJECTED.
        """

    async def cancel(self, client_order_id: str) -> BrokerReport | None:
        """Cancel what is left of an order; of one that is done, say what has become of it.

        PENDING_CANCEL means that the broker has taken the wish; the end comes with a later report.

        Returns:
            None when the broker says that it does not have the order.
        """

    async def replace(self, client_order_id: str, limit_price: Decimal) -> BrokerReport | None:
        """Give what is left of an order another limit price; of one that is done, as `cancel`.

        Args:
            client_order_id: the order; it keeps its id.
            limit_price: on the tick, in the market's currency; of a stop that the broker holds,
                the price that triggers it.

        Returns:
            None when the broker says that it does not have the order.
        """

    async def query(self, client_order_id: str) -> BrokerReport | None:
        """What has become of an order; None when the broker says that it does not have it."""

    async def open_orders(self) -> tuple[BrokerReport, ...]:
        """Every order of the account that is not done."""

    async def positions(self) -> Mapping[str, int]:
        """Shares that the account holds, by symbol."""

    async def balances(self) -> Mapping[str, Decimal]:
        """Cash of the account by ISO 4217 code; negative where it is owed."""

    async def trades(self, after: str) -> TradePage:
        """Trades after this cursor, as many as the broker returns in one page.

        Args:
            after: `cursor` of the page before; empty for the first one.

        Returns:
            A page without trades when there are no more.
        """

    async def server_time(self) -> datetime:
        """The broker's clock."""
