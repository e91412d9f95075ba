"""Values that the use cases and the ledger exchange."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from streamdesk.contracts.events import Severity, Side
from streamdesk.trading.corporate_actions import ActionKey
from streamdesk.trading.identity import is_stop_leg
from streamdesk.trading.locks import EntryLock
from streamdesk.trading.money import ZERO
from streamdesk.trading.orders import Intent, Order, Trade
from streamdesk.trading.risk import Alert, RiskVerdict
from streamdesk.trading.trading_state import TradingState

MAX_CLOCK_OFFSET_SECONDS = 30.0
"""How far an executor's clock may be off the broker's: NTP keeps a machine far closer."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A price seen for a held instrument: `price` at the end of the bar, `at`."""

    price: Decimal
    at: datetime


Marks = Mapping[str, Mark]


@dataclass(frozen=True, slots=True)
class BookedAction:
    """What a split or a dividend came to.

    Attributes:
        key: symbol, ex-date and kind.
        ratio: of a split, new shares for one old; otherwise 1.
        currency, amount: what was paid, of a split for the fraction of a share.
    """

    key: ActionKey
    ratio: Fraction
    currency: str
    amount: Decimal


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
class ExitStep:
    """What leaving a position takes next.

    Attributes:
        order: the exit, committed and to be sent (INTENDED); or the order that has the symbol and
            is to be canceled first (PENDING_CANCEL); None when there is nothing to do.
        is_waiting: an order is being canceled; the position is left when it is done.
    """

    order: Order | None = None
    is_waiting: bool = False


@dataclass(frozen=True, slots=True)
class Halt:
    """A halt of trading, or its reduction to exits, that is in force.

    Attributes:
        at: since when.
        reason: as given by the person who did it, or why the desk did.
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


@dataclass(frozen=True, slots=True)
class NumberedLock:
    """A lock of entries with its number in the ledger."""

    number: int
    lock: EntryLock


class Contradiction(StrEnum):
    """What the broker says of an order that cannot be true: the order is never sent again."""

    ORDER_FORGOTTEN = "ORDER_FORGOTTEN"
    """It acknowledged the order, and says now that it does not have it."""
    ORDER_UNPROVEN = "ORDER_UNPROVEN"
    """It does not have the order, which may have been sent too long ago to be sent again."""


def reason_not_to_send_again(
    order: Order, now: datetime, idempotency_seconds: float | None
) -> Contradiction | None:
    """Why an order that the broker says it does not have must not be sent; None when it may be.

    Args:
        order: as the ledger has it, after the broker was asked.
        now: by the executor's clock.
        idempotency_seconds: as in `Capabilities`.
    """
    if order.state.is_working or order.broker_order_id is not None:
        return Contradiction.ORDER_FORGOTTEN
    if idempotency_seconds is None:
        return None
    if order.sent_at is None:
        return Contradiction.ORDER_UNPROVEN
    age_seconds = (now - order.sent_at).total_seconds()
    # Another executor may have written the time: two clocks, each off by the most.
    margin_seconds = 2 * MAX_CLOCK_OFFSET_SECONDS
    is_in_time = -margin_seconds <= age_seconds < idempotency_seconds - margin_seconds
    return None if is_in_time else Contradiction.ORDER_UNPROVEN


def contradiction_alert(order: Order, found: Contradiction) -> Alert:
    """The alert that a person must look at an order; its symbol is locked."""
    name = f"order {order.client_order_id}"
    said = {
        Contradiction.ORDER_FORGOTTEN: (
            f"the broker acknowledged {name} as {order.broker_order_id} and does not know it now"
        ),
        Contradiction.ORDER_UNPROVEN: (
            f"the broker does not know {name}, and it is too late to send it again"
        ),
    }[found]
    return Alert(
        key=f"{found}:{order.client_order_id}",
        code=found,
        severity=Severity.CRITICAL,
        message=f"{said}: {order.intent.symbol} is locked",
        value=Decimal(order.filled_quantity),
        limit=Decimal(order.intent.quantity),
        symbol=order.intent.symbol,
    )


def contradiction_cleared(order: Order) -> Alert:
    """The alert that the broker knows an order again."""
    return Alert(
        key=f"cleared:{order.client_order_id}",
        code="ORDER_KNOWN_AGAIN",
        severity=Severity.INFO,
        message=f"the broker knows order {order.client_order_id} again: {order.intent.symbol} "
        "is not locked any more",
        value=ZERO,
        limit=ZERO,
        symbol=order.intent.symbol,
    )


def is_beyond_limit(intent: Intent, trade: Trade) -> bool:
    """Whether a trade is worse than its order allowed, which no market may do."""
    if is_stop_leg(intent.client_order_id):
        return False  # a stop sells where the market is
    if intent.side is Side.BUY:
        return trade.price > intent.limit_price
    return trade.price < intent.limit_price


def beyond_limit_alert(order: Order, trade: Trade) -> Alert:
    """The alert that the broker executed an order at a price that it did not allow."""
    intent = order.intent
    return Alert(
        key=f"beyond-limit:{trade.trade_id}",
        code="FILL_BEYOND_LIMIT",
        severity=Severity.CRITICAL,
        message=f"trade {trade.trade_id} of {trade.quantity} {intent.symbol} is at {trade.price}, "
        f"order {order.client_order_id} allowed {intent.limit_price}: ask the broker",
        value=trade.price,
        limit=intent.limit_price,
        symbol=intent.symbol,
    )


def external_trade_alert(trade: Trade, held: int) -> Alert:
    """The alert that somebody else traded on the account.

    Args:
        trade: the trade.
        held: shares of the symbol that the ledger counts.
    """
    traded = f"{trade.side or 'trade of'} {trade.quantity} {trade.symbol or 'shares'}"
    warns = f"; the desk still counts {held} held" if held else ""
    return Alert(
        key=f"external:{trade.trade_id}",
        code="EXTERNAL_TRADE",
        severity=Severity.CRITICAL if trade.side is Side.SELL and held else Severity.WARNING,
        message=f"{traded} at {trade.price} {trade.currency} was not ordered by the desk (trade "
        f"{trade.trade_id}){warns}: adopt or ignore it",
        value=Decimal(trade.quantity),
        limit=Decimal(held),
        symbol=trade.symbol,
    )
